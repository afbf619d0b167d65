/**
 * Makes gRPC calls.
 *
 * {@link dial} opens a channel to one target, {@link dialAll} to all servers that share a name.
 * Calls on a channel are promises or, if the answer is a stream, async iterables; every failure is
 * a {@link GreetError}.
 *
 * @module
 */
import {
  commonOptions,
  definitionOf,
  type Keepalive,
  type ServiceDefinition,
} from "./service_definition.ts";
import type { Socket } from "node:net";
import { isIP } from "../net/ip.ts";
import * as grpc from "@grpc/grpc-js";
import { GreetError } from "../base/errors.ts";
import { aborted, pause, race } from "../base/timing.ts";
import { CLIENT_PREFACE_BYTES } from "../http2/frames.ts";
import { HeaderLimits } from "../http2/header_limits.ts";
import { BacklogPool, SendBacklog } from "../http2/send_backlog.ts";
import type { Target } from "../net/address.ts";
import type { KeyPair } from "../net/certificates.ts";
import { Backpressure } from "./backpressure.ts";
import { callError, type FailedCall, isDisconnect } from "./call_errors.ts";
import type { Attempt, Protection } from "./connection_errors.ts";
import {
  type ClientTls,
  PeerCredentials,
  REFUSED_HEADERS,
  serverCredentials,
  WithLimits,
} from "./credentials.ts";
import { type Http2Session, readAheadOne, streamOfOutgoing } from "./grpc_internals.ts";
import { ServerList } from "./name_resolver.ts";
import type { Calls, ServiceType, Streaming, Unary } from "./services.ts";

/** The pauses between attempts to connect, in milliseconds: the first, and the longest. */
export interface ReconnectPauses {
  firstMs: number;
  maxMs: number;
}

/**
 * For a channel that is closed when it cannot connect: a back-off in grpc-js outlives its channel
 * and then connects once more, for nothing.
 */
const NO_PAUSES: ReconnectPauses = { firstMs: 1, maxMs: 1 };

/** By how many milliseconds a timer of the server may be ahead of a deadline. */
const EARLY_MS = 1;

/** How to make one call. */
export interface CallOptions {
  /** How many milliseconds the call may take, including the wait for a connection. */
  timeoutMs: number;
  /** How many of these the wait for a connection may take (default: all). */
  connectMs?: number;
  /** The limit of which `timeoutMs` is a part, for error messages (default `timeoutMs`). */
  limitMs?: number;
  /** Cancels the call. */
  signal?: AbortSignal;
  /** Waits for a connection, instead of failing at the first refusal. */
  wait?: boolean;
  /** Headers to send with the request. */
  headers?: Readonly<Record<string, string>>;
}

/** How to make a call whose answer is a stream. */
export interface StreamOptions {
  /** How many milliseconds the first answer may take; the stream as a whole has no deadline. */
  timeoutMs: number;
  /** The limit of which `timeoutMs` is a part, for error messages (default `timeoutMs`). */
  limitMs?: number;
  /** Cancels the call. */
  signal?: AbortSignal;
  /** Headers to send with the request. */
  headers?: Readonly<Record<string, string>>;
}

/** Which of its limits a call has reached, in milliseconds. */
function limitOf(
  { wasConnected }: FailedCall,
  { timeoutMs, connectMs = timeoutMs, limitMs }: CallOptions,
): number {
  return limitMs ?? (wasConnected ? timeoutMs : connectMs);
}

function metadata(headers: CallOptions["headers"] = {}, wait = false): grpc.Metadata {
  const metadata = new grpc.Metadata({ waitForReady: wait });
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}

/** How to open a channel. */
export interface DialOptions {
  /**
   * Pauses for calls that wait for a connection. Without them, a failed connection closes the
   * channel, and further calls fail for the same reason.
   */
  backOff?: ReconnectPauses;
  /** Pings while calls are in flight, and fails them if the other side does not answer. */
  keepalive?: Keepalive;
  /** Uses TLS, to a server. */
  tls?: ClientTls;
  /** Uses TLS, to a peer, with this key pair; {@link Channel.fingerprint} then identifies the peer. */
  own?: KeyPair;
  /** How large an answer may be, in bytes (default 4 MiB). */
  maxAnswerBytes?: number;
}

/**
 * Opens a channel; it connects with the first call.
 *
 * Each channel has its own connections, and ignores proxies named in the environment.
 *
 * @param target the server or peer to call
 */
export function dial(target: Target, options: DialOptions = {}): Channel {
  return new Channel(target, options);
}

/**
 * Opens a channel to several servers: calls go to each of them in turn, and servers that cannot be
 * reached are skipped (gRPC's `round_robin`).
 *
 * @param name the name of the servers, for error messages
 * @param servers all servers, again after each change; read from the first call on
 */
