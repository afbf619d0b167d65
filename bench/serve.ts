/**
 * Measures the throughput and latency of `greet serve`, compared with servers in other languages, and
 * the cost of its log. h2load drives all servers from the same machine: it needs a core, and the
 * fastest servers wait for it. Servers that are not being measured are idle.
 *
 * @module
 */
import { join } from "node:path";
import { greet } from "../mod.ts";
import { inTurns, median, percentile, type Report } from "./measure.ts";
import {
  BARE_SERVER,
  type Contender,
  missing,
  OURS,
  output,
  rivals,
  type Serving,
  serving,
  temporaryFolder,
  UNLOGGED,
} from "./rivals.ts";

const ROUNDS = 5;
/** The target duration of one measurement. */
const SECONDS = 1;

/** The concurrency of a load. */
interface Load {
  readonly clients: number;
  /** Concurrent streams of each client. */
  readonly streams: number;
}

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
  await Deno.writeFile(join(folder.path, REQUEST), BOB);
  await benchServers(report, folder.path);
  await benchLogs(report, folder.path);
}

/** Compares servers. Their logs go to files. */
async function benchServers(report: Report, folder: string): Promise<void> {
  const contenders = [OURS, BARE_SERVER, ON_TWO_THREADS, ...await rivals(folder, report)];
  await using stack = new AsyncDisposableStack();
  const servers: Serving[] = [];
  for (const [i, contender] of contenders.entries()) {
    servers.push(stack.use(await serving(contender, join(folder, `${i}.log`))));
  }
  await expectGreetings(report, servers);
  for (const load of LOADS) await compare(report, `serve, ${title(load)}`, servers, load, folder);
  await expectGreetings(report, servers);
}

/** Compares the same `greet` with different targets for its log. */
async function benchLogs(report: Report, folder: string): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const start = async (contender: Contender, name: string, log: string) =>
    stack.use(await serving({ ...contender, name }, log));
  const servers = [
    await start(UNLOGGED, "no log", "/dev/null"),
    await start(OURS, "/dev/null", "/dev/null"),
    await start(OURS, "file", join(folder, "log")),
    await start(OURS, "pipe", ">(exec cat > /dev/null)"),
  ];
  await compare(report, `the log of serve, ${title(LOG_LOAD)}`, servers, LOG_LOAD, folder);
}

/** Makes a real call to every server, because h2load does not look into answers. */
async function expectGreetings(report: Report, servers: readonly Serving[]): Promise<void> {
  for (const { name, port } of servers) {
    const greeting = await greet(port, "Bob").catch((error) => error.message);
    report.expect(`${name}: ${greeting}`, Number(greeting === "Hello, Bob."), 1);
  }
}

// ---------------------------------------------------------------- measuring

/** One measurement of a server under a load. */
interface Sample {
  readonly perSecond: number;
  readonly cpuMicros: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly unanswered: number;
}

/** Measures servers under one load, and prints a table. */
async function compare(
  report: Report,
  what: string,
  servers: readonly Serving[],
  load: Load,
  folder: string,
): Promise<void> {
  const samples = await sample(servers, load, folder);
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
  folder: string,
): Promise<Sample[][]> {
  // The same time for each server: one that is ten times as fast gets ten times as many requests.
  const counts = new Map<Serving, number>();
  for (const server of servers) {
    await drive(server, load, 3_000, folder);
    const { perSecond } = await drive(server, load, 3_000, folder);
    counts.set(server, Math.max(1_000, Math.round(perSecond * SECONDS)));
  }
  const samples = new Map<Serving, Sample[]>(servers.map((server) => [server, []]));
  await inTurns(ROUNDS, servers, async (server) => {
    const sample = await drive(server, load, counts.get(server)!, folder);
    samples.get(server)!.push(sample);
    return sample.perSecond;
  });
  return [...samples.values()];
}

function title({ clients, streams }: Load): string {
  return `${clients} × ${streams} streams`;
}

// ---------------------------------------------------------------- h2load

/** A gRPC frame: not compressed, 5 bytes long; field 1 of UserInfo is "Bob". */
const BOB = new Uint8Array([0, 0, 0, 0, 5, 0x0a, 3, 0x42, 0x6f, 0x62]);
/** The file that contains it. */
const REQUEST = "request";

/** Makes a number of requests. */
async function drive(
  { port, pid }: Serving,
  { clients, streams }: Load,
  count: number,
  folder: string,
): Promise<Sample> {
  const log = join(folder, "h2load.log");
  await Deno.writeTextFile(log, "");
  const cpuBefore = await cpuMs(pid);
  const summary = await output([
    ...["h2load", "-n", `${count}`, "-c", `${clients}`, "-m", `${streams}`, "--log-file", log],
    // Give up on a server that hangs.
    ...["-N", "10", "-d", join(folder, REQUEST)],
    ...["-H", "content-type: application/grpc", "-H", "te: trailers"],
    `http://127.0.0.1:${port}/greet.v1.Greeter/Greet`,
  ]);
  const cpu = await cpuMs(pid) - cpuBefore;
  const times = millisecondsIn(await Deno.readTextFile(log));
  return {
    perSecond: Number(/([\d.]+) req\/s/.exec(summary)![1]),
    cpuMicros: cpu / count * 1_000,
    p50Ms: percentile(times, 0.5),
    p99Ms: percentile(times, 0.99),
    unanswered: count - answersIn(summary),
  };
}

/** The data of an answer with `Hello, Bob.`: 5 bytes for the frame, 2 for the field. */
const ANSWER_BYTES = 5 + 2 + "Hello, Bob.".length;

/**
 * The number of requests answered with a greeting. h2load ignores `grpc-status`, but an error has no
 * data.
 */
function answersIn(summary: string): number {
  const [, ok] = /(\d+) 2xx/.exec(summary)!;
  const [, bytes] = /\((\d+)\) data/.exec(summary)!;
  return Math.min(Number(ok), Math.floor(Number(bytes) / ANSWER_BYTES));
}

/** The times of all answers. h2load logs a line for each: start, status, microseconds. */
function millisecondsIn(log: string): number[] {
  return log.trimEnd().split("\n").map((line) => Number(line.split("\t")[2]) / 1_000);
}

/** The CPU time of a process, including threads that have ended; NaN if the process has died. */
async function cpuMs(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  // There are 100 ticks per second on every Linux that Deno supports.
  const [, fields = ""] = stat.split(") ");
  const [userTicks, systemTicks] = fields.split(" ").slice(11, 13).map(Number);
  return (userTicks + systemTicks) * 10;
}
