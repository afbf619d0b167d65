/**
 * Implements services: handlers are plain functions, and grpc-js is kept out of their sight.
 *
 * {@link implement} makes a service of one function for each of its calls. An error that such a
 * function throws becomes a gRPC status in one place, {@link toStatus}.
 *
 * @module
 */
import type { Readable } from "node:stream";
import { definitionOf, type ServiceDefinition } from "./service_definition.ts";
import * as grpc from "@grpc/grpc-js";
import { GreetError, STATUS_NAMES } from "../base/errors.ts";
import { aborted, race } from "../base/timing.ts";
import type { SendBacklog } from "../http2/send_backlog.ts";
import { callerOf } from "./admission.ts";
import { Backpressure } from "./backpressure.ts";
import { streamBehind } from "./grpc_internals.ts";
import type { Calls, ServiceType, Streaming, Unary } from "./services.ts";

/** An incoming call, as its handler sees it. */
export interface IncomingCall {
  /** The caller's address, such as `127.0.0.1:41234`. */
  readonly from: string;
  /** The fingerprint of the caller's key, if the caller is a peer that uses TLS. */
  readonly fingerprint: string | undefined;
  /** Aborted when the caller cancels, disconnects or runs out of time. */
  readonly signal: AbortSignal;
  /** Aborted when the server begins to stop. */
  readonly stopping: AbortSignal;
  /** The value of a header that the caller sent. */
  header(name: string): string | undefined;
  /** Closes the connection that the call came on, now or later. */
  disconnect(): void;
  /**
   * Has a function called whenever the caller pings on this connection, in place of that of an
   * earlier call.
   */
  onPing(listener: () => void): void;
}

/**
 * The functions that answer the calls of a service: with a promise or, if the answer is a stream,
 * with an async generator, which must end when the call's signal is aborted. A stream of requests is
 * an async iterable, which fails when the call is cancelled. A {@link GreetError} with a gRPC status
 * reaches the caller as that status; any other error as `INTERNAL`, without details.
 */
type Handlers<C extends Calls> =
  & {
    [Name in Unary<C>]: (
      request: C[Name]["request"],
      call: IncomingCall,
    ) => C[Name]["response"] | Promise<C[Name]["response"]>;
  }
  & {
    [Name in Streaming<C>]: (
      request: C[Name]["streams"] extends "both" ? AsyncIterable<C[Name]["request"]>
        : C[Name]["request"],
      call: IncomingCall,
    ) => AsyncIterable<C[Name]["response"]>;
  };

type OpenStream = Pick<
  grpc.ServerDuplexStream<unknown, unknown> | grpc.ServerWritableStream<unknown, unknown>,
  "on" | "emit"
>;

/** Counts the calls in flight. */
export class InFlight {
  #count = 0;
  #onNone = () => {};

  begin(): void {
    this.#count++;
  }

