/** Header blocks that are too large close the connection before the runtime reads them. */
import assert from "node:assert/strict";
import http2 from "node:http2";
import net from "node:net";
import tls from "node:tls";
import { greet, GreetError, newIdentity, serveGreeter, serveNames } from "../../mod.ts";
import { Pulse } from "../../src/base/timing.ts";
import { HeaderLimits } from "../../src/http2/header_limits.ts";
import { parseTarget } from "../../src/net/address.ts";
import { dial } from "../../src/rpc/client.ts";
import { serve } from "../../src/rpc/server.ts";
import { implement } from "../../src/rpc/service.ts";
import { CHAT, type Receipt } from "../../src/rpc/services.ts";
import { frame, text } from "./header_blocks.ts";
import { Bot } from "../support/bot.ts";
import { GRPC_TIMERS_OUTLIVE_CHANNELS } from "../support/grpc_timers.ts";
import { freePorts } from "../support/ports.ts";
import { inTime, PATIENCE_MS } from "../support/waiting.ts";

const DATA = 0, HEADERS = 1, SETTINGS = 4, PING = 6;
const END_HEADERS = 4, ACK = 1;

const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const HELLO = Buffer.concat([PREFACE, frame(SETTINGS, 0, 0, [])]);
const SETTINGS_ACK = frame(SETTINGS, ACK, 0, []);
const FIRST = Array(8).fill(1), SECOND = Array(8).fill(2);

/** One field more than a block may have. It is `:status: 200`, for servers too. */
const TOO_MANY = frame(HEADERS, END_HEADERS, 1, Array(101).fill(0x88));

/** Source: RFC 9113, section 7. */
const ENHANCE_YOUR_CALM = [0, 0, 0, 11];

/** Our end of a connection to the code under test, and everything that has arrived on it. */
class RawConnection {
  #arrived = Buffer.alloc(0);
  readonly #changed = new Pulse();
  #isClosed = false;
  readonly #socket: net.Socket;

  constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Uint8Array) => {
      this.#arrived = Buffer.concat([this.#arrived, chunk]);
      this.#changed.beat();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#isClosed = true;
      this.#changed.beat();
    });
  }

  /** Sends frames together. */
  send(...frames: Uint8Array[]): void {
    this.#socket.write(Buffer.concat(frames));
  }

  has(bytes: Uint8Array | readonly number[] | string): boolean {
    return this.#arrived.includes(Buffer.from(bytes as Uint8Array));
  }

  async until(bytes: Uint8Array | string): Promise<void> {
    const wait = async () => {
      while (!this.has(bytes)) await this.#changed.next;
    };
    await inTime(wait(), () => `${bytes} in ${this.#arrived.toString("hex")}`);
  }

  async closed(): Promise<void> {
    const wait = async () => {
      while (!this.#isClosed) await this.#changed.next;
    };
    await inTime(wait(), "a closed connection");
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

/** Checks that a connection was closed with a reason, and without an answer to the last ping. */
async function assertRefused(connection: RawConnection): Promise<void> {
  await connection.closed();
  assert(connection.has([...ENHANCE_YOUR_CALM, ...new TextEncoder().encode("header block")]));
  assert(!connection.has(frame(PING, ACK, 0, SECOND)));
}

/** Checks that a server limits headers, over connections that any client can open. */
async function assertLimited(connect: () => net.Socket): Promise<void> {
  using connection = new RawConnection(connect());
  connection.send(HELLO);
  await connection.until(SETTINGS_ACK);
  connection.send(frame(PING, 0, 0, FIRST));
  await connection.until(frame(PING, ACK, 0, FIRST));
  connection.send(frame(PING, 0, 0, SECOND), TOO_MANY);
  await assertRefused(connection);

  using atOnce = new RawConnection(connect());
  atOnce.send(HELLO, frame(PING, 0, 0, SECOND), TOO_MANY);
  await assertRefused(atOnce);
}

Deno.test("too many headers close a connection to serve or names before the runtime reads them", async () => {
  await using server = await serveGreeter();
  await using names = await serveNames({ port: 0 });
  for (const { port } of [server, names]) await assertLimited(() => net.connect(port, "127.0.0.1"));
  assert.equal(await greet(`${server.port}`, "Bob"), "Hello, Bob.");
});

Deno.test("too many headers close a TLS connection to a chat before the runtime reads them", async () => {
  const [a, b] = freePorts();
  await using alice = new Bot(["Alice", a, b, "--tls"]);
  await using _bob = new Bot(["Bob", b, a, "--tls"]);
  await alice.until("welcome");
  const { cert, key } = await newIdentity("Mallory");
  await assertLimited(() =>
    tls.connect({
      port: Number(a),
      host: "127.0.0.1",
      cert: Buffer.from(cert),
      key: Buffer.from(key),
      rejectUnauthorized: false,
      ALPNProtocols: ["h2"],
    })
  );
});

/** A server on a free port. */
class Listening implements AsyncDisposable {
  readonly #server: net.Server;

  protected constructor(server: net.Server) {
    this.#server = server;
  }

  static async start(server: net.Server): Promise<Listening> {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    return new Listening(server);
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

/** A server that answers the first call with too many headers. */
class FloodingServer extends Listening {
  readonly connection: Promise<RawConnection>;

  private constructor(server: net.Server) {
    super(server);
    const { promise, resolve } = Promise.withResolvers<RawConnection>();
    this.connection = promise;
    server.on(server instanceof tls.Server ? "secureConnection" : "connection", async (socket) => {
      const connection = new RawConnection(socket);
      resolve(connection);
      connection.send(frame(SETTINGS, 0, 0, []), SETTINGS_ACK);
      await connection.until("Bob");
      connection.send(frame(PING, 0, 0, SECOND), TOO_MANY);
    });
  }

  static override async start(server: net.Server): Promise<FloodingServer> {
    const flooding = new FloodingServer(server);
    await Listening.start(server);
    return flooding;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    (await this.connection)[Symbol.dispose]();
    await super[Symbol.asyncDispose]();
  }
}

for (const transport of ["plaintext", "TLS"]) {
  Deno.test(`a client closes the connection to a server that answers with too many headers over ${transport}, and reports why`, async () => {
    const { cert, key } = await newIdentity("Mallory");
    const isSecure = transport === "TLS";
    const pair = { cert: Buffer.from(cert), key: Buffer.from(key), ALPNProtocols: ["h2"] };
    await using server = await FloodingServer.start(
      isSecure ? tls.createServer(pair) : net.createServer(),
    );
    const error = await greet(`${server.port}`, "Bob", isSecure ? { tls: { insecure: true } } : {})
      .catch((error) => error);
    assert(error instanceof GreetError);
    assert.equal(error.code, "UNAVAILABLE");
    assert.match(error.message, /the other side sent malformed or excessive headers or data/);
    await assertRefused(await server.connection);
  });
}

for (const transport of ["plaintext", "TLS"]) {
  Deno.test(`over ${transport}, the runtime receives everything within the limits and nothing else`, async () => {
    const { cert, key } = await newIdentity("Alice");
    const isSecure = transport === "TLS";
    const pair = { cert: Buffer.from(cert), key: Buffer.from(key), ALPNProtocols: ["h2"] };
    const pings: number[][] = [];
    const runtime = http2.createServer();
    runtime.on("session", (session) => session.on("ping", (payload) => pings.push([...payload])));
    const limits = new HeaderLimits({ side: "server", maxOpenCalls: 10 });
    const accept = (socket: net.Socket) => {
      socket.on("error", () => {});
      if (limits.limit(socket)) runtime.emit("connection", socket);
    };
    await using listener = await Listening.start(
      isSecure ? tls.createServer(pair, accept) : net.createServer(accept),
    );
    const { port } = listener;
    using connection = new RawConnection(
      isSecure
        ? tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] })
        : net.connect(port, "127.0.0.1"),
    );
    connection.send(HELLO, frame(PING, 0, 0, FIRST));
    await connection.until(frame(PING, ACK, 0, FIRST));
    connection.send(frame(PING, 0, 0, SECOND), TOO_MANY);
    await assertRefused(connection);
    assert.deepEqual(pings, [FIRST]);
  });
}

/** Encodes an HPACK string, without Huffman coding. */
function string(value: string): number[] {
  return [value.length, ...new TextEncoder().encode(value)];
}

/** The headers of a call. */
const SMALL_CALL = [
  ...[0x83, 0x86, 0x04, ...string("/greet.v1.Greeter/Greet"), 0x01, ...string("localhost")],
  ...[0x0f, 0x10, ...string("application/grpc"), 0x00, ...string("te"), ...string("trailers")],
];

/** The headers of a call with a token of 15 kB; its request is never sent. */
const CALL = [...SMALL_CALL, 0x00, ...string("token"), ...text(15_000)];

Deno.test("the large headers of all connections are bounded together, and other clients are served", async () => {
  await using server = await serveGreeter();
  using stack = new DisposableStack();
  const connections = Array.from(
    { length: 8 },
    () => stack.use(new RawConnection(net.connect(server.port, "127.0.0.1"))),
  );
  for (const connection of connections) {
    const calls = Array.from(
      { length: 600 },
      (_, i) => frame(HEADERS, END_HEADERS, 2 * i + 1, CALL),
    );
    connection.send(HELLO, ...calls);
  }
  // Together they would hold 72 MB of headers; 16 MB are allowed.
  await Promise.any(connections.map((one) => one.closed()));
  assert.equal(await greet(`${server.port}`, "Bob"), "Hello, Bob.");
});

/** A call whose message of 60 kB comes in frames of one byte, which stay in memory until it is complete. */
const PIECEMEAL = [
  frame(HEADERS, END_HEADERS, 1, SMALL_CALL),
  frame(DATA, 0, 1, [0, 0, 0, 0xea, 0x60]),
  ...Array(40_000).fill(frame(DATA, 0, 1, [1])),
];

Deno.test("a request in too many small frames ends its connection; others are served", async () => {
  await using server = await serveGreeter();
  using connection = new RawConnection(net.connect(server.port, "127.0.0.1"));
  connection.send(HELLO, ...PIECEMEAL);
  await connection.closed();
  assert.equal(await greet(`${server.port}`, "Bob"), "Hello, Bob.");
});

Deno.test("a call whose requests are taken as they arrive may have any number of them", {
  ...GRPC_TIMERS_OUTLIVE_CHANNELS,
}, async () => {
  const count = 40_000;
  const chat = implement(CHAT, {
    async *Attach(receipts) {
      let taken = 0;
      for await (const _ of receipts) if (++taken === count) yield { messages: [] };
    },
  });
  await using server = await serve({ host: "127.0.0.1", port: 0, services: [chat] });
  using channel = dial(parseTarget(`${server.port}`));
  async function* receipts(): AsyncGenerator<Receipt> {
    for (let i = 0; i < count; i++) yield { introduction: null, status: 0, reason: "" };
  }
  const answers = channel.stream(CHAT, "Attach", receipts(), { timeoutMs: PATIENCE_MS });
  assert.deepEqual((await answers.next()).value, { messages: [] });
});

Deno.test("an answer in too many small frames ends the call, and the user is told why", async () => {
  await using listener = await Listening.start(net.createServer(async (socket) => {
    const connection = new RawConnection(socket);
    connection.send(frame(SETTINGS, 0, 0, []), SETTINGS_ACK);
    await connection.until("Bob");
    const headers = frame(HEADERS, END_HEADERS, 1, [
      0x88,
      0x0f,
      0x10,
      ...string("application/grpc"),
    ]);
    connection.send(headers, ...PIECEMEAL.slice(1));
  }));
  await assert.rejects(greet(`${listener.port}`, "Bob"), {
    code: "UNAVAILABLE",
    message: /malformed or excessive headers or data/,
  });
});

Deno.test("a connection with too many calls that never complete is closed, and later ones are served", async () => {
  await using server = await serveGreeter();
  using stack = new DisposableStack();
  const calls = Array.from(
    { length: 1_000 },
    (_, i) => frame(HEADERS, END_HEADERS, 2 * i + 1, SMALL_CALL),
  );
  const open = async () => {
    const connection = stack.use(new RawConnection(net.connect(server.port, "127.0.0.1")));
    connection.send(HELLO, ...calls, frame(PING, 0, 0, FIRST));
    await connection.until(frame(PING, ACK, 0, FIRST));
    return connection;
  };
  const first = await open();
  await open();
  const third = await open();
  await first.closed();
  third.send(frame(PING, 0, 0, SECOND));
  await third.until(frame(PING, ACK, 0, SECOND));
});

Deno.test("the number of open calls is bounded for all connections together", async () => {
  const runtime = http2.createServer();
  const limits = new HeaderLimits({ side: "server", maxOpenCalls: 10 });
  await using listener = await Listening.start(net.createServer((socket) => {
    socket.on("error", () => {});
    if (limits.limit(socket)) runtime.emit("connection", socket);
  }));
  const open = (calls: number) => {
    const connection = new RawConnection(net.connect(listener.port, "127.0.0.1"));
    const call = [0x83, 0x86, 0x84, 0x01, ...string("localhost")];
    const frames = Array.from(
      { length: calls },
      (_, i) => frame(HEADERS, END_HEADERS, 2 * i + 1, call),
    );
    connection.send(HELLO, ...frames, frame(PING, 0, 0, FIRST));
    return connection;
  };
  using first = open(4);
  await first.until(frame(PING, ACK, 0, FIRST));
  using second = open(6);
  await second.until(frame(PING, ACK, 0, FIRST));
  // A connection that asks for more than any other holds is closed itself.
  using third = open(11);
  await third.closed();
  // For one that holds little, the largest is closed.
  using fourth = open(1);
  await second.closed();
  for (const connection of [first, fourth]) {
    connection.send(frame(PING, 0, 0, SECOND));
    await connection.until(frame(PING, ACK, 0, SECOND));
  }
});
