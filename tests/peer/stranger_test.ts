/** The cost of strangers, with or without a key, is bounded, and known peers chat on. */
import assert from "node:assert/strict";
import http2 from "node:http2";
import net from "node:net";
import tls from "node:tls";
import { Pulse } from "../../src/base/timing.ts";
import { type Identity, newIdentity, serveGreeter, serveNames } from "../../mod.ts";
import { Bot } from "../support/bot.ts";
import { freePorts } from "../support/ports.ts";
import { inTime } from "../support/waiting.ts";
import { WireTap } from "../support/wire_tap.ts";

/** Less than the ten seconds that a stranger may stay, in milliseconds. */
const BEFORE_TIME_IS_UP_MS = 9_500;

/** The processes of Alice and Bob, who have met over TLS. */
async function couple() {
  const [a, b] = freePorts();
  const alice = new Bot(["Alice", a, b, "--tls"]);
  const bob = new Bot(["Bob", b, a, "--tls"]);
  await Promise.all([alice.until("welcome"), bob.until("welcome")]);
  return {
    alice,
    bob,
    a,
    b,
    /** Delivers a new message in each direction. */
    async talk() {
      const count = alice.all("message").length + 1;
      await Promise.all([alice.say(`${count}`), bob.say(`${count}`)]);
      await Promise.all([alice, bob].map((chat) => chat.until("message", count)));
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([alice[Symbol.asyncDispose](), bob[Symbol.asyncDispose]()]);
    },
  };
}

/** The resident memory of a process, in bytes. */
function memoryOf(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s*(\d+) kB/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))!;
  return Number(kilobytes) * 1_000;
}

/** Connections, and a count of those that have ended. */
class Crowd implements AsyncDisposable {
  ended = 0;
  readonly #all: { destroy(): void }[] = [];
  readonly #ends = new Pulse();

  add(one: { destroy(): void; on(event: string, listener: () => void): unknown }): void {
    this.#all.push(one);
    one.on("error", () => {});
    one.on("close", () => {
      this.ended++;
      this.#ends.beat();
    });
  }

  async untilEnded(count: number, ms?: number): Promise<void> {
    const wait = async () => {
      while (this.ended < count) await this.#ends.next;
    };
    await inTime(wait(), () => `${count} ended, not ${this.ended}`, ms);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#all) one.destroy();
    await this.untilEnded(this.#all.length);
  }
}

Deno.test("two thousand unfinished handshakes do not keep known peers from chatting or reconnecting", async () => {
  await using chat = await couple();
  await using crowd = new Crowd();
  for (let i = 0; i < 2_000; i++) {
    const silent = net.connect(Number(chat.a), "127.0.0.1").resume();
    crowd.add(silent);
    // Half of them begin a handshake.
    if (i % 2 === 0) silent.write(Uint8Array.of(22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, 7, 7, 7));
  }
  await chat.talk();
  await chat.bob.kill();
  await using bob = new Bot(["Bob", chat.b, chat.a, "--tls"], {
    env: { GREET_HOME: chat.bob.program.home },
  });
  await bob.until("welcome");
  await crowd.untilEnded(2_000);
});

/** A connection with an unknown key. */
function stranger(port: string, { cert, key }: Identity): http2.ClientHttp2Session {
  return http2.connect(`https://127.0.0.1:${port}`, {
    cert: Buffer.from(cert),
    key: Buffer.from(key),
    rejectUnauthorized: false,
    servername: "stranger.invalid",
  });
}

Deno.test("of 150 strangers 100 may stay, for ten seconds", async () => {
  await using chat = await couple();
  await using crowd = new Crowd();
  const mallory = await newIdentity("Mallory");
  const connected = Array.from({ length: 150 }, () => {
    const session = stranger(chat.a, mallory);
    crowd.add(session);
    return new Promise<void>((resolve) => {
      session.on("connect", () => resolve());
      session.on("close", () => resolve());
    });
  });
  await inTime(Promise.all(connected), "150 connections");
  await crowd.untilEnded(50, BEFORE_TIME_IS_UP_MS);
  await chat.talk();
  await crowd.untilEnded(150);
  await chat.talk();
});

Deno.test("a stranger that has become a known peer is not cut off", async () => {
  const [a, b] = freePorts();
  await using toAlice = await WireTap.open(0, () => Number(a));
  await using alice = new Bot(["Alice", a, b, "--tls"]);
  await using bob = new Bot(["Bob", b, `${toAlice.port}`, "--tls"]);
  await Promise.all([alice.until("welcome"), bob.until("welcome")]);
  const before = toAlice.sent.length;
  // A stranger that connected later is cut off.
  await using crowd = new Crowd();
  crowd.add(stranger(a, await newIdentity("Mallory")));
  await crowd.untilEnded(1);
  await bob.say("still here");
  await alice.until("message");
  assert.equal(toAlice.sent.length, before);
});

const MOST_OF_A_MESSAGE = new Uint8Array(3_900_000);

/** Begins messages of four megabytes and never finishes them. */
function flood(session: http2.ClientHttp2Session): void {
  for (let i = 0; i < 50; i++) {
    const call = session.request({
      ":method": "POST",
      ":path": "/greet.v1.Chat/SendMessage",
      "content-type": "application/grpc",
      te: "trailers",
    });
    call.on("error", () => {});
    // A prefix that says: uncompressed, four megabytes. Source: grpc/grpc `doc/PROTOCOL-HTTP2.md`.
    call.write(Uint8Array.of(0, 0, 0x3d, 9, 0));
    call.write(MOST_OF_A_MESSAGE);
  }
}

Deno.test({
  name: "strangers that begin long messages and never finish them are cut off (needs Linux)",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using chat = await couple();
    await chat.talk();
    const before = memoryOf(chat.alice.program.pid);
    await using crowd = new Crowd();
    const mallory = await newIdentity("Mallory");
    for (let i = 0; i < 8; i++) {
      const session = stranger(chat.a, mallory);
      session.on("connect", () => flood(session));
      crowd.add(session);
    }
    await chat.talk();
    await crowd.untilEnded(8);
    await chat.talk();
    const grown = memoryOf(chat.alice.program.pid) - before;
    // They tried to make it 1,560 MB.
    assert(grown < 400_000_000, `${grown} bytes more`);
  },
});

