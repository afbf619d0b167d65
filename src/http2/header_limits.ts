/**
 * Limits the memory that HTTP/2 headers and small DATA frames from the network can occupy.
 *
 * {@link HeaderLimits} measures header blocks before they are decoded. It closes connections that send
 * a malformed or oversized block and, if all open streams together hold too much, the connection that
 * holds the most.
 *
 * @module
 */
import type net from "node:net";
import {
  COMPRESSION_ERROR,
  ENHANCE_YOUR_CALM,
  FRAME_SIZE_ERROR,
  GOAWAY,
  PROTOCOL_ERROR,
} from "./frames.ts";
import { HeaderGauge } from "./header_gauge.ts";
import type { Side } from "./open_streams.ts";

/** The most that the open streams of all connections may hold together, in bytes. */
const MAX_HELD_BYTES = 16_000_000;

/** How long a refused connection stays open for the other side to read why, in milliseconds. */
const LINGER_MS = 1_000;

/** The GOAWAY frame for each error. */
const GOAWAY_FRAMES: Readonly<Record<number, Uint8Array>> = {
  [PROTOCOL_ERROR]: goAway(PROTOCOL_ERROR, "frame unexpected or malformed"),
  [FRAME_SIZE_ERROR]: goAway(FRAME_SIZE_ERROR, "frame too short for its flags"),
  [COMPRESSION_ERROR]: goAway(COMPRESSION_ERROR, "header block malformed"),
  [ENHANCE_YOUR_CALM]: goAway(ENHANCE_YOUR_CALM, "header block too large"),
};

/** A GOAWAY frame. Source: RFC 9113, section 6.8. */
function goAway(error: number, reason: string): Uint8Array {
  const text = new TextEncoder().encode(reason);
  const length = 8 + text.length;
  // The highest stream id: any call may have been processed, so the client must not retry.
  const lastStream = [0x7f, 0xff, 0xff, 0xff];
  return Uint8Array.of(0, 0, length, GOAWAY, 0, 0, 0, 0, 0, ...lastStream, 0, 0, 0, error, ...text);
}

/** Options of {@link HeaderLimits}. */
export interface HeaderLimitsOptions {
  /** Our side of the connections. */
  readonly side: Side;
  /** How many calls with ordinary headers may be open on all connections together. */
  readonly maxOpenCalls: number;
}

/** Limits the headers on a group of connections. */
export class HeaderLimits {
  readonly #side: Side;
  readonly #callBytes: number;
  readonly #connections = new Map<net.Socket, LimitedConnection>();
  #heldBytes = 0;

  constructor({ side, maxOpenCalls }: HeaderLimitsOptions) {
    this.#side = side;
    this.#callBytes = MAX_HELD_BYTES / maxOpenCalls;
  }

  /**
   * Limits a connection.
   *
   * @param socket the connection, before the runtime's HTTP/2 gets it
   * @param onRefused called when it is closed because of its headers
   * @returns `false` if it is being closed already, because of data that had arrived before
   */
  limit(socket: net.Socket, onRefused: () => void = () => {}): boolean {
    const gauge = new HeaderGauge(this.#side, this.#callBytes);
    const connection = new LimitedConnection(socket, gauge, onRefused);
    this.#connections.set(socket, connection);
    socket.once("close", () => this.#forget(connection));
    const { push, write } = socket;
    socket.push = (chunk, encoding) => {
      if (chunk === null) return push.call(socket, chunk, encoding);
      connection.receive(chunk);
      this.#update(connection);
      return !connection.isClosing && push.call(socket, chunk, encoding);
    };
    socket.write = (...args: unknown[]) => {
      gauge.send(args[0] as Uint8Array);
      this.#update(connection);
      return Reflect.apply(write, socket, args);
    };
    // Measures data that is already buffered; putting it back with unshift could stall the socket.
    if (socket.readableLength > 0) socket.push(socket.read());
    return !connection.isClosing;
  }

  /** The server has taken a message from a stream: its DATA frames occupy no more memory. */
  take(socket: net.Socket, stream: number): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined) return;
    connection.gauge.take(stream);
    this.#update(connection);
  }

  /** Updates what a connection holds, and closes connections while all together hold too much. */
  #update(connection: LimitedConnection): void {
    if (!this.#connections.has(connection.socket)) return;
    this.#heldBytes += connection.update();
    while (this.#heldBytes > MAX_HELD_BYTES) {
      const excessive = this.#largest();
      excessive.drop();
      this.#forget(excessive);
    }
  }

  /** The connection that holds the most; the oldest of several that hold the same. */
  #largest(): LimitedConnection {
    return this.#connections.values().reduce((a, b) => a.heldBytes < b.heldBytes ? b : a);
  }

  #forget(connection: LimitedConnection): void {
    if (this.#connections.delete(connection.socket)) this.#heldBytes -= connection.heldBytes;
  }
}

class LimitedConnection {
  readonly socket: net.Socket;
  readonly gauge: HeaderGauge;
  readonly #onRefused: () => void;
  /** What its streams held at the last update. */
  heldBytes = 0;
  /** Whether it is closed or being closed because of its headers. */
  isClosing = false;

  constructor(socket: net.Socket, gauge: HeaderGauge, onRefused: () => void) {
    this.socket = socket;
    this.gauge = gauge;
    this.#onRefused = onRefused;
  }

  receive(chunk: Uint8Array): void {
    if (!this.isClosing && !this.gauge.receive(chunk)) this.#refuse(this.gauge.error);
  }

  /** Updates what its streams hold, and returns the difference. */
  update(): number {
    const difference = this.gauge.heldBytes - this.heldBytes;
    this.heldBytes += difference;
    return difference;
  }

  /** Closes it at once, because its streams hold too much. */
  drop(): void {
    this.#markClosing();
    this.socket.destroy();
  }

  /** Tells the other side why and closes it; until then, what its streams hold still counts. */
  #refuse(error: number): void {
    this.#markClosing();
    this.socket.end(GOAWAY_FRAMES[error]);
    const timer = setTimeout(() => this.socket.destroy(), LINGER_MS);
    this.socket.once("close", () => clearTimeout(timer));
  }

  #markClosing(): void {
    this.isClosing = true;
    this.#onRefused();
  }
}
