/**
 * gRPC, tamed: the only module that knows grpc-js, proto-loader and `proto/`.
 *
 * {@link serve} offers services and {@link dial} opens a channel to somebody
 * else's; requests and answers are plain objects, handlers are async functions,
 * everything that waits takes an `AbortSignal` and every call has a deadline.
 * No gRPC type leaves this file, and a gRPC status becomes a
 * {@link GreetError} in one place.
 *
 * @module
 */
import "./http2_guard.ts";
import net from "node:net";
import * as grpc from "@grpc/grpc-js";
import { fromJSON, type PackageDefinition, type ServiceDefinition } from "@grpc/proto-loader";
import protobuf from "protobufjs";
import reflectionProto from "@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto" with {
  type: "text",
};
import chatProto from "./proto/chat.proto" with { type: "text" };
import greetingProto from "./proto/greeting.proto" with { type: "text" };
import healthProto from "./proto/health.proto" with { type: "text" };
import { GreetError, STATUS_NAMES } from "./errors.ts";
import { formatEndpoint, type Target } from "./target.ts";
import { within } from "./time.ts";

grpc.setLogVerbosity(grpc.logVerbosity.NONE);

// ---------------------------------------------------------------- the wire

/** `greet.v1.UserInfo`: who wants to be greeted. */
export interface UserInfo {
  name: string;
}

/** `greet.v1.ServerResponse`: a greeting. */
export interface ServerResponse {
  greeting: string;
}

/** `google.protobuf.Timestamp`: whole seconds since 1970 in UTC, and nanoseconds. */
export interface Timestamp {
  seconds: number;
  nanos: number;
}

/** `greet.v1.ChatMessage`: one message, or a peer's answer to "who are you?". */
export interface ChatMessage {
  timestamp: Timestamp | null;
  sender: string;
  body: string;
  id: string;
}

/** `greet.v1.ChatMessages`: several messages of one sender, in order. */
export interface ChatMessages {
  messages: ChatMessage[];
}

/** `greet.v1.Nothing`. */
export type Nothing = Record<never, never>;

/** What the calls of a service take and give. */
type Calls = Record<string, { request: unknown; response: unknown }>;

/** A service as its `.proto` file describes it. */
export interface ServiceType<C extends Calls> {
  /** Its full name, such as `greet.v1.Greeter`. */
  readonly name: string;
  /** The text of the `.proto` file. */
  readonly proto: string;
  /** Never set: carries the types of the calls. */
  readonly calls?: C;
}

/** The greeting service. */
export const GREETER: ServiceType<{ Greet: { request: UserInfo; response: ServerResponse } }> = {
  name: "greet.v1.Greeter",
  proto: greetingProto,
};

/** What chat peers offer each other. */
export const CHAT: ServiceType<{
  SendMessage: { request: ChatMessage; response: Nothing };
  SendMessages: { request: ChatMessages; response: Nothing };
  GetInfo: { request: Nothing; response: ChatMessage };
}> = { name: "greet.v1.Chat", proto: chatProto };

interface HealthStatus {
  status: "SERVING" | "SERVICE_UNKNOWN";
}

const HEALTH: ServiceType<{
  Check: { request: { service: string }; response: HealthStatus };
}> = { name: "grpc.health.v1.Health", proto: healthProto };

const packages = new Map<string, PackageDefinition>();

/** A `.proto` file, parsed once. The parser gets text, so nothing is read from disk. */
function parseProto(text: string): PackageDefinition {
  let definition = packages.get(text);
  if (definition === undefined) {
    const { root, imports } = protobuf.parse(text, new protobuf.Root());
    for (const file of imports ?? []) root.addJSON(protobuf.common.get(file)?.nested ?? {});
    definition = fromJSON(root.toJSON(), {
      defaults: true,
      longs: Number,
      enums: String,
      oneofs: true,
    });
    packages.set(text, definition);
  }
  return definition;
}

