/**
 * A network in memory, on which a test decides which of the frames in flight arrives next.
 *
 * Frames of one call keep their order, frames of different calls need not. Services run with the real
 * wrappers and codecs of `rpc/`; HTTP/2, TLS and sockets are left out. A connection that breaks takes
 * along what is in flight in both directions, and each side notices for itself.
 *
 * @module
 */
import { EventEmitter } from "node:events";
import { X509Certificate } from "node:crypto";
import { Buffer } from "node:buffer";
import * as grpc from "@grpc/grpc-js";
import { GreetError, STATUS_NAMES } from "../../src/base/errors.ts";
import { Pulse, within } from "../../src/base/timing.ts";
import { fingerprintOf } from "../../src/net/certificates.ts";
import type { Target } from "../../src/net/address.ts";
import type { Network } from "../../src/rpc/network.ts";
import type { Caller } from "../../src/rpc/admission.ts";
import { callError } from "../../src/rpc/call_errors.ts";
import type { CallOptions, Connection, DialOptions, StreamOptions } from "../../src/rpc/client.ts";
import { type InterceptedCall, passStream } from "../../src/rpc/grpc_internals.ts";
import type { ServeOptions, Server } from "../../src/rpc/server.ts";
import { InFlight, parts, type ServerState, toStatus } from "../../src/rpc/service.ts";
import { definitionOf } from "../../src/rpc/service_definition.ts";
import {
  type Calls,
  type ServiceType,
  type Streaming,
  type Unary,
} from "../../src/rpc/services.ts";

/** How long a server takes to notice that a connection has vanished, in milliseconds. */
const SILENCE_MS = 5_000;

/** Resolves when it is the turn of an event, such as the arrival of a frame. */
export type Schedule = (what: string) => Promise<void>;

/** What happens to new connections from one host to another. */
type Path = "open" | "refused" | "silent";

/** One computer with one peer. */
interface Host {
  readonly name: string;
  isDead: boolean;
}

/** The hosts of a network, and what connects them. */
export class VirtualNetwork {
  readonly #schedule: Schedule;
  readonly #servers = new Map<number, VirtualServer>();
  readonly #paths = new Map<string, Path>();
  /** Frames that wait for a cable to be plugged in again, by the hosts that it connects. */
  readonly #held = new Map<string, (() => void)[]>();
  /** The connections that stand. */
  readonly wires = new Set<Wire>();
  /** Dials that get no answer now. */
  readonly #waitingDials: (() => void)[] = [];
  #lastPort = 40_000;
  /** How many connections were tried. */
  dials = 0;

  constructor(schedule: Schedule) {
    this.#schedule = schedule;
  }

