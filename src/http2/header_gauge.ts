/**
 * Measures the headers that arrive on an HTTP/2 connection, and what its open streams hold: headers,
 * and the DATA frames of messages that are not taken yet.
 *
 * @module
 */
import {
  CLIENT_PREFACE_BYTES,
  COMPRESSION_ERROR,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  ENHANCE_YOUR_CALM,
  type Frame,
  FRAME_HEADER_BYTES,
  FRAME_SIZE_ERROR,
  type FrameHandler,
  FrameReader,
  HEADERS,
  PADDED,
  PRIORITY,
  PROTOCOL_ERROR,
  PUSH_PROMISE,
  RST_STREAM,
} from "./frames.ts";
import { HpackGauge, MAX_BLOCK_BYTES } from "./hpack_gauge.ts";
import { OpenStreams, type Side } from "./open_streams.ts";

/** The length of the priority in a HEADERS frame. Source: RFC 9113, section 6.2. */
const PRIORITY_BYTES = 5;

/** Measures and checks the frames that arrive. */
class Incoming implements FrameHandler {
  readonly #side: Side;
  readonly #streams: OpenStreams;
  readonly #hpack = new HpackGauge();
  /** The stream of the current header block, and the flags of its first frame. */
  #block: { stream: number; flags: number } | undefined;
  /** The size of the block on the wire, including padding and empty frames. */
  #wireBytes = 0;
  #isPadLengthNext = false;
  #priorityLeft = 0;
  #fragmentLeft = 0;
  /** The error of the frames that were refused. */
  error = PROTOCOL_ERROR;

  constructor(side: Side, streams: OpenStreams) {
    this.#side = side;
    this.#streams = streams;
  }

  begin(frame: Frame): boolean {
    const { type, stream } = frame;
    if (this.#block !== undefined) return this.#continueBlock(frame);
    if (type === HEADERS) return this.#beginBlock(frame);
    if (type === DATA) return this.#beginData(frame);
    if (type === RST_STREAM) this.#streams.close(stream);
    // CONTINUATION needs a block to continue, and gRPC does not use server push.
    return type !== CONTINUATION && type !== PUSH_PROMISE;
  }

  #beginData({ length, flags, stream }: Frame): boolean {
    this.#streams.beginData(stream);
    this.#isPadLengthNext = (flags & PADDED) !== 0;
    this.#fragmentLeft = length - (this.#isPadLengthNext ? 1 : 0);
    return this.#fragmentLeft >= 0 || this.#refuse(FRAME_SIZE_ERROR);
  }

  #beginBlock({ length, flags, stream }: Frame): boolean {
    if (this.#side === "server") this.#streams.open(stream);
    this.#block = { stream, flags };
    this.#wireBytes = 0;
    this.#hpack.begin();
    this.#isPadLengthNext = (flags & PADDED) !== 0;
    this.#priorityLeft = (flags & PRIORITY) === 0 ? 0 : PRIORITY_BYTES;
    this.#fragmentLeft = length - this.#priorityLeft - (this.#isPadLengthNext ? 1 : 0);
    if (this.#fragmentLeft < 0) return this.#refuse(FRAME_SIZE_ERROR);
    return this.#countFrame(length);
  }

  /** No other frame may come between the frames of a block. */
  #continueBlock({ length, type, stream }: Frame): boolean {
    this.#fragmentLeft = length;
    return type === CONTINUATION && stream === this.#block?.stream && this.#countFrame(length);
  }

  #countFrame(length: number): boolean {
    this.#wireBytes += FRAME_HEADER_BYTES + length;
    return this.#wireBytes <= MAX_BLOCK_BYTES || this.#refuse(ENHANCE_YOUR_CALM);
  }

  #refuse(error: number): false {
    this.error = error;
    return false;
  }

  payload({ type, stream }: Frame, chunk: Uint8Array, start: number, end: number): boolean {
    if (this.#block === undefined && type !== DATA) return true;
    let at = start;
    if (this.#isPadLengthNext) {
      this.#isPadLengthNext = false;
      this.#fragmentLeft -= chunk[at++];
      if (this.#fragmentLeft < 0) return false;
    }
    const skipped = Math.min(this.#priorityLeft, end - at);
    this.#priorityLeft -= skipped;
    at += skipped;
    const fragment = Math.min(this.#fragmentLeft, end - at);
    this.#fragmentLeft -= fragment;
    if (this.#block === undefined) {
      this.#streams.readData(stream, chunk, at, at + fragment);
      return true;
    }
    const before = this.#hpack.bytes;
    const isAcceptable = this.#hpack.read(chunk, at, at + fragment);
    this.#streams.addHeaders(this.#block.stream, this.#hpack.bytes - before);
    return isAcceptable || this.#refuse(this.#hpack.error);
  }

  end({ type, flags, stream }: Frame): boolean {
    if (this.#block !== undefined) {
      if ((flags & END_HEADERS) === 0) return true;
      if ((this.#block.flags & END_STREAM) !== 0) this.#streams.end(stream, "remote");
      this.#block = undefined;
      return this.#hpack.isBetweenFields || this.#refuse(COMPRESSION_ERROR);
    }
    if (type === DATA && (flags & END_STREAM) !== 0) this.#streams.end(stream, "remote");
    return true;
  }
}

/** Follows the frames that we send, because they open, end and close streams too. */
class Outgoing implements FrameHandler {
  readonly #side: Side;
  readonly #streams: OpenStreams;

  constructor(side: Side, streams: OpenStreams) {
    this.#side = side;
    this.#streams = streams;
  }

  begin({ type, flags, stream }: Frame): boolean {
    if (type === RST_STREAM) this.#streams.close(stream);
    if (type !== HEADERS && type !== DATA) return true;
    if (type === HEADERS && this.#side === "client") this.#streams.open(stream);
    if ((flags & END_STREAM) !== 0) this.#streams.end(stream, "local");
    return true;
  }

  payload(): boolean {
    return true;
  }

  end(): boolean {
    return true;
  }
}

/** Follows one connection in both directions. */
export class HeaderGauge {
  readonly #streams: OpenStreams;
  readonly #incoming: Incoming;
  readonly #reader: FrameReader;
  readonly #outgoing: FrameReader;

  /**
   * @param side our side of the connection
   * @param callBytes how many bytes an ordinary call counts as; one with large headers counts as
   *   its actual size
   */
  constructor(side: Side, callBytes: number) {
    this.#streams = new OpenStreams(side, callBytes);
    const isServer = side === "server";
    this.#incoming = new Incoming(side, this.#streams);
    const outgoing = new Outgoing(side, this.#streams);
    this.#reader = new FrameReader(this.#incoming, isServer ? CLIENT_PREFACE_BYTES : 0);
    this.#outgoing = new FrameReader(outgoing, isServer ? 0 : CLIENT_PREFACE_BYTES);
  }

  /** How many bytes the open streams count as. */
  get heldBytes(): number {
    return this.#streams.bytes;
  }

  /**
   * Measures bytes that arrived.
   *
   * @returns `false` if a block is malformed or exceeds a limit; then {@link error} tells which, and
   *   nothing more may be measured
   */
  receive(chunk: Uint8Array): boolean {
    return this.#reader.read(chunk);
  }

  /** The error code to close the connection with, after {@link receive} has returned `false`. */
  get error(): number {
    return this.#incoming.error;
  }

  /** The server has taken a message from a stream. */
  take(stream: number): void {
    this.#streams.take(stream);
  }

  /** Tracks the streams that bytes being sent open, end or close. */
  send(chunk: Uint8Array): void {
    this.#outgoing.read(chunk);
  }
}
