/** Refusing requests before they are read, and requests that cost more to read than to send. */
import assert from "node:assert/strict";
import http2 from "node:http2";
import net from "node:net";
import { gzipSync } from "node:zlib";
import { greet, type Identity, newIdentity, Peer, serveGreeter } from "../../mod.ts";
import { GreetError } from "../../src/base/errors.ts";
import { Listener } from "../../src/net/listener.ts";
import { dial } from "../../src/rpc/client.ts";
import { serve } from "../../src/rpc/server.ts";
import { implement } from "../../src/rpc/service.ts";
import { parseTarget } from "../../src/net/address.ts";
import { CHAT, type ChatMessage, GREETER } from "../../src/rpc/services.ts";
import { freePorts } from "../support/ports.ts";
import { inTime, PATIENCE_MS } from "../support/waiting.ts";
import { WireTap } from "../support/wire_tap.ts";
import { Witness } from "../support/witness.ts";

const [ALICE, BOB, MALLORY] = await Promise.all(["Alice", "Bob", "Mallory"].map(newIdentity));

/** The headers and trailers of an answer. */
type Answer = Record<string, string | undefined>;

/** An HTTP/2 connection on which gRPC is spoken by hand. */
class Caller implements AsyncDisposable {
  readonly session: http2.ClientHttp2Session;

  constructor(port: number, own?: Identity) {
    this.session = http2.connect(
      `${own ? "https" : "http"}://127.0.0.1:${port}`,
      own && {
        cert: Buffer.from(own.cert),
        key: Buffer.from(own.key),
        rejectUnauthorized: false,
        servername: "peer.invalid",
      },
    );
    this.session.on("error", () => {});
  }

  /** Begins a call, and sends a part of its request. */
  open(path: string, request?: Uint8Array, headers: Record<string, string> = {}) {
    const stream = this.session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    stream.on("error", () => {}).resume();
    if (request !== undefined) stream.write(request);
    const answer: Answer = {};
    const ended = new Promise<Answer>((resolve) => {
      const note = (headers: object) => {
        Object.assign(answer, headers);
        if (answer["grpc-status"] !== undefined) resolve(answer);
      };
      stream.on("response", note).on("trailers", note).on("close", () => resolve(answer));
    });
    return { stream, answer: inTime(ended, "an answer") };
  }

  /** Makes a call. */
  async call(path: string, message: Uint8Array, headers?: Record<string, string>, flag = 0) {
    const { stream, answer } = this.open(path, framed(message, flag), headers);
    stream.end();
    return await answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.session.once("close", () => resolve()));
    this.session.destroy();
    await closed;
  }
}

/** Frames a message for gRPC. Source: grpc/grpc `doc/PROTOCOL-HTTP2.md`. */
function framed(message: Uint8Array, flag = 0): Uint8Array {
  const frame = new Uint8Array(5 + message.length);
  frame[0] = flag;
  new DataView(frame.buffer).setUint32(1, message.length);
  frame.set(message, 5);
  return frame;
}

/** Encodes a field of up to 127 bytes. Source: protobuf.dev, "Encoding". */
function field(number: number, value: string | Uint8Array): number[] {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
  return [number << 3 | 2, bytes.length, ...bytes];
}

const [UNIMPLEMENTED, PERMISSION_DENIED, RESOURCE_EXHAUSTED, INVALID_ARGUMENT, INTERNAL] = [
  "12",
  "7",
  "8",
  "3",
  "13",
];