Deno.test("callers that are refused cannot stay by being silent or by never closing", async () => {
  await using chat = await couple();
  await using crowd = new Crowd();
  // No certificate, and silent.
  const bare = tls.connect({
    port: Number(chat.a),
    host: "127.0.0.1",
    rejectUnauthorized: false,
    ALPNProtocols: ["h2"],
  });
  crowd.add(bare.resume());
  // TLS to a plaintext server, on a connection that it never closes.
  await using server = await serveGreeter();
  const hello = net.connect({ port: server.port, host: "127.0.0.1", allowHalfOpen: true }).resume();
  hello.write(Uint8Array.of(22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, ...Array(40).fill(7)));
  crowd.add(hello);
  // Writing reveals that the server has closed the connection.
  const writing = setInterval(() => hello.write(Uint8Array.of(0)), 100);
  try {
    await crowd.untilEnded(2, BEFORE_TIME_IS_UP_MS);
  } finally {
    clearInterval(writing);
  }
});

Deno.test("a dialled peer that never finishes its handshake is given up", async () => {
  await using crowd = new Crowd();
  const listener = net.createServer((socket) => crowd.add(socket.resume()));
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", () => resolve()));
  const { port } = listener.address() as net.AddressInfo;
  await using alice = new Bot(["Alice", "0", `${port}`, "--tls"]);
  await crowd.untilEnded(1);
  const [{ message }] = await alice.until("error");
  assert.match(`${message}`, /no (connection|answer) within/);
  await alice.kill();
  await new Promise<void>((resolve) => listener.close(() => resolve()));
});

Deno.test("every server announces its limit of concurrent calls", async () => {
  const [chat, peer] = freePorts();
  await using alice = new Bot(["Alice", chat, peer, "--tls"]);
  await using _bob = new Bot(["Bob", peer, chat, "--tls"]);
  await alice.until("welcome");
  await using server = await serveGreeter();
  await using names = await serveNames({ port: 0 });
  await using crowd = new Crowd();
  const sessions = [
    stranger(chat, await newIdentity("Mallory")),
    http2.connect(`http://127.0.0.1:${server.port}`),
    http2.connect(`http://127.0.0.1:${names.port}`),
  ];
  const limits = sessions.map((session) => {
    crowd.add(session);
    return new Promise<number | undefined>((resolve) => {
      session.once("remoteSettings", (settings) => resolve(settings.maxConcurrentStreams));
    });
  });
  assert.deepEqual(await inTime(Promise.all(limits), "settings"), [10, 1_000, 4_000]);
});