function definitionOf({ name, proto }: ServiceType<Calls>): ServiceDefinition {
  return parseProto(proto)[name] as ServiceDefinition;
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
 * Answers one kind of call. A {@link GreetError} with a gRPC status reaches the
 * caller as that status; anything else as a bland `INTERNAL`.
 */
type Handlers<C extends Calls> = {
  [Name in keyof C]: (
    request: C[Name]["request"],
    call: IncomingCall,
  ) => C[Name]["response"] | Promise<C[Name]["response"]>;
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
  return {
    name: type.name,
    [parts]: {
      package: parseProto(type.proto),
      implementation: (running) => unaryMethods(handlers, running),
    },
  };
}

function unaryMethods<C extends Calls>(
  handlers: Handlers<C>,
  { answering, onFault }: Running,
): grpc.UntypedServiceImplementation {
  const methods: grpc.UntypedServiceImplementation = {};
  for (const [name, handler] of Object.entries(handlers)) {
    const method: grpc.handleUnaryCall<unknown, unknown> = (call, answer) => {
      const answered = answerWith(handler, call, answer, onFault)
        .finally(() => answering.delete(answered));
      answering.add(answered);
    };
    methods[name] = method;
  }
  return methods;
}

async function answerWith<Request, Response>(
  handler: (request: Request, call: IncomingCall) => Response | Promise<Response>,
  call: grpc.ServerUnaryCall<Request, Response>,
  answer: grpc.sendUnaryData<Response>,
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
  const running: Running = { streams: new Set(), answering: new Set(), onFault };
  const server = new grpc.Server();
  for (const service of services) {
    const { package: { [service.name]: definition }, implementation } = service[parts];
    server.addService(definition as grpc.ServiceDefinition, implementation(running));
  }
  const listener = new Listener(server);
  const port = await listener.listen(host, options.port);
  let stopped: Promise<void> | undefined;
  const stop = (graceMs = 5000) => stopped ??= shutDown(server, listener, running, graceMs);
  return { port, stop, [Symbol.asyncDispose]: () => stop() };
}

/**
 * Takes connections and hands them to gRPC.
 *
 * grpc-js can listen by itself, but then it waits for every connection when it
 * stops, even for one that never said a word; and its errors carry no code.
 */
class Listener {
  readonly #connections = new Set<net.Socket>();
  readonly #listener: net.Server;

  constructor(server: grpc.Server) {
    const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure());
    this.#listener = net.createServer({ noDelay: true }, (connection) => {
      this.#connections.add(connection);
      connection.once("close", () => this.#connections.delete(connection));
      // Connections break; what was on them has noticed, and there is nobody else to tell.
      connection.on("error", () => {});
      injector.injectConnection(connection);
    });
  }

  /** Listens, and gives the port. */
  async listen(host: string, port: number): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#listener.once("error", reject);
    this.#listener.listen({ host, port }, resolve);
    try {
      await promise;
    } catch (error) {
      throw listenError(error as NodeJS.ErrnoException, host, port);
    }
    this.#listener.off("error", reject);
    return (this.#listener.address() as net.AddressInfo).port;
  }

  /** Takes no more connections; resolves when those that there are have ended. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#listener.close(() => resolve()));
  }

  /** Ends the connections that are left. */
  destroy(): void {
    for (const connection of this.#connections) connection.destroy();
  }
}

function listenError(cause: NodeJS.ErrnoException, host: string, port: number): GreetError {
  const failed = (message: string, hint?: string) =>
    new GreetError("FAILED", message, { hint, cause });
  switch (cause.code) {
    case "EADDRINUSE":
      return failed(`port ${port} is already in use`, "choose another port, or 0 for a free one");
    case "EACCES":
      return failed(`port ${port} is reserved for privileged users`, "choose a port from 1024 up");
    case "EADDRNOTAVAIL":
    case "EINVAL":
      return failed(
        `${host} is not an address of this machine`,
        "127.0.0.1 is one, 0.0.0.0 is all",
      );
    case "ENOTFOUND":
      return failed(`the host ${host} is not known`);
    default:
      return failed(`cannot listen on ${formatEndpoint(host, port)}: ${cause.message}`);
  }
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
}

/**
 * Opens a channel; nothing is sent before the first call.
 *
 * Each channel has connections of its own and goes to its target directly,
 * whatever proxies the environment names.
 *
 * @param target whom to call
 * @param backOff for calls that wait for a connection. Without it, the channel
 *   closes itself when it cannot connect
 */
export function dial(target: Target, backOff?: BackOff): Channel {
  return new Channel(target, backOff);
}

/** A channel to one target. Disposing of it closes it and fails the calls on it. */
export class Channel implements Disposable {
  readonly #target: Target;
  readonly #tries: "once" | "again";
  readonly #client: grpc.Client;

