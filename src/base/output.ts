/**
 * Lines out: in order, never blocking, nothing lost at the end.
 *
 * An {@link Output} collects what is printed and writes it in the background,
 * as much at a time as there is: lines at once, a log now and then. What takes long to render is
 * rendered piece by piece as it is written. Who must not outrun it waits for {@link Output.ready};
 * who exits waits for {@link Output.flush}.
 *
 * @module
 */

/** How many characters may wait to be written before `ready` makes callers wait. */
const HIGH_WATER_MARK = 1 << 20;

/** How long what is logged may wait for more, in milliseconds; each write wakes another thread. */
const LOG_MS = 20;

/** How many characters are rendered before others get their turn, and how long that may take. */
const TURN = 1 << 16;
const TURN_MS = 5;

/** Where the bytes go: `Deno.stdout`, for example. */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<number>;
}

/** A stream of text that is written in the background. */
export class Output {
  readonly #sink: ByteSink;
  readonly #onBroken: (error: unknown) => void;
  #fit: ((line: string) => Iterable<string>) | undefined;
  readonly #encoder = new TextEncoder();
  #waiting: (string | Iterator<string>)[] = [];
  /** How many characters wait, about. */
  #length = 0;
  #writing: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #broken = false;

  /**
   * @param sink where the bytes go
   * @param onBroken called once if they cannot be written any more, with the
   *   reason; what is printed after that is dropped
   * @param fit renders a line, with its line end, for the terminal that is at the other end
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

  /** From here on, lines are printed exactly, however wide the terminal is. */
  exact(): void {
    this.#fit = undefined;
  }

  /** Prints a line. */
  line(text: string): void {
    this.#add(text);
    void this.#begin();
  }

  /**
   * Prints what is rendered only as it is written.
   *
   * @param pieces the text, line end included
   * @param length how many characters that is, about
   */
  print(pieces: Iterable<string>, length: number): void {
    if (this.#broken) return;
    this.#waiting.push(pieces[Symbol.iterator]());
    this.#length += length;
    void this.#begin();
  }

  /** Prints a line of which there may be thousands a second: soon, together with others. */
  log(text: string): void {
    this.#add(text);
    this.#timer ??= setTimeout(() => this.#begin(), LOG_MS);
  }

  /** Resolves when there is room for more. Settled already, unless the reader is slow. */
  ready(): Promise<void> | undefined {
    return this.#length < HIGH_WATER_MARK ? undefined : this.#begin();
  }

  /** Resolves when everything printed so far has been written: to `false` where it cannot be. */
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
    // Lets everything that is printed in one go be written in one go.
    await Promise.resolve();
    try {
      while (this.#waiting.length > 0) {
        const bytes = this.#encoder.encode(this.#take());
        for (let done = 0; done < bytes.length;) {
          done += await this.#sink.write(bytes.subarray(done));
        }
        // A write may be over at once.
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

  /** Takes the next text to write: as much as can be rendered in one turn of the event loop. */
  #take(): string {
    let text = "";
    const end = performance.now() + TURN_MS;
    while (this.#waiting.length > 0 && text.length < TURN && performance.now() < end) {
      const [next] = this.#waiting;
      const piece = typeof next === "string" ? next : next.next().value;
      if (typeof next === "string" || piece === undefined) this.#waiting.shift();
      text += piece ?? "";
    }
    if (this.#waiting.length === 0) this.#length = 0;
    return text;
  }
}
