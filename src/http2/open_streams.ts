/**
 * Tracks the open streams of an HTTP/2 connection and the memory that they occupy.
 *
 * A stream is closed when both sides have ended it or one has reset it (RFC 9113, section 5.1).
 *
 * @module
 */
import { MessageReader } from "./message_reader.ts";

/** The largest headers of an ordinary call, in bytes. */
export const ORDINARY_HEADER_BYTES = 2_048;

/** The memory of a stream besides its headers, in bytes; counted only for large headers. */
export const STREAM_OVERHEAD_BYTES = 8_192;

/** The memory of a DATA frame until its message is taken, however small it is. */
export const DATA_FRAME_BYTES = 512;

/** An ordinary call has its request in one DATA frame, and may end with an empty one. */
const ORDINARY_DATA_FRAMES = 2;

/** The two sides of a stream: ours and the other one. */
export type End = "local" | "remote";

/** Our side of a connection. */
export type Side = "client" | "server";

interface Stream {
  headerBytes: number;
  readonly messages: MessageReader;
  /** The DATA frames of the message that is arriving. */
  arriving: number;
  /** Complete messages that are not taken yet, and the DATA frames of them and those before. */
  complete: number;
  completeFrames: number;
  /** The side that has ended it, if only one has. */
  endedBy?: End;
}

/** The open streams of one connection. */
export class OpenStreams {
  readonly #side: Side;
  readonly #callBytes: number;
  readonly #streams = new Map<number, Stream>();
  #newest = 0;
  #bytes = 0;

  /**
   * @param side our side of the connection
   * @param callBytes how many bytes an ordinary call counts as
   */
  constructor(side: Side, callBytes: number) {
    this.#side = side;
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
    const messages = new MessageReader();
    const stream = { headerBytes: 0, messages, arriving: 0, complete: 0, completeFrames: 0 };
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

  /** A DATA frame begins on a stream. */
  beginData(id: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    stream.arriving++;
    if (stream.arriving + stream.completeFrames > ORDINARY_DATA_FRAMES) {
      this.#bytes += DATA_FRAME_BYTES;
    }
  }

  /** More data arrived on a stream: the bytes of a chunk from `start` to `end`. */
  readData(id: number, chunk: Uint8Array, start: number, end: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    const completed = stream.messages.read(chunk, start, end);
    if (completed === 0) return;
    stream.complete += completed;
    stream.completeFrames += stream.arriving;
    stream.arriving = 0;
    // A client takes messages at once; a server may let even complete ones wait.
    if (this.#side === "client") this.take(id, stream.complete);
  }

  /** Messages were taken from a stream. Their frames count until no complete one is left. */
  take(id: number, messages = 1): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    stream.complete -= messages;
    if (stream.complete > 0) return;
    this.#bytes -= this.#weigh(stream);
    stream.completeFrames = 0;
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

  #weigh({ headerBytes, arriving, completeFrames }: Stream): number {
    const call = headerBytes <= ORDINARY_HEADER_BYTES
      ? this.#callBytes
      : headerBytes + STREAM_OVERHEAD_BYTES;
    const frames = arriving + completeFrames;
    return call + Math.max(0, frames - ORDINARY_DATA_FRAMES) * DATA_FRAME_BYTES;
  }
}
