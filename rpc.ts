/**
 * gRPC, tamed: the only module that knows grpc-js and proto-loader.
 *
 * {@link serve} offers services and {@link dial} opens a channel to somebody
 * else's; requests and answers are plain objects, handlers are async functions
 * and, where an answer is a stream, async generators. Everything that waits takes an
 * `AbortSignal`, and every call has a deadline.
 * No gRPC type leaves this file, and a gRPC status becomes a
 * {@link GreetError} in one place.
 *
 * @module
 */
import "./http2_guard.ts";
import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import * as grpc from "@grpc/grpc-js";
import { fromJSON, type PackageDefinition, type ServiceDefinition } from "@grpc/proto-loader";
import protobuf from "protobufjs";
import reflectionProto from "@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto" with {
  type: "text",
};
import { GreetError, STATUS_NAMES } from "./errors.ts";
import { type Connection, Listener } from "./listener.ts";
import { isRefusal, isUnconnected, whyUnavailable } from "./reasons.ts";
import type { Target } from "./target.ts";
import { aborted, pause, within } from "./time.ts";
import { type Calls, HEALTH, type HealthStatus, type ServiceType } from "./wire.ts";
import type { Streaming, Unary } from "./wire.ts";

grpc.setLogVerbosity(grpc.logVerbosity.NONE);

const packages = new Map<string, PackageDefinition>();

/** A `.proto` file, parsed once. The parser gets text, so nothing is read from disk. */
function parseProto(
  text: string,
  longs: NumberConstructor | StringConstructor = Number,
): PackageDefinition {
  let definition = packages.get(text);
  if (definition === undefined) {
    const { root, imports } = protobuf.parse(text, new protobuf.Root());
    for (const file of imports ?? []) root.addJSON(protobuf.common.get(file)?.nested ?? {});
    definition = fromJSON(root.toJSON(), {
      defaults: true,
      longs,
      enums: String,
      oneofs: true,
    });
    packages.set(text, definition);
  }
  return definition;
}

function definitionOf({ name, proto, longs }: ServiceType<Calls>): ServiceDefinition {
  return parseProto(proto, longs)[name] as ServiceDefinition;
}

// ---------------------------------------------------------------- serving

/** A call that came in. */
export interface IncomingCall {
  /** The caller's address, such as `127.0.0.1:41234`. */
  readonly from: string;
  /** Aborted when the caller gives up, goes away or runs out of time. */
  readonly signal: AbortSignal;
}

/**
 * Answers one kind of call, by a promise or, where the answer is a stream, by an async generator,
 * which is to end when the call's signal is aborted. A {@link GreetError} with a gRPC status
 * reaches the caller as that status; anything else as a bland `INTERNAL`.
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
      request: C[Name]["request"],
      call: IncomingCall,
    ) => AsyncIterable<C[Name]["response"]>;
  };

type OpenStream = Pick<
  grpc.ServerDuplexStream<unknown, unknown> | grpc.ServerWritableStream<unknown, unknown>,
  "on" | "emit"
>;

/** What an implementation shares with the server that it runs in. */
interface Running {
  /** Streams that are open now and that a stop has to end. */
  readonly streams: Set<OpenStream>;
  /** Calls that are being answered now and that a stop has to wait for. */
  readonly answering: Set<Promise<void>>;
  readonly onFault: (error: unknown) => void;
  /** The connection that a call came over, while it is there. */
  readonly connection: (from: string) => Connection | undefined;
}

const parts = Symbol("parts");

/** Something for a server to offer; made by {@link implement}, {@link health} or {@link reflection}. */
export interface Service {
  /** Its full name, such as `greet.v1.Greeter`. */
  readonly name: string;
  /** Of no interest outside this module. */
  readonly [parts]: {
    readonly package: PackageDefinition;
    readonly implementation: (running: Running) => grpc.UntypedServiceImplementation;
  };
}

/**
 * A service and the functions that answer its calls.
 *
 * @param type the service
 * @param handlers one function for each of its calls
 */
