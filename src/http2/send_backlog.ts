/**
 * Bounds the data that waits in this process because the other side of a connection does not read.
 *
 * HTTP/2 buffers what flow control holds back, and the runtime reports it as written all the same.
 * A {@link SendBacklog} therefore counts the frames that reach its socket. A {@link BacklogPool}
 * bounds the backlogs of all connections together.
 *
 * @module
 */
import type net from "node:net";
import { setImmediate } from "node:timers";
import { DATA, FrameReader } from "./frames.ts";
import { RateLimit } from "../base/timing.ts";

/** How many bytes may wait on one connection before its next answer has to wait. */
const CONNECTION_BYTES = 250_000;

/**
 * How many bytes may wait on one stream before its next answer has to wait: less than on the whole
 * connection, so that a stream that is not read leaves room for the other calls.
 */
const STREAM_BYTES = 64_000;

/** The memory of a write until the socket has taken it, besides its bytes. */
const WRITE_BYTES = 256;

/** How many writes may wait on one connection: more than answers to all its open calls at once. */
const MAX_WRITES = 20_000;

/** How many waiting writes of a connection trigger a check of the total. */
const WRITES_PER_CHECK = 256;

/** How many bytes may wait on all connections together. */
const TOTAL_BYTES = 32_000_000;

/** How often the total is computed while answers are written, in milliseconds. */
const CHECK_MS = 50;

/** How many bytes may be written in one turn of the event loop before answers have to wait. */
const TURN_BYTES = 250_000;

/** The backlogs of all connections of one listener; decides which of them sends the next answer. */
export class BacklogPool {
  readonly #backlogs = new Set<SendBacklog>();
  readonly #checks = new RateLimit<"total">(CHECK_MS);
  /** Backlogs with capacity and with answers that wait for it, in order. */
  readonly #ready = new Set<SendBacklog>();
  #bytesThisTurn = 0;
  #isScheduled = false;

  add(backlog: SendBacklog): void {
    this.#backlogs.add(backlog);
  }

  delete(backlog: SendBacklog): void {
    this.#backlogs.delete(backlog);
    this.#ready.delete(backlog);
  }

  /** Whether no more should be written in this turn of the event loop. */
  get isTurnFull(): boolean {
    return this.#bytesThisTurn > TURN_BYTES;
  }

  /** Counts bytes that are about to be written. */
  count(bytes: number): void {
    this.#bytesThisTurn += bytes;
    this.#scheduleTurn();
    this.check();
  }

  /** Closes connections if too much waits on all of them together. */
  check(): void {
    if (this.#checks.isDue("total")) this.#enforceTotal();
  }

  /** Puts a backlog in line to release its next answer. */
  enqueue(backlog: SendBacklog): void {
    this.#ready.add(backlog);
    this.#scheduleTurn();
  }

  #scheduleTurn(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#runTurn());
  }

  /**
   * Releases one answer per turn of the event loop, because its size is known only when it is made.
   */
  #runTurn(): void {
    this.#isScheduled = false;
    this.#bytesThisTurn = 0;
    const [next] = this.#ready;
    if (next === undefined) return;
    this.#ready.delete(next);
    next.releaseNext();
    if (this.#ready.size > 0) this.#scheduleTurn();
  }

  /** Closes the connections with the largest backlogs until the total is within its limit. */
  #enforceTotal(): void {
    let total = 0;
    for (const { bytes } of this.#backlogs) total += bytes;
    if (total <= TOTAL_BYTES) return;
    for (const backlog of [...this.#backlogs].sort((a, b) => b.bytes - a.bytes)) {
      if (total <= TOTAL_BYTES) return;
      total -= backlog.bytes;
      this.delete(backlog);
      backlog.destroy();
    }
  }
}

/** The backlog of one connection. */
export class SendBacklog {
  /** The connection. */
  readonly socket: net.Socket;
  readonly #pool: BacklogPool;
  /** For each HTTP/2 stream, the bytes that were written to it and have not reached the socket. */
  readonly #unsent = new Map<number, number>();
  #totalUnsent = 0;
  /** Writes that the socket has not taken, whatever they carry: headers, resets and pongs as well. */
  #writes = 0;
  /** Functions that release answers that wait for capacity, in order, with their streams. */
  readonly #waiters = new Map<() => void, number | undefined>();

