/** What every gRPC server of this program promises, also to faulty and hostile clients. */
import assert from "node:assert/strict";
import http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import tls from "node:tls";
import * as grpc from "@grpc/grpc-js";
import { fromJSON } from "@grpc/proto-loader";
import protobuf from "protobufjs";
import { greet, GreetError, newIdentity, serveGreeter, type Server } from "../../mod.ts";
import { callError } from "../../src/rpc/call_errors.ts";
import { dial } from "../../src/rpc/client.ts";
import type { Attempt } from "../../src/rpc/connection_errors.ts";
import { serve, type ServeOptions } from "../../src/rpc/server.ts";
import { implement } from "../../src/rpc/service.ts";
import { definitionOf } from "../../src/rpc/service_definition.ts";
import { CHAT, GREETER, HEALTH, type Receipt } from "../../src/rpc/services.ts";
import { aborted, pause } from "../../src/base/timing.ts";
import { parseTarget } from "../../src/net/address.ts";
import { GRPC_TIMERS_OUTLIVE_CHANNELS } from "../support/grpc_timers.ts";
import { inTime, PATIENCE_MS } from "../support/waiting.ts";

/** Less than the grace period of a stop: what happens sooner has not waited for that, in milliseconds. */
const BEFORE_GRACE_ENDS_MS = 4_500;

/** A greeting server whose answers wait until they are released. */
async function slowServer() {
  const arrived = Promise.withResolvers<AbortSignal>();
  const release = Promise.withResolvers<void>();
  const services = [implement(GREETER, {
    async Greet({ name }, { signal }) {
      arrived.resolve(signal);
      await release.promise;
      return { greeting: `Hello, ${name}.` };
    },
  })];
  const server = await serve({ host: "127.0.0.1", port: 0, services });
  const channel = dial(parseTarget(`${server.port}`));
  const call = (timeoutMs = 10_000, signal?: AbortSignal, connectMs?: number) =>
    channel.call(GREETER, "Greet", { name: "Bob" }, { timeoutMs, signal, connectMs });
  return {
    server,
    channel,
    call,
    arrived: arrived.promise,
    release: release.resolve,
    async [Symbol.asyncDispose]() {
      release.resolve();
      channel[Symbol.dispose]();
      await server.stop(0);
    },
  };
}

Deno.test("stop lets calls in flight finish, and refuses new ones", async () => {
  await using slow = await slowServer();
  const inFlight = slow.call();
  inFlight.catch(() => {});
  await slow.arrived;
  const stopped = slow.server.stop();
  await assert.rejects(
    inTime(greetOnce(slow.server), "a refusal"),
    { code: "UNAVAILABLE" },
  );
  await assert.rejects(inTime(stopped, "the stop", 1_000), /not within/);
  slow.release();
  assert.deepEqual(await inFlight, { greeting: "Hello, Bob." });
  await inTime(stopped, "the stop");
});

/** Makes a call on its own connection. */
async function greetOnce({ port }: Server): Promise<void> {
  using channel = dial(parseTarget(`${port}`));
  await channel.call(GREETER, "Greet", { name: "late" }, { timeoutMs: PATIENCE_MS });
}

Deno.test("stop waits no longer than its grace period", async () => {
  await using slow = await slowServer();
  const failed = assert.rejects(slow.call(), { code: "UNAVAILABLE" });
  await slow.arrived;
  await inTime(slow.server.stop(100), "the stop", BEFORE_GRACE_ENDS_MS);
  await failed;
});

Deno.test("a deadline and an aborted signal reach the handler", async () => {
  await using slow = await slowServer();
  const giveUp = new AbortController();
  const call = slow.call(10_000, giveUp.signal);
  const seen = await slow.arrived;
  giveUp.abort(new GreetError("INTERRUPTED", "changed my mind"));
  await assert.rejects(call, { code: "INTERRUPTED" });
  await inTime(
    new Promise<void>((resolve) =>
      seen.aborted ? resolve() : seen.addEventListener("abort", () => resolve())
    ),
    "the abort in the handler",
  );
  await assert.rejects(slow.call(50), {
    code: "DEADLINE_EXCEEDED",
    message: /no answer within 0.05 s/,
  });
});

