/**
 * Finds where messages end in the data of a gRPC stream, without keeping any of it.
 *
 * @module
 */

/** What precedes each message: a flag and a length. Source: grpc/grpc `doc/PROTOCOL-HTTP2.md`. */
const PREFIX_BYTES = 5;

/** Follows the data of one stream, in whatever pieces it comes. */
export class MessageReader {
  #prefixRead = 0;
  #length = 0;
  #left = 0;

  /**
   * Reads on: a chunk's bytes from `start` to `end`.
   *
   * @returns how many messages were completed
   */
  read(chunk: Uint8Array, start: number, end: number): number {
    let completed = 0;
    for (let at = start; at < end;) {
      if (this.#prefixRead < PREFIX_BYTES) {
        // The flag is shifted out by the four bytes of the length.
        this.#length = (this.#length << 8 | chunk[at++]) >>> 0;
        if (++this.#prefixRead < PREFIX_BYTES) continue;
        this.#left = this.#length;
      } else {
        const read = Math.min(this.#left, end - at);
        this.#left -= read;
        at += read;
      }
      if (this.#left > 0) continue;
      this.#prefixRead = 0;
      completed++;
    }
    return completed;
  }
}
