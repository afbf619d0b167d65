/**
 * Buffered output that is written in order, in the background.
 *
 * Callers that produce faster than the reader takes wait for {@link Output.ready}; before the
 * process exits, {@link Output.flush} makes sure that nothing is lost.
 *
 * @module
 */

/** How many characters may be buffered before {@link Output.ready} makes callers wait. */
const HIGH_WATER_MARK = 1 << 20;

/** How long log lines are collected, in milliseconds; each write wakes another thread. */
const LOG_MS = 20;

/** How much is rendered in one turn of the event loop: so many characters, for so long. */
const TURN_CHARACTERS = 1 << 16;
const TURN_MS = 5;

/** A destination for bytes, such as `Deno.stdout`. */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<number>;
}

/** Text that is written in the background. */
export class Output {
  readonly #sink: ByteSink;
  readonly #onBroken: (error: unknown) => void;
  #fit: ((line: string) => Iterable<string>) | undefined;
  readonly #encoder = new TextEncoder();
  #waiting: (string | Iterator<string>)[] = [];
  /** How many characters are waiting, approximately. */
  #length = 0;
  #writing: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #broken = false;

  /**
   * @param sink the destination
   * @param onBroken called once, with the reason, if writing fails; later output is dropped
   * @param fit wraps a line for the terminal, and includes its line end
   */
  constructor(
    sink: ByteSink,
    onBroken: (error: unknown) => void = () => {},
    fit?: (line: string) => Iterable<string>,
  ) {
    this.#sink = sink;
    this.#onBroken = onBroken;
    this.#fit = fit;
  }

  /** Prints lines unchanged from now on, regardless of the width of the terminal. */
  exact(): void {
    this.#fit = undefined;
  }

  /** Prints a line. */
  line(text: string): void {
    this.#add(text);
    void this.#begin();
  }

  /**
   * Prints text that is rendered lazily, as it is written.
   *
   * @param pieces the text, including its line end
   * @param length the approximate number of characters
   */
  print(pieces: Iterable<string>, length: number): void {
    if (this.#broken) return;
    this.#waiting.push(pieces[Symbol.iterator]());
    this.#length += length;
    void this.#begin();
  }

  /** Prints a line soon, together with others: for thousands of lines a second. */
  log(text: string): void {
    this.#add(text);
    this.#timer ??= setTimeout(() => this.#begin(), LOG_MS);
  }

  /** Resolves when there is room for more output; `undefined` if there is room now. */
  ready(): Promise<void> | undefined {
    return this.#length < HIGH_WATER_MARK ? undefined : this.#begin();
  }

  /** Resolves when everything printed so far has been written, or to `false` if writing failed. */
  async flush(): Promise<boolean> {
    await this.#begin();
    return !this.#broken;
  }

  #add(text: string): void {
    if (this.#broken) return;
    const pieces = this.#fit?.(text)[Symbol.iterator]();
    if (pieces !== undefined) this.#waiting.push(pieces);
    else if (typeof this.#waiting.at(-1) === "string") {
      this.#waiting.push(this.#waiting.pop() + text + "\n");
    } else this.#waiting.push(text + "\n");
    this.#length += text.length + 1;
  }

  #begin(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return this.#writing ??= this.#write();
  }

  async #write(): Promise<void> {
    // Collects everything that is printed in the same turn of the event loop.
    await Promise.resolve();
    try {
      while (this.#waiting.length > 0) {
        const bytes = this.#encoder.encode(this.#take());
        for (let done = 0; done < bytes.length;) {
          done += await this.#sink.write(bytes.subarray(done));
        }
        // Writes may complete at once, and must not starve the event loop.
        if (this.#waiting.length > 0) await new Promise((resolve) => setTimeout(resolve));
      }
    } catch (error) {
      this.#broken = true;
      this.#waiting = [];
      this.#onBroken(error);
    } finally {
      this.#writing = undefined;
    }
  }

  /** Takes the next text to write, as much as one turn of the event loop allows. */
  #take(): string {
    let text = "";
    const end = performance.now() + TURN_MS;
    while (this.#waiting.length > 0 && text.length < TURN_CHARACTERS && performance.now() < end) {
      const [next] = this.#waiting;
      const piece = typeof next === "string" ? next : next.next().value;
      if (typeof next === "string" || piece === undefined) this.#waiting.shift();
      text += piece ?? "";
    }
    if (this.#waiting.length === 0) this.#length = 0;
    return text;
  }
}
