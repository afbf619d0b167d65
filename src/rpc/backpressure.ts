/**
 * Holds back the messages of a call until the other side has taken earlier ones.
 *
 * The runtime's HTTP/2 streams accept any number of messages at once, so {@link Backpressure} asks
 * the {@link SendBacklog} of the connection, which counts what has reached the socket.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { SendBacklog } from "../http2/send_backlog.ts";
import type { Http2Stream } from "./grpc_internals.ts";

/** How many calls with a single answer may wait on one connection. */
const MAX_WAITING = 100;

/** The length of gRPC's prefix of each message. Source: grpc/grpc `doc/PROTOCOL-HTTP2.md`. */
const PREFIX_BYTES = 5;

/** The messages that we send in one call. */
export class Backpressure {
  readonly #connection: SendBacklog | undefined;
  readonly #stream: Http2Stream | undefined;
  readonly #signal: () => AbortSignal;
  #isCounting = false;

  /**
   * @param stream the call's HTTP/2 stream, if it is known
   * @param connection the call's connection, unless it is closed
   * @param signal aborted when the call is over
   */
  constructor(
    stream: Http2Stream | undefined,
    connection: SendBacklog | undefined,
    signal: () => AbortSignal,
  ) {
    this.#connection = connection;
    this.#stream = stream;
    this.#signal = signal;
  }

  /**
   * Waits until a message may be made. Await only a promise: after an `await` of `undefined`, each of
   * several calls that arrive together would find capacity before the others are counted.
   *
   * @returns nothing if it may be made at once; otherwise resolves when it may, or the call is over
   */
  waitForCapacity(): Promise<void> | undefined {
    return this.#connection?.waitForCapacity(this.#stream?.id, this.#signal);
  }

  /**
   * Like {@link Backpressure.waitForCapacity}, unless too many answers are waiting already.
   *
   * @throws {GreetError} `RESOURCE_EXHAUSTED` if there are
   */
  queueForCapacity(): Promise<void> | undefined {
    const waiting = this.#connection?.waitingAnswers ?? 0;
    if (waiting < MAX_WAITING) return this.waitForCapacity();
    const message = `${waiting} answers on this connection are waiting to be read`;
    throw new GreetError("RESOURCE_EXHAUSTED", message);
  }

  /** Counts a message that is written next. */
  count(message: Uint8Array): void {
    const [connection, stream] = [this.#connection, this.#stream];
    const id = stream?.id;
    if (connection === undefined || id === undefined || stream!.closed) return;
    if (!this.#isCounting) stream!.once("close", () => connection.drop(id));
    this.#isCounting = true;
    connection.add(id, PREFIX_BYTES + message.length);
  }
}
