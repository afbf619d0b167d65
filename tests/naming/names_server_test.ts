/** What the naming server promises over real sockets, to friends and to everybody else. */
import assert from "node:assert/strict";
import http2 from "node:http2";
import net from "node:net";
import { fileURLToPath } from "node:url";
import type * as grpc from "@grpc/grpc-js";
import { fromJSON } from "@grpc/proto-loader";
import reflectionProto from "@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto" with {
  type: "text",
};
import protobuf from "protobufjs";
import namesProto from "../../proto/names.proto" with { type: "text" };
import { newsLine } from "../../src/cli/names_output.ts";
import { type GreetError, type NameNews, serveNames } from "../../mod.ts";
import { LEASE_MS } from "../../src/naming/names_server.ts";
import { LIMITS } from "../../src/naming/registry.ts";
import { type Channel, dial } from "../../src/rpc/client.ts";
import { parseTarget } from "../../src/net/address.ts";
import {
  HEALTH,
  type NameChanges,
  type NameClaim,
  NAMES,
  type ServiceType,
} from "../../src/rpc/services.ts";
import { Belief, key } from "../support/belief.ts";
import { Program } from "../support/program.ts";
import { inTime } from "../support/waiting.ts";

const CALL = { timeoutMs: 10_000 };

// ---------------------------------------------------------------- those who use it

/** A naming server in this process, and what is free to call it. */
async function served() {
  const faults: unknown[] = [];
  const server = await serveNames({ port: 0, onFault: (fault) => faults.push(fault) });
  const client = new Client(server.port);
  return {
    server,
    client,
    faults,
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await server.stop(0);
      assert.deepEqual(faults, []);
    },
  };
}

type Wish = Partial<NameClaim> & { name: string };

/** Somebody with one connection. */
class Client implements Disposable {
  readonly channel: Channel;

  constructor(port: number) {
    this.channel = dial(parseTarget(`${port}`));
  }

  /** Claims a name; resolves when it is held. */
  async hold(wish: Wish) {
    const claim = { address: "127.0.0.1:1", shared: false, holder: "", fingerprint: "", ...wish };
    const end = new AbortController();
    const options = { ...CALL, signal: end.signal };
    const answers = this.channel.stream(NAMES, "Register", claim, options);
    await inTime(answers.next(), "a holding");
    return {
      /** How the call ended, as a code. */
      ended: answers.next().then(() => "OK", ({ code }: GreetError) => code),
      giveBack: () => end.abort(),
    };
  }

  async addresses(name: string): Promise<string[]> {
    const { entries } = await this.channel.call(NAMES, "Lookup", { name }, CALL);
    return entries.map(({ address }) => address);
  }

  /** How many names are held in all. */
  async count(): Promise<number> {
    const { entries } = await this.channel.call(NAMES, "List", { pageToken: "" }, CALL);
    return entries.length;
  }

  watch(name = "") {
    const end = new AbortController();
    const options = { ...CALL, signal: end.signal };
    const answers = this.channel.stream(NAMES, "Watch", { name }, options);
    return new Watching(answers, () => end.abort());
  }

  [Symbol.dispose](): void {
    this.channel[Symbol.dispose]();
  }
}

/** A watch that is read. */
class Watching implements Disposable {
  readonly belief = new Belief(true);
  readonly #answers: AsyncGenerator<NameChanges>;
  readonly #end: () => void;

  constructor(answers: AsyncGenerator<NameChanges>, end: () => void) {
    this.#answers = answers;
    this.#end = end;
  }

  /** Reads on until something is believed. */
  async until(isSo: (belief: Belief) => boolean, what: string, ms?: number): Promise<void> {
    const read = async () => {
      while (this.belief.states === 0 || this.belief.isMore || !isSo(this.belief)) {
        const { done, value } = await this.#answers.next();
        assert(!done, "the watch has ended");
        this.belief.fold(value);
      }
    };
    await inTime(read(), () => `${what}, in revision ${this.belief.revision}`, ms);
  }

  [Symbol.dispose](): void {
    this.#end();
  }
}

/** Whether a name is held, as far as is known. */
const isHeld = (name: string) => ({ entries }: Belief) =>
  [...entries.values()].some((entry) => entry.name === name);
const isFree = (name: string) => (belief: Belief) => !isHeld(name)(belief);