/** Alice and Bob, who have met. */
async function couple({ isEncrypted }: { isEncrypted: boolean }) {
  const [a, b] = freePorts();
  const [alices, bobs] = isEncrypted ? [{ identity: ALICE }, { identity: BOB }] : [{}, {}];
  const alice = await Peer.open({ name: "Alice", port: Number(a), targets: [b], ...alices });
  const bob = await Peer.open({ name: "Bob", port: Number(b), targets: [a], ...bobs });
  const witnesses = [new Witness(alice), new Witness(bob)];
  await Promise.all(witnesses.map((witness) => witness.until("welcome")));
  return {
    port: Number(a),
    bob,
    /** Sends a last message from Bob, and returns all messages that Alice got up to and including it. */
    async receivedUpTo(last: string): Promise<string[]> {
      await bob.send(last);
      for (let count = 1;; count++) {
        const messages = await witnesses[0].until("message", count);
        const bodies = messages.map(({ message }) => message.body);
        if (bodies.includes(last)) return bodies;
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([alice[Symbol.asyncDispose](), bob[Symbol.asyncDispose]()]);
      await Promise.all(witnesses.map(({ done }) => done));
    },
  };
}

Deno.test("a message from an unknown key is refused before any of it is sent", async () => {
  await using chat = await couple({ isEncrypted: true });
  for (const call of ["SendMessage", "SendMessages"]) {
    await using mallory = new Caller(chat.port, MALLORY);
    const { answer } = mallory.open(`/greet.v1.Chat/${call}`);
    assert.equal((await answer)["grpc-status"], PERMISSION_DENIED);
    // Anyone may ask for the name.
    const asked = await mallory.call("/greet.v1.Chat/GetInfo", new Uint8Array());
    assert.equal(asked["grpc-status"], "0");
  }
  assert.deepEqual(await chat.receivedUpTo("the end"), ["the end"]);
});

Deno.test("flow control holds back a request until its call is admitted", async () => {
  const arrived = Promise.withResolvers<void>();
  const decision = Promise.withResolvers<void>();
  await using server = await serve({
    host: "127.0.0.1",
    port: 0,
    services: [implement(GREETER, { Greet: () => ({ greeting: "" }) })],
    admit: async () => {
      arrived.resolve();
      await decision.promise;
      throw new GreetError("PERMISSION_DENIED", "not you");
    },
  });
  await using tap = await WireTap.open(0, () => server.port);
  await using caller = new Caller(tap.port);
  const { answer } = caller.open("/greet.v1.Greeter/Greet", framed(new Uint8Array(3_000_000)));
  await inTime(arrived.promise, "the call");
  for (let i = 0; i < 10; i++) {
    const answered = Promise.withResolvers<void>();
    caller.session.ping(() => answered.resolve());
    await inTime(answered.promise, "a pong");
  }
  const sent = tap.sent.flat().reduce((sum, { length }) => sum + length, 0);
  // HTTP/2 allows 64 kB before the other side has read anything.
  assert(sent < 150_000, `${sent} bytes were sent`);
  decision.resolve();
  assert.equal((await answer)["grpc-status"], PERMISSION_DENIED);
});

Deno.test("compressed requests are refused, and the answer says which encoding is accepted", async () => {
  await using server = await serveGreeter();
  await using caller = new Caller(server.port);
  const bob = Uint8Array.from(field(1, "Bob"));
  for (const encoding of ["gzip", "deflate", "br"]) {
    const path = "/greet.v1.Greeter/Greet";
    const answer = await caller.call(path, gzipSync(bob), { "grpc-encoding": encoding }, 1);
    assert.equal(answer["grpc-status"], UNIMPLEMENTED);
    assert.equal(answer["grpc-accept-encoding"], "identity");
  }
  const plain = { "grpc-encoding": "identity" };
  const answer = await caller.call("/greet.v1.Greeter/Greet", bob, plain);
  assert.equal(answer["grpc-status"], "0");
  assert.equal(answer["grpc-accept-encoding"], "identity");
});

Deno.test("a message that is marked as compressed in a call without compression is INTERNAL", async () => {
  await using server = await serveGreeter();
  await using caller = new Caller(server.port);
  const bob = Uint8Array.from(field(1, "Bob"));
  const path = "/greet.v1.Greeter/Greet";
  for (const headers of [undefined, { "grpc-encoding": "identity" }]) {
    for (const message of [bob, gzipSync(bob), new Uint8Array()]) {
      const answer = await caller.call(path, message, headers, 1);
      assert.equal(answer["grpc-status"], INTERNAL);
    }
  }
  assert.equal((await caller.call(path, bob))["grpc-status"], "0");
});

Deno.test("a request with too many fields is refused", async () => {
  await using chat = await couple({ isEncrypted: false });
  await using caller = new Caller(chat.port);
  const empty = { message: [0x0a, 0], group: [0x5b, 0x5c], integer: [0x58, 1] };
  for (const [what, bytes] of Object.entries(empty)) {
    for (const call of ["SendMessages", "SendMessage", "GetInfo"]) {
      const request = new Uint8Array(100_000).map((_, i) => bytes[i % 2]);
      const answer = await caller.call(`/greet.v1.Chat/${call}`, request);
      assert.equal(answer["grpc-status"], RESOURCE_EXHAUSTED, `${what}, ${call}`);
    }
  }
});

Deno.test("a call may deliver up to a thousand messages", async () => {
  await using chat = await couple({ isEncrypted: true });
  using channel = dial(parseTarget(`${chat.port}`), { own: BOB });
  const messages = Array.from({ length: 1_001 }, (_, i): ChatMessage => ({
    id: crypto.randomUUID(),
    sender: "Bob",
    body: `${i}`,
    timestamp: { seconds: 1_800_000_000, nanos: 1 },
  }));
  const call = { timeoutMs: PATIENCE_MS };
  await assert.rejects(channel.call(CHAT, "SendMessages", { messages }, call), {
    code: "RESOURCE_EXHAUSTED",
    message: /Alice takes up to 1000 messages in one call/,
  });
  await channel.call(CHAT, "SendMessages", { messages: messages.slice(1) }, call);
  assert.equal((await chat.receivedUpTo("the end")).length, 1_001);
});

Deno.test("text that is not UTF-8 is refused, so that two ids never become equal", async () => {
  await using chat = await couple({ isEncrypted: false });
  await using caller = new Caller(chat.port);
  const wrong = [[0xff], [0xfe], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82]];
  const send = (sender: string | Uint8Array, body: string | Uint8Array, id: string | Uint8Array) =>
    caller.call(
      "/greet.v1.Chat/SendMessage",
      Uint8Array.from([...field(2, sender), ...field(3, body), ...field(4, id)]),
    );
  for (const bytes of wrong.map((bytes) => Uint8Array.from(bytes))) {
    for (
      const answer of [
        await send("Bob", "a wrong id", bytes),
        await send("Bob", bytes, "1"),
        await send(bytes, "a wrong name", "2"),
      ]
    ) {
      assert.equal(answer["grpc-status"], INVALID_ARGUMENT);
      assert.match(decodeURIComponent(answer["grpc-message"]!), /not valid UTF-8/);
    }
  }
  // Valid UTF-8 arrives unchanged.
  const right = "\uFEFF\uFFFD\0é🎉";
  assert.equal((await send("Bob", right, "3"))["grpc-status"], "0");
  assert.deepEqual(await chat.receivedUpTo("the end"), [right, "the end"]);
});

