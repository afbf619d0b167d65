/**
 * The ways in which a client can vanish from a server, one function for each. Most send HTTP/2 frame by
 * frame, because a library would close connections properly. Each resolves when its client is gone, and
 * rejects if the server did not connect, answer, or hang up when it should.
 *
 * @module
 */
import { once } from "node:events";
import net from "node:net";
import tls from "node:tls";
import type { Identity } from "../../mod.ts";
import { GreeterClient } from "../../src/greeter/client.ts";
import type { Immortal } from "../../tests/support/bot.ts";
import { Program, run } from "../../tests/support/program.ts";
import { randomNumbers } from "../../tests/support/random.ts";
import { inTime } from "../../tests/support/waiting.ts";
import { pause } from "../../src/base/timing.ts";
import { parseTarget } from "../../src/net/address.ts";
import { Request } from "../h2load.ts";

/** How long a server may take to hang up: 10 s, and more when it is busy. */
const HANG_UP_MS = 30_000;

/** The number of concurrent calls. */
const CALLS = 10;

/** How long a process is suspended. */
const SUSPENDED_MS = 1_000;

/** How long a peer is suspended so that others report that it has left. */
const MISSED_MS = 11_000;

/** A server that clients vanish from, with counts of the connections that ended. */
export class Host {
  /** Connections that were closed without open calls. */
  closed = 0;
  /** Connections that were lost. */
  lost = 0;
  readonly name: string;
  readonly port: string;
  /** The path of a unary call that accepts an empty message. */
  readonly call: string;
  readonly #identity: Identity | undefined;

  /** @param identity the identity of strangers, if the server uses TLS */
  constructor(name: string, port: string, call: string, identity?: Identity) {
    this.name = name;
    this.port = port;
    this.call = call;
    this.#identity = identity;
  }

  get isSecure(): boolean {
    return this.#identity !== undefined;
  }

  /** Opens a TCP connection, which counts as lost. */
  async connect(): Promise<net.Socket> {
    this.lost++;
    const socket = net.connect(Number(this.port), "127.0.0.1");
    // Errors are expected on a connection that is meant to be lost.
    socket.on("error", () => {});
    await inTime(once(socket, "connect"), "a connection");
    return socket;
  }

  /** Opens a connection, over TLS if the server uses it, and sends frames. */
  async send(...frames: Uint8Array[]): Promise<Line> {
    const socket = await this.connect();
    const line = this.#identity === undefined ? socket : await secured(socket, this.#identity);
    const bytes = Buffer.concat([PREFACE, NO_SETTINGS, ...frames]);
    await new Promise<void>((resolve) => line.write(bytes, () => resolve()));
    return { socket, line };
  }
}

/** A connection, and the stream to write to: the same, or TLS on top of it. */
interface Line {
  readonly socket: net.Socket;
  readonly line: net.Socket;
}

async function secured(socket: net.Socket, { cert, key }: Identity): Promise<tls.TLSSocket> {
  const line = tls.connect({
    ...{ socket, ALPNProtocols: ["h2"], servername: "stranger.invalid" },
    ...{ cert: Buffer.from(cert), key: Buffer.from(key) },
    rejectUnauthorized: false,
  });
  line.on("error", () => {});
  await inTime(once(line, "secureConnect"), "a handshake");
  return line;
}

/** Connects, does something, and vanishes. */
export type Way = (host: Host) => Promise<void>;

// ---------------------------------------------------------------- HTTP/2 by hand
// Source: RFC 9113, sections 3.4, 4.1 and 6; RFC 7541, section 6.2.2.

