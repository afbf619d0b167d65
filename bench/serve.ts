/**
 * How many greetings a second `greet serve` answers, next to the same in other languages, and what
 * its log costs.
 *
 * h2load drives all servers alike, on the same machine: it takes one core, and the fastest servers
 * wait for it. All servers run the whole time; those that are not measured wait and cost nothing.
 *
 * @module
 */
import { join } from "node:path";
import { greet } from "../mod.ts";
import { inTurns, median, percentile, type Report } from "./measure.ts";
import {
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
/** What one measurement should take. */
const SECONDS = 1;

/** What h2load asks for at the same time. */
interface Load {
  readonly clients: number;
  /** For each client. */
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

/** The servers next to each other. What they log, if they do, goes to files. */
async function benchServers(report: Report, folder: string): Promise<void> {
  const contenders = [OURS, ON_TWO_THREADS, ...await rivals(folder, report)];
  await using stack = new AsyncDisposableStack();
  const servers: Serving[] = [];
  for (const [i, contender] of contenders.entries()) {
    servers.push(stack.use(await serving(contender, join(folder, `${i}.log`))));
  }
  await expectGreetings(report, servers);
  for (const load of LOADS) await compare(report, `serve, ${title(load)}`, servers, load, folder);
  await expectGreetings(report, servers);
}

/** The same `greet` with its log going to different places. */
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

/** A real call, because h2load does not know what is in an answer. */
async function expectGreetings(report: Report, servers: readonly Serving[]): Promise<void> {
  for (const { name, port } of servers) {
    const greeting = await greet(port, "Bob").catch((error) => error.message);
    report.expect(`${name}: ${greeting}`, Number(greeting === "Hello, Bob."), 1);
  }
}

// ---------------------------------------------------------------- measuring

/** What was seen of a server under a load. */
interface Sample {
  readonly perSecond: number;
  readonly cpuMicros: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly unanswered: number;
}

/** Measures servers under a load, and prints a table. */
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

/** Measures servers in turns, and gives the samples of each. */
async function sample(
  servers: readonly Serving[],
  load: Load,
  folder: string,
): Promise<Sample[][]> {
  // A second for everybody: who is ten times as fast gets ten times as many requests.
  const counts = new Map<Serving, number>();
  for (const server of servers) {
    await drive(server, load, 3_000, folder);
    const { perSecond } = await drive(server, load, 3_000, folder);
    counts.set(server, Math.max(1_000, Math.round(perSecond * SECONDS)));
  }
  const samples = new Map<Serving, Sample[]>(servers.map((server) => [server, []]));
  await inTurns(ROUNDS, servers, async (server) => {
    const seen = await drive(server, load, counts.get(server)!, folder);
    samples.get(server)!.push(seen);
    return seen.perSecond;
  });
  return [...samples.values()];
}

function title({ clients, streams }: Load): string {
  return `${clients} × ${streams} streams`;
}

// ---------------------------------------------------------------- h2load

/** A gRPC frame: not compressed, 5 bytes long; field 1 of UserInfo is "Bob". */
const BOB = new Uint8Array([0, 0, 0, 0, 5, 0x0a, 3, 0x42, 0x6f, 0x62]);
/** The file that it is in. */
const REQUEST = "request";

/** Makes so many requests. */
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
    // A server that has stopped must not stop us.
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

/** What an answer with `Hello, Bob.` has in data: 5 bytes for the frame, 2 for the field. */
const ANSWER_BYTES = 5 + 2 + "Hello, Bob.".length;

/**
 * How many requests were answered with a greeting. h2load does not look at `grpc-status`, but an
 * answer with an error has no data.
 */
function answersIn(summary: string): number {
  const [, ok] = /(\d+) 2xx/.exec(summary)!;
  const [, bytes] = /\((\d+)\) data/.exec(summary)!;
  return Math.min(Number(ok), Math.floor(Number(bytes) / ANSWER_BYTES));
}

/** How long each answer took; h2load writes a line for each: when, its status, and microseconds. */
function millisecondsIn(log: string): number[] {
  return log.trimEnd().split("\n").map((line) => Number(line.split("\t")[2]) / 1_000);
}

/** How long a process has computed, threads that have ended included; NaN of one that has died. */
async function cpuMs(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  // 100 ticks a second, on every Linux that Deno runs on.
  const [, fields = ""] = stat.split(") ");
  const [userTicks, systemTicks] = fields.split(" ").slice(11, 13).map(Number);
  return (userTicks + systemTicks) * 10;
}