/** A process of `names_process.ts`. */
function process(...args: string[]): Program {
  const script = fileURLToPath(new URL("../support/names_process.ts", import.meta.url));
  return new Program([Deno.execPath(), "run", "--allow-all", script, ...args]);
}

// ---------------------------------------------------------------- those who know HTTP/2

const { "greet.v1.Names": METHODS } = fromJSON(protobuf.parse(namesProto).root.toJSON(), {
  defaults: true,
  longs: Number,
  enums: String,
}) as Record<string, grpc.ServiceDefinition>;

/** A message as gRPC frames it. */
function framed(message: Uint8Array): Buffer {
  const length = Buffer.alloc(5);
  length.writeUInt32BE(message.length, 1);
  return Buffer.concat([length, message]);
}

/** A connection that speaks bare HTTP/2: answers wait on the other side until they are read. */
class Bare implements AsyncDisposable {
  readonly #session: http2.ClientHttp2Session;

  constructor(port: number) {
    this.#session = http2.connect(`http://127.0.0.1:${port}`);
    this.#session.on("error", () => {});
  }

  /** Opens a call, and says nothing yet. */
  open(method: string) {
    const stream = this.#session.request({
      ":method": "POST",
      ":path": METHODS[method]?.path ?? `/grpc.reflection.v1.ServerReflection/${method}`,
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("error", () => {});
    return stream;
  }

  /** Makes a call; its answer is not read. */
  start(method: string, request: object | Uint8Array) {
    const stream = this.open(method);
    const bytes = request instanceof Uint8Array
      ? request
      : METHODS[method].requestSerialize(request);
    stream.end(framed(bytes));
    return stream;
  }

  /** Makes a call; resolves with its status when it has ended, or with 0 at the first answer. */
  async outcome(method: string, request: object | Uint8Array) {
    const stream = this.start(method, request);
    const { promise, resolve } = Promise.withResolvers<{ status: number; message: string }>();
    const end = (headers: http2.IncomingHttpHeaders) => {
      const { "grpc-status": status, "grpc-message": message } = headers;
      if (status === undefined) return;
      resolve({ status: Number(status), message: decodeURIComponent(`${message}`) });
    };
    stream.on("response", end).on("trailers", end);
    stream.once("data", () => resolve({ status: 0, message: "" }));
    stream.resume();
    return { stream, ...await inTime(promise, `the outcome of ${method}`) };
  }