  /** Use {@link dial}. */
  constructor(target: Target, backOff?: BackOff) {
    this.#target = target;
    this.#tries = backOff === undefined ? "once" : "again";
    const { firstMs, maxMs } = backOff ?? NO_BACK_OFF;
    this.#client = new grpc.Client(target.address, grpc.credentials.createInsecure(), {
      "grpc.initial_reconnect_backoff_ms": firstMs,
      "grpc.max_reconnect_backoff_ms": maxMs,
      // A pool shared with other channels would share their pauses between attempts, too.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_http_proxy": 0,
      // A silent connection is a good one; by default it is closed after 30 minutes.
      "grpc.client_idle_timeout_ms": 2 ** 31 - 1,
    });
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
  async call<C extends Calls, Name extends keyof C & string>(
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
      if (this.#tries === "once" && isUnconnected(failure)) this[Symbol.dispose]();
      throw await fromStatus(failure, this.#target, options.timeoutMs);
    }
  }

  #unary(
    method: ServiceDefinition[string],
    request: unknown,
    { timeoutMs, signal, wait }: CallOptions,
  ): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const call = this.#client.makeUnaryRequest(
      method.path,
      (value) => method.requestSerialize(value as object),
      method.responseDeserialize,
      request,
      new grpc.Metadata({ waitForReady: wait }),
      { deadline: Date.now() + timeoutMs },
      (error, response) => error === null ? resolve(response) : reject(error),
    );
    const cancel = () => call.cancel();
    signal?.addEventListener("abort", cancel, { once: true });
    return promise.finally(() => signal?.removeEventListener("abort", cancel));
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
  }
}

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
    const { reason, hint } = await whyUnavailable(cause, target);
    return new GreetError("UNAVAILABLE", at(reason), { hint, cause });
  }
  if (status === "DEADLINE_EXCEEDED" && details.startsWith("Deadline exceeded after")) {
    const what = /Waiting for (LB pick|name resolution)/.test(details) ? "connection" : "answer";
    return new GreetError(status, at(`no ${what} within ${timeoutMs / 1000} s`), { cause });
  }
  const code = status === "OK" ? "UNKNOWN" : status;
  return new GreetError(code, at(details || code), { cause });
}

/** Whether a call failed only because nobody listens there, or not yet. */
export function isNobodyThere({ cause }: GreetError): boolean {
  return /ECONNREFUSED|ENOENT/.test(
    (cause as Partial<grpc.ServiceError> | undefined)?.details ?? "",
  );
}

/** A broken connection has three faces; a cancellation of our own never gets here. */
function isDisconnect(code: grpc.status, details: string): boolean {
  return code === grpc.status.UNAVAILABLE || code === grpc.status.CANCELLED ||
    code === grpc.status.INTERNAL && /RST_STREAM/.test(details);
}

/** Whether there was nobody to send a call to. */
function isUnconnected({ details }: Partial<grpc.ServiceError>): boolean {
  return details?.startsWith("No connection established") ?? false;
}

interface Reason {
  reason: string;
  hint?: string;
}

const REASONS: readonly [RegExp, string][] = [
  [/ECONNREFUSED/, "connection refused"],
  [/Name resolution failed/, "host not found"],
  [/ENOENT/, "there is no such socket"],
  [/EACCES|EPERM/, "permission denied"],
  [/EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL/, "no route to host"],
  [/ETIMEDOUT/, "connection timed out"],
  [/RST_STREAM|Connection dropped|ECONNRESET|Cancelled/i, "connection lost"],
];

async function whyUnavailable(cause: grpc.ServiceError, target: Target): Promise<Reason> {
  const { details } = cause;
  const known = REASONS.find(([pattern]) => pattern.test(details));
  if (known !== undefined) return { reason: known[1] };
  if (!isUnconnected(cause)) return { reason: details || "UNAVAILABLE" };
  // Somebody accepts connections but does not speak our protocol.
  return target.endpoint !== undefined && await speaksTls(target.endpoint)
    ? {
      reason: "the other side speaks TLS, and this side does not",
      hint: "turn TLS off there",
    }
    : { reason: "the other side does not speak gRPC" };
}

/** How long a handshake may take that only serves to explain an error. */
const EXPLANATION_TIMEOUT_MS = 1000;

/** Whether there is TLS where our own protocol was not understood. */
async function speaksTls(endpoint: { host: string; port: number }): Promise<boolean> {
  const { connect } = await import("node:tls");
  const socket = connect({ ...endpoint, rejectUnauthorized: false, ALPNProtocols: ["h2"] });
  try {
    return await new Promise<boolean>((resolve) => {
      socket.setTimeout(EXPLANATION_TIMEOUT_MS, () => resolve(false));
      socket.once("secureConnect", () => resolve(true));
      // Only somebody who speaks TLS can be dissatisfied with a certificate.
      socket.once("error", ({ message }) => resolve(/alert|certificate/i.test(message)));
      socket.once("close", () => resolve(false));
    });
  } finally {
    socket.destroy();
  }
}