export function dialAll(
  name: string,
  servers: AsyncIterable<readonly Target[]>,
  options: DialOptions = {},
): Channel {
  return new Channel({ address: name }, options, servers);
}

/** Calls go to the servers in turn; a call that one server fails to answer goes to another one. */
const ROUND_ROBIN = JSON.stringify({
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [{
    name: [{}],
    retryPolicy: {
      maxAttempts: 3,
      initialBackoff: "0.01s",
      maxBackoff: "0.1s",
      backoffMultiplier: 2,
      retryableStatusCodes: ["UNAVAILABLE"],
    },
  }],
});

/** Whether a target contains a host name, which gRPC then checks the certificate against. */
function hasHostName({ endpoint }: Target): boolean {
  return endpoint === undefined || isIP(endpoint.host) === 0;
}

function protectionOf({ tls, own }: DialOptions): Protection {
  if (own !== undefined) return "peer";
  if (tls === undefined) return "plaintext";
  return tls.own === undefined ? "tls" : "mutual";
}

/** How long to wait for the other servers once the first one is connected. */
const OTHERS_MS = 20;

/** On this side, only calls whose answers have large headers count. */
const LIMITS = new HeaderLimits({ side: "client", maxOpenCalls: Infinity });

/** What waits to be read by peers that we have called. Servers are trusted to read. */
const BACKLOGS = new BacklogPool();

/** What a {@link Channel} offers to those that only make calls. */
export type Connection = Pick<
  Channel,
  "fingerprint" | "call" | "stream" | "ping" | "dropped" | typeof Symbol.dispose
>;

/** Connections to one target, or to several servers. Disposing closes them and fails open calls. */
export class Channel implements Disposable {
  readonly #attempt: Attempt;
  readonly #peer: PeerCredentials | undefined;
  /** Whether the channel closes when it cannot connect. */
  readonly #closesOnFailure: boolean;
  readonly #client: grpc.Client;
  readonly #servers: ServerList | undefined;
  /** What a peer has not read yet on the latest connection. */
  #backlog: SendBacklog | undefined;
  /** Whether the latest connection was closed because of the headers on it. */
  #hasRefusedHeaders = false;
  /** The connection on which the latest answer came. */
  #session: Http2Session | undefined;
  /** Why no more calls can be made, if the channel is closed. */
  #closed: Promise<GreetError> | undefined;

