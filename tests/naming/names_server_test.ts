/** The naming server over real sockets, with well-behaved, faulty and hostile clients. */
import assert from "node:assert/strict";
import http2 from "node:http2";
import net from "node:net";
import { fileURLToPath } from "node:url";
import type * as grpc from "@grpc/grpc-js";
import { fromJSON } from "@grpc/proto-loader";
import protobuf from "protobufjs";
import { newsLine } from "../../src/cli/names_output.ts";
import { type GreetError, type NameNews, serveNames } from "../../mod.ts";
import { LEASE_MS } from "../../src/naming/names_server.ts";
import { LIMITS } from "../../src/naming/registry.ts";
import { type Channel, dial } from "../../src/rpc/client.ts";
import { parseTarget } from "../../src/net/address.ts";
import { PROTOS } from "../../src/rpc/protos.ts";
import {
  HEALTH,
  NAMES,
  type ServiceType,
  type WireChanges,
  type WireClaim,
} from "../../src/rpc/services.ts";
import { ClientView, key } from "../support/client_view.ts";
import { Program } from "../support/program.ts";
import { posixTest } from "../support/tools.ts";
import { inTime, PATIENCE_MS } from "../support/waiting.ts";

const CALL = { timeoutMs: PATIENCE_MS };

/** Less than it takes to notice a silent connection: what happens sooner did not wait for that. */
const WITHOUT_LEASE_MS = LEASE_MS / 2 - 100;

// ---------------------------------------------------------------- clients