export function implement<C extends Calls>(type: ServiceType<C>, handlers: Handlers<C>): Service {
  const definition = definitionOf(type);
  return {
    name: type.name,
    [parts]: {
      package: parseProto(type.proto, type.longs),
      implementation: (running) =>
        Object.fromEntries(
          Object.entries(handlers).map(([name, handler]) => [
            name,
            definition[name].responseStream
              ? streamMethod(handler as StreamHandler, definition[name], running)
              : unaryMethod(handler as UnaryHandler, running),
          ]),
        ),
    },
  };
}

type UnaryHandler = (request: unknown, call: IncomingCall) => unknown;

function unaryMethod(
  handler: UnaryHandler,
  { answering, onFault }: Running,
): grpc.handleUnaryCall<unknown, unknown> {
  return (call, answer) => {
    const answered = answerWith(handler, call, answer, onFault)
      .finally(() => answering.delete(answered));
    answering.add(answered);
  };
}

type StreamHandler = (request: unknown, call: IncomingCall) => AsyncIterable<unknown>;

function streamMethod(
  handler: StreamHandler,
  { responseSerialize }: ServiceDefinition[string],
  running: Running,
): grpc.handleServerStreamingCall<unknown, unknown> {
  return (stream) => {
    keepOpen(stream, running);
    const ended = new AbortController();
    const end = () => ended.abort();
    stream.on("cancelled", end).on("error", end).on("close", end);
    const from = stream.getPeer();
    const connection = running.connection(from);
    const pour = async () => {
      try {
        for await (const answer of handler(stream.request, { from, signal: ended.signal })) {
          await connection?.room(responseSerialize(answer as object).length, ended.signal);
          if (ended.signal.aborted) return;
          stream.write(answer);
        }
        stream.end();
      } catch (error) {
        if (!ended.signal.aborted) stream.emit("error", toStatus(error, running.onFault));
      }
    };
    void pour();
  };
}

async function answerWith(
  handler: UnaryHandler,
  call: grpc.ServerUnaryCall<unknown, unknown>,
  answer: grpc.sendUnaryData<unknown>,
  onFault: (error: unknown) => void,
): Promise<void> {
  try {
    answer(null, await handler(call.request, incoming(call)));
  } catch (error) {
    answer(toStatus(error, onFault));
  }
}

/** The signal is made when it is first asked for: most calls never need one. */
function incoming(
  call: Pick<grpc.ServerUnaryCall<unknown, unknown>, "getPeer" | "cancelled" | "once">,
): IncomingCall {
  let abort: AbortController | undefined;
  return {
    from: call.getPeer(),
    get signal() {
      if (abort === undefined) {
        const controller = abort = new AbortController();
        if (call.cancelled) controller.abort();
        else call.once("cancelled", () => controller.abort());
      }
      return abort.signal;
    },
  };
}

