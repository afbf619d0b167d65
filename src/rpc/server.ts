/**
 * The half of gRPC that answers.
 *
 * {@link serve} listens and offers services, which {@link implement} makes of one function for
 * each of their calls; {@link health} and {@link reflection} are the ones that every server should
 * have. What a function throws reaches the caller as one of gRPC's statuses, decided in one place.
 *
 * @module
 */
import {
  definitionOf,
  type Keepalive,
  keepaliveOptions,
  parseProto,
  type ServiceDefinition,
} from "./service_definition.ts";
import * as grpc from "@grpc/grpc-js";
import reflectionProto from "@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto" with {
  type: "text",
};
import type { SendBacklog } from "../http2/send_backlog.ts";
import { GreetError, STATUS_NAMES } from "../base/errors.ts";
import { HeaderLimits } from "../http2/header_limits.ts";
import { Listener } from "../net/listener.ts";
import {
  admission,
  type AdmissionOptions,
  callerOf,
  type Http2Stream,
  streamOf,
} from "./admission.ts";
import { Arrivals } from "./arrivals.ts";
import { type PeerTls, type ServerTls, TlsHandshaker } from "../net/server_tls.ts";
import { aborted, within } from "../base/timing.ts";
import { type Calls, HEALTH, type ServiceType, type Streaming, type Unary } from "./services.ts";

/** A call that came in. */
export interface IncomingCall {
  /** The caller's address, such as `127.0.0.1:41234`. */
  readonly from: string;
  /** Among peers that speak TLS, the fingerprint of the caller's key. */
  readonly fingerprint: string | undefined;
  /** Aborted when the caller gives up, goes away or runs out of time. */
  readonly signal: AbortSignal;
  /** What the caller said besides the request, if it said that. */
  header(name: string): string | undefined;
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
  readonly connection: (from: string) => SendBacklog | undefined;
}

const parts = Symbol("parts");

/** Something for a server to offer; made by {@link implement}, {@link health} or {@link reflection}. */
export interface Service {
  /** Its full name, such as `greet.v1.Greeter`. */
  readonly name: string;
  /** Of no interest outside this module. */
  readonly [parts]: {
    readonly proto: string;
    readonly definition: ServiceDefinition;
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
      proto: type.proto,
      definition,
      implementation: (running) =>
        Object.fromEntries(
          Object.entries(handlers).map(([name, handler]) => [
            name,
            definition[name].responseStream
              ? streamMethod(handler as StreamHandler, definition[name], running)
              : unaryMethod(handler as UnaryHandler, definition[name], running),
          ]),
        ),
    },
  };
}

type UnaryHandler = (request: unknown, call: IncomingCall) => unknown;

function unaryMethod(
  handler: UnaryHandler,
  { responseSerialize }: ServiceDefinition[string],
  running: Running,
): grpc.handleUnaryCall<unknown, Uint8Array> {
  const { answering, onFault } = running;
  const answered = async (call: grpc.ServerUnaryCall<unknown, unknown>) => {
    const signal = cancellation(call);
    const outlet = new Outlet(call, running, signal);
    // Waiting even for nothing would let all calls that arrive together find room.
    const room = outlet.turn();
    if (room !== undefined) {
      await room;
      if (signal().aborted) throw new GreetError("CANCELLED", "the caller has given up");
    }
    const response = handler(call.request, incoming(call, signal));
    const bytes = responseSerialize(
      (response instanceof Promise ? await response : response) as object,
    );
    outlet.owe(bytes);
    return bytes;
  };
  return (call, answer) => {
    const done = answered(call)
      .then((bytes) => answer(null, bytes), (error) => answer(toStatus(error, onFault)))
      .finally(() => answering.delete(done));
    answering.add(done);
  };
}

type StreamHandler = (request: unknown, call: IncomingCall) => AsyncIterable<unknown>;

function streamMethod(
  handler: StreamHandler,
  { responseSerialize }: ServiceDefinition[string],
  running: Running,
): grpc.handleServerStreamingCall<unknown, Uint8Array> {
  return (stream) => {
    const signal = keepOpen(stream, running);
    const outlet = new Outlet(stream, running, () => signal);
    const pour = async () => {
      try {
        for await (const answer of handler(stream.request, incoming(stream, () => signal))) {
          await outlet.room();
          if (signal.aborted) return;
          const bytes = responseSerialize(answer as object);
          outlet.owe(bytes);
          stream.write(bytes);
        }
        stream.end();
      } catch (error) {
        if (!signal.aborted) stream.emit("error", toStatus(error, running.onFault));
      }
    };
    void pour();
  };
}

