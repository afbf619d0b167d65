/**
 * Finds the frames in the bytes of an HTTP/2 connection.
 *
 * A {@link FrameReader} follows one direction of a connection without buffering, however its bytes
 * are split. A {@link FrameHandler} interprets the frames.
 *
 * @module
 */

/** Frame types. Source: RFC 9113, section 6. */
export const DATA = 0;
export const HEADERS = 1;
export const RST_STREAM = 3;
export const PUSH_PROMISE = 5;
export const GOAWAY = 7;
export const CONTINUATION = 9;

/** Frame flags. Source: RFC 9113, section 6. */
export const END_STREAM = 0x1;
export const END_HEADERS = 0x4;
export const PADDED = 0x8;
export const PRIORITY = 0x20;

/** Error codes. Source: RFC 9113, section 7. */
export const PROTOCOL_ERROR = 1;
export const FLOW_CONTROL_ERROR = 3;
export const STREAM_CLOSED = 5;
export const FRAME_SIZE_ERROR = 6;
export const COMPRESSION_ERROR = 9;
export const ENHANCE_YOUR_CALM = 11;

/** The length of a client's preface before its first frame. Source: RFC 9113, section 3.4. */
export const CLIENT_PREFACE_BYTES = 24;

/** The length of a frame's header. Source: RFC 9113, section 4.1. */
export const FRAME_HEADER_BYTES = 9;

/** The header of the current frame; a reader uses the same object for all frames. */
export interface Frame {
  readonly length: number;
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
}

/** Receives the frames of one direction. Each function returns whether to continue. */
export interface FrameHandler {
  /** A frame begins. */
  begin(frame: Frame): boolean;
  /** More of its payload has arrived: the bytes of `chunk` from `start` to `end`. */
  payload(frame: Frame, chunk: Uint8Array, start: number, end: number): boolean;
  /** The frame is complete. */
  end(frame: Frame): boolean;
}

/** Follows one direction of a connection. */
export class FrameReader {
  readonly #handler: FrameHandler;
  readonly #frame = { length: 0, type: 0, flags: 0, stream: 0 };
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  #headerBytes = 0;
  #payloadLeft = 0;
  #prefaceLeft: number;

  /** @param prefaceBytes how many bytes come before the first frame */
  constructor(handler: FrameHandler, prefaceBytes: number) {
    this.#handler = handler;
    this.#prefaceLeft = prefaceBytes;
  }

  /**
   * Reads the next bytes.
   *
   * @returns `false` if the handler stopped; then nothing more may be read
   */
  read(chunk: Uint8Array): boolean {
    let at = Math.min(this.#prefaceLeft, chunk.length);
    this.#prefaceLeft -= at;
    while (at < chunk.length) {
      if (this.#headerBytes < FRAME_HEADER_BYTES) {
        this.#header[this.#headerBytes++] = chunk[at++];
        if (this.#headerBytes === FRAME_HEADER_BYTES && !this.#begin()) return false;
        continue;
      }
      const end = Math.min(at + this.#payloadLeft, chunk.length);
      if (!this.#handler.payload(this.#frame, chunk, at, end)) return false;
      this.#payloadLeft -= end - at;
      at = end;
      if (this.#payloadLeft === 0 && !this.#end()) return false;
    }
    return true;
  }

  #begin(): boolean {
    const [length0, length1, length2, type, flags, id0, id1, id2, id3] = this.#header;
    this.#frame.length = this.#payloadLeft = length0 << 16 | length1 << 8 | length2;
    this.#frame.type = type;
    this.#frame.flags = flags;
    this.#frame.stream = (id0 & 0x7f) << 24 | id1 << 16 | id2 << 8 | id3;
    return this.#handler.begin(this.#frame) && (this.#payloadLeft > 0 || this.#end());
  }

  #end(): boolean {
    this.#headerBytes = 0;
    return this.#handler.end(this.#frame);
  }
}