Deno.test("a call may wait for its answer for longer than for its connection", {
  ...GRPC_TIMERS_OUTLIVE_CHANNELS,
}, async () => {
  await using silent = await listening(net.createServer());
  using channel = dial(parseTarget(`${silent.port}`));
  const limits = { timeoutMs: PATIENCE_MS, connectMs: 50 };
  const unconnected = channel.call(GREETER, "Greet", { name: "Bob" }, limits);
  await assert.rejects(inTime(unconnected, "the error", PATIENCE_MS / 2), {
    code: "DEADLINE_EXCEEDED",
    message: `127.0.0.1:${silent.port}: no connection within 0.05 s`,
  });
  await using slow = await slowServer();
  const connecting = slow.call();
  await slow.arrived;
  const connected = slow.call(PATIENCE_MS, undefined, 1);
  // Timers of the same length end in order.
  await pause(1);
  slow.release();
  assert.deepEqual(await connected, { greeting: "Hello, Bob." });
  await connecting;
});

Deno.test("a passed deadline is told in our words, even when the server is first to tell", async () => {
  const error = Object.assign(new Error("Deadline exceeded"), {
    code: 4,
    details: "Deadline exceeded",
    metadata: new grpc.Metadata(),
  });
  const call = { error, method: "Greet", wasConnected: true, contentType: undefined };
  const attempt: Attempt = {
    target: parseTarget("1234"),
    protection: "plaintext",
    shown: undefined,
  };
  const inTime = await callError({ ...call, isOverdue: false }, attempt, 2_000);
  assert.equal(inTime.message, "127.0.0.1:1234: Deadline exceeded");
  const overdue = await callError({ ...call, isOverdue: true }, attempt, 2_000);
  assert.equal(overdue.message, "127.0.0.1:1234: no answer within 2 s");
});

Deno.test("an unexpected error in a handler is INTERNAL for the caller, and reported to the server", async () => {
  const faults: unknown[] = [];
  await using server = await serve({
    host: "127.0.0.1",
    port: 0,
    services: [implement(GREETER, {
      Greet({ name }) {
        if (name === "sync") throw new Error("secret: /etc/passwd");
        return Promise.reject(new TypeError("secret"));
      },
    })],
    onFault: (error) => faults.push(error),
  });
  for (const name of ["sync", "async"]) {
    await assert.rejects(greet(`${server.port}`, name), (error: GreetError) => {
      assert.equal(error.code, "INTERNAL");
      assert.match(error.message, /: internal error$/);
      return true;
    });
  }
  assert.equal(faults.length, 2);
});

Deno.test("a name of 60 kB is refused by the handler, a longer one before it", async () => {
  await using server = await serveGreeter();
  await assert.rejects(greet(`${server.port}`, "x".repeat(60_000)), {
    code: "INVALID_ARGUMENT",
  });
  await assert.rejects(greet(`${server.port}`, "x".repeat(100_000)), {
    code: "RESOURCE_EXHAUSTED",
  });
  assert.equal(await greet(`${server.port}`, "Bob"), "Hello, Bob.");
});

Deno.test("a call to a missing service is UNIMPLEMENTED", async () => {
  await using server = await serveGreeter();
  using channel = dial(parseTarget(`${server.port}`));
  await assert.rejects(channel.call(CHAT, "GetInfo", {}, { timeoutMs: PATIENCE_MS }), {
    code: "UNIMPLEMENTED",
  });
});

