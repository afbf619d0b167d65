/**
 * Measures memory: of a server over a million requests, and of both ends of a long chat. A heap first
 * grows to the size that the load needs, so growth counts from there. A server also keeps part of every
 * closed HTTP/2 session, which the runtime never frees; a bare server beside it shows the same.
 *
 * @module
 */
import { greet } from "../mod.ts";
import { pause } from "../src/base/timing.ts";
import { Bot } from "../tests/support/bot.ts";
import { freePorts } from "../tests/support/ports.ts";
import { greetCommand, Program } from "../tests/support/program.ts";
import { hasCommand } from "../tests/support/tools.ts";
import { Request } from "./h2load.ts";
import { inTurns, type Report, usage } from "./measure.ts";
import { fromText } from "./rivals.ts";

/** When a server's memory is read, in requests; after the second reading it should stop growing. */
const REQUESTS = [100_000, 200_000, 1_000_000];

/** Requests until a heap has roughly reached its size. */
const WARM_UP = 50_000;

/** Connections that make one request each, and how many of them are open at the same time. */
const CONNECTIONS = 2_000;
const TOGETHER = 50;
const ROUNDS = 3;

/** When the memory of both ends of a chat is read, in messages. */
const MESSAGES = [10_000, 100_000];

/** Messages sent before their delivery is awaited. */
const BATCH = 1_000;

/** How long a process is left alone, to return the memory that it no longer needs. */
const REST_MS = 40_000;

const PATIENCE_MS = 60_000;

/** Measures the memory of servers and chats. */
export async function benchMemory(report: Report): Promise<void> {
  if (hasCommand("h2load")) {
    await benchRequests(report);
    await benchConnections(report);
  } else {
    report.skip("the memory of a server under load: needs h2load");
  }
  await benchMessages(report);
}

async function memoryMB(pid: number): Promise<number> {
  return (await usage(pid)).memoryMB;
}

// ---------------------------------------------------------------- requests

/** A server under test, in its own process. */
interface Subject extends AsyncDisposable {
  readonly pid: number;
  readonly port: string;
}

/** A greeting server whose log is discarded. */
async function greetServe(): Promise<Subject> {
  const [port] = freePorts(1);
  const server = new Program([
    ...["sh", "-c", 'exec "$@" >/dev/null', "sh"],
    ...[...greetCommand(), "serve", port],
  ]);
  await greet(port, "Bob", { wait: true });
  return { pid: server.pid, port, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/** A server that gives the same kind of answers with nothing but the runtime's HTTP/2. */
const BARE = `
  import http2 from "node:http2";
  const server = http2.createServer();
  server.on("stream", (stream) => {
    stream.respond({ "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(new Uint8Array(5));
  });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
`;

async function bareServe(): Promise<Subject> {
  const server = new Program(fromText(BARE));
  const [, port] = await server.out.until(/(\d+)\n/);
  return { pid: server.pid, port, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

async function benchRequests(report: Report): Promise<void> {
  await using server = await greetServe();
  await using request = await Request.open();
  const table = report.table("resident memory of greet serve", ["MB"]);
  table.row("at rest", await memoryMB(server.pid));
  const figures: number[] = [];
  let done = 0;
  let failed = 0;
  for (const count of REQUESTS) {
    failed += await request.failures(server.port, count - done, { clients: 4, streams: 25 });
    done = count;
    figures.push(await memoryMB(server.pid));
    table.row(`after ${count.toLocaleString("en")} requests`, figures.at(-1));
  }
  const [, from, to] = REQUESTS;
  await pause(REST_MS);
  table.row(`${REST_MS / 1_000} s later`, await memoryMB(server.pid));
  const slope = (figures[2] - figures[1]) / (to - from) * 100_000;
  table.row(`  growth for each 100,000 of the last ${(to - from).toLocaleString("en")}`, slope);
  report.expect("failed requests", failed, 0);
}

// ---------------------------------------------------------------- connections

async function benchConnections(report: Report): Promise<void> {
  await using greeter = await greetServe();
  await using bare = await bareServe();
  await using request = await Request.open();
  let failed = 0;
  for (const { port } of [greeter, bare]) {
    failed += await request.failures(port, WARM_UP, { clients: 4, streams: 25 });
  }
  const figures = await inTurns(ROUNDS, [greeter, bare], async ({ pid, port }) => {
    const before = await memoryMB(pid);
    for (let made = 0; made < CONNECTIONS; made += TOGETHER) {
      failed += await request.failures(port, TOGETHER, { clients: TOGETHER, streams: 1 });
    }
    return (await memoryMB(pid) - before) * 1_000 / CONNECTIONS;
  });
  report.comparison("what a closed connection leaves", ["greet", "node:http2"])
    .row(`kB each, ${CONNECTIONS.toLocaleString("en")} with one request`, ...figures);
  report.expect("failed requests, one per connection", failed, 0);
}

// ---------------------------------------------------------------- messages

async function benchMessages(report: Report): Promise<void> {
  const [a, b] = freePorts();
  await using alice = new Bot(["Alice", a, b]);
  await using bob = new Bot(["Bob", b, a]);
  await Promise.all([alice.until("welcome"), bob.until("welcome")]);
  const table = report.table("resident memory of greet chat, MB", ["sender", "receiver"]);
  const row = async (what: string) => {
    const pids = [alice, bob].map(({ program }) => program.pid);
    table.row(what, ...await Promise.all(pids.map(memoryMB)));
  };
  await row("at rest");
  let sent = 0;
  for (const count of MESSAGES) {
    for (; sent < count; sent += BATCH) {
      await alice.say(...Array.from({ length: BATCH }, (_, i) => `${sent + i}`));
      await bob.until("message", sent + BATCH, PATIENCE_MS);
    }
    await alice.until("delivered", count, PATIENCE_MS);
    await row(`after ${count.toLocaleString("en")} messages`);
  }
  await pause(REST_MS);
  await row(`${REST_MS / 1_000} s later`);
  const received = bob.all("message").map(({ body }) => body);
  const wrong = received.filter((body, i) => body !== `${i}`);
  report.expect("messages received", received.length, sent);
  report.expect("messages received out of order", wrong.length, 0);
}