/** A naming server in this process, and a client. */
async function startServer() {
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

type ClaimOptions = Partial<WireClaim> & { name: string };

/** A client with one connection. */
class Client implements Disposable {
  readonly channel: Channel;

  constructor(port: number) {
    this.channel = dial(parseTarget(`${port}`));
  }

  /** Claims a name; resolves when it is held. */
  async hold(options: ClaimOptions) {
    const claim = {
      address: "127.0.0.1:1",
      shared: false,
      holder: "",
      fingerprint: "",
      ...options,
    };
    const end = new AbortController();
    const call = { ...CALL, signal: end.signal };
    const answers = this.channel.stream(NAMES, "Register", claim, call);
    await inTime(answers.next(), "a confirmation");
    return {
      /** The status code that the call ended with. */
      ended: answers.next().then(() => "OK", ({ code }: GreetError) => code),
      giveBack: () => end.abort(),
    };
  }

  async addresses(name: string): Promise<string[]> {
    const { entries } = await this.channel.call(NAMES, "Lookup", { name }, CALL);
    return entries.map(({ address }) => address);
  }

  /** The number of entries. */
  async count(options = CALL): Promise<number> {
    const { entries } = await this.channel.call(NAMES, "List", { pageToken: "" }, options);
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

/** A watch, and what it has reported. */
class Watching implements Disposable {
  readonly view = new ClientView(true);
  readonly #answers: AsyncGenerator<WireChanges>;
  readonly #end: () => void;

  constructor(answers: AsyncGenerator<WireChanges>, end: () => void) {
    this.#answers = answers;
    this.#end = end;
  }

  /** Reads until a condition is met. */
  async until(isMet: (view: ClientView) => boolean, what: string, ms?: number): Promise<void> {
    const read = async () => {
      while (this.view.states === 0 || this.view.isMore || !isMet(this.view)) {
        const { done, value } = await this.#answers.next();
        assert(!done, "the watch has ended");
        this.view.apply(value);
      }
    };
    await inTime(read(), () => `${what}, in revision ${this.view.revision}`, ms);
  }

  [Symbol.dispose](): void {
    this.#end();
  }
}

/** Whether a name is held, according to a watch. */
const isHeld = (name: string) => ({ entries }: ClientView) =>
  [...entries.values()].some((entry) => entry.name === name);
const isFree = (name: string) => (view: ClientView) => !isHeld(name)(view);

/** A process of `names_process.ts`. */
function process(...args: string[]): Program {
  const script = fileURLToPath(new URL("../support/names_process.ts", import.meta.url));
  return new Program([Deno.execPath(), "run", "--allow-all", script, ...args]);
}

// ---------------------------------------------------------------- clients that use HTTP/2 directly

const { "greet.v1.Names": METHODS } = fromJSON(protobuf.parse(NAMES.proto).root.toJSON(), {
  defaults: true,
  longs: Number,
  enums: String,
}) as Record<string, grpc.ServiceDefinition>;

/** Frames a message for gRPC. */
function framed(message: Uint8Array): Buffer {
  const length = Buffer.alloc(5);
  length.writeUInt32BE(message.length, 1);
  return Buffer.concat([length, message]);
}

/** A bare HTTP/2 connection: answers wait on the server until they are read. */
class Http2Client implements AsyncDisposable {
  readonly #session: http2.ClientHttp2Session;

  constructor(port: number) {
    this.#session = http2.connect(`http://127.0.0.1:${port}`);
    this.#session.on("error", () => {});
  }

  /** Opens a call, without sending a request. */
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

  /** Makes a call, without reading its answer. */
  start(method: string, request: object | Uint8Array) {
    const stream = this.open(method);
    const bytes = request instanceof Uint8Array
      ? request
      : METHODS[method].requestSerialize(request);
    stream.end(framed(bytes));
    return stream;
  }

  /** Makes a call, and returns its status at the end, or 0 at the first answer. */
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

/** The argument of the next event of a kind. */
function once<T>(stream: http2.ClientHttp2Stream, event: string): Promise<T> {
  return new Promise((resolve) => stream.once(event, resolve));
}

/** The further answers of a call. */
async function* answers(stream: http2.ClientHttp2Stream): AsyncGenerator<WireChanges> {
  let bytes = Buffer.alloc(0);
  for await (const chunk of stream) {
    bytes = Buffer.concat([bytes, chunk]);
    while (bytes.length >= 5 && bytes.length >= 5 + bytes.readUInt32BE(1)) {
      const end = 5 + bytes.readUInt32BE(1);
      yield METHODS.Watch.responseDeserialize(bytes.subarray(5, end)) as WireChanges;
      bytes = bytes.subarray(end);
    }
  }
}

/** An HTTP/2 frame. */
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
/** The headers of a call to Register, uncompressed. */
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

/** A proxy to a server, which can stop forwarding without closing connections. */
async function proxyTo(to: number) {
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
    stop: () => sockets.forEach((socket) => socket.unpipe().pause()),
    /** Resolves when the server has closed a connection. */
    ended: ended.promise,
    resume: () => sockets.forEach((socket, i) => socket.pipe(sockets[i ^ 1])),
    async [Symbol.asyncDispose]() {
      sockets.forEach((socket) => socket.destroy());
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

// ---------------------------------------------------------------- standard services, and stopping

Deno.test("health checks report SERVING, and reflection describes all four calls", async () => {
  await using names = await startServer();
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
}> = {
  name: "grpc.reflection.v1.ServerReflection",
  proto: PROTOS["grpc/reflection/v1/reflection.proto"],
};

Deno.test("stopping the server ends claims and watches at once, with a reason", async () => {
  await using names = await startServer();
  await using bare = new Http2Client(names.server.port);
  const calls = [bare.start("Register", { name: "Bob", address: "a:1" }), bare.start("Watch", {})];
  const ends = calls.map((call) => once<http2.IncomingHttpHeaders>(call, "trailers"));
  await inTime(Promise.all(calls.map((call) => once(call, "data"))), "the first answers");
  const stopped = names.server.stop();
  for (const end of await inTime(Promise.all(ends), "the ends")) {
    assert.equal(end["grpc-status"], "14");
    assert.equal(end["grpc-message"], "the%20server%20is%20stopping");
  }
  await inTime(stopped, "the stop");
});

// ---------------------------------------------------------------- lost holders

Deno.test("a name is freed when its call ends or its connection closes", async () => {
  await using names = await startServer();
  using watch = names.client.watch();
  const bob = await names.client.hold({ name: "Bob" });
  await using other = new Http2Client(names.server.port);
  assert.equal((await other.outcome("Register", { name: "Carol", address: "a:1" })).status, 0);
  await watch.until((b) => isHeld("Bob")(b) && isHeld("Carol")(b), "both");
  bob.giveBack();
  await watch.until(isFree("Bob"), "no Bob", WITHOUT_LEASE_MS);
  await other[Symbol.asyncDispose]();
  await watch.until(isFree("Carol"), "no Carol", WITHOUT_LEASE_MS);
  await assert.rejects(names.client.addresses("Bob"), { code: "NOT_FOUND" });
});

Deno.test("the name of a killed holder is freed without waiting for its lease", async () => {
  await using names = await startServer();
  using watch = names.client.watch();
  await using holder = process("hold", `${names.server.port}`, "Bob", "127.0.0.1:1");
  await watch.until(isHeld("Bob"), "Bob");
  holder.kill("SIGKILL");
  await watch.until(isFree("Bob"), "no Bob", WITHOUT_LEASE_MS);
});

posixTest(
  "the name of a suspended holder is freed within the lease, and comes back when it resumes",
  async () => {
    await using names = await startServer();
    using watch = names.client.watch();
    await using holder = process("hold", `${names.server.port}`, "Bob", "127.0.0.1:1");
    await watch.until(isHeld("Bob"), "Bob");
    await holder.out.until("held\n");
    holder.kill("SIGSTOP");
    const start = performance.now();
    await watch.until(isFree("Bob"), "no Bob", 2 * LEASE_MS);
    // Not at once: a short hiccup does not cost a name.
    assert(performance.now() - start > LEASE_MS / 4);
    holder.kill("SIGCONT");
    await watch.until(isHeld("Bob"), "Bob again");
    await holder.out.until(/held\nlost\nheld\n/);
  },
);

Deno.test("after a silent disconnection, only the same holder gets its name back; the old call is ABORTED", async () => {
  await using names = await startServer();
  await using proxy = await proxyTo(names.server.port);
  using old = new Client(proxy.port);
  const before = await old.hold({ name: "Bob", holder: "secret" });
  const { channel } = names.client;
  const [{ sinceMs }] = (await channel.call(NAMES, "Lookup", { name: "Bob" }, CALL)).entries;
  proxy.stop();
  await assert.rejects(names.client.hold({ name: "Bob", holder: "guess" }), {
    code: "ALREADY_EXISTS",
    message: /someone else has held Bob since/,
  });
  const start = performance.now();
  await names.client.hold({ name: "Bob", holder: "secret", address: "127.0.0.1:2" });
  assert(performance.now() - start < WITHOUT_LEASE_MS);
  proxy.resume();
  assert.equal(await inTime(before.ended, "the end of the old call"), "ABORTED");
  // The end of the old call did not free the name.
  const { entries } = await channel.call(NAMES, "Lookup", { name: "Bob" }, CALL);
  assert.deepEqual(entries.map(({ address }) => address), ["127.0.0.1:2"]);
  assert.equal(entries[0].sinceMs, sinceMs);
});

// ---------------------------------------------------------------- fingerprints

const KEY = `SHA256:${"+/".repeat(21)}A`;

Deno.test("a fingerprint is in lookups, lists, watches and the server's log; a missing one is empty", async () => {
  const news: NameNews[] = [];
  await using server = await serveNames({ port: 0, onChange: (one) => news.push(one) });
  using client = new Client(server.port);
  using watch = client.watch();
  await using other = new Http2Client(server.port);
  await client.hold({ name: "Bob", fingerprint: KEY });
  // A client that knows nothing of fingerprints.
  assert.equal((await other.outcome("Register", { name: "Alice", address: "a:1" })).status, 0);
  await watch.until(({ entries }) => entries.size === 2, "both");
  const { entries } = await client.channel.call(NAMES, "Lookup", { name: "Bob" }, CALL);
  const list = await client.channel.call(NAMES, "List", { pageToken: "" }, CALL);
  assert.deepEqual(entries.map(({ fingerprint }) => fingerprint), [KEY]);
  assert.deepEqual(list.entries.map(({ fingerprint }) => fingerprint), ["", KEY]);
  const watched = watch.view.entries.values();
  assert.deepEqual([...watched].map(({ fingerprint }) => fingerprint).sort(), ["", KEY]);
  const at = new Date(0);
  assert.deepEqual(news.map((one) => newsLine({ ...one, at })), [
    `{"type":"held","at":"${at.toISOString()}","name":"Bob","address":"127.0.0.1:1",` +
    `"fingerprint":"${KEY}"}`,
    `{"type":"held","at":"${at.toISOString()}","name":"Alice","address":"a:1"}`,
  ]);
});

Deno.test("a bad fingerprint is INVALID_ARGUMENT, as is any fingerprint for a shared name", async () => {
  await using names = await startServer();
  await using bare = new Http2Client(names.server.port);
  const bob = { name: "Bob", address: "a:1" };
  const fingerprints = ["SHA256:", KEY.slice(7), `${KEY}=`, `${KEY}\n`, "a".repeat(60_000)];
  for (const fingerprint of fingerprints) {
    const { status, message } = await bare.outcome("Register", { ...bob, fingerprint });
    assert.equal(status, 3, `${fingerprint.slice(0, 60)}: ${status} ${message}`);
    assert.equal(message, "the fingerprint is not SHA256:…");
  }
  const shared = await bare.outcome("Register", { ...bob, shared: true, fingerprint: KEY });
  assert.equal(shared.status, 3);
  assert.equal(shared.message, "a shared name has no fingerprint");
  assert.equal(await names.client.count(), 0);
  await names.client.hold({ name: "Bob", fingerprint: KEY });
});

// ---------------------------------------------------------------- too much, and bad requests

Deno.test("a connection that claims 10,000 names gets 1,000, without slowing others down", async () => {
  await using names = await startServer();
  using watch = names.client.watch();
  const greedy = new Http2Client(names.server.port);
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
    "8 this connection holds 1000 names, which is the limit": 10_000 - LIMITS.namesOfOne,
  });
  assert(slowest < WITHOUT_LEASE_MS, `another client waited for ${slowest} ms`);
  await greedy[Symbol.asyncDispose]();
  await watch.until(({ entries }) => entries.size === 0, "no names");
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
  ["bytes that are not text", Uint8Array.of(0xFF, 0xFE)],
];

/** Encodes a claim or another request with any bytes as its name. */
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
  Deno.test(`${what} is INVALID_ARGUMENT in every call`, async () => {
    await using names = await startServer();
    await using bare = new Http2Client(names.server.port);
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

Deno.test("a bad address is INVALID_ARGUMENT", async () => {
  await using names = await startServer();
  await using bare = new Http2Client(names.server.port);
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

Deno.test("500 incomplete requests do not slow others down, and silent ones end within the lease", async () => {
  await using names = await startServer();
  const claim = METHODS.Register.requestSerialize({ name: "silent", address: "a:1" });
  const message = framed(claim);
  const beginnings = [
    [],
    [PREFACE],
    [PREFACE, SETTINGS, HEADERS],
    [PREFACE, SETTINGS, HEADERS, frame(0, 0, 1, message.subarray(0, message.length / 2))],
    // A complete claim, followed by silence: the name is held, and later freed.
    [PREFACE, SETTINGS, HEADERS, frame(0, 1, 1, message)],
  ];
  using watch = names.client.watch();
  const ends: Promise<void>[] = [];
  await Promise.all(Array.from({ length: 500 }, async (_, i) => {
    const { port } = names.server;
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await connection.write(Buffer.concat(beginnings[i % beginnings.length]));
    // Reads everything, but answers no ping.
    ends.push(connection.readable.pipeTo(new WritableStream()).catch(() => {}));
  }));
  const start = performance.now();
  const ended = Promise.all(ends);
  // The same number of incomplete requests on a connection that does answer pings.
  await using polite = new Http2Client(names.server.port);
  const halves = Array.from({ length: 500 }, () => polite.open("Register"));
  halves.forEach((half) => half.write(message.subarray(0, 7)));
  await watch.until(isHeld("silent"), "the complete claim");
  for (let i = 0; i < 10; i++) {
    const before = performance.now();
    await names.client.hold({ name: `Bob ${i}` });
    assert(performance.now() - before < WITHOUT_LEASE_MS);
  }
  await watch.until(isFree("silent"), "no silent holder", 2 * LEASE_MS);
  await inTime(ended, "the end of the silent connections", 2 * LEASE_MS);
  assert(performance.now() - start > LEASE_MS / 4);
  assert.equal(await names.client.count(), 10);
  assert.deepEqual(halves.filter(({ closed }) => closed), []);
  assert.equal((await polite.outcome("Register", { name: "Carol", address: "a:1" })).status, 0);
});

// ---------------------------------------------------------------- slow readers

/** Causes a number of changes to long names, by a holder that takes over its own names. */
async function churn(bare: Http2Client, changes: number, round = 0): Promise<void> {
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

/** A naming server in its own process. */
async function serverProcess() {
  const server = process("serve");
  const [, port] = await server.out.until(/listening on (\d+)\n/);
  return {
    port: Number(port),
    /** The memory of the process, in MB. */
    async memory(): Promise<number> {
      const { length } = server.out.text;
      await server.write("?\n");
      const find = () => /memory (\d+)\n/.exec(server.out.text.slice(length))?.[1];
      return Number(await server.out.waitFor(find, () => "the memory"));
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      assert.equal(server.err.text, "");
    },
  };
}

/** The number of changes while watchers do not read: GREET_TEST_CHANGES=50000 deno test … */
const CHANGES = Number(Deno.env.get("GREET_TEST_CHANGES") ?? 20_000);

/** The number of watchers that do not read. */
const SLOW = 60;

/**
 * How much the server may grow. The calls alone take 90 MB, with 1 MB waiting on each connection it
 * is 150 to 200 MB; with all changes waiting it would be more than 500 MB.
 */
const GROWTH_MB = 350;

Deno.test("watchers that do not read cost little memory, delay no one, and get the state later", async () => {
  await using server = await serverProcess();
  const { port, memory } = server;
  await using stack = new AsyncDisposableStack();
  const client = stack.use(new Client(port));
  const busy = stack.use(new Http2Client(port));
  await churn(busy, 2_000);
  const slow = Array.from(
    { length: SLOW },
    () => stack.use(new Http2Client(port)).start("Watch", {}),
  );
  await inTime(
    Promise.all(slow.map((stream) => once(stream, "response"))),
    "their watches",
  );
  const fast = stack.use(client.watch());
  await fast.until(({ states }) => states === 1, "the state");
  const first = fast.view.revision;
  const before = await memory();
  const last = first + CHANGES;
  const allRead = fast.until(({ revision }) => revision >= last, "all changes", 120_000);
  await churn(busy, CHANGES, 1_000);
  await inTime(allRead, "the last changes");
  assert.equal(fast.view.states, 1, "a watcher that reads needs one state");
  const growth = await memory() - before;
  assert(growth < GROWTH_MB, `${growth} MB more`);

  // One of them reads again.
  using again = new Watching(answers(slow[0]), () => slow[0].destroy());
  await again.until(({ revision }) => revision >= last, "the last revision");
  assert.equal(again.view.states, 2, "the state again");
  const { entries } = await client.channel.call(NAMES, "List", { pageToken: "" }, CALL);
  assert.deepEqual([...again.view.entries.keys()].sort(), entries.map(key).sort());
  await client.hold({ name: "Bob" });
  await again.until(isHeld("Bob"), "the next change");
  assert.equal(again.view.states, 2);
});

Deno.test("a thousand unread watches on one connection cost little memory", async () => {
  await using server = await serverProcess();
  await using busy = new Http2Client(server.port);
  const held = await Promise.all(
    Array.from({ length: LIMITS.namesOfOne }, (_, i) =>
      busy.outcome("Register", {
        name: `${"ä".repeat(55)} ${i}`,
        address: `${"a".repeat(240)}:1`,
      })),
  );
  assert.deepEqual(held.filter(({ status }) => status !== 0), []);
  const before = await server.memory();
  await using full = new Http2Client(server.port);
  const ofAll = LIMITS.watchesOfAllOfOne;
  for (let i = 0; i < ofAll; i++) full.start("Watch", {});
  assert.equal((await full.outcome("Watch", {})).status, 8);
  for (let i = ofAll; i < LIMITS.watchesOfOne; i++) full.start("Watch", { name: "Bob" });
  // This one is refused, so all the others have been opened.
  assert.equal((await full.outcome("Watch", { name: "Bob" })).status, 8);
  const growth = await server.memory() - before;
  assert(growth < 200, `${growth} MB more`);
});

/** Holds as many names as one connection may, all of them long. */
async function holdLongNames(bare: Http2Client): Promise<void> {
  const outcomes = Array.from({ length: LIMITS.namesOfOne }, (_, i) =>
    bare.outcome("Register", {
      name: `${"ä".repeat(55)} ${i}`,
      address: `${"a".repeat(240)}:1`,
    }));
  for (const { status } of await Promise.all(outcomes)) assert.equal(status, 0);
}

/** Reads a call to its end, and returns its status. */
async function statusOf(stream: http2.ClientHttp2Stream): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const end = (headers: http2.IncomingHttpHeaders) => {
    if (headers["grpc-status"] !== undefined) resolve(Number(headers["grpc-status"]));
  };
  stream.on("response", end).on("trailers", end);
  stream.resume();
  return await inTime(promise, "a status");
}

Deno.test("unread lists wait before they are made, and are answered later", async () => {
  await using server = await serverProcess();
  await using busy = new Http2Client(server.port);
  await holdLongNames(busy);
  const before = await server.memory();
  await using full = new Http2Client(server.port);
  const unread = Array.from({ length: 60 }, () => full.start("List", {}));
  await inTime(once(unread[0], "response"), "the first answer");
  // Other clients are answered. After that, the server has written all it can.
  using client = new Client(server.port);
  for (let i = 0; i < 20; i++) await client.count();
  const growth = await server.memory() - before;
  // These calls take 30 MB; with all answers written it would be more than 100 MB.
  assert(growth < 60, `${growth} MB more`);
  const statuses = await Promise.all(unread.map(statusOf));
  assert.deepEqual(statuses, unread.map(() => 0));
});

Deno.test("of a thousand lists on one connection, a hundred wait and others are refused", async () => {
  await using server = await serverProcess();
  await using busy = new Http2Client(server.port);
  await holdLongNames(busy);
  await using full = new Http2Client(server.port);
  const all = Array.from({ length: 1_000 }, () => statusOf(full.start("List", {})));
  const counts = Map.groupBy(await Promise.all(all), (status) => status);
  assert.deepEqual([...counts.keys()].sort(), [0, 8]);
  assert(counts.get(0)!.length >= 100, "a hundred may wait");
});

Deno.test("of many connections that do not read, some are closed, and other clients are answered", async () => {
  await using server = await serverProcess();
  await using stack = new AsyncDisposableStack();
  const busy = stack.use(new Http2Client(server.port));
  await holdLongNames(busy);
  using client = new Client(server.port);
  const full = Array.from({ length: 150 }, () => stack.use(new Http2Client(server.port)));
  for (const one of full) for (let i = 0; i < 5; i++) one.start("List", {});
  // Before the first answer to this client, each of the others gets one or two, 50 MB in total.
  const isSomeClosed = async () => {
    while (!full.some(({ isClosed }) => isClosed)) await client.count({ timeoutMs: PATIENCE_MS });
  };
  await inTime(isSomeClosed(), "the end of a connection");
  assert(await client.count() > 0);
  assert(full.some(({ isClosed }) => !isClosed), "the others stay open");
});

Deno.test("of unread watches that begin together, some are answered and the others wait", async () => {
  await using server = await serverProcess();
  await using busy = new Http2Client(server.port);
  await holdLongNames(busy);
  await using full = new Http2Client(server.port);
  const watches = Array.from({ length: 8 }, () => full.start("Watch", {}));
  let answered = 0;
  const states = watches.map((watch) => once(watch, "response").then(() => answered++));
  // This one is refused, so all the others have been opened.
  assert.equal((await full.outcome("Watch", { name: "\n" })).status, 3);
  await inTime(Promise.race(states), "a state");
  // The first part of a state takes 190 kB, and 64 kB of it have been received.
  assert(answered <= 2, `${answered} were answered`);
  for (const watch of watches) watch.resume();
  await inTime(Promise.all(states), "the other states");
});

Deno.test("unread answers of cancelled calls no longer count", async () => {
  await using server = await serverProcess();
  await using busy = new Http2Client(server.port);
  await holdLongNames(busy);
  await using full = new Http2Client(server.port);
  for (let round = 0; round < 10; round++) {
    const watches = Array.from({ length: 5 }, () => full.start("Watch", {}));
    await inTime(Promise.race(watches.map((watch) => once(watch, "response"))), "a state");
    const closed = watches.map((watch) => once(watch, "close"));
    for (const watch of watches) watch.close(http2.constants.NGHTTP2_CANCEL);
    await inTime(Promise.all(closed), "their ends");
  }
  assert.equal((await full.outcome("Watch", {})).status, 0);
  assert.equal(await statusOf(full.start("List", {})), 0);
});

Deno.test("unread reflection costs little memory; once read, every request is answered", async () => {
  await using server = await serverProcess();
  await using full = new Http2Client(server.port);
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

Deno.test("a name is freed when its call ends, even if the connection has unread answers", async () => {
  await using names = await startServer();
  using watch = names.client.watch();
  await using full = new Http2Client(names.server.port);
  const unread = full.start("Watch", {});
  await inTime(once(unread, "response"), "the watch");
  await using busy = new Http2Client(names.server.port);
  // Several megabytes of changes: more than may wait.
  await churn(busy, 10_000);
  const bob = full.start("Register", { name: "Bob", address: "a:1" });
  await watch.until(isHeld("Bob"), "Bob");
  bob.close(http2.constants.NGHTTP2_CANCEL);
  await watch.until(isFree("Bob"), "no Bob", WITHOUT_LEASE_MS);
});

posixTest(
  "a suspended watcher is disconnected within the lease; when it resumes, it gets `lost` and the state",
  async () => {
    await using names = await startServer();
    await using proxy = await proxyTo(names.server.port);
    await using watcher = process("watch", `${proxy.port}`);
    await watcher.out.until('{"type":"state","count":0}\n');
    watcher.kill("SIGSTOP");
    await using busy = new Http2Client(names.server.port);
    await churn(busy, 200);
    await inTime(proxy.ended, "the end of its connection", 2 * LEASE_MS);
    watcher.kill("SIGCONT");
    await watcher.out.until(/"type":"lost"[^\n]*\n\{"type":"state","count":50\}\n/);
    await names.client.hold({ name: "Bob" });
    await watcher.out.until(/"type":"held","entry":\{"name":"Bob"/);
  },
);
