/**
 * Measures the throughput and latency of `greet serve`, compared with servers in other languages, and
 * the cost of its log. Servers that are not being measured are idle.
 *
 * @module
 */
import { join } from "node:path";
import { greet } from "../mod.ts";
import { type Load, Request, type Sample } from "./h2load.ts";
import { inTurns, median, type Report } from "./measure.ts";
import {
  BARE_SERVER,
  type Contender,
  missing,
  OURS,
  rivals,
  type Serving,
  serving,
  temporaryFolder,
  UNLOGGED,
} from "./rivals.ts";

const ROUNDS = 5;
/** The target duration of one measurement. */
const SECONDS = 1;

/** How many requests a server answers first: V8 goes on compiling a server for about as many. */
const WARM_UP = 25_000;

const LOADS: readonly Load[] = [
  { clients: 1, streams: 1 },
  { clients: 1, streams: 50 },
  { clients: 4, streams: 25 },
  { clients: 16, streams: 10 },
];
const LOG_LOAD = LOADS[2];

const ON_TWO_THREADS: Contender = {
  ...OURS,
  name: "2 threads",
  server: [...OURS.server, "--threads", "2"],
};

export async function benchServe(report: Report): Promise<void> {
  const absent = missing({ "nghttp2-client": "h2load" });
  if (absent.length > 0) return report.skip(`serve: missing ${absent.join(", ")}`);
  await using folder = temporaryFolder();
  await using request = await Request.open();
  await benchServers(report, folder.path, request);
  await benchLogs(report, folder.path, request);
}

/** Compares servers. Their logs go to files. */
async function benchServers(report: Report, folder: string, request: Request): Promise<void> {
  const contenders = [OURS, BARE_SERVER, ON_TWO_THREADS, ...await rivals(folder, report)];
  await using stack = new AsyncDisposableStack();
  const servers: Serving[] = [];
  for (const [i, contender] of contenders.entries()) {
    servers.push(stack.use(await serving(contender, join(folder, `${i}.log`))));
  }
  await expectGreetings(report, servers);
  for (const server of servers) await request.measure(server, WARM_UP, LOADS[1]);
  for (const load of LOADS) await compare(report, `serve, ${title(load)}`, servers, load, request);
  await expectGreetings(report, servers);
}

/** Compares the same `greet` with different targets for its log. */
async function benchLogs(report: Report, folder: string, request: Request): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const start = async (contender: Contender, name: string, log: string) =>
    stack.use(await serving({ ...contender, name }, log));
  const servers = [
    await start(UNLOGGED, "no log", "/dev/null"),
    await start(OURS, "/dev/null", "/dev/null"),
    await start(OURS, "file", join(folder, "log")),
    await start(OURS, "pipe", ">(exec cat > /dev/null)"),
  ];
  await compare(report, `the log of serve, ${title(LOG_LOAD)}`, servers, LOG_LOAD, request);
}

/** Makes a real call to every server, because h2load does not look into answers. */
async function expectGreetings(report: Report, servers: readonly Serving[]): Promise<void> {
  for (const { name, port } of servers) {
    const greeting = await greet(port, "Bob").catch((error) => error.message);
    report.expect(`${name}: ${greeting}`, Number(greeting === "Hello, Bob."), 1);
  }
}

// ---------------------------------------------------------------- measuring

/** Measures servers under one load, and prints a table. */
async function compare(
  report: Report,
  what: string,
  servers: readonly Serving[],
  load: Load,
  request: Request,
): Promise<void> {
  const samples = await sample(servers, load, request);
  const medians = (figure: keyof Sample) =>
    samples.map((ofOne) => median(ofOne.map((sample) => sample[figure])));
  const table = report.comparison(what, servers.map(({ name }) => name));
  table.row("requests/s", ...medians("perSecond"));
  table.row("CPU of the server a request, µs", ...medians("cpuMicros"));
  table.row("until the answer, p50, ms", ...medians("p50Ms"));
  table.row("until the answer, p99, ms", ...medians("p99Ms"));
  servers.forEach(({ name }, i) => {
    const unanswered = samples[i].reduce((sum, { unanswered }) => sum + unanswered, 0);
    report.expect(`${what}, ${name}: requests without a greeting`, unanswered, 0);
  });
}

/** Measures servers in turns. Returns the samples of each. */
async function sample(
  servers: readonly Serving[],
  load: Load,
  request: Request,
): Promise<Sample[][]> {
  // The same time for each server: one that is ten times as fast gets ten times as many requests.
  const counts = new Map<Serving, number>();
  for (const server of servers) {
    await request.measure(server, 3_000, load);
    const { perSecond } = await request.measure(server, 3_000, load);
    counts.set(server, Math.max(1_000, Math.round(perSecond * SECONDS)));
  }
  const samples = new Map<Serving, Sample[]>(servers.map((server) => [server, []]));
  await inTurns(ROUNDS, servers, async (server) => {
    const sample = await request.measure(server, counts.get(server)!, load);
    samples.get(server)!.push(sample);
    return sample.perSecond;
  });
  return [...samples.values()];
}

function title({ clients, streams }: Load): string {
  return `${clients} × ${streams} streams`;
}
