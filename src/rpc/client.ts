/**
 * The half of gRPC that calls.
 *
 * {@link dial} opens a channel to one target, {@link dialAll} to whoever serves under a name; calls
 * on it are promises or, where the answer is a stream, async iterables. Whatever goes wrong becomes
 * a {@link GreetError} in one place, which also finds out why.
 *
 * @module
 */
import {
  definitionOf,
  type Keepalive,
  keepaliveOptions,
  type ServiceDefinition,
} from "./service_definition.ts";
import { isIP, type Socket } from "node:net";
import * as grpc from "@grpc/grpc-js";
import type { KeyPair } from "../net/certificates.ts";
import { GreetError, STATUS_NAMES } from "../base/errors.ts";
import { HeaderLimits } from "../http2/header_limits.ts";
import { isRefusal, type Protection, whyBroken, whyUnconnected } from "./connection_errors.ts";
import {
  type ClientTls,
  PeerCredentials,
  REFUSED_HEADERS,
  serverCredentials,
  WithLimits,
} from "./credentials.ts";
import type { Target } from "../net/address.ts";
import { aborted, pause } from "../base/timing.ts";
import type { Calls, ServiceType, Streaming, Unary } from "./services.ts";

/** The pauses between attempts to connect, in milliseconds: the first, and the longest. */
export interface BackOff {
  firstMs: number;
  maxMs: number;
}

/**
 * For a channel that is closed when it cannot connect. A back-off of grpc-js
 * outlives its channel, and when it ends would connect once more on behalf of
 * nobody; so it is over at once.
 */
const NO_BACK_OFF: BackOff = { firstMs: 1, maxMs: 1 };

/** How to make one call. */
export interface CallOptions {
  /** How many milliseconds the call may take, the wait for a connection included. */
  timeoutMs: number;
  /** Gives the call up. */
  signal?: AbortSignal;
  /** Wait until there is a connection, instead of failing at the first refusal. */
  wait?: boolean;
  /** What to say besides the request. */
  headers?: Readonly<Record<string, string>>;
}

/** How to make a call that is answered by a stream. */
export interface StreamOptions {
  /** How many milliseconds the first answer may take; the call as a whole takes as long as it takes. */
  timeoutMs: number;
  /** Gives the call up. */
  signal?: AbortSignal;
  /** What to say besides the request. */
  headers?: Readonly<Record<string, string>>;
}

function metadata(headers: CallOptions["headers"] = {}, wait = false): grpc.Metadata {
  const metadata = new grpc.Metadata({ waitForReady: wait });
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}

/** How to open a channel. */
export interface DialOptions {
  /** For calls that wait for a connection. Without it, the channel closes itself when it cannot connect. */
  backOff?: BackOff;
  /** Notices, while there are calls, that the other side has fallen silent; they fail then. */
  keepalive?: Keepalive;
  /** Speaks TLS with a server. */
  tls?: ClientTls;
  /** Speaks TLS with a peer, and shows this: then {@link Channel.fingerprint} tells who it is. */
  own?: KeyPair;
  /** How large an answer may be, in bytes (default 4 MiB). */
  maxAnswerBytes?: number;
}

/**
 * Opens a channel; nothing is sent before the first call.
 *
 * Each channel has connections of its own and goes to its target directly,
 * whatever proxies the environment names.
 *
 * @param target whom to call
 */
export function dial(target: Target, options: DialOptions = {}): Channel {
  return new Channel(target, options);
}

/**
 * Opens a channel to whoever serves under one name: calls go to each of them in turn, and who
 * cannot be reached is left out (gRPC's `round_robin`).
 *
 * @param name what they are called in errors
 * @param servers who they are, again whenever that changes; read from the first call on
 */
export function dialAll(
  name: string,
  servers: AsyncIterable<readonly Target[]>,
  options: DialOptions = {},
): Channel {
  return new Channel({ address: name }, options, servers);
}

