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
    settleAll(this.#waiting, false);
  }

  [Symbol.asyncIterator](): AsyncGenerator<Item> {
    return this.#read(1, ([item]) => item);
  }

  /**
   * Reads the queue in batches: everything that is in it at that moment. Each is consumed as a whole.
   */
  inBatches(): AsyncGenerator<readonly Item[]> {
    return this.#read(Infinity, (items) => items);
  }

  async *#read<Read>(most: number, form: (items: readonly Item[]) => Read): AsyncGenerator<Read> {
    let current: readonly Pushed<Item>[] = [];
    try {
      for (;;) {
        const changed = this.#changed.next;
        current = this.#waiting.splice(0, most);
        if (current.length > 0) {
          yield form(current.map(({ item }) => item));
          settleAll(current, true);
        } else if (this.#isEnded) {
          return;
        } else {
          await changed;
        }
      }
    } catch {
      // The consumer failed to handle these items.
      settleAll(current, false);
    } finally {
      // A consumer that stops has handled its last items and wants no more.
      settleAll(current, true);
      this.#isEnded = true;
      settleAll(this.#waiting.splice(0), false);
    }
  }
}

function settleAll(items: readonly Pushed<unknown>[], isConsumed: boolean): void {
  for (const { settle } of items) settle(isConsumed);
}
