/**
 * Lines out: in order, never blocking, nothing lost at the end.
 *
 * An {@link Output} collects what is printed and writes it in the background,
 * as much at a time as there is: lines at once, a log now and then. Who must not outrun it
 * waits for {@link Output.ready}; who exits waits for {@link Output.flush}.
 *
 * @module
 */

/** How many characters may wait to be written before `ready` makes callers wait. */
const HIGH_WATER_MARK = 1 << 20;

/** How long what is logged may wait for more, in milliseconds; each write wakes another thread. */
const LOG_MS = 20;

/** Where the bytes go: `Deno.stdout`, for example. */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<number>;
}

/** A stream of text that is written in the background. */
export class Output {
  readonly #sink: ByteSink;
  readonly #onBroken: (error: unknown) => void;
  readonly #encoder = new TextEncoder();
  #waiting = "";
  #writing: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #broken = false;

  /**
   * @param sink where the bytes go
   * @param onBroken called once if they cannot be written any more, with the
   *   reason; what is printed after that is dropped
   */
  constructor(sink: ByteSink, onBroken: (error: unknown) => void = () => {}) {
    this.#sink = sink;
    this.#onBroken = onBroken;
  }

  /** Prints a line. */
  line(text: string): void {
    this.#add(text);
    void this.#begin();
  }

  /** Prints a line of which there may be thousands a second: soon, together with others. */
  log(text: string): void {
    this.#add(text);
    this.#timer ??= setTimeout(() => this.#begin(), LOG_MS);
  }

  /** Resolves when there is room for more. Settled already, unless the reader is slow. */
  ready(): Promise<void> | undefined {
    return this.#waiting.length < HIGH_WATER_MARK ? undefined : this.#begin();
  }

  /** Resolves when everything printed so far has been written: to `false` where it cannot be. */
  async flush(): Promise<boolean> {
    await this.#begin();
    return !this.#broken;
  }

  #add(text: string): void {
    if (!this.#broken) this.#waiting += text + "\n";
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
      while (this.#waiting !== "") {
        const bytes = this.#encoder.encode(this.#waiting);
        this.#waiting = "";
        for (let done = 0; done < bytes.length;) {
          done += await this.#sink.write(bytes.subarray(done));
        }
      }
    } catch (error) {
      this.#broken = true;
      this.#waiting = "";
      this.#onBroken(error);
    } finally {
      this.#writing = undefined;
    }
  }
}