/** How the servers are shared out; and a call that one of them did not answer goes to another. */
const IN_TURN = JSON.stringify({
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

/** Whether gRPC can take the name that a certificate must be for from the target. */
function namesHost({ endpoint }: Target): boolean {
  return endpoint === undefined || isIP(endpoint.host) === 0;
}

function protectionOf({ tls, own }: DialOptions): Protection {
  if (own !== undefined) return "peer";
  if (tls === undefined) return "plaintext";
  return tls.own === undefined ? "tls" : "mutual";
}

/** How long the second server may take to be connected when the first is. */
const TOGETHER_MS = 20;

/** Our own calls count only if they are answered with large headers. */
const LIMITS = new HeaderLimits({ side: "client", maxOpenCalls: Infinity });

/** A channel to one target. Disposing of it closes it and fails the calls on it. */
export class Channel implements Disposable {
  readonly #target: Target;
  readonly #protection: Protection;
  readonly #peer: PeerCredentials | undefined;
  readonly #tries: "once" | "again";
  readonly #client: grpc.Client;
  readonly #servers: Servers | undefined;
  /** Whether we closed the latest connection because of the headers on it. */
  #hasRefused = false;

  /** Use {@link dial} or {@link dialAll}. */
  constructor(
    target: Target,
    { backOff, keepalive, tls, own, maxAnswerBytes }: DialOptions,
    servers?: AsyncIterable<readonly Target[]>,
  ) {
    this.#target = target;
    this.#protection = protectionOf({ tls, own });
    this.#peer = own && new PeerCredentials(own);
    this.#tries = backOff === undefined ? "once" : "again";
    this.#servers = servers && new Servers(servers);
    const { firstMs, maxMs } = backOff ?? NO_BACK_OFF;
    const hasName = this.#servers === undefined && namesHost(target);
    const credentials = this.#peer ??
      (tls ? serverCredentials(tls, hasName) : grpc.credentials.createInsecure());
    const limited = new WithLimits(credentials, (socket) => this.#limit(socket));
    this.#client = new grpc.Client(this.#servers?.uri ?? target.address, limited, {
      "grpc.initial_reconnect_backoff_ms": firstMs,
      "grpc.max_reconnect_backoff_ms": maxMs,
      // A pool shared with other channels would share their pauses between attempts, too.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_http_proxy": 0,
      // A silent connection is a good one; by default it is closed after 30 minutes.
      "grpc.client_idle_timeout_ms": 2 ** 31 - 1,
      ...keepaliveOptions(keepalive),
      ...maxAnswerBytes === undefined ? {} : { "grpc.max_receive_message_length": maxAnswerBytes },
      ...this.#servers === undefined ? {} : { "grpc.service_config": IN_TURN },
    });
  }

  #limit(socket: Socket): boolean {
    this.#hasRefused = false;
    return LIMITS.limit(socket, () => this.#hasRefused = true);
  }

  /** Among peers, the fingerprint of the other one's key; nothing before the first call. */
  get fingerprint(): string | undefined {
    return this.#peer?.fingerprint;
  }

  /**
   * Resolves when calls can go out, or cannot: gRPC gives them to the first server that is
   * connected, and the others are to have their turn as well. It never fails; the call will.
   */
  async connected({ timeoutMs, wait, signal }: CallOptions): Promise<void> {
    const { READY, TRANSIENT_FAILURE } = grpc.connectivityState;
    const channel = this.#client.getChannel();
    const deadline = Date.now() + timeoutMs;
    const gaveUp = signal && aborted(signal);
    for (;;) {
      const state = channel.getConnectivityState(true);
      if (state === READY) return await pause(TOGETHER_MS);
      if (state === TRANSIENT_FAILURE && !wait) return;
      if (signal?.aborted || Date.now() >= deadline) return;
      const { promise: changed, resolve } = Promise.withResolvers<void>();
      channel.watchConnectivityState(state, deadline, () => resolve());
      await Promise.race([changed, ...gaveUp ? [gaveUp] : []]);
    }
  }

  /**
   * Makes one call.
   *
   * @param type the service
   * @param name the call
   * @param request what it takes
   * @throws {GreetError} with the call's gRPC status. However a connection breaks it is
   *   `UNAVAILABLE`. An aborted signal throws its own reason
   */
  async call<C extends Calls, Name extends Unary<C> & string>(
    type: ServiceType<C>,
    name: Name,
    request: C[Name]["request"],
    options: CallOptions,
  ): Promise<C[Name]["response"]> {
    options.signal?.throwIfAborted();
    try {
      return await this.#unary(definitionOf(type)[name], request, options);
    } catch (failure) {
      options.signal?.throwIfAborted();
      throw await this.#explain(failure as FailedCall, options.timeoutMs);
    }
  }

  /** What a failed call means. A channel that does not try again is closed if it has no connection. */
  #explain(failure: FailedCall, timeoutMs: number): Promise<GreetError> {
    const isLeft = this.#tries === "once" && !failure.wasConnected &&
      failure.error.code === grpc.status.UNAVAILABLE;
    if (isLeft) this[Symbol.dispose]();
    if (this.#hasRefused && isDisconnect(failure.error.code, failure.error.details)) {
      const message = `${this.#target.address}: ${REFUSED_HEADERS}`;
      return Promise.resolve(new GreetError("UNAVAILABLE", message, { cause: failure.error }));
    }
    return fromStatus(failure, this.#target, timeoutMs, this.#protection);
  }

  /** What is known of a call that failed: gRPC calls the target a peer until it has found one. */
  #failure(error: grpc.ServiceError, call: { getPeer(): string }): FailedCall {
    const peer = call.getPeer();
    return {
      error,
      wasConnected: ![this.#client.getChannel().getTarget(), "unknown"].includes(peer),
    };
  }

  #unary(
    method: ServiceDefinition[string],
    request: unknown,
    { timeoutMs, signal, wait, headers }: CallOptions,
  ): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const call = this.#client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request as object,
      metadata(headers, wait),
      { deadline: Date.now() + timeoutMs },
      (error, response) => error === null ? resolve(response) : reject(this.#failure(error, call)),
    );
    const cancel = () => call.cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    return promise.finally(() => signal?.removeEventListener("abort", cancel));
  }

  /**
   * Makes one call that is answered by a stream.
   *
   * @param type the service
   * @param name the call
   * @param request what it takes; where it takes a stream, many of them
   * @returns the answers, as they come. To stop reading gives the call up
   * @throws {GreetError} like {@link Channel.call}
   */
  async *stream<C extends Calls, Name extends Streaming<C> & string>(
    type: ServiceType<C>,
    name: Name,
    request: C[Name]["streams"] extends "both" ? AsyncIterable<C[Name]["request"]>
      : C[Name]["request"],
    { timeoutMs, signal, headers }: StreamOptions,
  ): AsyncGenerator<C[Name]["response"]> {
    signal?.throwIfAborted();
    const call = this.#open(definitionOf(type)[name], request, metadata(headers));
    const cancel = () => call.cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      call.cancel();
    }, timeoutMs);
    try {
      for await (const response of call) {
        clearTimeout(timer);
        yield response;
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (isLate) {
        const message = `${this.#target.address}: no answer within ${timeoutMs / 1000} s`;
        throw new GreetError("DEADLINE_EXCEEDED", message, { cause: error });
      }
      const failure = this.#failure(error as grpc.ServiceError, call);
      throw await this.#explain(failure, timeoutMs);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", cancel);
      // What was not read any more, or not in time, is not to be sent either.
      call.on("error", () => {});
      call.cancel();
    }
  }

  #open(
    method: ServiceDefinition[string],
    request: unknown,
    metadata: grpc.Metadata,
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
      requestSerialize,
      responseDeserialize,
      metadata,
    );
    const send = async () => {
      for await (const one of request as AsyncIterable<object>) call.write(one);
      call.end();
    };
    void send();
    return call;
  }

  /** Resolves when the connection that there is now is lost or closed; at once where there is none. */
  async dropped(): Promise<void> {
    const { READY } = grpc.connectivityState;
    const channel = this.#client.getChannel();
    if (channel.getConnectivityState(false) !== READY) return;
    await new Promise<void>((resolve) => {
      channel.watchConnectivityState(READY, Infinity, () => resolve());
    });
  }

  [Symbol.dispose](): void {
    this.#client.close();
    this.#servers?.end();
  }
}

