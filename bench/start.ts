/**
 * Measures how long commands take from the start of their process to its end, compared with the same
 * in other languages. Caches are warm: each command runs a few times before it is measured.
 *
 * @module
 */
import { join } from "node:path";
import { greetCommand, ROOT } from "../tests/support/program.ts";
import { inTurns, type Report } from "./measure.ts";
import {
  BARE,
  type Contender,
  fromSource,
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

  const clients = [OURS, ...bundled.map(bundledContender), ...others];
  await compare(
    report,
    "one greeting, whole process, ms",
    [...clients, ...BARE].map((client) => greeting(client, server.port, ["Bob"])),
  );
  // The clients of the other rivals greet only one name.
  const forTwo = clients.filter(({ name }) => ["greet", "bundled", "Python"].includes(name));
  await compare(
    report,
    "two names on two threads, whole process, ms",
    forTwo.map((client) => greeting(client, server.port, ["Bob", "Alice"])),
  );
}

/** The command that runs what `deno compile --bundle --minify` would embed, if bundling works. */
async function bundle(folder: string, report: Report): Promise<string[][]> {
  const options = ["--minify", "--platform", "deno", "--code-splitting", "--outdir", folder];
  try {
    await output([Deno.execPath(), "bundle", "--quiet", ...options, join(ROOT, "cli.ts")]);
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

/** Measures commands in turns, and prints a table with one row. */
async function compare(report: Report, what: string, runs: readonly Run[]): Promise<void> {
  const failed: string[] = [];
  const milliseconds = async (run: Run) => {
    const start = performance.now();
    const problem = await problemOf(run);
    const ms = performance.now() - start;
    if (problem !== undefined) failed.push(`${run.name} ${problem}`);
    return ms;
  };
  await inTurns(WARM_UPS, runs, milliseconds);
  const times = await inTurns(ROUNDS, runs, milliseconds);
  report.comparison(what, runs.map(({ name }) => name)).row("median", ...times);
  report.expect([`${what}: failed`, ...new Set(failed)].join("; "), failed.length, 0);
}

/** Runs a command. Returns what was wrong with its result, if anything. */
async function problemOf({ command, env, prints }: Run): Promise<string | undefined> {
  const [program, ...args] = command;
  const options = { args, cwd: ROOT, env } as const;
  const { code, stdout, stderr } = await new Deno.Command(program, options).output();
  const printed = new TextDecoder().decode(stdout);
  if (code !== 0) return `exited with ${code}: ${new TextDecoder().decode(stderr).trim()}`;
  return prints.every((text) => printed.includes(text)) ? undefined : `printed ${printed}`;
}
