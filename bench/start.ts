/**
 * Measures how long commands take from the start of their process to its end, compared with the same
 * in other languages. Caches are warm: each command runs a few times before it is measured.
 *
 * @module
 */
import { join } from "node:path";
import { freePorts } from "../tests/support/ports.ts";
import { greetCommand } from "../tests/support/program.ts";
import { bundle } from "../tools/bundle.ts";
import type { Goals, Report } from "./measure.ts";
import {
  asCompiled,
  BARE,
  BARE_THREADS,
  type Contender,
  fromSource,
  GRPC_JS_SERVER,
  OURS,
  rivals,
  serving,
  temporaryFolder,
} from "./rivals.ts";
import { greeting, type Run, timed, type Timing, untilPrinted, wholeProcess } from "./runs.ts";

const ROUNDS = 25;

export async function benchStart(report: Report): Promise<void> {
  await using folder = temporaryFolder();
  const compiled = await bundled(folder.path, report);
  const others = await rivals(folder.path, report);
  await using server = await serving(OURS, "/dev/null");

  const empty = join(folder.path, "empty.ts");
  await Deno.writeTextFile(empty, "");
  await compare(report, "greet --help, whole process, ms", [
    { name: "greet", command: [...greetCommand(), "--help"], prints: ["Usage:"] },
    ...compiled.map(({ name, client, env }) => ({
      name,
      command: [...client.slice(0, -1), "--help"],
      env,
      prints: ["Usage:"],
    })),
    { name: "empty Deno", command: fromSource(empty), prints: [] },
  ]);

  await benchGreetings(report, [OURS, ...compiled, ...others], server.port);
  await compare(report, "until a chat waits for its peer, ms", waiting(folder.path, compiled), {
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
  const forTwo = clients.filter(({ name }) => ["greet", "compiled", "Python"].includes(name));
  const two = [...forTwo, BARE_THREADS].map((client) => greeting(client, port, ["Bob", "Alice"]));
  const [ours, bare] = [OURS, BARE[0]].map((client) => greeting(client, port, ["Bob"]));
  await compare(
    report,
    "two names on two threads, whole process, ms",
    [...two, { ...ours, name: "one name" }, { ...bare, name: "grpc-js, one" }],
    { goals: { "one name": "≤ 1.25" } },
  );
}

/** Chats and a bare server, which say when they listen. */
function waiting(home: string, compiled: readonly Contender[]): Run[] {
  const [port, otherPort, absent, barePort] = freePorts(4);
  const prints = ["Waiting"];
  const chat = ({ name, client, env }: Contender, port: string) => ({
    name,
    command: [...client.slice(0, -1), "chat", "Alice", port, absent],
    env: { ...env, GREET_HOME: join(home, "home") },
    prints,
  });
  return [
    chat({ ...OURS, name: "greet chat" }, port),
    ...compiled.map((contender) => chat(contender, otherPort)),
    { name: "grpc-js", command: [...GRPC_JS_SERVER, barePort], prints },
  ];
}

/** `greet` as compiled, if it can be bundled. */
async function bundled(folder: string, report: Report): Promise<Contender[]> {
  try {
    return [asCompiled(await bundle(join(folder, "bundle")), join(folder, "cache"))];
  } catch (error) {
    report.skip(`what a compiled greet carries: ${(error as Error).message}`);
    return [];
  }
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
