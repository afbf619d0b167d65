/**
 * Things handed from one who makes them to one who reads them.
 *
 * What is pushed into a {@link HandoffQueue} is read from it with `for await`, in
 * order, and whoever pushed it learns when the reader is done with it: when it
 * comes back for the next one.
 *
 * @module
 */

/** A queue with one reader. */
export class HandoffQueue<Item> implements AsyncIterable<Item> {
  readonly #waiting: { item: Item; done: (read: boolean) => void }[] = [];
  #more = Promise.withResolvers<void>();
  #ended = false;

  /**
   * Hands something over.
   *
   * @returns `true` when the reader is done with it, `false` when it stopped before it
   */
  push(item: Item): Promise<boolean> {
    if (this.#ended) return Promise.resolve(false);
    const { promise, resolve: done } = Promise.withResolvers<boolean>();
    this.#waiting.push({ item, done });
    this.#more.resolve();
    return promise;
  }

  /** Nothing more will come. What has come can still be read, but nobody waits for that. */
  end(): void {
    this.#ended = true;
    this.#more.resolve();
    for (const { done } of this.#waiting) done(false);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Item> {
    let current: { done: (read: boolean) => void } | undefined;
    try {
      for (;;) {
        const next = current = this.#waiting.shift();
        if (next !== undefined) {
          yield next.item;
          next.done(true);
          continue;
        }
        if (this.#ended) return;
        await this.#more.promise;
        this.#more = Promise.withResolvers();
      }
    } catch {
      // The reader threw: it could not deal with what it had.
      current?.done(false);
    } finally {
      // Whoever stops reading is done with what they have, and does not want the rest.
      current?.done(true);
      this.#ended = true;
      for (const { done } of this.#waiting.splice(0)) done(false);
    }
  }
}
