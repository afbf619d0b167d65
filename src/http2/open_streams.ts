/**
 * Tracks the open streams of an HTTP/2 connection and the memory that they occupy.
 *
 * A stream is closed when both sides have ended it or one has reset it (RFC 9113, section 5.1).
 *
 * @module
 */

/** The largest headers of an ordinary call, in bytes. */
export const ORDINARY_HEADER_BYTES = 2_048;

/** The memory of a stream besides its headers, in bytes; counted only for large headers. */
export const STREAM_OVERHEAD_BYTES = 8_192;

/** The two sides of a stream: ours and the other one. */
export type End = "local" | "remote";

interface Stream {
  headerBytes: number;
  /** The side that has ended it, if only one has. */
  endedBy?: End;
}

/** The open streams of one connection. */
export class OpenStreams {
  readonly #callBytes: number;
  readonly #streams = new Map<number, Stream>();
  #newest = 0;
  #bytes = 0;

  /** @param callBytes how many bytes an ordinary call counts as */
  constructor(callBytes: number) {
    this.#callBytes = callBytes;
  }

  /** How many bytes all open streams count as. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The client begins to send headers, which opens the stream unless it is an old one. */
  open(id: number): void {
    if (id <= this.#newest) return;
    this.#newest = id;
    const stream = { headerBytes: 0 };
    this.#streams.set(id, stream);
    this.#bytes += this.#weigh(stream);
  }

  /** More headers have arrived on a stream. */
  addHeaders(id: number, bytes: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    this.#bytes -= this.#weigh(stream);
    stream.headerBytes += bytes;
    this.#bytes += this.#weigh(stream);
  }

  /** One side sends nothing more on a stream. */
  end(id: number, by: End): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    if (stream.endedBy === undefined) stream.endedBy = by;
    else if (stream.endedBy !== by) this.close(id);
  }

  /** A stream is closed for both sides. */
  close(id: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    this.#bytes -= this.#weigh(stream);
    this.#streams.delete(id);
  }

  #weigh({ headerBytes }: Stream): number {
    return headerBytes <= ORDINARY_HEADER_BYTES
      ? this.#callBytes
      : headerBytes + STREAM_OVERHEAD_BYTES;
  }
}