const PREFACE = latin1("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const HEAD_BYTES = 9;
const [DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION] = [0, 1, 3, 4, 6, 7, 9];
const [END_STREAM, END_HEADERS] = [1, 4];
const CANCEL = Uint8Array.of(0, 0, 0, 8);
const NO_SETTINGS = frame(SETTINGS, 0, 0, new Uint8Array());
/** Forbids the server to send any data. */
const NO_WINDOW = frame(SETTINGS, 0, 0, Uint8Array.of(0, 4, 0, 0, 0, 0));
/** A server that has answered it has read everything before it. */
const PING_FRAME = frame(PING, 0, 0, new Uint8Array(8));
const GOODBYE = frame(GOAWAY, 0, 0, new Uint8Array(8));
const EMPTY_MESSAGE = new Uint8Array(5);

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Uint8Array {
  const head = new DataView(new ArrayBuffer(HEAD_BYTES));
  head.setUint32(0, payload.length << 8 | type);
  head.setUint8(4, flags);
  head.setUint32(5, stream);
  return Buffer.concat([new Uint8Array(head.buffer), payload]);
}

/** A header without compression or indexing. Name and value must be shorter than 127 bytes. */
function header(name: string, value: string): Uint8Array {
  const text = (text: string) => [text.length, ...latin1(text)];
  return Uint8Array.of(0, ...text(name), ...text(value));
}

function headersOf(path: string): Uint8Array {
  const fields = {
    ":method": "POST",
    ":scheme": "http",
    ":path": path,
    ":authority": "localhost",
    "content-type": "application/grpc",
    te: "trailers",
  };
  return Buffer.concat(Object.entries(fields).map(([name, value]) => header(name, value)));
}

/** The frames that start calls. Clients number their streams 1, 3, 5, … */
function begin(path: string, count = 1): Uint8Array[] {
  return streams(count).map((id) => frame(HEADERS, END_HEADERS, id, headersOf(path)));
}

/** The frames of complete requests. */
function request(path: string, count = 1, message: Uint8Array = EMPTY_MESSAGE): Uint8Array[] {
  const requests = streams(count).map((id) => frame(DATA, END_STREAM, id, message));
  return [...begin(path, count), ...requests];
}

function streams(count: number): number[] {
  return Array.from({ length: count }, (_, i) => 2 * i + 1);
}

function repeated(count: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat(Array.from({ length: count }, () => bytes));
}

// ---------------------------------------------------------------- ends of connections

/** Resets a connection: TCP drops it with everything in flight. */
function reset({ socket }: Pick<Line, "socket">): void {
  socket.resetAndDestroy();
}

function hangUp({ socket }: Pick<Line, "socket">): void {
  socket.destroy();
}

/** Resolves when a frame of one type has arrived. */
async function received(type: number, { line }: Line): Promise<void> {
  let bytes: Uint8Array = new Uint8Array();
  const arrival = new Promise<void>((resolve) => {
    line.on("data", (chunk: Uint8Array) => {
      bytes = Buffer.concat([bytes, chunk]);
      for (let end; (end = endOfFrame(bytes)) <= bytes.length; bytes = bytes.subarray(end)) {
        if (bytes[3] === type) resolve();
      }
    });
  });
  await inTime(arrival, `a frame of type ${type}`);
}

function endOfFrame(bytes: Uint8Array): number {
  if (bytes.length < HEAD_BYTES) return Infinity;
  return HEAD_BYTES + (bytes[0] << 16 | bytes[1] << 8 | bytes[2]);
}

/** Stays connected and reads, until the server hangs up. */
async function untilHungUp(socket: net.Socket): Promise<void> {
  socket.resume();
  if (socket.closed) return;
  await inTime(
    new Promise<void>((resolve) => socket.once("close", () => resolve())),
    "the server hanging up",
    HANG_UP_MS,
  );
}

// ---------------------------------------------------------------- ways to vanish

/** The beginning of a ClientHello. Source: RFC 8446, sections 4.1.2 and 5.1. */
const HELLO = Uint8Array.of(22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, ...Array(200).fill(7));

const random = randomNumbers(42);
const GARBAGE = Uint8Array.from({ length: 10_000 }, () => 256 * random());

/** Ways to vanish from any gRPC server. */
export const FROM_ANY_HOST: Readonly<Record<string, Way>> = {
  async "connects and leaves"(host) {
    hangUp({ socket: await host.connect() });
  },
  async "never sends anything"(host) {
    await untilHungUp(await host.connect());
  },
  async "sends half a preface"(host) {
    const socket = await host.connect();
    socket.write((host.isSecure ? HELLO : PREFACE).subarray(0, 10));
    await untilHungUp(socket);
  },
  async "is wrong about TLS"(host) {
    const socket = await host.connect();
    socket.write(host.isSecure ? PREFACE : HELLO);
    await untilHungUp(socket);
  },
  async "sends garbage"(host) {
    const socket = await host.connect();
    socket.write(GARBAGE);
    await untilHungUp(socket);
  },
  async "sends half a frame"(host) {
    const [first] = begin(host.call);
    reset(await host.send(first.subarray(0, first.length / 2)));
  },
  async "sends half a message"(host) {
    const half = frame(DATA, 0, 1, Uint8Array.of(0, 0, 0, 1, 0, 42));
    reset(await host.send(...begin(host.call), half));
  },
  async "calls and does not wait for answers"(host) {
    reset(await host.send(...request(host.call, CALLS)));
  },
  async "calls and resets when answers arrive"(host) {
    const line = await host.send(...request(host.call, CALLS));
    await received(HEADERS, line);
    reset(line);
  },
  async "calls and accepts no answers"(host) {
    const line = await host.send(NO_WINDOW, ...request(host.call, CALLS));
    await received(HEADERS, line);
    hangUp(line);
  },
  async "starts calls and never ends them"(host) {
    const line = await host.send(...begin(host.call, CALLS), PING_FRAME);
    await received(PING, line);
    reset(line);
  },
  async "cancels two thousand calls"(host) {
    const cancel = (id: number) => frame(RST_STREAM, 0, id, CANCEL);
    const calls = begin(host.call, 2_000).flatMap((call, i) => [call, cancel(2 * i + 1)]);
    const { line } = await host.send(...calls);
    await untilHungUp(line);
  },
  async "sends GOAWAY in the middle of calls"(host) {
    const line = await host.send(...request(host.call, CALLS), GOODBYE);
    await received(HEADERS, line);
    hangUp(line);
  },
  async "pings a thousand times"(host) {
    const line = await host.send(repeated(1_000, PING_FRAME));
    await received(PING, line);
    reset(line);
  },
  async "sends a megabyte of headers"(host) {
    const many = repeated(160, header("x", "x".repeat(90)));
    const { line } = await host.send(
      frame(HEADERS, 0, 1, Buffer.concat([headersOf(host.call), many])),
      repeated(70, frame(CONTINUATION, 0, 1, many)),
      frame(CONTINUATION, END_HEADERS, 1, many),
    );
    await untilHungUp(line);
  },
};

/** The exit code of `greet greet` when its time is up: 64 plus the gRPC status. */
const DEADLINE_EXCEEDED = 64 + 4;

/** Ways to vanish from a greeting server. */
export const FROM_GREETER: Readonly<Record<string, Way>> = {
  async "watches its health and resets"(host) {
    const line = await host.send(...request("/grpc.health.v1.Health/Watch", CALLS));
    await received(DATA, line);
    reset(line);
  },
  async "has a deadline of a millisecond"(host) {
    host.lost++;
    // As a process, because grpc-js may keep a connection that was still being made when its client closed.
    const { code, err } = await run(["greet", host.port, "Bob", "--max-time", "0.001"]);
    if (code !== 0 && code !== DEADLINE_EXCEEDED) {
      throw new Error(`greet exited with ${code}: ${err}`);
    }
  },
  async "aborts its calls"(host) {
    host.lost++;
    const giveUp = new AbortController();
    using client = new GreeterClient({ target: parseTarget(`${host.port}`) }, {
      signal: giveUp.signal,
    });
    await client.greet("Bob");
    const calls = Array.from({ length: CALLS }, () => client.greet("Bob"));
    giveUp.abort(new Error("aborted"));
    await Promise.allSettled(calls);
  },
  async "is killed while it greets"(host) {
    await using client = await greeting(host);
    signal(client, "SIGKILL");
  },
  async "is suspended while it greets, and killed"(host) {
    await using client = await greeting(host);
    signal(client, "SIGSTOP");
    await pause(SUSPENDED_MS);
    signal(client, "SIGKILL");
  },
  async "is suspended while it greets, and resumed"(host) {
    await using client = await greeting(host);
    signal(client, "SIGSTOP");
    await pause(SUSPENDED_MS);
    signal(client, "SIGCONT");
    const code = await client.code();
    if (code !== 0) throw new Error(`greet exited with ${code}: ${client.err.text}`);
  },
};

/** Starts a process with many names to greet. Resolves after the first answer. */
async function greeting(host: Host): Promise<Program> {
  host.lost++;
  const names = Array.from({ length: 2_000 }, (_, i) => `Bob ${i}`);
  const client = Program.greet(["greet", host.port, ...names, "--threads", "1"]);
  await client.out.until("Message received");
  return client;
}

/** Sends a signal, unless the process has already exited. */
function signal(client: Program, name: Deno.Signal): void {
  try {
    client.kill(name);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
}

/** Ways to vanish from a greeting server that need h2load. */
export const FROM_H2LOAD: Readonly<Record<string, Way>> = {
  async "is killed in the middle of 10,000 requests"(host) {
    host.lost += 4;
    await using load = await Request.open();
    await using client = new Program(load.command(host.port, 10_000, { clients: 4, streams: 25 }));
    await client.out.until("progress: 10% done");
    signal(client, "SIGKILL");
  },
};

/** Ways to vanish from a naming server. */
export const FROM_NAMES: Readonly<Record<string, Way>> = {
  async "watches names and resets"(host) {
    const line = await host.send(...request("/greet.v1.Names/Watch", CALLS));
    await received(DATA, line);
    reset(line);
  },
  async "holds a name and resets"(host) {
    const line = await host.send(...request(REGISTER, 1, claim("Mallory")));
    await received(DATA, line);
    reset(line);
  },
  async "holds a name and goes silent"(host) {
    const line = await host.send(...request(REGISTER, 1, claim("Trudy")));
    await received(DATA, line);
    await untilHungUp(line.socket);
  },
  async "is killed while it watches"(host) {
    host.lost++;
    await using watcher = Program.greet(["names", "watch", "--names", host.port]);
    await watcher.out.until(" is at ");
    watcher.kill();
  },
};

const REGISTER = "/greet.v1.Names/Register";

/** A `greet.v1.Claim` with a name and an address, as a gRPC message. */
function claim(name: string): Uint8Array {
  const text = (field: number, text: string) => [field << 3 | 2, text.length, ...latin1(text)];
  const fields = [...text(1, name), ...text(2, "127.0.0.1:1")];
  return Uint8Array.of(0, 0, 0, 0, fields.length, ...fields);
}

/** Ways for a peer to vanish from other peers. It comes back and resumes from its journal. */
export const AS_PEER: Readonly<Record<string, (peer: Immortal) => Promise<void>>> = {
  async "is killed and comes back"(peer) {
    await peer.killAndStart();
    await peer.now.until("welcome");
  },
  async "is suspended, killed and comes back"(peer) {
    peer.now.program.kill("SIGSTOP");
    await pause(SUSPENDED_MS);
    await peer.killAndStart();
    await peer.now.until("welcome");
  },
  async "is suspended until it is missed, and resumed"(peer) {
    peer.now.program.kill("SIGSTOP");
    await pause(MISSED_MS);
    peer.now.program.kill("SIGCONT");
  },
};
