/**
 * A queue that tells its producer when the consumer has finished with an item.
 *
 * @module
 */
import { Pulse } from "./timing.ts";

interface Pushed<Item> {
  readonly item: Item;
  /** Settles the promise of {@link HandoffQueue.push}. */
  readonly settle: (isConsumed: boolean) => void;
}

/**
 * A queue for one consumer, which reads it in order with `for await`. An item is consumed when the
 * consumer asks for the next one, or stops without an error.
 */
export class HandoffQueue<Item> implements AsyncIterable<Item> {
  readonly #waiting: Pushed<Item>[] = [];
  readonly #changed = new Pulse();
  #isEnded = false;

  /**
   * Adds an item.
   *
   * @returns `true` when it has been consumed, `false` when it will not be
   */
  push(item: Item): Promise<boolean> {
    if (this.#isEnded) return Promise.resolve(false);
    const { promise, resolve: settle } = Promise.withResolvers<boolean>();
    this.#waiting.push({ item, settle });
    this.#changed.beat();
    return promise;
  }

  /**
   * Ends the queue. Items that are still in it can be read, but their producers are told `false`
   * at once.
   */
  end(): void {
    this.#isEnded = true;
    this.#changed.beat();
    for (const { settle } of this.#waiting) settle(false);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item> {
    let current: Pushed<Item> | undefined;
    try {
      for (;;) {
        const changed = this.#changed.next;
        current = this.#waiting.shift();
        if (current !== undefined) {
          yield current.item;
          current.settle(true);
        } else if (this.#isEnded) {
          return;
        } else {
          await changed;
        }
      }
    } catch {
      // The consumer failed to handle this item.
      current?.settle(false);
    } finally {
      // A consumer that stops has handled its last item and wants no more.
      current?.settle(true);
      this.#isEnded = true;
      for (const { settle } of this.#waiting.splice(0)) settle(false);
    }
  }
}