  /** A new host. All of them have the address 127.0.0.1, each its own ports. */
  host(name: string): Network & { die(): void } {
    const host: Host = { name, isDead: false };
    return {
      dial: (target, options) => new VirtualChannel(this, host, target, options),
      serve: (options) => Promise.resolve(this.#serve(host, options)),
      die: () => this.#die(host),
    };
  }

  #serve(host: Host, options: ServeOptions): Server {
    if (this.#servers.has(options.port)) throw new GreetError("FAILED", "the port is in use");
    const server = new VirtualServer(this, host, options);
    this.#servers.set(options.port, server);
    return server;
  }

  /** The server on a port, if one listens there. */
  serverAt(port: number): VirtualServer | undefined {
    return this.#servers.get(port);
  }

  /** A server listens no longer. */
  close(server: VirtualServer): void {
    if (this.#servers.get(server.port) === server) this.#servers.delete(server.port);
  }

  /** A port for a connection. */
  newPort(): number {
    return ++this.#lastPort;
  }

  /** What happens to new connections from one host to another. */
  path(from: string, to: string): Path {
    return this.#paths.get(`${from} ${to}`) ?? "open";
  }

  setPath(from: string, to: string, path: Path): void {
    this.#paths.set(`${from} ${to}`, path);
    if (path !== "silent") this.#release();
  }

  /** Pulls the cable between two hosts: frames wait. */
  unplug(one: string, other: string): void {
    const cable = cableOf(one, other);
    if (!this.#held.has(cable)) this.#held.set(cable, []);
  }

  /** Plugs it in again. */
  plug(one: string, other: string): void {
    this.#plug(cableOf(one, other));
  }

  #plug(cable: string): void {
    const frames = this.#held.get(cable) ?? [];
    this.#held.delete(cable);
    for (const frame of frames) frame();
  }

  /** Everything works again: cables, and new connections. */
  heal(): void {
    this.#paths.clear();
    this.#release();
    for (const cable of [...this.#held.keys()]) this.#plug(cable);
  }

  /** A connection cannot be made now, and is tried again when something has changed. */
  retryLater(dial: () => void): void {
    this.#waitingDials.push(dial);
  }

  #release(): void {
    for (const dial of this.#waitingDials.splice(0)) dial();
  }

  /** Breaks all connections between two hosts. */
  break(one: string, other: string): void {
    for (const wire of this.wires) if (wire.connects(one, other)) wire.break();
  }

  /** Does the same, but those that were dialled notice it only after some seconds of silence. */
  vanish(one: string, other: string): void {
    for (const wire of this.wires) if (wire.connects(one, other)) wire.break(SILENCE_MS);
  }

  /** The process on a host is killed. */
  #die(host: Host): void {
    host.isDead = true;
    for (const server of this.#servers.values()) if (server.host === host) this.close(server);
    for (const wire of this.wires) {
      if (wire.client === host || wire.server.host === host) wire.break();
    }
  }

  /** Runs an event when it is its turn, and the cable between two hosts is plugged in. */
  send(from: Host, to: Host, what: string, arrive: () => void): void {
    const run = () => {
      const held = this.#held.get(cableOf(from.name, to.name));
      if (held !== undefined) held.push(again);
      else arrive();
    };
    const again = () => void this.#schedule(`${from.name}→${to.name} ${what}`).then(run);
    again();
  }

  /** Runs an event of one host when it is its turn. */
  later(host: Host, what: string, run: () => void): void {
    void this.#schedule(`${host.name} ${what}`).then(run);
  }
}

function cableOf(one: string, other: string): string {
  return [one, other].sort().join(" ");
}

type Definition = ReturnType<typeof definitionOf>[string];

/** A channel: the side of a connection that has dialled it, and dials again for the next call. */
export class VirtualChannel implements Connection {
  readonly #network: VirtualNetwork;
  readonly #host: Host;
  readonly #target: Target;
  readonly #options: DialOptions;
  #state: "idle" | "connecting" | "open" | "closed" = "idle";
  #wire: Wire | undefined;
  /** Calls that wait for a connection. */
  readonly #waiting = new Set<ClientCall>();
  readonly #dropped = new Pulse();
  #fingerprint: string | undefined;

  constructor(network: VirtualNetwork, host: Host, target: Target, options: DialOptions) {
    this.#network = network;
    this.#host = host;
    this.#target = target;
    this.#options = options;
  }

  get fingerprint(): string | undefined {
    return this.#fingerprint;
  }

  async call<C extends Calls, Name extends Unary<C> & string>(
    type: ServiceType<C>,
    name: Name,
    request: C[Name]["request"],
    options: CallOptions,
  ): Promise<C[Name]["response"]> {
    const call = this.#open(type, name, options);
    call.request(request as object);
    for await (const answer of call.answers()) return answer as C[Name]["response"];
    throw new GreetError("INTERNAL", "there was no answer");
  }

  async *stream<C extends Calls, Name extends Streaming<C> & string>(
    type: ServiceType<C>,
    name: Name,
    request: C[Name]["streams"] extends "both" ? AsyncIterable<C[Name]["request"]>
      : C[Name]["request"],
    options: StreamOptions,
  ): AsyncGenerator<C[Name]["response"]> {
    const call = this.#open(type, name, options);
    const send = async () => {
      for await (const one of request as AsyncIterable<object>) call.request(one);
      call.endRequests();
    };
    if (definitionOf(type)[name].requestStream) void send();
    else call.request(request as object);
    yield* call.answers() as AsyncGenerator<C[Name]["response"]>;
  }

  /** Like a call, but the server's side of the connection answers by itself. */
  async ping({ timeoutMs, signal }: Pick<CallOptions, "timeoutMs" | "signal">): Promise<void> {
    signal?.throwIfAborted();
    const wire = this.#wire;
    if (this.#host.isDead || this.#state !== "open" || wire === undefined) throw this.#lost();
    const ping = new ClientPing();
    wire.outgoing.add(ping);
    wire.toServer("ping", () => {
      wire.session.emit("ping");
      wire.toClient("pong", () => ping.answered());
    });
    await ping.outcome({ timeoutMs, signal }).finally(() => wire.outgoing.delete(ping));
  }

  #open(type: ServiceType<Calls>, name: string, options: CallOptions): ClientCall {
    options.signal?.throwIfAborted();
    const call = new ClientCall(type, name, options);
    if (this.#host.isDead || this.#state === "closed") call.fail(this.#lost());
    else if (this.#state === "open") call.begin(this.#wire!);
    else {
      this.#waiting.add(call);
      this.#connect();
    }
    return call;
  }

  #connect(): void {
    if (this.#state !== "idle") return;
    this.#state = "connecting";
    this.#network.dials++;
    this.#tryConnect("dials");
  }

  #tryConnect(how: string): void {
    const { port } = this.#target.endpoint!;
    this.#network.later(this.#host, `${how} ${port}`, () => void this.#connected(port));
  }

  async #connected(port: number): Promise<void> {
    if (this.#state !== "connecting") return;
    if (this.#host.isDead) return this.#fail(this.#lost());
    const server = this.#network.serverAt(port);
    const path = server && this.#network.path(this.#host.name, server.host.name);
    if (path === "silent") return this.#network.retryLater(() => this.#tryConnect("redials"));
    if (server === undefined || path === "refused") {
      // By the time that the refusal is here, something may listen there.
      const error = await this.#refusal();
      return this.#network.later(this.#host, `is refused by ${port}`, () => {
        if (this.#state === "connecting") this.#state = "closed";
        this.#fail(error);
      });
    }
    const { own } = this.#options;
    if (own !== undefined && (this.#fingerprint ??= server.fingerprint) !== server.fingerprint) {
      this.#state = "closed";
      return this.#fail(new GreetError("UNAVAILABLE", "another peer answers there now"));
    }
    this.#state = "open";
    const certificate = own && { ...certificateOf(own.cert), subject: { CN: this.#host.name } };
    const wire = this.#wire = new Wire(this.#network, this.#host, this, server, certificate);
    for (const call of this.#waiting) call.begin(wire);
    this.#waiting.clear();
  }

  #fail(error: GreetError): void {
    for (const call of this.#waiting) call.fail(error);
    this.#waiting.clear();
  }

  /** The error of a port on which nothing listens. */
  #refusal(): Promise<GreetError> {
    const details = "No connection established. Last error: connect ECONNREFUSED";
    const metadata = new grpc.Metadata();
    const error = Object.assign(new Error(details), { code: 14, details, metadata });
    const failure = {
      error,
      method: "",
      wasConnected: false,
      contentType: undefined,
      isOverdue: false,
    };
    const protection = this.#options.own === undefined ? "plaintext" : "peer";
    return callError(failure, { target: this.#target, protection, shown: undefined }, 0);
  }

  #lost(): GreetError {
    return new GreetError("UNAVAILABLE", `${this.#target.address}: connection lost`);
  }

  /** No new call can be made on a connection. */
  leave(wire: Wire): void {
    if (wire !== this.#wire || this.#state !== "open") return;
    this.#state = "idle";
    this.#dropped.beat();
  }

  /** A connection is gone. */
  lose(wire: Wire): void {
    this.leave(wire);
    for (const call of [...wire.outgoing]) call.fail(this.#lost());
  }

  async dropped(): Promise<void> {
    if (this.#state === "open") await this.#dropped.next;
  }

  [Symbol.dispose](): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#fail(this.#lost());
    this.#dropped.beat();
    if (this.#wire === undefined) return;
    this.lose(this.#wire);
    this.#wire.hangUp();
  }
}

/** What the server learns from the handshake about the caller. */
interface Certificate {
  readonly raw: Buffer;
  readonly fingerprint: string;
  readonly subject: { readonly CN: string };
}

/** One TCP connection. */
class Wire {
  readonly network: VirtualNetwork;
  readonly client: Host;
  readonly server: VirtualServer;
  readonly certificate: Certificate | undefined;
  /** The address of the client. */
  readonly from: string;
  readonly #channel: VirtualChannel;
  /** Its calls, on both sides. */
  readonly outgoing = new Set<{ fail(error: unknown): void }>();
  readonly incoming = new Set<ServerCall>();
  #isWhole = true;
  /** How many frames are on their way to the client. */
  #inFlight = 0;
  readonly #flushed = new Pulse();
  /** The server's side of the HTTP/2 connection. */
  readonly session: EventEmitter;

  constructor(
    network: VirtualNetwork,
    client: Host,
    channel: VirtualChannel,
    server: VirtualServer,
    certificate: Certificate | undefined,
  ) {
    this.network = network;
    this.client = client;
    this.#channel = channel;
    this.server = server;
    this.certificate = certificate;
    this.from = `127.0.0.1:${network.newPort()}`;
    const socket = { getPeerCertificate: () => certificate };
    this.session = Object.assign(new EventEmitter(), { socket });
    network.wires.add(this);
  }

  connects(one: string, other: string): boolean {
    const ends = [this.client.name, this.server.host.name];
    return ends.includes(one) && ends.includes(other);
  }

  /** Frames to the server; those of a broken connection are lost. */
  toServer(what: string, arrive: () => void): void {
    this.network.send(this.client, this.server.host, `${what} [${this.from}]`, () => {
      if (this.#isWhole) arrive();
    });
  }

  toClient(what: string, arrive: () => void): void {
    this.#inFlight++;
    this.network.send(this.server.host, this.client, `${what} [${this.from}]`, () => {
      this.#inFlight--;
      if (this.#isWhole) arrive();
      this.#flushed.beat();
    });
  }

  /** Breaks it. Each side notices when it is its turn, the server not before some time has passed. */
  break(silenceMs?: number): void {
    if (!this.#cut()) return;
    const what = `notices the end of [${this.from}]`;
    this.network.later(this.client, what, () => this.#channel.lose(this));
    const notice = () => this.network.later(this.server.host, what, () => this.#cancelAll());
    if (silenceMs === undefined) notice();
    else setTimeout(notice, silenceMs);
  }

  #cut(): boolean {
    const wasWhole = this.#isWhole;
    this.#isWhole = false;
    this.network.wires.delete(this);
    return wasWhole;
  }

  #cancelAll(): void {
    for (const call of [...this.incoming]) call.cancel();
  }

  /** The client closes it. */
  hangUp(): void {
    this.toServer("hangs up", () => {
      this.#cut();
      this.#cancelAll();
    });
  }

  /** The server takes no more calls on it. */
  goAway(): void {
    this.toClient("goes away", () => this.#channel.leave(this));
  }

  /** The server closes it, when its last answers have left. */
  async closeByServer(): Promise<void> {
    this.#cancelAll();
    while (this.#inFlight > 0) await this.#flushed.next;
    this.toClient("hangs up", () => {
      this.#cut();
      this.#channel.lose(this);
    });
  }
}

const certificates = new Map<Uint8Array, { raw: Buffer; fingerprint: string }>();

function certificateOf(pem: Uint8Array) {
  const known = certificates.get(pem);
  if (known !== undefined) return known;
  const certificate = new X509Certificate(Buffer.from(pem));
  const parsed = { raw: certificate.raw, fingerprint: fingerprintOf(certificate) };
  certificates.set(pem, parsed);
  return parsed;
}

/** Sends a frame, which does something when it arrives. */
type Send = (what: string, arrive: () => void) => void;

/** Frames of one call in one direction, which arrive in order. */
class Pipe {
  readonly #frames: (() => void)[] = [];
  readonly #send: Send;

  constructor(send: Send) {
    this.#send = send;
  }

  push(what: string, arrive: () => void): void {
    this.#frames.push(arrive);
    this.#send(what, () => this.#frames.shift()!());
  }
}

/** Whether a call has ended, and how. */
type Outcome = "open" | "ended" | { error: unknown };

/** A call, from the side of the caller. */
class ClientCall {
  readonly #name: string;
  readonly #type: ServiceType<Calls>;
  readonly #options: CallOptions;
  readonly #definition: Definition;
  /** Requests that wait for a connection. */
  readonly #requests: (Uint8Array | "end")[] = [];
  readonly #answers: object[] = [];
  readonly #changed = new Pulse();
  #outcome: Outcome = "open";
  #wire: Wire | undefined;
  #pipe: Pipe | undefined;
  #call: ServerCall | undefined;

  constructor(type: ServiceType<Calls>, name: string, options: CallOptions) {
    this.#name = name;
    this.#type = type;
    this.#options = options;
    this.#definition = definitionOf(type)[name];
  }

  /** Its connection is there. */
  begin(wire: Wire): void {
    if (this.#outcome !== "open") return;
    this.#wire = wire;
    wire.outgoing.add(this);
    const pipe = this.#pipe = new Pipe((what, arrive) =>
      wire.toServer(`${this.#name} ${what}`, arrive)
    );
    const { headers = {} } = this.#options;
    const call = this.#call = new ServerCall(this, wire, this.#type, this.#name, headers);
    pipe.push("begins", () => call.begin());
    for (const request of this.#requests.splice(0)) this.#send(request);
  }

  request(request: object): void {
    this.#send(this.#definition.requestSerialize(request));
  }

  endRequests(): void {
    this.#send("end");
  }

  #send(request: Uint8Array | "end"): void {
    const call = this.#call;
    if (call === undefined) this.#requests.push(request);
    else if (request === "end") this.#pipe!.push("has no more requests", () => call.endRequests());
    else this.#pipe!.push("request", () => call.receive(request));
  }

  /** An answer has arrived. */
  answer(bytes: Uint8Array): void {
    this.#answers.push(this.#definition.responseDeserialize(Buffer.from(bytes)));
    this.#changed.beat();
  }

  /** The status has arrived. */
  end({ code, details }: Status): void {
    if (code === 0) return this.#finish("ended");
    const name = STATUS_NAMES[code] as GreetError["code"];
    this.fail(new GreetError(name, `${this.#wire!.server.port}: ${details}`));
  }

  fail(error: unknown): void {
    this.#finish({ error });
  }

  #finish(outcome: Outcome): void {
    if (this.#outcome !== "open") return;
    this.#outcome = outcome;
    this.#wire?.outgoing.delete(this);
    this.#changed.beat();
  }

  async *answers(): AsyncGenerator<object> {
    const { signal, timeoutMs, connectMs = timeoutMs } = this.#options;
    const abort = () => this.fail(signal!.reason);
    signal?.addEventListener("abort", abort);
    const late = () => new GreetError("DEADLINE_EXCEEDED", `no answer within ${timeoutMs} ms`);
    const timer = setTimeout(() => this.fail(late()), timeoutMs);
    const connecting = setTimeout(() => {
      if (this.#wire === undefined) this.fail(late());
    }, connectMs);
    try {
      for (;;) {
        const changed = this.#changed.next;
        const answer = this.#answers.shift();
        if (answer !== undefined) {
          clearTimeout(timer);
          yield answer;
        } else if (this.#outcome === "ended") return;
        else if (this.#outcome !== "open") throw this.#outcome.error;
        else await changed;
      }
    } finally {
      clearTimeout(timer);
      clearTimeout(connecting);
      signal?.removeEventListener("abort", abort);
      this.#finish("ended");
      const call = this.#call;
      if (call !== undefined && !call.isOver) this.#pipe?.push("cancels", () => call.cancel());
    }
  }
}

/** A ping, from the side that sends it. */
class ClientPing {
  readonly #answer = Promise.withResolvers<void>();

  answered(): void {
    this.#answer.resolve();
  }

  fail(error: unknown): void {
    this.#answer.reject(error);
  }

  async outcome({ timeoutMs, signal }: Pick<CallOptions, "timeoutMs" | "signal">): Promise<void> {
    const late = () => new GreetError("DEADLINE_EXCEEDED", `no answer within ${timeoutMs} ms`);
    const timer = setTimeout(() => this.fail(late()), timeoutMs);
    const abort = () => this.fail(signal!.reason);
    signal?.addEventListener("abort", abort);
    try {
      await this.#answer.promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }
}

interface Status {
  readonly code: number;
  readonly details: string;
}

/** A call as the wrappers of `rpc/service.ts` get it from gRPC. */
class ServerCall extends EventEmitter {
  readonly metadata = new grpc.Metadata();
  cancelled = false;
  isOver = false;
  request: object | undefined;
  readonly #client: ClientCall;
  readonly #wire: Wire;
  readonly #service: string;
  readonly #definition: Definition;
  readonly #name: string;
  readonly #pipe: Pipe;
  readonly #requests: (object | "end")[] = [];
  readonly #changed = new Pulse();
  #isAdmitted = false;

  constructor(
    client: ClientCall,
    wire: Wire,
    type: ServiceType<Calls>,
    name: string,
    headers: Readonly<Record<string, string>>,
  ) {
    super();
    this.#client = client;
    this.#wire = wire;
    this.#service = type.name;
    this.#definition = definitionOf(type)[name];
    this.#name = name;
    this.#pipe = new Pipe((what, arrive) => wire.toClient(`${name} ${what}`, arrive));
    for (const [key, value] of Object.entries(headers)) this.metadata.set(key, value);
    const call = { stream: { session: wire.session } };
    passStream(call as unknown as InterceptedCall, this.metadata);
    this.on("error", (status) => this.#finish(status));
  }

  getPeer(): string {
    return this.#wire.from;
  }

  /** Its headers have arrived. */
  begin(): void {
    const { server, certificate } = this.#wire;
    this.#wire.incoming.add(this);
    if (server.isClosed) return this.#finish({ code: 14, details: "Server shutdown" });
    const caller = certificate &&
      { fingerprint: certificate.fingerprint, certifiedName: certificate.subject.CN };
    const refuse = (error: unknown) => this.#finish(toStatus(error, server.onFault));
    server.admit(this.#name, caller).then(() => {
      this.#isAdmitted = true;
      if (this.#definition.requestStream || this.#requests.length > 0) this.#run();
    }, refuse);
  }

  /** A request has arrived. */
  receive(bytes: Uint8Array): void {
    this.#requests.push(this.#definition.requestDeserialize(Buffer.from(bytes)));
    this.#changed.beat();
    if (this.#isAdmitted && !this.#definition.requestStream) this.#run();
  }

  endRequests(): void {
    this.#requests.push("end");
    this.#changed.beat();
  }

  #run(): void {
    if (this.isOver) return;
    type Answer = (error: Status | null, bytes?: Uint8Array) => void;
    const run = this.#wire.server.implementation(this.#service)[this.#name] as unknown as (
      call: ServerCall,
      answer?: Answer,
    ) => void;
    if (!this.#definition.requestStream) this.request = this.#requests[0] as object;
    if (this.#definition.responseStream) return run(this);
    run(this, (error, bytes) => this.#finish(error ?? { code: 0, details: "" }, bytes));
  }

  write(bytes: Uint8Array): void {
    if (!this.isOver) this.#pipe.push("answer", () => this.#client.answer(bytes));
  }

  end(): void {
    this.#finish({ code: 0, details: "" });
    this.emit("finish");
  }

  #finish(status: Status, lastAnswer?: Uint8Array): void {
    if (this.isOver) return;
    this.#over();
    this.#pipe.push(status.code === 0 ? "ends" : `ends with ${status.details}`, () => {
      if (lastAnswer !== undefined) this.#client.answer(lastAnswer);
      this.#client.end(status);
    });
  }

  #over(): void {
    this.isOver = true;
    this.#wire.incoming.delete(this);
  }

  /** The caller has cancelled, or is gone. */
  cancel(): void {
    if (this.isOver) return;
    this.cancelled = true;
    this.#over();
    this.#changed.beat();
    this.emit("cancelled");
  }

  /** The requests; their end does not end the stream, as `destroyOnReturn` of Node's would. */
  async *iterator(): AsyncGenerator<object> {
    for (;;) {
      const changed = this.#changed.next;
      const request = this.#requests.shift();
      if (request === "end") return;
      if (request !== undefined) yield request;
      else if (this.cancelled) throw new Error("the call was cancelled");
      else await changed;
    }
  }
}

/** A server in memory. */
class VirtualServer implements Server {
  readonly network: VirtualNetwork;
  readonly host: Host;
  readonly port: number;
  readonly fingerprint: string | undefined;
  readonly #options: ServeOptions;
  readonly #stopping = new AbortController();
  readonly #state: ServerState;
  #stopped: Promise<void> | undefined;
  /** Whether it has begun to stop. */
  isClosed = false;

  constructor(network: VirtualNetwork, host: Host, options: ServeOptions) {
    this.network = network;
    this.host = host;
    this.port = options.port;
    this.#options = options;
    const own = options.tls !== undefined && "own" in options.tls ? options.tls.own : undefined;
    this.fingerprint = own && certificateOf(own.cert).fingerprint;
    this.#state = {
      streams: new Set(),
      inFlight: new InFlight(),
      stopping: this.#stopping.signal,
      onFault: (error) => this.onFault(error),
      connection: () => undefined,
      taken: () => {},
    };
  }

  get onFault(): (error: unknown) => void {
    return this.#options.onFault ?? ((error) => console.error(error));
  }

  admit(name: string, caller: Caller | undefined): Promise<void> {
    return this.#options.admit?.(name, caller) ?? Promise.resolve();
  }

  implementation(service: string): grpc.UntypedServiceImplementation {
    const found = this.#options.services.find(({ name }) => name === service)!;
    return found[parts].implementation(this.#state);
  }

  stop(graceMs = 5_000): Promise<void> {
    return this.#stopped ??= this.#shutDown(graceMs);
  }

  async #shutDown(graceMs: number): Promise<void> {
    this.#stopping.abort();
    this.isClosed = true;
    this.network.close(this);
    const wires = [...this.network.wires].filter(({ server }) => server === this);
    for (const stream of this.#state.streams) {
      stream.emit("error", { code: 14, details: "the server is stopping" });
    }
    for (const wire of wires) wire.goAway();
    await within(graceMs, this.#state.inFlight.none());
    for (const wire of wires) void wire.closeByServer();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
