/**
 * Serves gRPC: listens, offers services, and shuts down.
 *
 * Services are made in `service.ts`; connections, TLS and their bounds belong to `net/`.
 *
 * @module
 */
import { commonOptions, type Keepalive, type ServiceDefinition } from "./service_definition.ts";
import * as grpc from "@grpc/grpc-js";
import { GreetError } from "../base/errors.ts";
import { pause, within } from "../base/timing.ts";
import { HeaderLimits } from "../http2/header_limits.ts";
import { repairServer } from "../http2/server_repairs.ts";
import { Listener } from "../net/listener.ts";
import { type PeerTls, type ServerTls, TlsHandshaker } from "../net/server_tls.ts";
import { admission, type AdmissionOptions } from "./admission.ts";
import { Arrivals } from "./arrivals.ts";
import { onHttp2Server } from "./grpc_internals.ts";
import { checkRequest } from "./request_headers.ts";
import { InFlight, parts, type ServerState, type Service, toStatus } from "./service.ts";

/** How to serve. */
export interface ServeOptions {
  /** The address to listen on. */
  host: string;
  /** The port to listen on; 0 for a free one. */
  port: number;
  /** The services to offer. */
  services: readonly Service[];
  /**
   * Gets unexpected errors of handlers, of which callers see only `INTERNAL`, and a
   * {@link GreetError} if a changed certificate cannot be used.
   */
  onFault?: (error: unknown) => void;
  /** Pings silent connections, and closes those that do not answer. */
  keepalive?: Keepalive;
  /** Accepts only TLS connections. */
  tls?: ServerTls | PeerTls;
  /**
   * Gets connections that failed because only one side uses TLS or a handshake went wrong, and
   * reasons why the server cannot accept connections.
   */
  onRefused?: (error: GreetError) => void;
  /** Refuses calls before any of their requests is read (default: admits all). */
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
  /** Shares the port with other listeners; on Linux, connections are balanced among them. */
  sharesPort?: boolean;
}

/** A running server. Disposing of it stops it. */
export interface Server extends AsyncDisposable {
  /** The port it listens on. */
  readonly port: number;
  /**
   * Stops: accepts no new calls, lets those in flight finish, then closes all connections.
   * Repeated calls wait for the first.
   *
   * @param graceMs how many milliseconds calls in flight may still take (default 5000)
   */
  stop(graceMs?: number): Promise<void>;
}

/**
 * Listens, and answers calls.
 *
 * @returns the server, once it is listening
 * @throws {GreetError} `FAILED` if the host, the port or the certificate cannot be used
 */
export async function serve(options: ServeOptions): Promise<Server> {
  const { onFault = (error) => console.error(error), maxRequestMs = 30_000 } = options;
  const arrivals = new Arrivals(maxRequestMs);
  const server = grpcServer(options, arrivals, onFault);
  const limits = new HeaderLimits({ side: "server", maxOpenCalls: options.maxOpenCalls ?? 10_000 });
  const listener = listenerFor(server, limits, options, onFault);
  const stopping = new AbortController();
  const state: ServerState = {
    streams: new Set(),
    stopping: stopping.signal,
    inFlight: new InFlight(),
    onFault,
    connection: (from) => listener.connection(from),
    taken: (from, stream) => {
      const connection = listener.connection(from);
      if (connection !== undefined) limits.take(connection.socket, stream);
    },
  };
  for (const service of options.services) {
    const { definition, implementation } = service[parts];
    server.addService(withSerializedAnswers(definition), implementation(state));
  }
  const port = await listener.listen(options.host, options.port);
  let stopped: Promise<void> | undefined;
  const stop = (graceMs = 5000) => {
    stopping.abort();
    return stopped ??= shutDown(server, listener, state, graceMs).finally(() => arrivals.stop());
  };
  return { port, stop, [Symbol.asyncDispose]: () => stop() };
}

function grpcServer(
  { keepalive, admit, maxRequestBytes, maxCalls = 1_000 }: ServeOptions,
  arrivals: Arrivals,
  onFault: (error: unknown) => void,
): grpc.Server {
  return new grpc.Server({
    ...commonOptions(keepalive),
    "grpc.max_concurrent_streams": maxCalls,
    interceptors: [
      arrivals.intercept,
      admission({ admit, toStatus: (error) => toStatus(error, onFault) }),
    ],
    ...maxRequestBytes === undefined ? {} : { "grpc.max_receive_message_length": maxRequestBytes },
  });
}

/** A listener of our own: grpc-js's cannot shut down while a silent connection is open. */
function listenerFor(
  server: grpc.Server,
  limits: HeaderLimits,
  options: ServeOptions,
  onFault: (error: unknown) => void,
): Listener {
  const { tls, onRefused = () => {}, maxConnections, sharesPort } = options;
  onHttp2Server(server, (http2) => repairServer(http2, checkRequest));
  const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure());
  return new Listener({
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
}

/** Handlers serialize their answers themselves, because backpressure counts the bytes. */
function withSerializedAnswers(definition: ServiceDefinition): grpc.ServiceDefinition {
  return Object.fromEntries(
    Object.entries(definition).map(([name, call]) => [
      name,
      { ...call, responseSerialize: (bytes: Buffer) => bytes },
    ]),
  );
}

function unwantedTls(): GreetError {
  return new GreetError("UNAUTHENTICATED", "a caller speaks TLS, and this side does not", {
    hint: "turn it on here: --tls for a chat, --cert and --key for a server",
  });
}

/** How long the last answers may take to leave, and connections to close, after the last call. */
const LAST_ANSWERS_MS = 500;

async function shutDown(
  server: grpc.Server,
  listener: Listener,
  { streams, inFlight }: ServerState,
  graceMs: number,
): Promise<void> {
  const closed = listener.close();
  // Handlers may send a last answer when they see that the server stops.
  await pause(0);
  for (const stream of streams) {
    stream.emit("error", { code: grpc.status.UNAVAILABLE, details: "the server is stopping" });
  }
  // Its callback is no use: it may come too early, and never comes if a caller is suspended.
  server.tryShutdown(() => {});
  await within(graceMs, inFlight.none());
  await within(LAST_ANSWERS_MS, closed);
  server.forceShutdown();
  listener.destroy();
  await closed;
}
