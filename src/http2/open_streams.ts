/**
 * The streams of an HTTP/2 connection that are open, and what they hold in memory.
 *
 * A stream is over when both sides have ended it, or either has reset it (RFC 9113, section 5.1).
 *
 * @module
 */

/** The headers of an ordinary call take no more than this. */
export const ORDINARY_BYTES = 2_048;

/** What a stream takes in memory besides its headers, which counts where those are not ordinary. */
export const STREAM_BYTES = 8_192;

/** The two sides of a stream. */
export type End = "near" | "far";

interface Stream {
  headerBytes: number;
  /** The side that has ended it, while the other has not. */
  endedBy?: End;
}

/** The open streams of one connection. */
export class OpenStreams {
  readonly #callBytes: number;
  readonly #streams = new Map<number, Stream>();
  #newest = 0;
  #bytes = 0;

  /** @param callBytes what an ordinary call counts, in bytes */
  constructor(callBytes: number) {
    this.#callBytes = callBytes;
  }

  /** What all of them count, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Headers of the client's begin on a stream; they open it unless it is an old one. */
  open(id: number): void {
    if (id <= this.#newest) return;
    this.#newest = id;
    const stream = { headerBytes: 0 };
    this.#streams.set(id, stream);
    this.#bytes += this.#weigh(stream);
  }

  /** More headers came on a stream. */
  hold(id: number, bytes: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    this.#bytes -= this.#weigh(stream);
    stream.headerBytes += bytes;
    this.#bytes += this.#weigh(stream);
  }

  /** One side will send nothing more on a stream. */
  end(id: number, by: End): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    if (stream.endedBy === undefined) stream.endedBy = by;
    else if (stream.endedBy !== by) this.close(id);
  }

  /** A stream is over for both sides. */
  close(id: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    this.#bytes -= this.#weigh(stream);
    this.#streams.delete(id);
  }

  #weigh({ headerBytes }: Stream): number {
    return headerBytes <= ORDINARY_BYTES ? this.#callBytes : headerBytes + STREAM_BYTES;
  }
}
