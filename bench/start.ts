/**
 * Measures how long commands take from the start of their process to its end, compared with the same
 * in other languages. Caches are warm: each command runs a few times before it is measured.
 *
 * @module
 */
import { join } from "node:path";
import { freePorts } from "../tests/support/ports.ts";
import { greetCommand, ROOT } from "../tests/support/program.ts";
import { type Goals, inTurns, type Report } from "./measure.ts";
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

const WARM_UPS = 3;
const ROUNDS = 25;

/** A command to measure. */
interface Run {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: Record<string, string>;
  /** Texts that it must print. */
  readonly prints: readonly string[];
}

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
  await benchGrowth(report, server.port);
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

const GROWTH = [1, 2, 10, 100];

/** Measures how the time grows with the number of names. */
async function benchGrowth(report: Report, port: string): Promise<void> {
  const runs = GROWTH.map((count) => {
    const names = Array.from({ length: count }, (_, i) => `Bob ${i + 1}`);
    return { ...greeting(OURS, port, names), name: `${count}` };
  });
  const times = await medians(report, "names", runs, wholeProcess);
  const table = report.table("names in one command, whole process", GROWTH.map(String));
  table.row("ms", ...times);
  const further = GROWTH.map((count, i) =>
    i === 0 ? undefined : (times[i] - times[i - 1]) / (count - GROWTH[i - 1])
  );
  table.row("… more for each further name", ...further);
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

function greeting({ name, client, env }: Contender, port: string, names: string[]): Run {
  const prints = names.map((name) => `"Hello, ${name}."`);
  return { name, command: [...client, port, ...names], env, prints };
}

/** What came of one run. */
interface Timed {
  readonly ms: number;
  /** What was wrong with its result, if anything. */
  readonly problem?: string;
}

/** How to compare commands. */
interface Comparison {
  readonly goals?: Goals;
  /** Runs a command once (default: {@link wholeProcess}). */
  readonly time?: (run: Run) => Promise<Timed>;
}

/** Measures commands in turns, and prints a table with one row. */
async function compare(
  report: Report,
  what: string,
  runs: readonly Run[],
  { goals, time = wholeProcess }: Comparison = {},
): Promise<void> {
  const times = await medians(report, what, runs, time);
  report.comparison(what, runs.map(({ name }) => name), goals).row("median", ...times);
}

/** Measures commands in turns. */
async function medians(
  report: Report,
  what: string,
  runs: readonly Run[],
  time: (run: Run) => Promise<Timed>,
): Promise<number[]> {
  const failed: string[] = [];
  const milliseconds = async (run: Run) => {
    const { ms, problem } = await time(run);
    if (problem !== undefined) failed.push(`${run.name} ${problem}`);
    return ms;
  };
  await inTurns(WARM_UPS, runs, milliseconds);
  const times = await inTurns(ROUNDS, runs, milliseconds);
  report.expect([`${what}: failed`, ...new Set(failed)].join("; "), failed.length, 0);
  return times;
}

/** Runs a command from the start of its process to the end. */
async function wholeProcess(run: Run): Promise<Timed> {
  const start = performance.now();
  const { code, stdout, stderr } = await commandOf(run).output();
  const ms = performance.now() - start;
  const [printed, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (code !== 0) return { ms, problem: `exited with ${code}: ${errors.trim()}` };
  const isComplete = run.prints.every((text) => printed.includes(text));
  return { ms, problem: isComplete ? undefined : `printed ${printed}` };
}

/** Runs a command until it has printed what it must, and ends it. */
async function untilPrinted(run: Run): Promise<Timed> {
  const start = performance.now();
  // At the end of its input, a chat would leave.
  await using child = commandOf(run, { stdin: "piped", stdout: "piped", stderr: "null" }).spawn();
  let printed = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    printed += text;
    if (run.prints.every((text) => printed.includes(text))) {
      return { ms: performance.now() - start };
    }
  }
  return { ms: performance.now() - start, problem: `printed only ${printed}` };
}

function commandOf(
  { command: [program, ...args], env }: Run,
  options: Deno.CommandOptions = {},
): Deno.Command {
  return new Deno.Command(program, { ...options, args, cwd: ROOT, env });
}