/** A server that answers every call with the same bytes. */
async function serverAnswering(
  message: Uint8Array,
  { flag = 0, headers = {} }: { flag?: number; headers?: Record<string, string> } = {},
) {
  const server = http2.createServer();
  server.on("stream", (stream: http2.ServerHttp2Stream) => {
    stream.on("error", () => {}).resume();
    stream.respond({ ":status": 200, "content-type": "application/grpc", ...headers }, {
      waitForTrailers: true,
    });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(framed(message, flag));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  return {
    port: (server.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

Deno.test("an answer that cannot be decoded is an error with a plain message", async () => {
  const answers = [[0x0a, 1, 0xff], [0x0a, 5, 1], Array(1_100_000).fill([0x0a, 0]).flat()];
  for (const bytes of answers) {
    await using server = await serverAnswering(Uint8Array.from(bytes));
    await assert.rejects(greet(`${server.port}`, "Bob"), {
      code: "INTERNAL",
      message: `127.0.0.1:${server.port}: the answer cannot be read`,
    });
  }
});

Deno.test("a compressed answer is read", async () => {
  const message = gzipSync(Uint8Array.from(field(1, "Hello, Bob.")));
  const headers = { "grpc-encoding": "gzip" };
  await using server = await serverAnswering(message, { flag: 1, headers });
  assert.equal(await greet(`${server.port}`, "Bob"), "Hello, Bob.");
});

Deno.test("an answer that cannot be decompressed is an error with a plain message", async () => {
  const bob = Uint8Array.from(field(1, "Bob"));
  for (
    const headers of [{}, ...["identity", "br", "gzip"].map((it) => ({ "grpc-encoding": it }))]
  ) {
    await using server = await serverAnswering(bob, { flag: 1, headers });
    await assert.rejects(greet(`${server.port}`, "Bob"), {
      code: "INTERNAL",
      message: `127.0.0.1:${server.port}: the answer cannot be read`,
    });
  }
});

Deno.test("the bytes of unknown peers are counted as they arrive, not periodically", async () => {
  let bytes = 0;
  const ended = Promise.withResolvers<void>();
  const listener = new Listener({
    onConnection: (socket) => {
      socket.on("data", (chunk: Uint8Array) => bytes += chunk.length);
      socket.on("close", () => ended.resolve());
    },
    secure: (onSecure) => ({ begin: (socket) => onSecure(socket, () => true) }),
  });
  const port = await listener.listen("127.0.0.1", 0);
  const stranger = net.connect(port, "127.0.0.1").on("error", () => {}).resume();
  const closed = new Promise<void>((resolve) => stranger.on("close", () => resolve()));
  stranger.write(new Uint8Array(20_000_000));
  await inTime(ended.promise, "the end of the connection");
  assert(bytes >= 1_000_000 && bytes < 1_200_000, `${bytes} bytes were accepted`);
  stranger.destroy();
  await closed;
  await listener.close();
});