/** What a caller gets to know of an error: ours in full, anything else not at all. */
function toStatus(
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

/**
 * The standard health service, for probes and load balancers.
 *
 * Every named service, and the server as a whole (`""`), is reported as serving
 * for as long as the server runs. Source: grpc/grpc `doc/health-checking.md`. The npm
 * package `grpc-health-check` is not used, because it reads from disk and asks for
 * the user's id when it is imported.
 *
 * @param services what the server offers besides
 */
export function health(services: readonly Service[]): Service {
  const known = new Set(["", ...services.map(({ name }) => name)]);
  const serving = { status: "SERVING" } as const;
  const unary = implement(HEALTH, {
    Check({ service }) {
      if (known.has(service)) return serving;
      throw new GreetError("NOT_FOUND", "there is no such service here");
    },
  });
  return {
    name: HEALTH.name,
    [parts]: {
      package: unary[parts].package,
      implementation: (running) => ({
        ...unary[parts].implementation(running),
        Watch(stream: grpc.ServerWritableStream<{ service: string }, HealthStatus>) {
          keepOpen(stream, running);
          stream.write(known.has(stream.request.service) ? serving : { status: "SERVICE_UNKNOWN" });
        },
      }),
    },
  };
}

/**
 * Server reflection, so that tools such as grpcurl need no `.proto` files.
 *
 * Serves both `grpc.reflection.v1` and the older `v1alpha`, which differ in
 * name only. Source: grpc/grpc `doc/server-reflection.md`.
 *
 * @param services what the server offers besides
 */
export async function reflection(services: readonly Service[]): Promise<readonly Service[]> {
  const { ReflectionV1Implementation } = await import(
    "@grpc/reflection/build/src/implementations/reflection-v1.js"
  );
  const versions = ["v1", "v1alpha"].map((version) => ({
    name: `grpc.reflection.${version}.ServerReflection`,
    package: parseProto(
      reflectionProto.replaceAll("grpc.reflection.v1", `grpc.reflection.${version}`),
    ),
  }));
  const described = new ReflectionV1Implementation(
    Object.assign(
      {},
      ...services.map((service) => service[parts].package),
      ...versions.map((version) => version.package),
    ),
  );
  const implementation = (running: Running) => ({
    ServerReflectionInfo(
      stream: grpc.ServerDuplexStream<
        Parameters<typeof described.handleServerReflectionRequest>[0],
        ReturnType<typeof described.handleServerReflectionRequest>
      >,
    ) {
      keepOpen(stream, running);
      stream.on(
        "data",
        (request) => stream.write(described.handleServerReflectionRequest(request)),
      );
      stream.on("end", () => stream.end());
    },
  });
  return versions.map((version) => ({
    name: version.name,
    [parts]: { package: version.package, implementation },
  }));
}

function keepOpen(stream: OpenStream, { streams }: Running): void {
  streams.add(stream);
  const forget = () => streams.delete(stream);
  // A throw out of a stream's listener would end the process; all of these end the stream.
  stream.on("cancelled", forget).on("error", forget).on("close", forget).on("finish", forget);
}

/** How to serve. */
export interface ServeOptions {
  /** The address to listen on. */
  host: string;
  /** The port to listen on, 0 for a free one. */
  port: number;
  /** What to offer. */
  services: readonly Service[];
  /** Gets what a handler threw by mistake; the caller sees only `INTERNAL`. */
  onFault?: (error: unknown) => void;
  /** Asks silent connections whether they are still there, and closes those that do not answer. */
  keepalive?: Keepalive;
}

/** A ping on a connection that has been silent, in milliseconds. Source: grpc/grpc `doc/keepalive.md`. */
export interface Keepalive {
  /** After how much silence to ask. */
  everyMs: number;
  /** How long the answer may take. */
  timeoutMs: number;
}

function keepaliveOptions(keepalive: Keepalive | undefined): grpc.ChannelOptions {
  return keepalive === undefined ? {} : {
    "grpc.keepalive_time_ms": keepalive.everyMs,
    "grpc.keepalive_timeout_ms": keepalive.timeoutMs,
  };
}

/** A running server. Disposing of it stops it. */
export interface Server extends AsyncDisposable {
  /** The port that it listens on. */
  readonly port: number;
  /**
   * Stops: takes no new calls, lets those in flight finish, then closes.
   * Repeated calls wait for the first.
   *
   * @param graceMs how many milliseconds calls in flight may still take (default 5000)
   */
  stop(graceMs?: number): Promise<void>;
}

/**
 * Listens and answers.
 *
 * @returns the server, once it listens
 * @throws {GreetError} `FAILED` where the port or the host cannot be had
 */
export async function serve(options: ServeOptions): Promise<Server> {
  const { host, services, onFault = (error) => console.error(error) } = options;
  const server = new grpc.Server(keepaliveOptions(options.keepalive));
  const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure());
  const listener = new Listener((socket) => injector.injectConnection(socket));
  const running: Running = {
    streams: new Set(),
    answering: new Set(),
    onFault,
    connection: (from) => listener.connection(from),
  };
  for (const service of services) {
    const { package: { [service.name]: definition }, implementation } = service[parts];
    server.addService(definition as grpc.ServiceDefinition, implementation(running));
  }
  const port = await listener.listen(host, options.port);
  let stopped: Promise<void> | undefined;
  const stop = (graceMs = 5000) => stopped ??= shutDown(server, listener, running, graceMs);
  return { port, stop, [Symbol.asyncDispose]: () => stop() };
}