  /** Use {@link dial} or {@link dialAll}. */
  constructor(
    target: Target,
    { backOff, keepalive, tls, own, maxAnswerBytes }: DialOptions,
    servers?: AsyncIterable<readonly Target[]>,
  ) {
    this.#attempt = { target, protection: protectionOf({ tls, own }), shown: tls?.own?.cert };
    this.#peer = own && new PeerCredentials(own);
    this.#closesOnFailure = backOff === undefined;
    this.#servers = servers && new ServerList(servers);
    const { firstMs, maxMs } = backOff ?? NO_PAUSES;
    const hasName = this.#servers === undefined && hasHostName(target);
    const credentials = this.#peer ??
      (tls ? serverCredentials(tls, hasName) : grpc.credentials.createInsecure());
    const limited = new WithLimits(credentials, (socket) => this.#limit(socket));
    this.#client = new grpc.Client(this.#servers?.uri ?? target.address, limited, {
      "grpc.initial_reconnect_backoff_ms": firstMs,
      "grpc.max_reconnect_backoff_ms": maxMs,
      // Channels that share a pool of connections share the pauses between attempts, too.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_http_proxy": 0,
      // By default, a connection without calls is closed after 30 minutes.
      "grpc.client_idle_timeout_ms": 2 ** 31 - 1,
      ...commonOptions(keepalive),
      ...maxAnswerBytes === undefined ? {} : { "grpc.max_receive_message_length": maxAnswerBytes },
      ...this.#servers === undefined ? {} : { "grpc.service_config": ROUND_ROBIN },
    });
  }

  #limit(socket: Socket): boolean {
    this.#hasRefusedHeaders = false;
    if (this.#peer) this.#backlog = new SendBacklog(socket, BACKLOGS, CLIENT_PREFACE_BYTES);
    return LIMITS.limit(socket, () => this.#hasRefusedHeaders = true);
  }

  /** The fingerprint of the peer's key; nothing before the first call, and for servers. */
  get fingerprint(): string | undefined {
    return this.#peer?.fingerprint;
  }

  /**
   * Connects to several servers before the first call: gRPC would give all waiting calls to the
   * server that is connected first. Resolves also if no connection can be made; the call then fails.
   */
  async connected({ timeoutMs, wait, signal }: CallOptions): Promise<void> {
    const { READY, TRANSIENT_FAILURE } = grpc.connectivityState;
    const channel = this.#client.getChannel();
    const deadline = Date.now() + timeoutMs;
    const cancelled = signal && aborted(signal);
    for (;;) {
      const state = channel.getConnectivityState(true);
      if (state === READY) return await pause(OTHERS_MS);
      if (state === TRANSIENT_FAILURE && !wait) return;
      if (signal?.aborted || Date.now() >= deadline) return;
      const { promise: changed, resolve } = Promise.withResolvers<void>();
      channel.watchConnectivityState(state, deadline, () => resolve());
      await race([changed, ...cancelled ? [cancelled] : []]);
    }
  }

  /**
   * Makes one call.
   *
   * @param type the service
   * @param name the name of the call
   * @throws {GreetError} with the call's gRPC status; `UNAVAILABLE` for a connection that cannot be
   *   made or breaks. An aborted signal throws its own reason
   */
  async call<C extends Calls, Name extends Unary<C> & string>(
    type: ServiceType<C>,
    name: Name,
    request: C[Name]["request"],
    options: CallOptions,
  ): Promise<C[Name]["response"]> {
    options.signal?.throwIfAborted();
    if (this.#closed !== undefined) throw await this.#closed;
    try {
      return await this.#unary(definitionOf(type)[name], request, options);
    } catch (failure) {
      options.signal?.throwIfAborted();
      throw await this.#explain(failure as FailedCall, limitOf(failure as FailedCall, options));
    }
  }

  /** The error for a failed call, after which a channel without a connection may have to close. */
  #explain(failure: FailedCall, limitMs: number): Promise<GreetError> {
    const { error, wasConnected } = failure;
    const explained = this.#hasRefusedHeaders && isDisconnect(error)
      ? Promise.resolve(this.#unavailable(REFUSED_HEADERS, error))
      : callError(failure, this.#attempt, limitMs);
    const isUnconnected = error.code === grpc.status.UNAVAILABLE && !wasConnected;
    if (isUnconnected && this.#closesOnFailure) {
      // To explain it takes up to a second, in which others may call.
      this.#closed ??= explained;
      this[Symbol.dispose]();
    }
    return explained;
  }

  #unavailable(reason: string, cause?: Error): GreetError {
    return new GreetError("UNAVAILABLE", `${this.#attempt.target.address}: ${reason}`, { cause });
  }

  /**
   * Returns a function that tells what is known about a call when it fails.
   *
   * @param deadline when the call has to be over, in milliseconds since 1970
   */
  #failureOf(
    { path }: ServiceDefinition[string],
    call: Pick<grpc.ClientUnaryCall, "once" | "getPeer">,
    deadline: number,
  ): (error: grpc.ServiceError) => FailedCall {
    let contentType: string | undefined;
    call.once("metadata", (headers: grpc.Metadata) => {
      contentType = headers.get("content-type")[0]?.toString();
      this.#session = streamOfOutgoing(call)?.session;
    });
    return (error) => {
      // Until a call has a connection, gRPC names its target as the peer.
      const peers = [this.#client.getChannel().getTarget(), "unknown"];
      const wasConnected = !peers.includes(call.getPeer());
      const isOverdue = Date.now() >= deadline - EARLY_MS;
      return { error, method: path.slice(1), contentType, wasConnected, isOverdue };
    };
  }

  #unary(
    method: ServiceDefinition[string],
    request: unknown,
    { timeoutMs, connectMs, signal, wait, headers }: CallOptions,
  ): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const deadline = Date.now() + timeoutMs;
    const call = this.#client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request as object,
      metadata(headers, wait),
      { deadline },
      (error, response) => error === null ? resolve(response) : reject(failure(error)),
    );
    const failure = this.#failureOf(method, call, deadline);
    const cancel = () => call.cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    const timer = this.#limitConnecting(call, connectMs);
    return promise.finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", cancel);
    });
  }

  #limitConnecting(call: grpc.ClientUnaryCall, connectMs: number | undefined) {
    const { DEADLINE_EXCEEDED } = grpc.status;
    return connectMs && setTimeout(() => {
      if (!this.#isConnected) call.call?.cancelWithStatus(DEADLINE_EXCEEDED, "not connected");
    }, connectMs);
  }

  /**
   * Makes one call whose answer is a stream.
   *
   * @param type the service
   * @param name the name of the call
   * @param request the request; a stream of them if the call takes one, which is read as fast as a
   *   peer reads
   * @returns the answers, as they arrive; to stop reading cancels the call
   * @throws {GreetError} like {@link Channel.call}
   */
  async *stream<C extends Calls, Name extends Streaming<C> & string>(
    type: ServiceType<C>,
    name: Name,
    request: C[Name]["streams"] extends "both" ? AsyncIterable<C[Name]["request"]>
      : C[Name]["request"],
    { timeoutMs, limitMs = timeoutMs, signal, headers }: StreamOptions,
  ): AsyncGenerator<C[Name]["response"]> {
    signal?.throwIfAborted();
    if (this.#closed !== undefined) throw await this.#closed;
    const method = definitionOf(type)[name];
    const over = new AbortController();
    const call = this.#open(method, request, metadata(headers), over.signal);
    readAheadOne(call);
    const failure = this.#failureOf(method, call, Infinity);
    const cancel = () => call.cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    let isOverdue = false;
    const timer = setTimeout(() => {
      isOverdue = true;
      call.cancel();
    }, timeoutMs);
    try {
      for await (const response of call) {
        clearTimeout(timer);
        yield response;
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (isOverdue) throw this.#overdue(limitMs, error);
      throw await this.#explain(failure(error as grpc.ServiceError), limitMs);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", cancel);
      // Has no effect on a call that is over. After a cancellation, errors are of no interest.
      call.on("error", () => {});
      call.cancel();
      over.abort();
    }
  }

  #open(
    method: ServiceDefinition[string],
    request: unknown,
    metadata: grpc.Metadata,
    over: AbortSignal,
  ): grpc.ClientReadableStream<unknown> {
    const { path, requestSerialize, responseDeserialize } = method;
    if (!method.requestStream) {
      return this.#client.makeServerStreamRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request as object,
        metadata,
      );
    }
    const call = this.#client.makeBidiStreamRequest(
      path,
      (bytes: Buffer) => bytes,
      responseDeserialize,
      metadata,
    );
    void this.#send(request as AsyncIterable<object>, requestSerialize, call, over);
    return call;
  }

  /** Sends a stream of requests, as fast as the other side reads them. */
  async #send(
    requests: AsyncIterable<object>,
    serialize: ServiceDefinition[string]["requestSerialize"],
    call: grpc.ClientDuplexStream<Buffer, unknown>,
    over: AbortSignal,
  ): Promise<void> {
    let backpressure: Backpressure | undefined;
    for await (const request of requests) {
      // The first request opens the stream.
      const stream = streamOfOutgoing(call);
      if (stream) backpressure ??= new Backpressure(stream, this.#backlog, () => over);
      const capacity = backpressure?.waitForCapacity();
      if (capacity !== undefined) await capacity;
      const bytes = serialize(request);
      backpressure?.count(bytes);
      call.write(bytes);
    }
    call.end();
  }

  /**
   * Asks the other side, with an HTTP/2 ping, whether the connection still works. Only a server that
   * says so takes pings at any time; others hang up.
   *
   * @throws {GreetError} `DEADLINE_EXCEEDED` without an answer in time; `UNAVAILABLE` if no call has
   *   been answered on this channel yet or the connection is lost. An aborted signal throws its own
   *   reason
   */
  async ping({ timeoutMs, signal }: Pick<CallOptions, "timeoutMs" | "signal">): Promise<void> {
    signal?.throwIfAborted();
    if (this.#closed !== undefined) throw await this.#closed;
    const session = this.#session;
    const lost = (cause?: Error) => this.#unavailable("connection lost", cause);
    if (session === undefined || session.destroyed) throw lost();
    const { promise: answered, resolve, reject } = Promise.withResolvers<void>();
    const cancel = () => reject(signal!.reason);
    const timer = setTimeout(() => reject(this.#overdue(timeoutMs)), timeoutMs);
    signal?.addEventListener("abort", cancel, { once: true });
    session.ping((error) => error === null ? resolve() : reject(lost(error)));
    try {
      await answered;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", cancel);
    }
  }

  #overdue(limitMs: number, cause?: unknown): GreetError {
    const message = `${this.#attempt.target.address}: no answer within ${limitMs / 1000} s`;
    return new GreetError("DEADLINE_EXCEEDED", message, { cause });
  }

  /** Resolves when the current connection is lost or closed; at once if there is none. */
  async dropped(): Promise<void> {
    if (!this.#isConnected) return;
    await new Promise<void>((resolve) => {
      const { READY } = grpc.connectivityState;
      this.#client.getChannel().watchConnectivityState(READY, Infinity, () => resolve());
    });
  }

  get #isConnected(): boolean {
    return this.#client.getChannel().getConnectivityState(false) === grpc.connectivityState.READY;
  }

  [Symbol.dispose](): void {
    this.#closed ??= Promise.resolve(this.#unavailable("connection lost"));
    this.#client.close();
    this.#servers?.end();
  }
}
