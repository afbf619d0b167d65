/**
 * Reads lines before they are wanted, to find out early where the input ends.
 *
 * @module
 */
import { Pulse } from "../base/timing.ts";

/** How many characters are read ahead at most. */
const MAX_AHEAD = 1 << 20;

/** Lines that are read ahead. */
export class ReadAhead implements AsyncIterable<string> {
  /** Resolves when the input has ended, although lines may still wait to be taken. */
  readonly ended: Promise<void>;
  readonly #waiting: string[] = [];
  readonly #changed = new Pulse();
  #length = 0;
  #isEnded = false;

  /** @param lines the lines; if reading them fails, they end there */
  constructor(lines: AsyncIterable<string>) {
    this.ended = this.#read(lines).catch(() => {}).finally(() => {
      this.#isEnded = true;
      this.#changed.beat();
    });
  }

  async #read(lines: AsyncIterable<string>): Promise<void> {
    for await (const line of lines) {
      this.#waiting.push(line);
      this.#length += line.length + 1;
      this.#changed.beat();
      while (this.#length > MAX_AHEAD) await this.#changed.next;
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    for (;;) {
      const changed = this.#changed.next;
      const line = this.#waiting.shift();
      if (line !== undefined) {
        this.#length -= line.length + 1;
        this.#changed.beat();
        yield line;
      } else if (this.#isEnded) return;
      else await changed;
    }
  }
}