/** Who serves under a name, as gRPC asks for it: a resolver of its own kind for each channel. */
class Servers {
  static readonly #open = new Map<string, Servers>();
  static #count = 0;
  readonly #id = `${Servers.#count++}`;
  readonly #lists: AsyncIterator<readonly Target[]>;
  #known: grpc.experimental.StatusOr<grpc.experimental.Endpoint[]> | undefined;
  #listener: grpc.experimental.ResolverListener | undefined;
  #isReading = false;

  constructor(lists: AsyncIterable<readonly Target[]>) {
    this.#lists = lists[Symbol.asyncIterator]();
    Servers.#open.set(this.#id, this);
  }

  /** What a channel is opened with. */
  get uri(): string {
    return `${SCHEME}:${this.#id}`;
  }

  static of({ path }: grpc.experimental.GrpcUri): Servers | undefined {
    return Servers.#open.get(path);
  }

  /**
   * Gets who they are, now and whenever that changes. gRPC asks again whenever nobody can be reached;
   * to be told the same again would make it try them all again at once, and ask again.
   */
  resolve(listener: grpc.experimental.ResolverListener): void {
    if (this.#listener === listener) return;
    this.#listener = listener;
    if (this.#known !== undefined) queueMicrotask(() => this.#tell());
    if (!this.#isReading) void this.#read();
  }

  #tell(): void {
    if (this.#known !== undefined) this.#listener?.(this.#known, {}, null, "");
  }

  async #read(): Promise<void> {
    this.#isReading = true;
    const { statusOrFromValue, statusOrFromError } = grpc.experimental;
    try {
      for (let next; !(next = await this.#lists.next()).done;) {
        const endpoints = next.value.flatMap(({ endpoint }) => endpoint ?? []);
        this.#known = statusOrFromValue(endpoints.map((one) => ({ addresses: [one] })));
        this.#tell();
      }
    } catch (error) {
      const { message: details } = GreetError.from(error);
      this.#known = statusOrFromError({ code: grpc.status.UNAVAILABLE, details });
      this.#tell();
    }
  }

  forget(): void {
    this.#listener = undefined;
  }

  end(): void {
    this.forget();
    Servers.#open.delete(this.#id);
    void this.#lists.return?.();
  }
}

const SCHEME = "servers";

grpc.experimental.registerResolver(
  SCHEME,
  class implements grpc.experimental.Resolver {
    readonly #servers: Servers | undefined;
    readonly #listener: grpc.experimental.ResolverListener;

    constructor(uri: grpc.experimental.GrpcUri, listener: grpc.experimental.ResolverListener) {
      this.#servers = Servers.of(uri);
      this.#listener = listener;
    }

    updateResolution(): void {
      this.#servers?.resolve(this.#listener);
    }

    destroy(): void {
      this.#servers?.forget();
    }

    static getDefaultAuthority(): string {
      return "localhost";
    }
  },
);

/** A call that failed. */
interface FailedCall {
  readonly error: grpc.ServiceError;
  /** Whether it went out to a server, whose words the error may repeat. */
  readonly wasConnected: boolean;
}

/** The one place where a gRPC status becomes an error of ours. */
async function fromStatus(
  { error: cause, wasConnected }: FailedCall,
  target: Target,
  timeoutMs: number,
  protection: Protection,
): Promise<GreetError> {
  const status = STATUS_NAMES[cause.code] ?? "UNKNOWN";
  const at = (reason: string) => `${target.address}: ${reason}`;
  const details = cause.details ?? cause.message;
  if (status === "UNAVAILABLE" && !wasConnected) {
    const { reason, hint } = await whyUnconnected(details, target, protection);
    return new GreetError(status, at(reason), { hint, cause: new Unconnected(details) });
  }
  if (isDisconnect(cause.code, details)) {
    return new GreetError("UNAVAILABLE", at(whyBroken(details) || "UNAVAILABLE"), { cause });
  }
  if (status === "DEADLINE_EXCEEDED" && details.startsWith("Deadline exceeded after")) {
    const what = /Waiting for (LB pick|name resolution)/.test(details) ? "connection" : "answer";
    return new GreetError(status, at(`no ${what} within ${timeoutMs / 1000} s`), { cause });
  }
  if (status === "INTERNAL" && details.startsWith("Response message parsing error")) {
    return new GreetError(status, at("the answer cannot be read"), { cause });
  }
  const code = status === "OK" ? "UNKNOWN" : status;
  return new GreetError(code, at(details || code), { cause });
}

/** Why a connection could not be made, in grpc-js's words and in nobody else's. */
class Unconnected extends Error {}

/**
 * Whether a call failed only because nobody listens there, or not yet; or because nobody goes by
 * the name that was to be called.
 */
export function isNobodyThere({ code, cause }: GreetError): boolean {
  return code === "NOT_FOUND" || cause instanceof Unconnected && isRefusal(cause.message);
}

/** A broken connection has three faces; a cancellation of our own never gets here. */
function isDisconnect(code: grpc.status, details: string): boolean {
  return code === grpc.status.UNAVAILABLE || code === grpc.status.CANCELLED ||
    code === grpc.status.INTERNAL && /RST_STREAM/.test(details);
}
