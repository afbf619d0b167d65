/**
 * Lines out: in order, never blocking, nothing lost at the end.
 *
 * An {@link Output} collects what is printed and writes it in the background,
 * as much at a time as there is. Who must not outrun it waits for
 * {@link Output.ready}; who exits waits for {@link Output.flush}.
 *
 * @module
 */

/** How many characters may wait to be written before `ready` makes callers wait. */
const HIGH_WATER_MARK = 1 << 20;

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
    if (this.#broken) return;
    this.#waiting += text + "\n";
    this.#writing ??= this.#write();
  }

  /** Resolves when there is room for more. Settled already, unless the reader is slow. */
  ready(): Promise<void> | undefined {
    return this.#waiting.length < HIGH_WATER_MARK ? undefined : this.#writing;
  }

  /** Resolves when everything printed so far has been written: to `false` where it cannot be. */
  async flush(): Promise<boolean> {
    await this.#writing;
    return !this.#broken;
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
