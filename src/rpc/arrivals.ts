/**
 * Bounds incomplete requests, so that slow senders cannot exhaust a server's memory.
 *
 * Nothing answers a request before it is complete. {@link Arrivals} resets requests that take too
 * long to arrive and, when there are too many, the oldest ones; it closes a connection on which that
 * happens again and again.
 *
 * @module
 */
import type * as grpc from "@grpc/grpc-js";
import { type Http2Stream, streamOf } from "./grpc_internals.ts";

/** How many incomplete requests there may be at the same time, over all connections. */
const MAX_ARRIVING = 2_000;

/** How many requests of one connection are reset for being too many before it is closed. */
const MAX_RESETS = 100;

/** The peer is using more resources than it should. Source: RFC 9113, section 7. */
const ENHANCE_YOUR_CALM = 11;

/** The incomplete requests of one server. */
export class Arrivals {
  readonly #maxMs: number;
  /** The deadline of each request, oldest first. */
  #deadlines = new Map<Http2Stream, number>();
  /** How many requests of each connection were reset for being too many. */
  readonly #resets = new WeakMap<object, number>();
  /** One for all requests, because one for each would cost 3 % of them: it may find none overdue. */
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param maxMs how long a request may take to arrive, in milliseconds */
  constructor(maxMs: number) {
    this.#maxMs = maxMs;
  }

  /** Bounds each call that has a single request. A stream of requests may take any time. */
  readonly intercept: grpc.ServerInterceptor = (method, call) => {
    if (!method.requestStream) this.#expect(streamOf(call));
    return call as grpc.ServerInterceptingCall;
  };

  #expect(stream: Http2Stream): void {
    this.#deadlines.set(stream, performance.now() + this.#maxMs);
    const forget = () => this.#forget(stream);
    stream.once("end", forget).once("close", forget);
    for (const oldest of this.#deadlines.keys()) {
      if (this.#deadlines.size <= MAX_ARRIVING) break;
      this.#resetExcessive(oldest);
    }
    this.#timer ??= setTimeout(() => this.#resetOverdue(), this.#maxMs);
  }

  /** Stops the timer. No request may arrive any more. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  #resetExcessive(stream: Http2Stream): void {
    const { session } = stream;
    this.#reset(stream);
    if (session === undefined) return;
    const resets = (this.#resets.get(session) ?? 0) + 1;
    this.#resets.set(session, resets);
    if (resets >= MAX_RESETS) session.destroy();
  }

  #resetOverdue(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const [stream, deadline] of this.#deadlines) {
      if (deadline > now) {
        this.#timer = setTimeout(() => this.#resetOverdue(), deadline - now);
        return;
      }
      this.#reset(stream);
    }
  }

  /** A gRPC status would not do: it leaves the request's half of the stream open. */
  #reset(stream: Http2Stream): void {
    this.#forget(stream);
    stream.close(ENHANCE_YOUR_CALM);
  }

  #forget(stream: Http2Stream): void {
    this.#deadlines.delete(stream);
    // A Map that is used for long would keep some of the streams: see `http2/closed_streams.ts`.
    if (this.#deadlines.size === 0) this.#deadlines = new Map();
  }
}
