/**
 * Runs commands, and measures how long they take, to their end or to what they print. Caches are warm:
 * each command runs a few times before it is measured.
 *
 * @module
 */
import { ROOT } from "../tests/support/program.ts";
import { endedChildrenCpuMs, figuresInTurns, type Report, usage } from "./measure.ts";
import type { Contender } from "./rivals.ts";

const WARM_UPS = 3;

/** A command to measure. */
export interface Run {
  readonly name: string;
  readonly command: readonly string[];
  readonly env?: Record<string, string>;
  /** Texts that it must print. */
  readonly prints: readonly string[];
}

/** The command that greets a server with names. */
export function greeting({ name, client, env }: Contender, port: string, names: string[]): Run {
  const prints = names.map((name) => `"Hello, ${name}."`);
  return { name, command: [...client, port, ...names], env, prints };
}

/** What a command took. */
export type Times = {
  readonly ms: number;
  /** The CPU time of its process. */
  readonly cpuMs: number;
};

/** What came of one run. */
export interface Timing {
  readonly times: Times;
  /** What was wrong with its result, if anything. */
  readonly problem?: string;
}

/** How to measure commands. */
interface Measurement {
  readonly rounds: number;
  /** Runs a command once. */
  readonly time: (run: Run) => Promise<Timing>;
}

/** Measures commands in turns. Returns the medians of each. */
export async function timed(
  report: Report,
  what: string,
  runs: readonly Run[],
  { rounds, time }: Measurement,
): Promise<Times[]> {
  const failed: string[] = [];
  const measure = async (run: Run) => {
    const { times, problem } = await time(run);
    if (problem !== undefined) failed.push(`${run.name} ${problem}`);
    return times;
  };
  await figuresInTurns(WARM_UPS, runs, measure);
  const medians = await figuresInTurns(rounds, runs, measure);
  report.expect([`${what}: failed`, ...new Set(failed)].join("; "), failed.length, 0);
  return medians;
}

/** Runs a command from the start of its process to the end. No other child may end meanwhile. */
export async function wholeProcess(run: Run): Promise<Timing> {
  const cpuBefore = await endedChildrenCpuMs();
  const start = performance.now();
  const { code, stdout, stderr } = await commandOf(run).output();
  const ms = performance.now() - start;
  const times = { ms, cpuMs: await endedChildrenCpuMs() - cpuBefore };
  const [printed, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (code !== 0) return { times, problem: `exited with ${code}: ${errors.trim()}` };
  const isComplete = run.prints.every((text) => printed.includes(text));
  return { times, problem: isComplete ? undefined : `printed ${printed}` };
}

/** Runs a command until it has printed what it must, and ends it. */
export async function untilPrinted(run: Run): Promise<Timing> {
  const start = performance.now();
  // At the end of its input, a chat would leave.
  await using child = commandOf(run, { stdin: "piped", stdout: "piped", stderr: "null" }).spawn();
  let printed = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    printed += text;
    if (!run.prints.every((text) => printed.includes(text))) continue;
    const ms = performance.now() - start;
    return { times: { ms, cpuMs: (await usage(child.pid)).cpuMs } };
  }
  const times = { ms: performance.now() - start, cpuMs: NaN };
  return { times, problem: `printed only ${printed}` };
}

function commandOf(
  { command: [program, ...args], env }: Run,
  options: Deno.CommandOptions = {},
): Deno.Command {
  return new Deno.Command(program, { ...options, args, cwd: ROOT, env });
}