  get isClosed(): boolean {
    return this.#session.destroyed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#session.destroyed) return;
    const closed = new Promise((resolve) => this.#session.once("close", resolve));
    this.#session.destroy();
    await inTime(closed, "the end of a session");
  }
}

/** What comes with the next event of a kind. */
function once<T>(stream: http2.ClientHttp2Stream, event: string): Promise<T> {
  return new Promise((resolve) => stream.once(event, resolve));
}

/** The answers of a bare call, from now on. */
async function* answers(stream: http2.ClientHttp2Stream): AsyncGenerator<NameChanges> {
  let bytes = Buffer.alloc(0);
  for await (const chunk of stream) {
    bytes = Buffer.concat([bytes, chunk]);
    while (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt32BE(1)) {
      const end = 5 + bytes.readUInt32BE(1);
      yield METHODS.Watch.responseDeserialize(bytes.subarray(5, end)) as NameChanges;
      bytes = bytes.subarray(end);
    }
  }
}

/** One frame of HTTP/2. */
function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const SETTINGS = frame(4, 0, 0, new Uint8Array());
/** The headers of a call of Register, each spelled out. */
const HEADERS = frame(
  1,
  4,
  1,
  Buffer.concat(
    Object.entries({
      ":method": "POST",
      ":scheme": "http",
      ":path": "/greet.v1.Names/Register",
      ":authority": "localhost",
      "content-type": "application/grpc",
      te: "trailers",
    }).flatMap(([name, value]) => [
      Buffer.from([0, name.length]),
      Buffer.from(name),
      Buffer.from([value.length]),
      Buffer.from(value),
    ]),
  ),
);

/** A cable to a server, which can be cut so that neither end notices. */
async function cable(to: number) {
  const sockets: net.Socket[] = [];
  const ended = Promise.withResolvers<void>();
  const server = net.createServer((near) => {
    const far = net.connect({ host: "127.0.0.1", port: to });
    far.once("close", () => ended.resolve());
    for (const [socket, other] of [[near, far], [far, near]]) {
      sockets.push(socket);
      socket.on("error", () => {}).on("close", () => other.destroy());
      socket.pipe(other);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    cut: () => sockets.forEach((socket) => socket.unpipe().pause()),
    /** Resolves when the server has ended a connection. */
    ended: ended.promise,
    mend: () => sockets.forEach((socket, i) => socket.pipe(sockets[i ^ 1])),
    async [Symbol.asyncDispose]() {
      sockets.forEach((socket) => socket.destroy());
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

// ---------------------------------------------------------------- what every server has

Deno.test("a probe finds it serving, and a tool that knows nothing finds its four calls", async () => {
  await using names = await served();
  const { channel } = names.client;
  for (const service of ["", "greet.v1.Names"]) {
    assert.deepEqual(await channel.call(HEALTH, "Check", { service }, CALL), { status: "SERVING" });
  }
  async function* requests() {
    yield { listServices: "*" };
    yield { fileContainingSymbol: "greet.v1.Names" };
  }
  const [services, files] = await Array.fromAsync(
    channel.stream(REFLECTION, "ServerReflectionInfo", requests(), CALL),
  );
  assert.deepEqual(services.listServicesResponse!.service.map(({ name }) => name).sort(), [
    "greet.v1.Names",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
  ]);
  const [file] = files.fileDescriptorResponse!.fileDescriptorProto;
  const described = new TextDecoder().decode(file);
  for (const call of ["Register", "Lookup", "Watch", "List"]) assert(described.includes(call));
});

const REFLECTION: ServiceType<{
  ServerReflectionInfo: {
    request: { listServices?: string; fileContainingSymbol?: string };
    response: {
      listServicesResponse?: { service: { name: string }[] };
      fileDescriptorResponse?: { fileDescriptorProto: Uint8Array[] };
    };
    streams: "both";
  };
}> = { name: "grpc.reflection.v1.ServerReflection", proto: reflectionProto };

Deno.test("a stop ends what is held and what is watched at once, and says why", async () => {
  await using names = await served();
  await using bare = new Bare(names.server.port);
  const calls = [bare.start("Register", { name: "Bob", address: "a:1" }), bare.start("Watch", {})];
  const ends = calls.map((call) => once<http2.IncomingHttpHeaders>(call, "trailers"));
  await inTime(Promise.all(calls.map((call) => once(call, "data"))), "the first answers");
  const stopped = names.server.stop();
  for (const end of await inTime(Promise.all(ends), "the ends", 2_000)) {
    assert.equal(end["grpc-status"], "14");
    assert.equal(end["grpc-message"], "the%20server%20is%20stopping");
  }
  await inTime(stopped, "the stop", 2_000);
});

// ---------------------------------------------------------------- who is gone is gone

Deno.test("a name is free when its call ends, and when its connection does", async () => {
  await using names = await served();
  using watch = names.client.watch();
  const bob = await names.client.hold({ name: "Bob" });
  await using other = new Bare(names.server.port);
  assert.equal((await other.outcome("Register", { name: "Carol", address: "a:1" })).status, 0);
  await watch.until((b) => isHeld("Bob")(b) && isHeld("Carol")(b), "both");
  bob.giveBack();
  await watch.until(isFree("Bob"), "no Bob", 1_000);
  await other[Symbol.asyncDispose]();
  await watch.until(isFree("Carol"), "no Carol", 1_000);
  await assert.rejects(names.client.addresses("Bob"), { code: "NOT_FOUND" });
});

Deno.test("a holder that is killed frees its name within a second", async () => {
  await using names = await served();
  using watch = names.client.watch();
  await using holder = process("hold", `${names.server.port}`, "Bob", "127.0.0.1:1");
  await watch.until(isHeld("Bob"), "Bob");
  holder.kill("SIGKILL");
  await watch.until(isFree("Bob"), "no Bob", 1_000);
});

Deno.test({
  name:
    "a holder that is stopped frees its name within the lease, and gets it back when it goes on",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using names = await served();
    using watch = names.client.watch();
    await using holder = process("hold", `${names.server.port}`, "Bob", "127.0.0.1:1");
    await watch.until(isHeld("Bob"), "Bob");
    await holder.out.until("held\n");
    holder.kill("SIGSTOP");
    const start = performance.now();
    await watch.until(isFree("Bob"), "no Bob", LEASE_MS + 1_000);
    // Not at once either: who only stumbles keeps the name.
    assert(performance.now() - start > LEASE_MS / 4);
    holder.kill("SIGCONT");
    await watch.until(isHeld("Bob"), "Bob again");
    await holder.out.until(/held\nlost\nheld\n/);
  },
});

Deno.test("after a cut cable the same holder has its name at once; nobody else has, and the old call is ABORTED", async () => {
  await using names = await served();
  await using wire = await cable(names.server.port);
  using old = new Client(wire.port);
  const before = await old.hold({ name: "Bob", holder: "secret" });
  const { channel } = names.client;
  const [{ sinceMs }] = (await channel.call(NAMES, "Lookup", { name: "Bob" }, CALL)).entries;
  wire.cut();
  await assert.rejects(names.client.hold({ name: "Bob", holder: "guess" }), {
    code: "ALREADY_EXISTS",
    message: /somebody else has held Bob since/,
  });
  const start = performance.now();
  await names.client.hold({ name: "Bob", holder: "secret", address: "127.0.0.1:2" });
  assert(performance.now() - start < 1_000);
  wire.mend();
  assert.equal(await inTime(before.ended, "the end of the old call"), "ABORTED");
  // The end of the old call has taken nothing away.
  const { entries } = await channel.call(NAMES, "Lookup", { name: "Bob" }, CALL);
  assert.deepEqual(entries.map(({ address }) => address), ["127.0.0.1:2"]);
  assert.equal(entries[0].sinceMs, sinceMs);
});

// ---------------------------------------------------------------- whose key

const KEY = `SHA256:${"+/".repeat(21)}A`;

Deno.test("a fingerprint is told to all who ask, and to the server's log; where there is none, it is empty", async () => {
  const news: NameNews[] = [];
  await using server = await serveNames({ port: 0, onChange: (one) => news.push(one) });
  using client = new Client(server.port);
  using watch = client.watch();
  await using other = new Bare(server.port);
  await client.hold({ name: "Bob", fingerprint: KEY });
  // Somebody who knows nothing of fingerprints.
  assert.equal((await other.outcome("Register", { name: "Alice", address: "a:1" })).status, 0);
  await watch.until(({ entries }) => entries.size === 2, "both");
  const { entries } = await client.channel.call(NAMES, "Lookup", { name: "Bob" }, CALL);
  const list = await client.channel.call(NAMES, "List", { pageToken: "" }, CALL);
  assert.deepEqual(entries.map(({ fingerprint }) => fingerprint), [KEY]);
  assert.deepEqual(list.entries.map(({ fingerprint }) => fingerprint), ["", KEY]);
  const told = watch.belief.entries.values();
  assert.deepEqual([...told].map(({ fingerprint }) => fingerprint).sort(), ["", KEY]);
  const at = new Date(0);
  assert.deepEqual(news.map((one) => newsLine({ ...one, at })), [
    `{"type":"held","at":"${at.toISOString()}","name":"Bob","address":"127.0.0.1:1",` +
    `"fingerprint":"${KEY}"}`,
    `{"type":"held","at":"${at.toISOString()}","name":"Alice","address":"a:1"}`,
  ]);
});

Deno.test("a bad fingerprint is INVALID_ARGUMENT, as is one for a shared name, and does no harm", async () => {
  await using names = await served();
  await using bare = new Bare(names.server.port);
  const bob = { name: "Bob", address: "a:1" };
  const fingerprints = ["SHA256:", KEY.slice(7), `${KEY}=`, `${KEY}\n`, "a".repeat(60_000)];
  for (const fingerprint of fingerprints) {
    const { status, message } = await bare.outcome("Register", { ...bob, fingerprint });
    assert.equal(status, 3, `${fingerprint.slice(0, 60)}: ${status} ${message}`);
    assert.equal(message, "the fingerprint is not SHA256:…");
  }
  const shared = await bare.outcome("Register", { ...bob, shared: true, fingerprint: KEY });
  assert.equal(shared.status, 3);
  assert.equal(shared.message, "a name that is shared has no fingerprint");
  assert.equal(await names.client.count(), 0);
  await names.client.hold({ name: "Bob", fingerprint: KEY });
});

// ---------------------------------------------------------------- too much of it

Deno.test("of ten thousand names one connection gets a thousand; others notice nothing, and all are free in the end", async () => {
  await using names = await served();
  using watch = names.client.watch();
  const greedy = new Bare(names.server.port);
  await using _ = greedy;
  const statuses = new Map<string, number>();
  let slowest = 0;
  for (let from = 0; from < 10_000; from += 500) {
    const outcomes = await Promise.all(
      Array.from(
        { length: 500 },
        (_, i) => greedy.outcome("Register", { name: `name ${from + i}`, address: "a:1" }),
      ),
    );
    for (const { status, message } of outcomes) {
      const outcome = `${status} ${message}`;
      statuses.set(outcome, (statuses.get(outcome) ?? 0) + 1);
    }
    const start = performance.now();
    (await names.client.hold({ name: `Bob ${from}` })).giveBack();
    slowest = Math.max(slowest, performance.now() - start);
  }
  assert.deepEqual(Object.fromEntries(statuses), {
    "0 ": LIMITS.namesOfOne,
    "8 one connection may hold 1000 names, and this one does": 10_000 - LIMITS.namesOfOne,
  });
  assert(slowest < 1_000, `another had to wait for ${slowest} ms`);
  await greedy[Symbol.asyncDispose]();
  await watch.until(({ entries }) => entries.size === 0, "no names", 2_000);
  assert.equal(await names.client.count(), 0);
});

const BAD_NAMES: readonly [what: string, name: string | Uint8Array][] = [
  ["an empty name", ""],
  ["a name with a slash", "a/b"],
  ["a name with an escape sequence", "\x1b[2J"],
  ["a name with a line break", "a\nb"],
  ["a name with a NUL", "a\0"],
  ["a name of 65 characters", "x".repeat(65)],
  ["a name of 60 kB", "x".repeat(60_000)],
  ["a name that runs backwards", "\u202Ebob"],
  ["an invisible name", "\u200B"],
  ["a name with white space around it", " Bob "],
  ["a name that is not normalized", "e\u0301"],
  ["a lone surrogate", Uint8Array.of(0xED, 0xA0, 0x80)],
  ["bytes that are no text", Uint8Array.of(0xFF, 0xFE)],
];

/** A claim or a request as bytes: a name that may be anything, and an address. */
function anyName(name: string | Uint8Array, address: string): Uint8Array {
  const bytes = Buffer.from(name as string);
  const rest = METHODS.Register.requestSerialize({ address });
  return Buffer.concat([Uint8Array.of(1 << 3 | 2), varint(bytes.length), bytes, rest]);
}

function varint(value: number): Uint8Array {
  const bytes = [];
  for (; value > 127; value >>>= 7) bytes.push(value & 127 | 128);
  return Uint8Array.from([...bytes, value]);
}

for (const [what, name] of BAD_NAMES) {
  Deno.test(`${what} is INVALID_ARGUMENT, whatever is asked, and does no harm`, async () => {
    await using names = await served();
    await using bare = new Bare(names.server.port);
    for (const method of ["Register", "Lookup", ...name === "" ? [] : ["Watch"]]) {
      const request = anyName(name, method === "Register" ? "a:1" : "");
      const { status, message } = await bare.outcome(method, request);
      assert.equal(status, 3, `${method}: ${status} ${message}`);
      assert.match(message, /^the (name [\w' /]+|message has text that is not valid UTF-8)$/);
    }
    assert.equal(await names.client.count(), 0);
    await names.client.hold({ name: "Bob" });
  });
}

Deno.test("a bad address is INVALID_ARGUMENT, and does no harm", async () => {
  await using names = await served();
  await using bare = new Bare(names.server.port);
  const addresses = [
    ...["", "55555", "host", "host:0", "host:65536", "host:1e3", ":1", "a b:1", "a:1\n", "\x1b:1"],
    ...["unix:/tmp/socket", "dns:///a:1", "[::1]", "a/b:1", "\u202Ea:1", "ä:1", "a".repeat(300)],
  ];
  for (const address of addresses) {
    const { status, message } = await bare.outcome("Register", { name: "Bob", address });
    assert.equal(status, 3, `${JSON.stringify(address)}: ${status}`);
    assert.equal(message, "the address is not host:port or [v6]:port");
  }
  assert.equal(await names.client.count(), 0);
});

Deno.test("500 that say half of what they want do not keep others waiting, and are gone within the lease", async () => {
  await using names = await served();
  const claim = METHODS.Register.requestSerialize({ name: "silent", address: "a:1" });
  const message = framed(claim);
  const said = [
    [],
    [PREFACE],
    [PREFACE, SETTINGS, HEADERS],
    [PREFACE, SETTINGS, HEADERS, frame(0, 0, 1, message.subarray(0, message.length / 2))],
    // And one who has said it all, and then falls silent: it is held, and then it is not.
    [PREFACE, SETTINGS, HEADERS, frame(0, 1, 1, message)],
  ];
  using watch = names.client.watch();
  const ends: Promise<void>[] = [];
  await Promise.all(Array.from({ length: 500 }, async (_, i) => {
    const { port } = names.server;
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await connection.write(Buffer.concat(said[i % said.length]));
    // Bytes are taken, but no ping is answered.
    ends.push(connection.readable.pipeTo(new WritableStream()).catch(() => {}));
  }));
  const start = performance.now();
  const ended = Promise.all(ends);
  // As many calls as that, half open on a connection that does answer.
  await using polite = new Bare(names.server.port);
  const halves = Array.from({ length: 500 }, () => polite.open("Register"));
  halves.forEach((half) => half.write(message.subarray(0, 7)));
  await watch.until(isHeld("silent"), "the one who said it all");
  for (let i = 0; i < 10; i++) {
    const before = performance.now();
    await names.client.hold({ name: `Bob ${i}` });
    assert(performance.now() - before < 1_000);
  }
  await watch.until(isFree("silent"), "no silent holder", LEASE_MS + 1_000);
  await inTime(ended, "the end of those who do not answer", LEASE_MS + 2_000);
  assert(performance.now() - start > LEASE_MS / 4);
  assert.equal(await names.client.count(), 10);
  assert.deepEqual(halves.filter(({ closed }) => closed), []);
  assert.equal((await polite.outcome("Register", { name: "Carol", address: "a:1" })).status, 0);
});

// ---------------------------------------------------------------- who does not listen

/** As many changes as were asked for, of long names, by one who takes its own names over. */
async function churn(bare: Bare, changes: number, round = 0): Promise<void> {
  const together = 50;
  for (let i = 0; i < changes / 2; i += together) {
    const outcomes = Array.from({ length: together }, (_, j) =>
      bare.outcome("Register", {
        name: `${"ä".repeat(55)} ${j}`,
        address: `${"a".repeat(240)}:${1 + round + i / together}`,
        holder: `${j}`,
      }));
    for (const { status } of await Promise.all(outcomes)) assert.equal(status, 0);
  }
}

/** A naming server in a process of its own. */
async function servingProcess() {
  const server = process("serve");
  const [, port] = await server.out.until(/listening on (\d+)\n/);
  return {
    port: Number(port),
    /** How much memory it takes, in MB. */
    async memory(): Promise<number> {
      const { length } = server.out.text;
      await server.write("?\n");
      const find = () => /memory (\d+)\n/.exec(server.out.text.slice(length))?.[1];
      return Number(await server.out.waitFor(find, () => "how much memory"));
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      assert.equal(server.err.text, "");
    },
  };
}

/** How many changes happen while nobody listens: GREET_TEST_CHANGES=50000 deno test … */
const CHANGES = Number(Deno.env.get("GREET_TEST_CHANGES") ?? 20_000);

/** How many watchers do not listen. */
const SLOW = 60;

/**
 * How much larger the server may become. It grows by 90 MB for the calls alone, and with 1 MB waiting
 * on each connection by 150 to 200 in all; with all changes waiting there it was more than 500.
 */
const GROWTH_MB = 350;

Deno.test("watchers that do not read cost little memory and nobody any time; then they get the state", async () => {
  await using server = await servingProcess();
  const { port, memory } = server;
  await using stack = new AsyncDisposableStack();
  const client = stack.use(new Client(port));
  const busy = stack.use(new Bare(port));
  await churn(busy, 2_000);
  const slow = Array.from({ length: SLOW }, () => stack.use(new Bare(port)).start("Watch", {}));
  await inTime(
    Promise.all(slow.map((stream) => once(stream, "response"))),
    "their watches",
  );
  const fast = stack.use(client.watch());
  await fast.until(({ states }) => states === 1, "the state");
  const first = fast.belief.revision;
  const before = await memory();
  const last = first + CHANGES;
  const heard = fast.until(({ revision }) => revision >= last, "all changes", 120_000);
  await churn(busy, CHANGES, 1_000);
  await inTime(heard, "the last changes", 1_000);
  assert.equal(fast.belief.states, 1, "who reads never needs a second state");
  const growth = await memory() - before;
  assert(growth < GROWTH_MB, `${growth} MB more`);

  // One of them reads again.
  using again = new Watching(answers(slow[0]), () => slow[0].destroy());
  await again.until(({ revision }) => revision >= last, "what is now");
  assert.equal(again.belief.states, 2, "the state again");
  const { entries } = await client.channel.call(NAMES, "List", { pageToken: "" }, CALL);
  assert.deepEqual([...again.belief.entries.keys()].sort(), entries.map(key).sort());
  await client.hold({ name: "Bob" });
  await again.until(isHeld("Bob"), "the next change", 1_000);
  assert.equal(again.belief.states, 2);
});

Deno.test("a thousand watches that one connection does not read cost little more than one", async () => {
  await using server = await servingProcess();
  await using busy = new Bare(server.port);
  const held = await Promise.all(
    Array.from({ length: LIMITS.namesOfOne }, (_, i) =>
      busy.outcome("Register", {
        name: `${"ä".repeat(55)} ${i}`,
        address: `${"a".repeat(240)}:1`,
      })),
  );
  assert.deepEqual(held.filter(({ status }) => status !== 0), []);
  const before = await server.memory();
  await using full = new Bare(server.port);
  const ofAll = LIMITS.watchesOfAllOfOne;
  for (let i = 0; i < ofAll; i++) full.start("Watch", {});
  assert.equal((await full.outcome("Watch", {})).status, 8);
  for (let i = ofAll; i < LIMITS.watchesOfOne; i++) full.start("Watch", { name: "Bob" });
  // This one is refused, so all the others have been asked for.
  assert.equal((await full.outcome("Watch", { name: "Bob" })).status, 8);
  const growth = await server.memory() - before;
  assert(growth < 200, `${growth} MB more`);
});

/** Holds as many names as one connection may, each of them long. */
async function holdLongNames(bare: Bare): Promise<void> {
  const outcomes = Array.from({ length: LIMITS.namesOfOne }, (_, i) =>
    bare.outcome("Register", {
      name: `${"ä".repeat(55)} ${i}`,
      address: `${"a".repeat(240)}:1`,
    }));
  for (const { status } of await Promise.all(outcomes)) assert.equal(status, 0);
}

/** Reads a call to its end; resolves with its status. */
async function statusOf(stream: http2.ClientHttp2Stream): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const end = (headers: http2.IncomingHttpHeaders) => {
    if (headers["grpc-status"] !== undefined) resolve(Number(headers["grpc-status"]));
  };
  stream.on("response", end).on("trailers", end);
  stream.resume();
  return await inTime(promise, "a status");
}

Deno.test("lists that nobody reads are not made; those that wait are answered when there is room", async () => {
  await using server = await servingProcess();
  await using busy = new Bare(server.port);
  await holdLongNames(busy);
  const before = await server.memory();
  await using full = new Bare(server.port);
  const unread = Array.from({ length: 60 }, () => full.start("List", {}));
  await inTime(once(unread[0], "response"), "the first answer");
  // Others are answered meanwhile, and after them all that can be written has been.
  using client = new Client(server.port);
  for (let i = 0; i < 20; i++) await client.count();
  const growth = await server.memory() - before;
  // 30 is what these calls take; with all answers written it was more than 100.
  assert(growth < 60, `${growth} MB more`);
  const statuses = await Promise.all(unread.map(statusOf));
  assert.deepEqual(statuses, unread.map(() => 0));
});

Deno.test("of very many lists on one connection some wait, and the others are refused", async () => {
  await using server = await servingProcess();
  await using busy = new Bare(server.port);
  await holdLongNames(busy);
  await using full = new Bare(server.port);
  const all = Array.from({ length: 1_000 }, () => statusOf(full.start("List", {})));
  const counts = Map.groupBy(await Promise.all(all), (status) => status);
  assert.deepEqual([...counts.keys()].sort(), [0, 8]);
  assert(counts.get(0)!.length >= 100, "a hundred may wait");
});

Deno.test("of very many connections that do not read some are closed, and others are answered", async () => {
  await using server = await servingProcess();
  await using stack = new AsyncDisposableStack();
  const busy = stack.use(new Bare(server.port));
  await holdLongNames(busy);
  using client = new Client(server.port);
  const full = Array.from({ length: 150 }, () => stack.use(new Bare(server.port)));
  for (const one of full) for (let i = 0; i < 5; i++) one.start("List", {});
  const isSomeClosed = async () => {
    while (!full.some(({ isClosed }) => isClosed)) await client.count();
  };
  await inTime(isSomeClosed(), "the end of a connection");
  assert(await client.count() > 0);
  assert(full.some(({ isClosed }) => !isClosed), "those that can stay do");
});

Deno.test("what was not read of calls that are given up is not waited for", async () => {
  await using server = await servingProcess();
  await using busy = new Bare(server.port);
  await holdLongNames(busy);
  await using full = new Bare(server.port);
  for (let round = 0; round < 10; round++) {
    const watches = Array.from({ length: 5 }, () => full.start("Watch", {}));
    await inTime(Promise.all(watches.map((watch) => once(watch, "response"))), "the states");
    const closed = watches.map((watch) => once(watch, "close"));
    for (const watch of watches) watch.close(http2.constants.NGHTTP2_CANCEL);
    await inTime(Promise.all(closed), "their ends");
  }
  assert.equal((await full.outcome("Watch", {})).status, 0);
  assert.equal(await statusOf(full.start("List", {})), 0);
});

Deno.test("reflection that nobody reads costs little; read, every request is answered", async () => {
  await using server = await servingProcess();
  await using full = new Bare(server.port);
  const before = await server.memory();
  const stream = full.open("ServerReflectionInfo");
  // fileContainingSymbol, field 4.
  const symbol = new TextEncoder().encode("greet.v1.Names");
  const request = framed(Buffer.concat([Uint8Array.of(4 << 3 | 2, symbol.length), symbol]));
  const requests = 60_000;
  stream.write(Buffer.concat(Array.from({ length: requests }, () => request)));
  await inTime(once(stream, "response"), "the first answer");
  using client = new Client(server.port);
  for (let i = 0; i < 20; i++) await client.count();
  const growth = await server.memory() - before;
  assert(growth < 60, `${growth} MB more`);

  let [answers, pending] = [0, Buffer.alloc(0)];
  const all = Promise.withResolvers<void>();
  stream.on("data", (chunk: Uint8Array) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 5 && pending.length >= 5 + pending.readUInt32BE(1)) {
      pending = pending.subarray(5 + pending.readUInt32BE(1));
      answers++;
    }
    if (answers === requests) all.resolve();
  });
  await inTime(all.promise, () => `${answers} answers`);
});

Deno.test("a name is free when its call ends, also where nobody reads what else is on the connection", async () => {
  await using names = await served();
  using watch = names.client.watch();
  await using full = new Bare(names.server.port);
  const unread = full.start("Watch", {});
  await inTime(once(unread, "response"), "the watch");
  await using busy = new Bare(names.server.port);
  // Some megabytes of changes: more than may wait.
  await churn(busy, 10_000);
  const bob = full.start("Register", { name: "Bob", address: "a:1" });
  await watch.until(isHeld("Bob"), "Bob");
  bob.close(http2.constants.NGHTTP2_CANCEL);
  await watch.until(isFree("Bob"), "no Bob", 1_000);
});

Deno.test({
  name:
    "a watcher that is stopped is let go within the lease; when it goes on it hears that it was lost, and the state",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using names = await served();
    await using wire = await cable(names.server.port);
    await using watcher = process("watch", `${wire.port}`);
    await watcher.out.until('{"type":"state","count":0}\n');
    watcher.kill("SIGSTOP");
    await using busy = new Bare(names.server.port);
    await churn(busy, 200);
    await inTime(wire.ended, "the end of its connection", LEASE_MS + 1_000);
    watcher.kill("SIGCONT");
    await watcher.out.until(/"type":"lost"[^\n]*\n\{"type":"state","count":50\}\n/);
    await names.client.hold({ name: "Bob" });
    await watcher.out.until(/"type":"held","entry":\{"name":"Bob"/);
  },
});