Deno.test("health: known services are SERVING, others NOT_FOUND; watches hear of the stop", async () => {
  const server = await serveGreeter();
  const { client, check, watch } = healthClient(server.port);
  try {
    assert.deepEqual(await check(""), { status: "SERVING" });
    assert.deepEqual(await check("greet.v1.Greeter"), { status: "SERVING" });
    await assert.rejects(check("no.Such"), { code: grpc.status.NOT_FOUND });
    const watches = ["", "greet.v1.Greeter", "no.Such"].map((service) => watch(service));
    await Promise.all(watches.map(({ first }) => first));
    await inTime(server.stop(), "the stop", BEFORE_GRACE_ENDS_MS);
    for (const { end } of watches) assert.equal(await end, grpc.status.UNAVAILABLE);
    assert.deepEqual(watches.map(({ statuses }) => statuses), [
      ["SERVING", "NOT_SERVING"],
      ["SERVING", "NOT_SERVING"],
      ["SERVICE_UNKNOWN"],
    ]);
  } finally {
    client.close();
    await server.stop();
  }
});

Deno.test("health: List has the status of every service", async () => {
  await using server = await serveGreeter();
  using channel = dial(parseTarget(`${server.port}`));
  assert.deepEqual(await channel.call(HEALTH, "List", {}, { timeoutMs: PATIENCE_MS }), {
    statuses: { "": { status: "SERVING" }, "greet.v1.Greeter": { status: "SERVING" } },
  });
});

Deno.test("health: one connection may have ten watches open", async () => {
  await using server = await serveGreeter();
  const { client, watch } = healthClient(server.port);
  try {
    const watches = Array.from({ length: 10 }, () => watch(""));
    for (const { first } of watches) assert.deepEqual(await first, { status: "SERVING" });
    assert.equal(await watch("").end, grpc.status.RESOURCE_EXHAUSTED);
    watches[0].call.cancel();
    await inTime(watches[0].end, "the end of a watch");
    // The server may hear of that later than the client.
    const again = async () => {
      for (;;) {
        const { first, end } = watch("");
        if (await Promise.race([first, end]) !== grpc.status.RESOURCE_EXHAUSTED) return;
      }
    };
    await inTime(again(), "another watch");
  } finally {
    client.close();
  }
});

Deno.test("a call may have a deadline that is weeks or centuries away", async () => {
  const server = await serveGreeter();
  const { client, check, watch } = healthClient(server.port);
  try {
    for (const days of [24, 25, 40, 100, 3_650, 400_000]) {
      const { call, first, end } = watch("", Date.now() + days * 86_400_000);
      assert.deepEqual(await inTime(first, `the first answer, with ${days} days`), {
        status: "SERVING",
      });
      await check("");
      call.cancel();
      assert.equal(await inTime(end, "the end of the call"), grpc.status.CANCELLED, `${days} days`);
    }
  } finally {
    client.close();
    await server.stop();
  }
});

/** A health client that uses only grpc-js. */
function healthClient(port: number) {
  const definition = fromJSON(protobuf.parse(HEALTH.proto).root.toJSON(), { enums: String });
  const { Check, Watch } = definition["grpc.health.v1.Health"] as grpc.ServiceDefinition;
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const check = (service: string) =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        Check.path,
        Check.requestSerialize,
        Check.responseDeserialize,
        { service },
        (error, status) => error ? reject(error) : resolve({ ...status }),
      );
    });
  const watch = (service: string, deadline = Infinity) => {
    const call = client.makeServerStreamRequest(
      Watch.path,
      Watch.requestSerialize,
      Watch.responseDeserialize,
      { service },
      { deadline },
    );
    const statuses: string[] = [];
    call.on("data", ({ status }) => statuses.push(status));
    const first = new Promise((resolve) => call.once("data", (status) => resolve({ ...status })));
    const end = new Promise((resolve) =>
      call.once("error", ({ code }: grpc.ServiceError) => resolve(code))
    );
    return { call, statuses, first, end };
  };
  return { client, check, watch };
}

// ---------------------------------------------------------------- other clients

