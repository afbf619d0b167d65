/** What servers do with requests that cost more to read than to send, or that are not theirs to read. */
import assert from "node:assert/strict";
import http2 from "node:http2";
import { gzipSync } from "node:zlib";
import { type Identity, newIdentity, Peer, serveGreeter } from "../mod.ts";
import { GreetError } from "../errors.ts";
import { implement, serve } from "../rpc_server.ts";
import { GREETER } from "../wire.ts";
import { freePorts, inTime } from "./program.ts";
import { WireTap } from "./wire_tap.ts";
import { Witness } from "./witness.ts";

const [ALICE, BOB, MALLORY] = await Promise.all(["Alice", "Bob", "Mallory"].map(newIdentity));

/** What a caller gets to see of an answer: its headers and trailers. */
type Answer = Record<string, string | undefined>;

/** An HTTP/2 connection of a caller that speaks gRPC by hand. */
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

  /** Begins a call, and sends so much of its request. */
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

/** A message as gRPC frames it. Source: grpc/grpc `doc/PROTOCOL-HTTP2.md`. */
function framed(message: Uint8Array, flag = 0): Uint8Array {
  const frame = new Uint8Array(5 + message.length);
  frame[0] = flag;
  new DataView(frame.buffer).setUint32(1, message.length);
  frame.set(message, 5);
  return frame;
}

/** A field of a message, of up to 127 bytes. Source: protobuf.dev, "Encoding". */
function field(number: number, value: string | Uint8Array): number[] {
  const bytes = typeof value === "string" ? new TextEncoder().encode(value) : value;
  return [number << 3 | 2, bytes.length, ...bytes];
}

const [UNIMPLEMENTED, PERMISSION_DENIED] = ["12", "7"];

/** Alice and Bob, who have met; without identities nothing is encrypted. */
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
    /** What Alice was shown, up to and with this, which Bob says now. */
    async shownUpTo(last: string): Promise<string[]> {
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

Deno.test("a message from an unknown key is refused before any of it has been sent", async () => {
  await using chat = await couple({ isEncrypted: true });
  for (const call of ["SendMessage", "SendMessages"]) {
    await using mallory = new Caller(chat.port, MALLORY);
    const { answer } = mallory.open(`/greet.v1.Chat/${call}`);
    assert.equal((await answer)["grpc-status"], PERMISSION_DENIED);
    // Whom the key belongs to may be asked by anyone.
    const asked = await mallory.call("/greet.v1.Chat/GetInfo", new Uint8Array());
    assert.equal(asked["grpc-status"], "0");
  }
  assert.deepEqual(await chat.shownUpTo("the end"), ["the end"]);
});

Deno.test("until a call is admitted, flow control holds back its request", async () => {
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
  // HTTP/2 lets 64 kB pass before the other side has read anything.
  assert(sent < 150_000, `${sent} bytes were let through`);
  decision.resolve();
  assert.equal((await answer)["grpc-status"], PERMISSION_DENIED);
});

Deno.test("compressed requests are refused, and callers are told what to do instead", async () => {
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