/** How long connections may take to end, and the last answers to get out, when no call is left. */
const LAST_ANSWERS_MS = 500;

async function shutDown(
  server: grpc.Server,
  listener: Listener,
  { streams, answering }: Running,
  graceMs: number,
): Promise<void> {
  const closed = listener.close();
  for (const stream of streams) {
    stream.emit("error", { code: grpc.status.UNAVAILABLE, details: "the server is stopping" });
  }
  // Its callback comes too early, and connections to somebody who was stopped never end.
  server.tryShutdown(() => {});
  await within(graceMs, Promise.allSettled(answering));
  await within(LAST_ANSWERS_MS, closed);
  server.forceShutdown();
  listener.destroy();
  await closed;
}

// ---------------------------------------------------------------- calling

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
  /** Speaks TLS, and trusts whom these certificates (PEM) vouch for, or, without any, whom the system trusts. */
  tls?: { readonly trusted?: Uint8Array };
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

/** What is asked for where a target has no name: an address cannot be (RFC 6066, section 3). */
const NO_NAME = "address.invalid";

function isAddress({ endpoint }: Target): boolean {
  return isIP(endpoint?.host ?? "") !== 0;
}

/** TLS, where the certificate must be for the target, be that a name or an address. */
function tlsTo(target: Target, trusted: Uint8Array | undefined): grpc.ChannelCredentials {
  const verify = isAddress(target)
    ? {
      checkServerIdentity: (_: string, certificate: PeerCertificate) =>
        checkServerIdentity(target.endpoint!.host, certificate),
    }
    : {};
  return grpc.credentials.createSsl(trusted && Buffer.from(trusted), null, null, verify);
}

/** How long the second server may take to be connected when the first is. */
const TOGETHER_MS = 20;

/** A channel to one target. Disposing of it closes it and fails the calls on it. */
export class Channel implements Disposable {
  readonly #target: Target;
  readonly #tries: "once" | "again";
  readonly #client: grpc.Client;
  readonly #servers: Servers | undefined;

