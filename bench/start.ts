/**
 * Measures how long commands take from the start of their process to its end, compared with the same
 * in other languages. Caches are warm: each command runs a few times before it is measured.
 *
 * @module
 */
import { join } from "node:path";
import { freePorts } from "../tests/support/ports.ts";
import { greetCommand, ROOT } from "../tests/support/program.ts";
import type { Goals, Report } from "./measure.ts";
import {
  BARE,
  BARE_THREADS,
  type Contender,
  fromSource,
  GRPC_JS_SERVER,
  OURS,
  output,
  rivals,
  serving,
  temporaryFolder,
} from "./rivals.ts";
import { greeting, type Run, timed, type Timing, untilPrinted, wholeProcess } from "./runs.ts";

const ROUNDS = 25;

export async function benchStart(report: Report): Promise<void> {
  await using folder = temporaryFolder();
  const bundled = await bundle(join(folder.path, "bundle"), report);
  const others = await rivals(folder.path, report);
  await using server = await serving(OURS, "/dev/null");

  const empty = join(folder.path, "empty.ts");
  await Deno.writeTextFile(empty, "");
  await compare(report, "greet --help, whole process, ms", [
    { name: "greet", command: [...greetCommand(), "--help"], prints: ["Usage:"] },
    { name: "empty Deno", command: fromSource(empty), prints: [] },
  ]);

  await benchGreetings(report, [OURS, ...bundled.map(bundledContender), ...others], server.port);
  await compare(report, "until a chat waits for its peer, ms", waiting(folder.path), {
    goals: { "grpc-js": "≤ 1.60" },
    time: untilPrinted,
  });
}

/** Measures greetings with one name and with two. */
async function benchGreetings(
  report: Report,
  clients: readonly Contender[],
  port: string,
): Promise<void> {
  const one = [...clients, ...BARE].map((client) => greeting(client, port, ["Bob"]));
  const goals = { "grpc-js": "≤ 1.10" };
  await compare(report, "one greeting, whole process, ms", one, { goals });

  // The clients of the other rivals greet only one name.
  const forTwo = clients.filter(({ name }) => ["greet", "bundled", "Python"].includes(name));
  const two = [...forTwo, BARE_THREADS].map((client) => greeting(client, port, ["Bob", "Alice"]));
  const [ours, bare] = [OURS, BARE[0]].map((client) => greeting(client, port, ["Bob"]));
  await compare(
    report,
    "two names on two threads, whole process, ms",
    [...two, { ...ours, name: "one name" }, { ...bare, name: "grpc-js, one" }],
    { goals: { "one name": "≤ 1.25" } },
  );
}

/** A chat and a bare server, which say when they listen. */
function waiting(home: string): Run[] {
  const [port, absent, barePort] = freePorts(3);
  const prints = ["Waiting"];
  const chat = [...greetCommand(), "chat", "Alice", port, absent];
  return [
    { name: "greet chat", command: chat, env: { GREET_HOME: join(home, "home") }, prints },
    { name: "grpc-js", command: [...GRPC_JS_SERVER, barePort], prints },
  ];
}

/** Files that are run as Workers. In a chunk that they share, they would run the whole program. */
const WORKERS = ["src/greeter/client_threads.ts", "src/greeter/server_threads.ts"];

/** The command that runs the program as a bundle, if bundling works. */
async function bundle(folder: string, report: Report): Promise<string[][]> {
  const options = ["--minify", "--platform", "deno", "--code-splitting", "--outdir", folder];
  try {
    const entries = ["cli.ts", ...WORKERS].map((file) => join(ROOT, file));
    await output([Deno.execPath(), "bundle", "--quiet", ...options, ...entries]);
    return [fromSource(join(folder, "cli.js"))];
  } catch (error) {
    // The bundle is an experiment for comparison; greet is not shipped that way.
    report.skip(`bundled greet: ${(error as Error).message}`);
    return [];
  }
}

function bundledContender(command: readonly string[]): Contender {
  return { name: "bundled", server: [...command, "serve"], client: [...command, "greet"] };
}

/** How to compare commands. */
interface Comparison {
  readonly goals?: Goals;
  /** Runs a command once (default: {@link wholeProcess}). */
  readonly time?: (run: Run) => Promise<Timing>;
}

/** Measures commands in turns, and prints a table with one row. */
async function compare(
  report: Report,
  what: string,
  runs: readonly Run[],
  { goals, time = wholeProcess }: Comparison = {},
): Promise<void> {
  const times = (await timed(report, what, runs, { rounds: ROUNDS, time })).map(({ ms }) => ms);
  report.comparison(what, runs.map(({ name }) => name), goals).row("median", ...times);
}