  /**
   * @param socket a socket to which nothing has been written yet
   * @param prefaceBytes how many bytes are written to it before the first frame
   */
  constructor(socket: net.Socket, pool: BacklogPool, prefaceBytes = 0) {
    this.socket = socket;
    this.#pool = pool;
    pool.add(this);
    socket.once("close", () => {
      pool.delete(this);
      for (const release of this.#waiters.keys()) release();
    });
    socket.on("drain", () => this.#offerCapacity());
    this.#countSentFrames(prefaceBytes);
  }

  #countSentFrames(prefaceBytes: number): void {
    const sent = new FrameReader({
      begin: ({ type, stream, length }) => {
        if (type === DATA) this.#subtract(stream, length);
        return true;
      },
      payload: () => true,
      end: () => true,
    }, prefaceBytes);
    const write = this.socket.write.bind(this.socket) as (...args: unknown[]) => boolean;
    this.socket.write = (chunk: unknown, ...rest: unknown[]) => {
      sent.read(chunk as Uint8Array);
      this.#countWrite();
      return write(chunk, ...rest);
    };
  }

  #countWrite(): void {
    this.#writes = this.socket.writableLength === 0 ? 0 : this.#writes + 1;
    if (this.#writes > MAX_WRITES) this.destroy();
    else if (this.#writes % WRITES_PER_CHECK === WRITES_PER_CHECK - 1) this.#pool.check();
  }

  /** How many bytes have not left this process. */
  get bytes(): number {
    const { writableLength } = this.socket;
    const writeBytes = writableLength === 0 ? 0 : this.#writes * WRITE_BYTES;
    return this.#totalUnsent + writableLength + writeBytes;
  }

  /** How many answers wait for capacity. */
  get waitingAnswers(): number {
    return this.#waiters.size;
  }

  /**
   * Waits until the next answer can be sent.
   *
   * @param stream the HTTP/2 stream of the answer, if it is known
   * @param signal returns the signal that ends the wait; called only if there is one
   * @returns `undefined` if there is capacity now; otherwise a promise that resolves when there is,
   *   or when the signal is aborted or the connection is closed
   */
  waitForCapacity(
    stream: number | undefined,
    signal: () => AbortSignal,
  ): Promise<void> | undefined {
    if (this.socket.destroyed) return undefined;
    const hasCapacity = !this.#isFull && !this.#isStreamFull(stream);
    const isNext = !this.#pool.isTurnFull && this.#nextWaiter === undefined;
    return hasCapacity && isNext ? undefined : this.#wait(stream, signal());
  }

  async #wait(stream: number | undefined, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const release = () => resolve();
    this.#waiters.set(release, stream);
    signal.addEventListener("abort", release);
    this.#offerCapacity();
    await promise;
    signal.removeEventListener("abort", release);
    this.#waiters.delete(release);
  }

  /** Flow control and the socket are bounded separately, because each signals its own progress. */
  get #isFull(): boolean {
    return this.#totalUnsent > CONNECTION_BYTES || this.socket.writableLength > CONNECTION_BYTES;
  }

  #isStreamFull(stream: number | undefined): boolean {
    return stream !== undefined && (this.#unsent.get(stream) ?? 0) > STREAM_BYTES;
  }

  /** The first waiting answer on a stream with capacity. Few streams of one connection can be full. */
  get #nextWaiter(): (() => void) | undefined {
    const next = this.#waiters.entries().find(([, stream]) => !this.#isStreamFull(stream));
    return next?.[0];
  }

  #offerCapacity(): void {
    if (!this.#isFull && this.#nextWaiter !== undefined) this.#pool.enqueue(this);
  }

  /** Releases the first waiting answer, if there is capacity. */
  releaseNext(): void {
    const release = this.#isFull ? undefined : this.#nextWaiter;
    if (release === undefined) return;
    this.#waiters.delete(release);
    release();
    this.#offerCapacity();
  }

  /** Counts bytes that are about to be written to an HTTP/2 stream. */
  add(stream: number, bytes: number): void {
    this.#unsent.set(stream, (this.#unsent.get(stream) ?? 0) + bytes);
    this.#totalUnsent += bytes;
    this.#pool.count(bytes);
  }

  /** Drops the unsent bytes of a stream that has ended, because they will never be sent. */
  drop(stream: number): void {
    this.#subtract(stream, Infinity);
    this.#unsent.delete(stream);
  }

  #subtract(stream: number, bytes: number): void {
    const unsent = this.#unsent.get(stream) ?? 0;
    const sent = Math.min(unsent, bytes);
    if (sent === 0) return;
    this.#unsent.set(stream, unsent - sent);
    this.#totalUnsent -= sent;
    this.#offerCapacity();
  }

  /** Closes the connection at once. */
  destroy(): void {
    this.socket.destroy();
  }
}