/** Where the answers of one call go: into what waits on its connection, or out of the process. */
class Outlet {
  readonly #connection: SendBacklog | undefined;
  readonly #signal: () => AbortSignal;
  readonly #stream: Http2Stream | undefined;
  #isOwing = false;

  constructor(
    call: { getPeer(): string; readonly metadata: grpc.Metadata },
    running: Running,
    signal: () => AbortSignal,
  ) {
    this.#connection = running.connection(call.getPeer());
    this.#signal = signal;
    this.#stream = streamOf(call.metadata);
  }

  /** Nothing where an answer can be made now; otherwise resolves when it can, or the call is over. */
  room(): Promise<void> | undefined {
    return this.#connection?.waitForCapacity(this.#signal);
  }

  /**
   * Like {@link Outlet.room}, unless too many answers wait already.
   *
   * @throws {GreetError} `RESOURCE_EXHAUSTED` where they do
   */
  turn(): Promise<void> | undefined {
    const waiting = this.#connection?.waitingAnswers ?? 0;
    if (waiting < MAX_WAITING) return this.room();
    const message = `${waiting} answers on this connection are waiting to be read`;
    throw new GreetError("RESOURCE_EXHAUSTED", message);
  }

  /** Counts an answer that is going to be written at once. */
  owe(answer: Uint8Array): void {
    const [connection, stream] = [this.#connection, this.#stream];
    const id = stream?.id;
    if (connection === undefined || id === undefined || stream!.closed) return;
    if (!this.#isOwing) stream!.once("close", () => connection.drop(id));
    this.#isOwing = true;
    connection.add(id, PREFIX_BYTES + answer.length);
  }
}

/** How many calls with a single answer may wait on one connection for earlier answers to be read. */
const MAX_WAITING = 100;

/** What gRPC puts before each message. Source: grpc/grpc `doc/PROTOCOL-HTTP2.md`. */
const PREFIX_BYTES = 5;

/** A call as handlers get to know it; what few of them ask for is found out when they do. */
function incoming(
  call: { getPeer(): string; readonly metadata: grpc.Metadata },
  signal: () => AbortSignal,
): IncomingCall {
  return {
    from: call.getPeer(),
    get fingerprint() {
      return callerOf(call.metadata)?.fingerprint;
    },
    get signal() {
      return signal();
    },
    header: (name) => call.metadata.get(name)[0]?.toString(),
  };
}

/** A signal that is aborted when a call is cancelled, made when it is first asked for. */
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
  return implement(HEALTH, {
    Check({ service }) {
      if (known.has(service)) return serving;
      throw new GreetError("NOT_FOUND", "there is no such service here");
    },
    async *Watch({ service }, { signal }) {
      yield known.has(service) ? serving : { status: "SERVICE_UNKNOWN" as const };
      await aborted(signal);
    },
  });
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
  const { fromJSON } = await import("@grpc/proto-loader");
  const versions = ["v1", "v1alpha"].map((version) => {
    const name = `grpc.reflection.${version}.ServerReflection`;
    const proto = reflectionProto.replaceAll("grpc.reflection.v1", `grpc.reflection.${version}`);
    return { name, proto, definition: definitionOf({ name, proto }) };
  });
  const protos = [
    ...services.map((service) => service[parts].proto),
    ...versions.map((one) => one.proto),
  ];
  const described = new ReflectionV1Implementation(
    Object.assign({}, ...protos.map((proto) => fromJSON(parseProto(proto).toJSON()))),
  );
  return versions.map(({ name, ...description }) => {
    const { responseSerialize } = description.definition.ServerReflectionInfo;
    const answerTo = (request: ReflectionRequest) =>
      responseSerialize(described.handleServerReflectionRequest(request));
    const implementation = (running: Running) => ({
      ServerReflectionInfo: (stream: ReflectionStream) => answerEach(stream, answerTo, running),
    });
    return { name, [parts]: { ...description, implementation } };
  });
}

type ReflectionRequest = Parameters<
  InstanceType<
    typeof import("@grpc/reflection/build/src/implementations/reflection-v1.js")[
      "ReflectionV1Implementation"
    ]
  >["handleServerReflectionRequest"]
>[0];

type ReflectionStream = grpc.ServerDuplexStream<ReflectionRequest, Uint8Array>;

/** Answers one request at a time: none is read while the answer to the one before has to wait. */
function answerEach(
  stream: ReflectionStream,
  answerTo: (request: ReflectionRequest) => Uint8Array,
  running: Running,
): void {
  const signal = keepOpen(stream, running);
  const outlet = new Outlet(stream, running, () => signal);
  stream.on("data", async (request) => {
    stream.pause();
    await outlet.room();
    if (signal.aborted) return;
    try {
      const answer = answerTo(request);
      outlet.owe(answer);
      stream.write(answer);
      stream.resume();
    } catch (error) {
      stream.emit("error", toStatus(error, running.onFault));
    }
  });
  stream.on("end", () => stream.end());
}

/** @returns aborted when the stream is over */
function keepOpen(stream: OpenStream, { streams }: Running): AbortSignal {
  const over = new AbortController();
  streams.add(stream);
  const forget = () => {
    streams.delete(stream);
    over.abort();
  };
  // A throw out of a stream's listener would end the process; all of these end the stream.
  stream.on("cancelled", forget).on("error", forget).on("close", forget).on("finish", forget);
  return over.signal;
}

/** How to serve. */
export interface ServeOptions {
  /** The address to listen on. */
  host: string;
  /** The port to listen on, 0 for a free one. */
  port: number;
  /** What to offer. */
  services: readonly Service[];
  /**
   * Gets what a handler threw by mistake; the caller sees only `INTERNAL`. And a {@link GreetError}
   * where a certificate has changed and cannot be shown.
   */
  onFault?: (error: unknown) => void;
  /** Asks silent connections whether they are still there, and closes those that do not answer. */
  keepalive?: Keepalive;
  /** Speaks TLS, and nothing else. */
  tls?: ServerTls | PeerTls;
  /**
   * Gets who could not be understood, because one side speaks TLS or not as it should be; and what
   * keeps the server from accepting connections.
   */
  onRefused?: (error: GreetError) => void;
  /** Refuses calls before any of their requests is read (default: none is refused). */
  admit?: AdmissionOptions["admit"];
  /** How large a request may be, in bytes (default 4 MiB). Compressed ones are refused. */
  maxRequestBytes?: number;
  /** How long a request may take to arrive, in milliseconds (default 30,000). */
  maxRequestMs?: number;
  /** How many connections may be open at the same time (default 10,000). */
  maxConnections?: number;
  /** How many calls may be open at the same time on one connection (default 1000). */
  maxCalls?: number;
  /** How many calls may be open on all connections; fewer if their headers are large (default 10,000). */
  maxOpenCalls?: number;
  /** Shares its port with others that do; Linux shares the connections out among them. */
  sharesPort?: boolean;
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
 * @throws {GreetError} `FAILED` where the port, the host or the certificate cannot be had
 */
export async function serve(options: ServeOptions): Promise<Server> {
  const { host, services, onFault = (error) => console.error(error) } = options;
  const { tls, onRefused = () => {}, maxRequestBytes, maxCalls = 1_000, sharesPort } = options;
  const { maxConnections, maxRequestMs = 30_000, maxOpenCalls = 10_000 } = options;
  const toCaller = (error: unknown) => toStatus(error, onFault);
  const server = new grpc.Server({
    ...keepaliveOptions(options.keepalive),
    "grpc.max_concurrent_streams": maxCalls,
    interceptors: [
      new Arrivals(maxRequestMs).intercept,
      admission({ admit: options.admit, toStatus: toCaller }),
    ],
    ...maxRequestBytes === undefined ? {} : { "grpc.max_receive_message_length": maxRequestBytes },
  });
  const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure());
  const limits = new HeaderLimits({ side: "server", maxOpenCalls });
  const listener = new Listener({
    onConnection(socket) {
      if (limits.limit(socket)) injector.injectConnection(socket);
    },
    secure: tls &&
      ((onSecure) => new TlsHandshaker(tls, { onSecure, onRefused, onReloadError: onFault })),
    onTls: () => onRefused(unwantedTls()),
    onOverload: onRefused,
    maxConnections,
    sharesPort,
  });
  const running: Running = {
    streams: new Set(),
    answering: new Set(),
    onFault,
    connection: (from) => listener.connection(from),
  };
  for (const service of services) {
    const { definition, implementation } = service[parts];
    server.addService(encoded(definition), implementation(running));
  }
  const port = await listener.listen(host, options.port);
  let stopped: Promise<void> | undefined;
  const stop = (graceMs = 5000) => stopped ??= shutDown(server, listener, running, graceMs);
  return { port, stop, [Symbol.asyncDispose]: () => stop() };
}

/** A service whose answers are bytes by the time gRPC gets them: their size had to be known. */
function encoded(definition: ServiceDefinition): grpc.ServiceDefinition {
  return Object.fromEntries(
    Object.entries(definition).map(([name, call]) => [
      name,
      { ...call, responseSerialize: (bytes: Buffer) => bytes },
    ]),
  );
}

/** Somebody speaks TLS where nobody else does. */
function unwantedTls(): GreetError {
  return new GreetError("UNAUTHENTICATED", "a caller speaks TLS, and this side does not", {
    hint: "turn it on here: --tls for a chat, --cert and --key for a server",
  });
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