  end(): void {
    if (--this.#count === 0) this.#onNone();
  }

  /** Resolves when there are none; call it once. */
  none(): Promise<void> {
    return this.#count === 0 ? Promise.resolve() : new Promise((resolve) => this.#onNone = resolve);
  }
}

/** The state of a server that its services share. */
export interface ServerState {
  /** Open streams, which shutting down ends. */
  readonly streams: Set<OpenStream>;
  /** Calls in flight, which shutting down waits for. */
  readonly inFlight: InFlight;
  /** Aborted when the server begins to stop. */
  readonly stopping: AbortSignal;
  /** Gets errors that are not meant for callers. */
  readonly onFault: (error: unknown) => void;
  /** The connection from an address, if it is open. */
  readonly connection: (from: string) => SendBacklog | undefined;
  /** Called when one of several requests of a call has been taken, with the id of its HTTP/2 stream. */
  readonly taken: (from: string, stream: number) => void;
}

/** The key of a service's inner parts. */
export const parts = Symbol("parts");

/** A service that a server can offer, made by {@link implement}, `health` or `reflection`. */
export interface Service {
  /** Its full name, such as `greet.v1.Greeter`. */
  readonly name: string;
  /** For the files of `rpc/` only. */
  readonly [parts]: {
    readonly proto: string;
    readonly definition: ServiceDefinition;
    readonly implementation: (server: ServerState) => grpc.UntypedServiceImplementation;
  };
}

/**
 * Implements a service.
 *
 * @param type the service
 * @param handlers one function for each of its calls; a call without one is answered with
 *   `UNIMPLEMENTED`
 */
export function implement<C extends Calls>(
  type: ServiceType<C>,
  handlers: Partial<Handlers<C>>,
): Service {
  const definition = definitionOf(type);
  return {
    name: type.name,
    [parts]: {
      proto: type.proto,
      definition,
      implementation: (server) =>
        Object.fromEntries(
          Object.entries(handlers).map(([name, handler]) => [
            name,
            definition[name].responseStream
              ? streamMethod(handler as StreamHandler, definition[name], server)
              : unaryMethod(handler as UnaryHandler, definition[name], server),
          ]),
        ),
    },
  };
}

type UnaryHandler = (request: unknown, call: IncomingCall) => unknown;

function unaryMethod(
  handler: UnaryHandler,
  { responseSerialize }: ServiceDefinition[string],
  server: ServerState,
): grpc.handleUnaryCall<unknown, Uint8Array> {
  const { inFlight, onFault } = server;
  const ended = () => inFlight.end();
  const answered = async (call: grpc.ServerUnaryCall<unknown, unknown>) => {
    const signal = cancellation(call);
    const backpressure = backpressureOn(call, server, signal);
    const capacity = backpressure.queueForCapacity();
    if (capacity !== undefined) {
      await capacity;
      if (signal().aborted) throw new GreetError("CANCELLED", "the caller has cancelled");
    }
    const response = handler(call.request, new HandledCall(call, signal, server));
    const bytes = responseSerialize(
      (response instanceof Promise ? await response : response) as object,
    );
    backpressure.count(bytes);
    return bytes;
  };
  return (call, answer) => {
    inFlight.begin();
    void answered(call)
      .then((bytes) => answer(null, bytes), (error) => answer(toStatus(error, onFault)))
      .finally(ended);
  };
}

type StreamHandler = (request: unknown, call: IncomingCall) => AsyncIterable<unknown>;

function streamMethod(
  handler: StreamHandler,
  { requestStream, responseSerialize }: ServiceDefinition[string],
  server: ServerState,
): (stream: ResponseStream) => void {
  return (stream) => {
    const signal = trackStream(stream, server);
    const backpressure = backpressureOn(stream, server, () => signal);
    let written: Promise<unknown> = Promise.resolve();
    const answerAll = async () => {
      try {
        const request = requestStream ? requestsOn(stream, server) : stream.request;
        const answers = handler(request, new HandledCall(stream, () => signal, server));
        for await (const answer of answers) {
          const capacity = backpressure.waitForCapacity();
          if (capacity !== undefined) await capacity;
          if (signal.aborted) return;
          const bytes = responseSerialize(answer as object);
          backpressure.count(bytes);
          written = new Promise((resolve) => stream.write(bytes, resolve));
        }
        stream.end();
      } catch (error) {
        // An error destroys a stream whose requests are being read, with the status if that still has
        // to wait for an answer.
        await race([written, aborted(signal)]);
        if (!signal.aborted) stream.emit("error", toStatus(error, server.onFault));
      }
    };
    void answerAll();
  };
}

/** The requests of a call. Their end must not destroy the stream, which still carries answers. */
async function* requestsOn(
  stream: ResponseStream,
  { taken }: ServerState,
): AsyncGenerator<unknown> {
  const { iterator } = stream as unknown as Readable;
  const id = streamBehind(stream.metadata)?.id;
  for await (const request of iterator.call(stream, { destroyOnReturn: false })) {
    if (id !== undefined) taken(stream.getPeer(), id);
    yield request;
  }
}

/** A call whose answer is a stream; it is itself the stream of requests, if the call has one. */
type ResponseStream = grpc.ServerWritableStream<unknown, Uint8Array>;

/** The parts that all kinds of calls have in grpc-js. */
interface AnyCall {
  readonly metadata: grpc.Metadata;
  getPeer(): string;
}

/** The backpressure on the answers of a call. */
export function backpressureOn(
  call: AnyCall,
  server: ServerState,
  signal: () => AbortSignal,
): Backpressure {
  return new Backpressure(streamBehind(call.metadata), server.connection(call.getPeer()), signal);
}

/**
 * A call as its handler sees it. Few handlers use more than the address, so the rest is lazy. Not an
 * object with getters of its own: V8 keeps those, and with them the call, until its next full collection.
 */
class HandledCall implements IncomingCall {
  readonly from: string;
  readonly #call: AnyCall;
  readonly #signal: () => AbortSignal;
  readonly #server: ServerState;

  constructor(call: AnyCall, signal: () => AbortSignal, server: ServerState) {
    this.from = call.getPeer();
    this.#call = call;
    this.#signal = signal;
    this.#server = server;
  }

  get fingerprint(): string | undefined {
    return callerOf(this.#call.metadata)?.fingerprint;
  }

  get signal(): AbortSignal {
    return this.#signal();
  }

  get stopping(): AbortSignal {
    return this.#server.stopping;
  }

  header(name: string): string | undefined {
    return this.#call.metadata.get(name)[0]?.toString();
  }

  disconnect(): void {
    this.#server.connection(this.from)?.destroy();
  }

  onPing(listener: () => void): void {
    const session = streamBehind(this.#call.metadata)?.session;
    session?.removeAllListeners("ping").on("ping", listener);
  }
}

/** A signal that is aborted when a call is cancelled, created on first use. */
function cancellation(call: grpc.ServerUnaryCall<unknown, unknown>): () => AbortSignal {
  let abort: AbortController | undefined;
  return () => {
    if (abort === undefined) {
      const controller = abort = new AbortController();
      if (call.cancelled) controller.abort();
      else call.once("cancelled", () => controller.abort());
    }
    return abort.signal;
  };
}

/**
 * Tracks an open stream, so that shutting down can end it.
 *
 * @returns a signal that is aborted when the stream is over
 */
export function trackStream(stream: OpenStream, { streams }: ServerState): AbortSignal {
  const over = new AbortController();
  streams.add(stream);
  const forget = () => {
    streams.delete(stream);
    over.abort();
  };
  // An error without a listener would end the process. Each of these events ends the stream.
  stream.on("cancelled", forget).on("error", forget).on("close", forget).on("finish", forget);
  return over.signal;
}

/**
 * The status that a caller gets for an error: a {@link GreetError} in full, anything else without
 * details.
 *
 * @param onFault gets the errors whose details are kept from the caller
 */
export function toStatus(
  error: unknown,
  onFault: (error: unknown) => void,
): { code: grpc.status; details: string } {
  if (error instanceof GreetError) {
    const { code, message } = error;
    const status = STATUS_NAMES.findIndex((name) => name === code);
    if (status !== -1) return { code: status, details: message };
  }
  onFault(error);
  return { code: grpc.status.INTERNAL, details: "internal error" };
}