  /** Use {@link dial} or {@link dialAll}. */
  constructor(
    target: Target,
    { backOff, keepalive, tls, maxAnswerBytes }: DialOptions,
    servers?: AsyncIterable<readonly Target[]>,
  ) {
    this.#target = target;
    this.#tries = backOff === undefined ? "once" : "again";
    this.#servers = servers && new Servers(servers);
    const { firstMs, maxMs } = backOff ?? NO_BACK_OFF;
    const credentials = tls === undefined
      ? grpc.credentials.createInsecure()
      : tlsTo(target, tls.trusted);
    this.#client = new grpc.Client(this.#servers?.uri ?? target.address, credentials, {
      "grpc.initial_reconnect_backoff_ms": firstMs,
      "grpc.max_reconnect_backoff_ms": maxMs,
      // A pool shared with other channels would share their pauses between attempts, too.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_http_proxy": 0,
      // A silent connection is a good one; by default it is closed after 30 minutes.
      "grpc.client_idle_timeout_ms": 2 ** 31 - 1,
      ...keepaliveOptions(keepalive),
      ...tls && isAddress(target) ? { "grpc.ssl_target_name_override": NO_NAME } : {},
      ...maxAnswerBytes === undefined ? {} : { "grpc.max_receive_message_length": maxAnswerBytes },
      ...this.#servers === undefined ? {} : { "grpc.service_config": IN_TURN },
    });
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
    } catch (error) {
      options.signal?.throwIfAborted();
      const failure = error as grpc.ServiceError;
      if (this.#tries === "once" && isUnconnected(failure.details)) this[Symbol.dispose]();
      throw await fromStatus(failure, this.#target, options.timeoutMs);
    }
  }

  #unary(
    method: ServiceDefinition[string],
    request: unknown,
    { timeoutMs, signal, wait, headers }: CallOptions,
  ): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const call = this.#client.makeUnaryRequest(
      method.path,
      (value) => method.requestSerialize(value as object),
      method.responseDeserialize,
      request,
      metadata(headers, wait),
      { deadline: Date.now() + timeoutMs },
      (error, response) => error === null ? resolve(response) : reject(error),
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
      const failure = error as grpc.ServiceError;
      if (this.#tries === "once" && isUnconnected(failure.details)) this[Symbol.dispose]();
      throw await fromStatus(failure, this.#target, timeoutMs);
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
    const serialize = (value: unknown) => method.requestSerialize(value as object);
    const { path, responseDeserialize } = method;
    if (!method.requestStream) {
      return this.#client.makeServerStreamRequest(
        path,
        serialize,
        responseDeserialize,
        request,
        metadata,
      );
    }
    const call = this.#client.makeBidiStreamRequest(path, serialize, responseDeserialize, metadata);
    const send = async () => {
      for await (const one of request as AsyncIterable<unknown>) call.write(one);
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
  #tell: (() => void) | undefined;
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

  /** Gets who they are, now and whenever that changes. */
  resolve(listener: grpc.experimental.ResolverListener): void {
    this.#tell = () => {
      if (this.#known === undefined) return;
      listener(this.#known, {}, null, "");
    };
    if (this.#known !== undefined) queueMicrotask(this.#tell);
    if (!this.#isReading) void this.#read();
  }

  async #read(): Promise<void> {
    this.#isReading = true;
    const { statusOrFromValue, statusOrFromError } = grpc.experimental;
    try {
      for (let next; !(next = await this.#lists.next()).done;) {
        const endpoints = next.value.flatMap(({ endpoint }) => endpoint ?? []);
        this.#known = statusOrFromValue(endpoints.map((one) => ({ addresses: [one] })));
        this.#tell?.();
      }
    } catch (error) {
      const { message: details } = GreetError.from(error);
      this.#known = statusOrFromError({ code: grpc.status.UNAVAILABLE, details });
      this.#tell?.();
    }
  }

  forget(): void {
    this.#tell = undefined;
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

/** The one place where a gRPC status becomes an error of ours. */
async function fromStatus(
  cause: grpc.ServiceError,
  target: Target,
  timeoutMs: number,
): Promise<GreetError> {
  const status = STATUS_NAMES[cause.code] ?? "UNKNOWN";
  const at = (reason: string) => `${target.address}: ${reason}`;
  const details = cause.details ?? cause.message;
  if (isDisconnect(cause.code, details)) {
    const { reason, hint } = await whyUnavailable(details, target);
    return new GreetError("UNAVAILABLE", at(reason), { hint, cause });
  }
  if (status === "DEADLINE_EXCEEDED" && details.startsWith("Deadline exceeded after")) {
    const what = /Waiting for (LB pick|name resolution)/.test(details) ? "connection" : "answer";
    return new GreetError(status, at(`no ${what} within ${timeoutMs / 1000} s`), { cause });
  }
  const code = status === "OK" ? "UNKNOWN" : status;
  return new GreetError(code, at(details || code), { cause });
}

/**
 * Whether a call failed only because nobody listens there, or not yet; or because nobody goes by
 * the name that was to be called.
 */
export function isNobodyThere({ code, cause }: GreetError): boolean {
  return code === "NOT_FOUND" || isRefusal((cause as Partial<grpc.ServiceError>)?.details);
}

/** A broken connection has three faces; a cancellation of our own never gets here. */
function isDisconnect(code: grpc.status, details: string): boolean {
  return code === grpc.status.UNAVAILABLE || code === grpc.status.CANCELLED ||
    code === grpc.status.INTERNAL && /RST_STREAM/.test(details);
}
