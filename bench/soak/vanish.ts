/**
 * Ways to vanish: how clients leave a server that should not mind, a function for each.
 *
 * Most speak HTTP/2 by hand, frame by frame, because a library would be polite and clean up behind
 * itself. Each resolves when its client is gone, and rejects where a server did not do its part:
 * no connection, no answer, or nobody sent away who had it coming.
 *
 * @module
 */
import { once } from "node:events";
import net from "node:net";
import tls from "node:tls";
import type { Identity } from "../../mod.ts";
import { GreeterClient } from "../../src/greeter/client.ts";
import { type Immortal } from "../../tests/support/bot.ts";
import { Program, run } from "../../tests/support/program.ts";
import { randomNumbers } from "../../tests/support/random.ts";
import { inTime } from "../../tests/support/waiting.ts";
import { pause } from "../../src/base/timing.ts";
import { Request } from "../memory.ts";

/** How long a server may take to send somebody away: 10 s, and more where it is busy. */
const DISMISSAL_MS = 30_000;

/** How many calls are made at the same time, where it is some. */
const CALLS = 10;

/** How long a process that was stopped stands still. */
const STANDSTILL_MS = 1_000;

/** After how long peers miss somebody who is silent. */
const MISSED_MS = 11_000;

/** A server that clients vanish from. It is counted how many connections it saw the end of. */
export class Host {
  /** Those that were closed in the end, with nothing on them. */
  closed = 0;
  /** Those that were lost. */
  lost = 0;
  readonly name: string;
  readonly port: string;
  /** The path of a call that is answered once, also when its message is empty. */
  readonly call: string;
  readonly #identity: Identity | undefined;

  /** @param identity what a stranger shows there, if it speaks TLS */
  constructor(name: string, port: string, call: string, identity?: Identity) {
    this.name = name;
    this.port = port;
    this.call = call;
    this.#identity = identity;
  }

  get isSecure(): boolean {
    return this.#identity !== undefined;
  }

  /** A bare connection. */
  async connect(): Promise<net.Socket> {
    this.lost++;
    const socket = net.connect(Number(this.port), "127.0.0.1");
    // How a connection ends that is to be lost is nothing to hear of.
    socket.on("error", () => {});
    await inTime(once(socket, "connect"), "a connection");
    return socket;
  }

  /** A connection on which these frames have been sent; over TLS, where that is spoken. */
  async say(...frames: Uint8Array[]): Promise<Line> {
    const socket = await this.connect();
    const line = this.#identity === undefined ? socket : await secured(socket, this.#identity);
    const bytes = Buffer.concat([PREFACE, NO_SETTINGS, ...frames]);
    await new Promise<void>((resolve) => line.write(bytes, () => resolve()));
    return { socket, line };
  }
}

/** A connection, and what is spoken into: the same, or TLS over it. */
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

/** Comes, does something, and is gone. */
export type Way = (host: Host) => Promise<void>;

// ---------------------------------------------------------------- HTTP/2 by hand
// Source: RFC 9113, sections 3.4, 4.1 and 6; RFC 7541, section 6.2.2.

