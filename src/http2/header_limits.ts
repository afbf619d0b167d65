/**
 * Limits the headers that the other sides of HTTP/2 connections can make this process hold.
 *
 * {@link HeaderLimits} measures header blocks before they are decoded. It closes a connection on a block that is malformed or too large; and, when
 * all open streams together hold too much, the connection that holds the most.
 *
 * @module
 */
import type net from "node:net";
import { GOAWAY } from "./frames.ts";
import { HeaderGauge, type Side } from "./header_gauge.ts";

/** How much the open streams of all connections may hold together, in bytes. */
const MAX_HELD_BYTES = 16_000_000;

/** How long the other side may take to read why its connection is closed. */
const FAREWELL_MS = 1_000;

const FAREWELL = goAway("header block malformed or too large");

/** A GOAWAY frame: ENHANCE_YOUR_CALM. Source: RFC 9113, sections 6.8 and 7. */
function goAway(reason: string): Uint8Array {
  const text = new TextEncoder().encode(reason);
  const length = 8 + text.length;
  // Any stream may have been answered, so that none is tried again.
  const lastStream = [0x7f, 0xff, 0xff, 0xff];
  return Uint8Array.of(0, 0, length, GOAWAY, 0, 0, 0, 0, 0, ...lastStream, 0, 0, 0, 11, ...text);
}

/** How to limit what arrives on connections. */
export interface HeaderLimitsOptions {
  /** Which side of them we are. */
  readonly side: Side;
  /** How many calls may be open on all of them, if their headers are ordinary. */
  readonly maxOpenCalls: number;
}

/** Limits the headers that arrive on several connections, and what their open streams hold together. */
export class HeaderLimits {
  readonly #side: Side;
  readonly #callBytes: number;
  readonly #connections = new Set<LimitedConnection>();
  #held = 0;

  constructor({ side, maxOpenCalls }: HeaderLimitsOptions) {
    this.#side = side;
    this.#callBytes = MAX_HELD_BYTES / maxOpenCalls;
  }

  /**
   * Limits a connection.
   *
   * @param socket the connection, before the runtime's HTTP/2 gets it
   * @param onRefused called when it is closed because of what arrived
   * @returns false if what had already arrived is too much; then it is being closed
   */
  limit(socket: net.Socket, onRefused: () => void = () => {}): boolean {
    const gauge = new HeaderGauge(this.#side, this.#callBytes);
    const connection = new LimitedConnection(socket, gauge, onRefused);
    this.#connections.add(connection);
    socket.once("close", () => this.#forget(connection));
    const { push, write } = socket;
    socket.push = (chunk, encoding) => {
      if (chunk === null) return push.call(socket, chunk, encoding);
      connection.receive(chunk);
      this.#settle(connection);
      return !connection.isOver && push.call(socket, chunk, encoding);
    };
    socket.write = (...args: unknown[]) => {
      gauge.send(args[0] as Uint8Array);
      this.#settle(connection);
      return Reflect.apply(write, socket, args);
    };
    // What was buffered before passes the same way. (Put back by unshift, it could stall the socket.)
    if (socket.readableLength > 0) socket.push(socket.read());
    return !connection.isOver;
  }

  /** Notes what a connection holds now, and makes room if all of them hold too much. */
  #settle(connection: LimitedConnection): void {
    if (!this.#connections.has(connection)) return;
    this.#held += connection.settle();
    while (this.#held > MAX_HELD_BYTES) {
      const excessive = this.#largest(connection);
      excessive.drop();
      this.#forget(excessive);
    }
  }

  /**
   * The connection that holds the most. The one that asks for more, which the runtime has not read
   * yet, is preferred to those that hold less than twice as much.
   */
  #largest(asking: LimitedConnection): LimitedConnection {
    const largest = this.#connections.values().reduce((a, b) => a.held < b.held ? b : a);
    return largest.held < 2 * asking.held ? asking : largest;
  }

  #forget(connection: LimitedConnection): void {
    if (this.#connections.delete(connection)) this.#held -= connection.held;
  }
}

class LimitedConnection {
  readonly #socket: net.Socket;
  readonly #gauge: HeaderGauge;
  readonly #onRefused: () => void;
  /** What its streams held when it was last settled. */
  held = 0;
  /** Whether it is closed, or being closed, because of what arrived. */
  isOver = false;

  constructor(socket: net.Socket, gauge: HeaderGauge, onRefused: () => void) {
    this.#socket = socket;
    this.#gauge = gauge;
    this.#onRefused = onRefused;
  }

  receive(chunk: Uint8Array): void {
    if (!this.isOver && !this.#gauge.receive(chunk)) this.#refuse();
  }

  /** Notes what its streams hold now, and gives the difference. */
  settle(): number {
    const difference = this.#gauge.held - this.held;
    this.held += difference;
    return difference;
  }

  /** Ends it at once, because of what its streams hold. */
  drop(): void {
    this.#end();
    this.#socket.destroy();
  }

  /** Says why, and ends it; until then, what its streams hold counts. */
  #refuse(): void {
    this.#end();
    this.#socket.end(FAREWELL);
    const timer = setTimeout(() => this.#socket.destroy(), FAREWELL_MS);
    this.#socket.once("close", () => clearTimeout(timer));
  }

  #end(): void {
    this.isOver = true;
    this.#onRefused();
  }
}
