/**
 * Keeps count of the stored messages that our reader does not have yet, and says how far it must come
 * before more may be acknowledged.
 *
 * @module
 */
import type { Message } from "./messages.ts";

/** How much may wait for the reader: messages, and UTF-16 code units of their text. */
const MAX = { messages: 1_000, characters: 8_000_000 };

/** What waits for our reader. */
export class Backlog {
  /** How much text was stored up to which place, oldest first. */
  readonly #stored: { readonly place: number; readonly characters: number }[] = [];
  #characters = 0;

  /** Messages were stored, the last of them at a place. */
  stored(messages: readonly Message[], place: number): void {
    // A repeated message is where the first one is.
    if (place <= (this.#stored.at(-1)?.place ?? 0)) return;
    const characters = messages.reduce((sum, { body }) => sum + body.length, 0);
    this.#stored.push({ place, characters });
    this.#characters += characters;
  }

  /** The reader has everything up to a place. */
  shown(place: number): void {
    while (this.#stored.length > 0 && this.#stored[0].place <= place) {
      this.#characters -= this.#stored.shift()!.characters;
    }
  }

  /** The place that the reader must have reached before what is stored up to `last` is acknowledged. */
  dueBefore(last: number): number {
    const byNumber = last - MAX.messages;
    if (this.#characters <= MAX.characters) return byNumber;
    let characters = 0;
    const first = this.#stored.findLast((stored) =>
      (characters += stored.characters) > MAX.characters
    )!;
    return Math.max(byNumber, Math.min(first.place, last));
  }
}
