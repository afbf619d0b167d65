/**
 * What waits in this process because the other side of a connection does not read.
 *
 * HTTP/2 keeps what flow control holds back, and the runtime reports it as written all the same. A
 * {@link SendBacklog} therefore counts the frames that reach its socket, and makes the next answer
 * wait while too much is left; a {@link BacklogPool} bounds what waits on all connections together.
 *
 * @module
 */
import type net from "node:net";
import { setImmediate } from "node:timers";
import { DATA, FrameReader } from "./frames.ts";
import { RateLimit } from "../base/timing.ts";

/** How many bytes may wait on one connection before the next answer has to wait as well. */
const ROOM = 250_000;

/** How many bytes may wait on all connections together. */
const TOTAL_ROOM = 32_000_000;

/** How often, in milliseconds, the total is computed while answers are written. */
const CHECK_MS = 50;

/** How many bytes may be written in one turn of the event loop before the next answer has to wait. */
const TURN_BYTES = 250_000;

/** What waits on all connections of one listener, and which of them makes the next answer. */
export class BacklogPool {
  readonly #connections = new Set<SendBacklog>();
  readonly #checks = new RateLimit<"total">(CHECK_MS);
  /** Connections with room and with answers that wait, in order. */
  readonly #ready = new Set<SendBacklog>();
  #bytesThisTurn = 0;
  #isScheduled = false;

  add(connection: SendBacklog): void {
    this.#connections.add(connection);
  }

  delete(connection: SendBacklog): void {
    this.#connections.delete(connection);
    this.#ready.delete(connection);
  }

  /** Whether enough was written in this turn of the event loop. */
  get isBusy(): boolean {
    return this.#bytesThisTurn > TURN_BYTES;
  }

  /** Counts what is about to be written. */
  count(bytes: number): void {
    this.#bytesThisTurn += bytes;
    this.#schedule();
    if (this.#checks.isDue("total")) this.#bound();
  }

  /** Lets a connection have its turn. */
  enqueue(connection: SendBacklog): void {
    this.#ready.add(connection);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#turn());
  }

  /** One answer in each turn of the event loop: what it takes is known only when it is made. */
  #turn(): void {
    this.#isScheduled = false;
    this.#bytesThisTurn = 0;
    const [next] = this.#ready;
    if (next === undefined) return;
    this.#ready.delete(next);
    next.proceed();
    if (this.#ready.size > 0) this.#schedule();
  }

  /** Closes the connections on which the most is waiting, until the total is within its limit. */
  #bound(): void {
    let total = 0;
    for (const { waiting } of this.#connections) total += waiting;
    if (total <= TOTAL_ROOM) return;
    for (const connection of [...this.#connections].sort((a, b) => b.waiting - a.waiting)) {
      if (total <= TOTAL_ROOM) return;
      total -= connection.waiting;
      this.delete(connection);
      connection.destroy();
    }
  }
}

/** One connection that was accepted. */
export class SendBacklog {
  readonly #socket: net.Socket;
  readonly #backlog: BacklogPool;
  /** The bytes that each HTTP/2 stream has been given and that have not reached the socket. */
  readonly #owed = new Map<number, number>();
  #totalOwed = 0;
  /** Answers that wait for room, in order. */
  readonly #queue = new Set<() => void>();

  /** @param socket on which nothing has been written yet */
  constructor(socket: net.Socket, backlog: BacklogPool) {
    this.#socket = socket;
    this.#backlog = backlog;
    backlog.add(this);
    socket.once("close", () => {
      backlog.delete(this);
      for (const proceed of this.#queue) proceed();
    });
    socket.on("drain", () => this.#wake());
    const sent = new FrameReader({
      begin: ({ type, stream, length }) => {
        if (type === DATA) this.#pay(stream, length);
        return true;
      },
      payload: () => true,
      end: () => true,
    }, 0);
    const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
    socket.write = (chunk: unknown, ...rest: unknown[]) => {
      sent.read(chunk as Uint8Array);
      return write(chunk, ...rest);
    };
  }

  /** How many bytes have not left this process. */
  get waiting(): number {
    return this.#totalOwed + this.#socket.writableLength;
  }

  /** How many answers wait for room. */
  get queued(): number {
    return this.#queue.size;
  }

  /**
   * Whether the next answer can be made now.
   *
   * @returns nothing where it can; otherwise a promise that resolves when it can, or when the
   *   signal is aborted or the connection is closed
   */
  room(signal: () => AbortSignal): Promise<void> | undefined {
    if (this.#socket.destroyed) return undefined;
    const mustWait = this.#isFull || this.#backlog.isBusy || this.#queue.size > 0;
    return mustWait ? this.#wait(signal()) : undefined;
  }

  async #wait(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const proceed = () => resolve();
    this.#queue.add(proceed);
    signal.addEventListener("abort", proceed);
    this.#wake();
    await promise;
    signal.removeEventListener("abort", proceed);
    this.#queue.delete(proceed);
  }

  /** Flow control and a socket that takes no more are bounded apart: each tells when it has room. */
  get #isFull(): boolean {
    return this.#totalOwed > ROOM || this.#socket.writableLength > ROOM;
  }

  #wake(): void {
    if (this.#queue.size > 0 && !this.#isFull) this.#backlog.enqueue(this);
  }

  /** Lets the first answer that waits proceed. */
  proceed(): void {
    const [first] = this.#queue;
    if (first === undefined || this.#isFull) return;
    this.#queue.delete(first);
    first();
    this.#wake();
  }

  /** Counts bytes that are about to be written to a stream of HTTP/2. */
  owe(stream: number, bytes: number): void {
    this.#owed.set(stream, (this.#owed.get(stream) ?? 0) + bytes);
    this.#totalOwed += bytes;
    this.#backlog.count(bytes);
  }

  /** Forgets a stream that has ended: what it had not sent will never be. */
  forget(stream: number): void {
    this.#pay(stream, Infinity);
    this.#owed.delete(stream);
  }

  #pay(stream: number, bytes: number): void {
    const owed = this.#owed.get(stream) ?? 0;
    const paid = Math.min(owed, bytes);
    if (paid === 0) return;
    this.#owed.set(stream, owed - paid);
    this.#totalOwed -= paid;
    this.#wake();
  }

  /** Ends it at once. */
  destroy(): void {
    this.#socket.destroy();
  }
}