function random(length: number): Uint8Array {
  // The same garbage each time, so that a failure can be reproduced.
  let state = 42;
  return Uint8Array.from({ length }, () => (state = state * 1103515245 + 12345 & 0x7fffffff) >> 16);
}

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HOSTILE: readonly [what: string, bytes: Uint8Array | string][] = [
  ["nothing", ""],
  ["garbage", random(100_000)],
  ["an HTTP/1 request", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"],
  ["an HTTP/1 upgrade", "GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"],
  ["half a preface", PREFACE.slice(0, 10)],
  ["a preface and garbage", PREFACE + "\xff".repeat(10_000)],
  ["a preface and a frame of 16 MB", PREFACE + "\xff\xff\xff\x00\x00\x00\x00\x00\x01"],
  ["a preface and a thousand pings", PREFACE + "\0\0\x08\x06\0\0\0\0\0pingping".repeat(1000)],
  ["a TLS client hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "a".repeat(512)],
];

for (const [what, bytes] of HOSTILE) {
  Deno.test(`${what} does not stop the server`, async () => {
    await using server = await serveGreeter();
    const connection = net.connect({ host: "127.0.0.1", port: server.port });
    connection.on("error", () => {});
    connection.resume();
    await inTime(
      new Promise<void>((resolve) => connection.once("connect", resolve)),
      "a connection",
    );
    const buffer = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
    await inTime(
      new Promise<void>((resolve) => connection.write(buffer, () => resolve())),
      "a write",
    );
    assert.equal(await greet(`${server.port}`, "Bob"), "Hello, Bob.");
    connection.destroy();
    await inTime(server.stop(), "the stop", BEFORE_GRACE_ENDS_MS);
  });
}

Deno.test("a TLS client gets an error, and the server keeps running", async () => {
  await using server = await serveGreeter();
  const client = tls.connect({ host: "127.0.0.1", port: server.port, rejectUnauthorized: false });
  const ended = new Promise<string>((resolve) => {
    client.once("error", () => resolve("an error"));
    client.once("secureConnect", () => resolve("a connection"));
  });
  assert.equal(await inTime(ended, "an end"), "an error");
  client.destroy();
  assert.equal(await greet(`${server.port}`, "Bob"), "Hello, Bob.");
});

Deno.test("a thousand idle connections do not delay calls, nor the stop of the server", async () => {
  await using server = await serveGreeter();
  const idle = await Promise.all(
    Array.from(
      { length: 1000 },
      () => Deno.connect({ hostname: "127.0.0.1", port: server.port }),
    ),
  );
  assert.equal(await greet(`${server.port}`, "Bob"), "Hello, Bob.");
  await inTime(server.stop(), "the stop", BEFORE_GRACE_ENDS_MS);
  idle.forEach((connection) => connection.close());
});

// ---------------------------------------------------------------- limits

/** A greeting server with given options. */
function serveWith(options: Partial<ServeOptions>): Promise<Server> {
  const greeter = implement(GREETER, { Greet: ({ name }) => ({ greeting: `Hello, ${name}.` }) });
  return serve({ host: "127.0.0.1", port: 0, services: [greeter], ...options });
}

/** Begins a request that never ends, and returns the error code when it is reset. */
function unfinished(session: http2.ClientHttp2Session): Promise<number> {
  const request = session.request({
    ":method": "POST",
    ":path": "/greet.v1.Greeter/Greet",
    "content-type": "application/grpc",
    te: "trailers",
  });
  return new Promise((resolve) =>
    request.on("error", () => {}).on("close", () => resolve(request.rstCode))
  );
}

/** Source: RFC 9113, section 7. */
const ENHANCE_YOUR_CALM = 11;

async function end(session: http2.ClientHttp2Session): Promise<void> {
  await new Promise<void>((resolve) => session.once("close", () => resolve()).destroy());
}

Deno.test("an overdue request is reset, and its connection continues", async () => {
  await using server = await serveWith({ maxRequestMs: 300 });
  const session = http2.connect(`http://127.0.0.1:${server.port}`);
  assert.equal(await inTime(unfinished(session), "a reset"), ENHANCE_YOUR_CALM);
  assert.equal(await inTime(unfinished(session), "another one"), ENHANCE_YOUR_CALM);
  assert.equal(await greet(`${server.port}`, "Bob"), "Hello, Bob.");
  await end(session);
});

Deno.test("of 2,049 incomplete requests, the oldest 49 are reset", async () => {
  await using server = await serveWith({});
  const sessions = Array.from(
    { length: 3 },
    () => http2.connect(`http://127.0.0.1:${server.port}`).on("error", () => {}),
  );
  const resets = sessions.map((session) => Array.from({ length: 683 }, () => unfinished(session)));
  await inTime(Promise.any(resets.flat()), "a reset");
  assert.equal(await greet(`${server.port}`, "Bob"), "Hello, Bob.");
  await Promise.all(sessions.map(end));
  const codes = await Promise.all(resets.flat());
  assert(codes.filter((code) => code === ENHANCE_YOUR_CALM).length >= 49);
});

Deno.test("connections beyond the limit are refused and reported, until others close", async () => {
  const reports: string[] = [];
  const onRefused = ({ message }: GreetError) => void reports.push(message);
  await using server = await serveWith({ maxConnections: 2, onRefused });
  const connect = async () => {
    const session = http2.connect(`http://127.0.0.1:${server.port}`).on("error", () => {});
    const isIn = await new Promise<boolean>((resolve) =>
      session.once("remoteSettings", () => resolve(true)).once("close", () => resolve(false))
    );
    return { session, isIn };
  };
  const first = await connect();
  const second = await connect();
  assert(first.isIn && second.isIn);
  assert(!(await connect()).isIn);
  assert.deepEqual(reports, ["2 connections are open: new ones are refused"]);
  await end(first.session);
  const served = async () => {
    for (;;) {
      const { session, isIn } = await connect();
      if (isIn) return await end(session);
    }
  };
  await inTime(served(), "a connection");
  await end(second.session);
});

// ---------------------------------------------------------------- other servers

interface OtherServer extends AsyncDisposable {
  port: number;
}

async function listening(server: net.Server): Promise<OtherServer> {
  const connections = new Set<net.Socket>();
  server.on("connection", (connection: net.Socket) => {
    connections.add(connection);
    connection.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      connections.forEach((connection) => connection.destroy());
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** A test key and its certificate, valid until 2126. */
const CERTIFICATE = await Deno.readTextFile(new URL("../support/certificate.pem", import.meta.url));

const OTHER_SERVERS: readonly [what: string, server: () => net.Server, message: RegExp][] = [
  [
    "a TLS server",
    () => tls.createServer({ cert: CERTIFICATE, key: CERTIFICATE, ALPNProtocols: ["h2"] }),
    /: the other side speaks TLS, and this side does not$/,
  ],
  [
    "an HTTP/1 server",
    () => http.createServer((_, response) => response.end("hi")),
    /: the other side does not speak gRPC$/,
  ],
  [
    "a proxy with an error page",
    () =>
      http2.createServer((_, response) => {
        response.writeHead(502, { "content-type": "text/html; charset=utf-8" });
        response.end("<html>Bad Gateway</html>");
      }),
    /: the answer is text\/html, not gRPC$/,
  ],
  [
    "a server that hangs up",
    () => net.createServer((c) => c.end()),
    /: the other side closed the connection before it was established$/,
  ],
  [
    "an SSH server",
    () => net.createServer((c) => c.write("SSH-2.0-OpenSSH_9.2\r\n")),
    /does not speak gRPC$/,
  ],
  ["a server that says nothing", () => net.createServer(), /no connection within 2 s$/],
];

for (const [what, server, message] of OTHER_SERVERS) {
  Deno.test({
    name: `greeting ${what} fails with a sentence that says so`,
    ...GRPC_TIMERS_OUTLIVE_CHANNELS,
    async fn() {
      await using other = await listening(server());
      await assert.rejects(greet(`${other.port}`, "Bob", { maxTime: 2 }), { message });
    },
  });
}

Deno.test("a stream of requests waits for a peer that does not read, and then arrives in full", {
  ...GRPC_TIMERS_OUTLIVE_CHANNELS,
}, async () => {
  const count = 5_000;
  const reads = Promise.withResolvers<void>();
  const chat = implement(CHAT, {
    Meet: () => ({ verdict: "UNLISTED" }),
    async *Attach(receipts) {
      yield { messages: [] };
      await reads.promise;
      let read = 0;
      for await (const _ of receipts) if (++read === count) yield { messages: [] };
    },
  });
  const own = await newIdentity("Bob");
  const tls = { own, isKnown: () => true };
  await using server = await serve({ host: "127.0.0.1", port: 0, services: [chat], tls });
  using channel = dial(parseTarget(`${server.port}`), { own });
  const us = { sender: "Alice", port: 1, instance: "" };
  const ask = () => channel.call(CHAT, "Meet", us, { timeoutMs: PATIENCE_MS });
  let written = 0;
  async function* receipts(): AsyncGenerator<Receipt> {
    const attached = ask();
    yield { introduction: null, status: 0, reason: "" };
    await attached;
    for (; written < count - 1; written++) {
      yield { introduction: null, status: 2, reason: "z".repeat(1_000) };
    }
  }
  const answers = channel.stream(CHAT, "Attach", receipts(), { timeoutMs: PATIENCE_MS });
  await answers.next();
  // What could be written at once has been written by then.
  for (let i = 0; i < 3; i++) await ask();
  assert(written > 0 && written < 1_000, `${written}`);
  reads.resolve();
  assert.deepEqual((await inTime(answers.next(), "all of them")).value, { messages: [] });
});

Deno.test("an error that follows an answer at once ends a call whose requests are being read", {
  ...GRPC_TIMERS_OUTLIVE_CHANNELS,
}, async () => {
  const chat = implement(CHAT, {
    async *Attach(receipts) {
      const iterator = receipts[Symbol.asyncIterator]();
      await iterator.next();
      iterator.next().catch(() => {});
      yield { messages: [] };
      throw new GreetError("INVALID_ARGUMENT", "enough");
    },
  });
  const own = await newIdentity("Bob");
  const tls = { own, isKnown: () => true };
  await using server = await serve({ host: "127.0.0.1", port: 0, services: [chat], tls });
  using channel = dial(parseTarget(`${server.port}`), { own });
  const over = new AbortController();
  async function* receipts(): AsyncGenerator<Receipt> {
    yield { introduction: null, status: 0, reason: "" };
    await aborted(over.signal);
  }
  const answers = channel.stream(CHAT, "Attach", receipts(), { timeoutMs: 10_000 });
  await answers.next();
  const error = { code: "INVALID_ARGUMENT", message: /: enough$/ };
  await assert.rejects(inTime(answers.next(), "the end of the call"), error);
  over.abort();
});

Deno.test("of a stream of answers, no more are decoded than are read, except for a few", {
  ...GRPC_TIMERS_OUTLIVE_CHANNELS,
}, async () => {
  const chat = implement(CHAT, {
    Meet: () => ({ verdict: "UNLISTED" }),
    async *Attach() {
      for (let i = 0; i < 20; i++) yield { messages: [] };
    },
  });
  const own = await newIdentity("Bob");
  const tls = { own, isKnown: () => true };
  await using server = await serve({ host: "127.0.0.1", port: 0, services: [chat], tls });
  using channel = dial(parseTarget(`${server.port}`), { own });
  async function* receipts(): AsyncGenerator<Receipt> {
    yield { introduction: null, status: 0, reason: "" };
  }
  const { Attach } = definitionOf(CHAT);
  const decode = Attach.responseDeserialize;
  let decoded = 0;
  Attach.responseDeserialize = (bytes) => (decoded++, decode(bytes));
  try {
    const answers = channel.stream(CHAT, "Attach", receipts(), { timeoutMs: 10_000 });
    await answers.next();
    // What could be decoded has been by then.
    const us = { sender: "Alice", port: 1, instance: "" };
    for (let i = 0; i < 3; i++) await channel.call(CHAT, "Meet", us, { timeoutMs: 10_000 });
    assert(decoded < 5, `${decoded}`);
    for await (const _ of answers);
    assert.equal(decoded, 20);
  } finally {
    Attach.responseDeserialize = decode;
  }
});
