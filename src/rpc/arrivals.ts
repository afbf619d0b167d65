/**
 * Bounds requests that have begun to arrive at a server and are not complete.
 *
 * Such a request costs memory for as long as its sender likes, and nothing answers it.
 * {@link Arrivals} resets those that take too long and, when there are too many, the oldest.
 *
 * @module
 */
import type * as grpc from "@grpc/grpc-js";

/** How many requests may be on their way at the same time, over all connections. */
const MAX_ARRIVING = 2_000;

/** Tells a client that it costs too much. Source: RFC 9113, section 7. */
const ENHANCE_YOUR_CALM = 11;

/** The part of an HTTP/2 stream that this is about. */
interface Stream {
  once(event: "end" | "close", listener: () => void): Stream;
  close(code: number): void;
}

/** The requests that a server has begun to receive. */
export class Arrivals {
  readonly #maxMs: number;
  /** When the time of each request is up, oldest first. */
  readonly #deadlines = new Map<Stream, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param maxMs how long a request may take to arrive, in milliseconds */
  constructor(maxMs: number) {
    this.#maxMs = maxMs;
  }

  /** Watches each call that has a single request. A stream of requests may take as long as it likes. */
  readonly intercept: grpc.ServerInterceptor = (method, call) => {
    // gRPC has no way to reset a call: what it answers itself leaves the stream half open.
    const { stream } = call as unknown as { stream: Stream };
    if (!method.requestStream) this.#expect(stream);
    return call as grpc.ServerInterceptingCall;
  };

  #expect(stream: Stream): void {
    this.#deadlines.set(stream, performance.now() + this.#maxMs);
    const forget = () => this.#forget(stream);
    stream.once("end", forget).once("close", forget);
    for (const oldest of this.#deadlines.keys()) {
      if (this.#deadlines.size <= MAX_ARRIVING) break;
      this.#reset(oldest);
    }
    this.#timer ??= setTimeout(() => this.#resetLate(), this.#maxMs);
  }

  #resetLate(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const [stream, deadline] of this.#deadlines) {
      if (deadline > now) {
        this.#timer = setTimeout(() => this.#resetLate(), deadline - now);
        return;
      }
      this.#reset(stream);
    }
  }

  #reset(stream: Stream): void {
    this.#forget(stream);
    stream.close(ENHANCE_YOUR_CALM);
  }

  #forget(stream: Stream): void {
    this.#deadlines.delete(stream);
    if (this.#deadlines.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