const PREFACE = latin1("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const HEAD_BYTES = 9;
const [DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION] = [0, 1, 3, 4, 6, 7, 9];
const [END_STREAM, END_HEADERS] = [1, 4];
const CANCEL = Uint8Array.of(0, 0, 0, 8);
const NO_SETTINGS = frame(SETTINGS, 0, 0, new Uint8Array());
/** On no stream may anything be sent. */
const NO_WINDOW = frame(SETTINGS, 0, 0, Uint8Array.of(0, 4, 0, 0, 0, 0));
/** Whoever answers it has read what came before. */
const ASK_BACK = frame(PING, 0, 0, new Uint8Array(8));
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

/** A header, neither compressed nor remembered. Its name and its value are shorter than 127 bytes. */
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

/** Begins calls: as many as are wanted, which clients number 1, 3, 5, … */
function begin(path: string, count = 1): Uint8Array[] {
  return streams(count).map((id) => frame(HEADERS, END_HEADERS, id, headersOf(path)));
}

/** Asks something, with an empty message unless another one is given. */
function ask(path: string, count = 1, message: Uint8Array = EMPTY_MESSAGE): Uint8Array[] {
  const requests = streams(count).map((id) => frame(DATA, END_STREAM, id, message));
  return [...begin(path, count), ...requests];
}

function streams(count: number): number[] {
  return Array.from({ length: count }, (_, i) => 2 * i + 1);
}

function repeated(count: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat(Array.from({ length: count }, () => bytes));
}

// ---------------------------------------------------------------- how it ends

/** Without an end: TCP says that there is no connection, and what was on its way is lost. */
function reset({ socket }: Pick<Line, "socket">): void {
  socket.resetAndDestroy();
}

function hangUp({ socket }: Pick<Line, "socket">): void {
  socket.destroy();
}

/** Resolves when a frame of a type has come back. */
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

/** Stays until it is sent away, and reads what is said to it. */
async function untilSentAway(socket: net.Socket): Promise<void> {
  socket.resume();
  if (socket.closed) return;
  await inTime(
    new Promise<void>((resolve) => socket.once("close", () => resolve())),
    "being sent away",
    DISMISSAL_MS,
  );
}

// ---------------------------------------------------------------- the ways

/** The beginning of a client's hello. Source: RFC 8446, sections 4.1.2 and 5.1. */
const HELLO = Uint8Array.of(22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, ...Array(200).fill(7));

const random = randomNumbers(42);
const GARBAGE = Uint8Array.from({ length: 10_000 }, () => 256 * random());

/** From whatever speaks gRPC. */
export const FROM_ANYBODY: Readonly<Record<string, Way>> = {
  async "comes and goes"(host) {
    hangUp({ socket: await host.connect() });
  },
  async "never says a word"(host) {
    await untilSentAway(await host.connect());
  },
  async "says half of a first word"(host) {
    const socket = await host.connect();
    socket.write((host.isSecure ? HELLO : PREFACE).subarray(0, 10));
    await untilSentAway(socket);
  },
  async "is wrong about TLS"(host) {
    const socket = await host.connect();
    socket.write(host.isSecure ? PREFACE : HELLO);
    await untilSentAway(socket);
  },
  async "talks garbage"(host) {
    const socket = await host.connect();
    socket.write(GARBAGE);
    await untilSentAway(socket);
  },
  async "says half a frame"(host) {
    const [first] = begin(host.call);
    reset(await host.say(first.subarray(0, first.length / 2)));
  },
  async "says half a message"(host) {
    const half = frame(DATA, 0, 1, Uint8Array.of(0, 0, 0, 1, 0, 42));
    reset(await host.say(...begin(host.call), half));
  },
  async "asks and does not wait for answers"(host) {
    reset(await host.say(...ask(host.call, CALLS)));
  },
  async "asks and resets when answers come"(host) {
    const line = await host.say(...ask(host.call, CALLS));
    await received(HEADERS, line);
    reset(line);
  },
  async "asks and takes no answers"(host) {
    const line = await host.say(NO_WINDOW, ...ask(host.call, CALLS));
    await received(HEADERS, line);
    hangUp(line);
  },
  async "begins calls and never ends them"(host) {
    const line = await host.say(...begin(host.call, CALLS), ASK_BACK);
    await received(PING, line);
    reset(line);
  },
  async "takes back two thousand calls"(host) {
    const cancel = (id: number) => frame(RST_STREAM, 0, id, CANCEL);
    const calls = begin(host.call, 2_000).flatMap((call, i) => [call, cancel(2 * i + 1)]);
    const { line } = await host.say(...calls);
    await untilSentAway(line);
  },
  async "says goodbye in the middle"(host) {
    const line = await host.say(...ask(host.call, CALLS), GOODBYE);
    await received(HEADERS, line);
    hangUp(line);
  },
  async "pings a thousand times"(host) {
    const line = await host.say(repeated(1_000, ASK_BACK));
    await received(PING, line);
    reset(line);
  },
  async "has a megabyte of headers"(host) {
    const many = repeated(160, header("x", "x".repeat(90)));
    const { line } = await host.say(
      frame(HEADERS, 0, 1, Buffer.concat([headersOf(host.call), many])),
      repeated(70, frame(CONTINUATION, 0, 1, many)),
      frame(CONTINUATION, END_HEADERS, 1, many),
    );
    await untilSentAway(line);
  },
};

/** What `greet greet` ends with when its time is up: 64 and gRPC's status. */
const DEADLINE_EXCEEDED = 64 + 4;

/** From a greeting server. */
export const FROM_GREETER: Readonly<Record<string, Way>> = {
  async "watches its health and resets"(host) {
    const line = await host.say(...ask("/grpc.health.v1.Health/Watch", CALLS));
    await received(DATA, line);
    reset(line);
  },
  async "has no more than a millisecond"(host) {
    host.lost++;
    // As a process: grpc-js may keep a connection that was being made when its client was closed.
    const { code, err } = await run(["greet", host.port, "Bob", "--max-time", "0.001"]);
    if (code !== 0 && code !== DEADLINE_EXCEEDED) {
      throw new Error(`greet ended with ${code}: ${err}`);
    }
  },
  async "changes its mind"(host) {
    host.lost++;
    const giveUp = new AbortController();
    using client = new GreeterClient(host.port, { signal: giveUp.signal });
    await client.greet("Bob");
    const calls = Array.from({ length: CALLS }, () => client.greet("Bob"));
    giveUp.abort(new Error("another time"));
    await Promise.allSettled(calls);
  },
  async "is killed while it greets"(host) {
    await using client = await greeting(host);
    signal(client, "SIGKILL");
  },
  async "is stopped while it greets, and killed"(host) {
    await using client = await greeting(host);
    signal(client, "SIGSTOP");
    await pause(STANDSTILL_MS);
    signal(client, "SIGKILL");
  },
  async "is stopped while it greets, and goes on"(host) {
    await using client = await greeting(host);
    signal(client, "SIGSTOP");
    await pause(STANDSTILL_MS);
    signal(client, "SIGCONT");
    const code = await client.code();
    if (code !== 0) throw new Error(`greet ended with ${code}: ${client.err.text}`);
  },
};

/** A process that has begun to greet and has still much to do. */
async function greeting(host: Host): Promise<Program> {
  host.lost++;
  const names = Array.from({ length: 2_000 }, (_, i) => `Bob ${i}`);
  const client = Program.greet(["greet", host.port, ...names, "--threads", "1"]);
  await client.out.until("Message received");
  return client;
}

/** Sends a signal; a process that was quick has ended before. */
function signal(client: Program, name: Deno.Signal): void {
  try {
    client.kill(name);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
}

/** From a greeting server, where there is h2load. */
export const FROM_H2LOAD: Readonly<Record<string, Way>> = {
  async "is killed in the middle of 10,000 requests"(host) {
    host.lost += 4;
    await using request = await Request.open();
    await using client = new Program(request.command(host.port, 10_000, 4, 25));
    await client.out.until("progress: 10% done");
    signal(client, "SIGKILL");
  },
};

/** From a naming server. */
export const FROM_NAMES: Readonly<Record<string, Way>> = {
  async "watches names and resets"(host) {
    const line = await host.say(...ask("/greet.v1.Names/Watch", CALLS));
    await received(DATA, line);
    reset(line);
  },
  async "holds a name and resets"(host) {
    const line = await host.say(...ask(REGISTER, 1, claim("Mallory")));
    await received(DATA, line);
    reset(line);
  },
  async "holds a name and falls silent"(host) {
    const line = await host.say(...ask(REGISTER, 1, claim("Trudy")));
    await received(DATA, line);
    await untilSentAway(line.socket);
  },
  async "is killed while it watches"(host) {
    host.lost++;
    await using watcher = Program.greet(["names", "watch", "--names", host.port]);
    await watcher.out.until(" is at ");
    watcher.kill();
  },
};

const REGISTER = "/greet.v1.Names/Register";

/** A `greet.v1.Claim` with a name and an address, as a message. */
function claim(name: string): Uint8Array {
  const text = (field: number, text: string) => [field << 3 | 2, text.length, ...latin1(text)];
  const fields = [...text(1, name), ...text(2, "127.0.0.1:1")];
  return Uint8Array.of(0, 0, 0, 0, fields.length, ...fields);
}

/** From other peers, as one of them. It comes back, and goes on where it was. */
export const AS_PEER: Readonly<Record<string, (peer: Immortal) => Promise<void>>> = {
  async "is killed and comes back"(peer) {
    await peer.killAndStart();
    await peer.now.until("welcome");
  },
  async "is stopped, killed and comes back"(peer) {
    peer.now.program.kill("SIGSTOP");
    await pause(STANDSTILL_MS);
    await peer.killAndStart();
    await peer.now.until("welcome");
  },
  async "is stopped until missed, and goes on"(peer) {
    peer.now.program.kill("SIGSTOP");
    await pause(MISSED_MS);
    peer.now.program.kill("SIGCONT");
  },
};
