/**
 * A process that runs single tests on request, each as often as it is asked to. It reads requests
 * from stdin, one JSON object a line, and answers each with a line on stdout.
 *
 * Deno's own runner runs each test once, so it would need a process for each mutant. Unlike it, this
 * one does not notice what a test leaves open.
 *
 * @module
 */
import process from "node:process";
import { createInterface } from "node:readline";
import type { Switch } from "./switched.ts";

/** A test of the files that the process has loaded. */
export interface TestInfo {
  readonly file: string;
  readonly name: string;
}

/** What the process says first: its tests, and the mutants that were reached while it loaded them. */
export interface Loaded {
  readonly tests: readonly TestInfo[];
  readonly reached: readonly number[];
}

/** A request: runs the test with an index while a mutant is active. */
export interface Request {
  readonly test: number;
  readonly mutant: number;
  /** Whether the test may start processes; if not, it fails when it does. */
  readonly mayStart: boolean;
}

/** The outcome of a test. */
export interface Outcome {
  /** Why it failed; absent if it passed. */
  readonly error?: string;
  readonly ms: number;
  /** The mutants that it reached. */
  readonly reached: readonly number[];
  /** Whether it started a process, which may reach any mutant. */
  readonly startsProcess: boolean;
}

/** What each answer begins with, because tests print as well. */
export const PREFIX = "\u0001mutation ";

interface Test extends TestInfo {
  readonly fn: () => void | Promise<void>;
}

/** The switch of the files that are loaded. If none of them is mutated, there is none. */
let state: Switch = { active: 0, reached: new Uint8Array(1) };
const tests: Test[] = [];
let loading = "";
let startsProcess = false;
let mayStart = true;
let uncaught: unknown;

/** Takes the place of `Deno.test`, whose last argument or `fn` is the test, after a name or options. */
function register(...args: readonly unknown[]): void {
  const { name, ignore, fn }: Partial<Deno.TestDefinition> = Object.assign(
    {},
    ...args.map((arg) => {
      if (typeof arg === "string") return { name: arg };
      return typeof arg === "function" ? { fn: arg } : arg;
    }),
  );
  if (!ignore) tests.push({ file: loading, name: name!, fn: fn as Test["fn"] });
}

function watchProcesses(): void {
  const { prototype } = Deno.Command;
  for (const method of ["spawn", "output", "outputSync"] as const) {
    const original = prototype[method] as () => never;
    prototype[method] = function (this: Deno.Command) {
      startsProcess = true;
      if (!mayStart) throw new Error("this test may not start processes");
      return original.call(this);
    };
  }
}

function takeReached(): number[] {
  const ids = [...state.reached.keys()].filter((id) => state.reached[id] !== 0);
  state.reached.fill(0);
  return ids;
}

async function run({ test, mutant, ...request }: Request): Promise<Outcome> {
  state.active = mutant;
  mayStart = request.mayStart;
  takeReached();
  [startsProcess, uncaught] = [false, undefined];
  const start = performance.now();
  let error: string | undefined;
  try {
    await tests[test].fn();
    if (uncaught !== undefined) throw uncaught;
  } catch (cause) {
    error = `${cause}`.split("\n")[0];
  }
  state.active = 0;
  const ms = performance.now() - start;
  return { ...(error === undefined ? {} : { error }), ms, reached: takeReached(), startsProcess };
}

function answer(value: unknown): void {
  const bytes = new TextEncoder().encode(`${PREFIX}${JSON.stringify(value)}\n`);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

async function main(): Promise<void> {
  const { exit } = Deno;
  Object.assign(Deno, { test: register });
  Deno.exit = (code) => {
    throw new Error(`the program exits with ${code}`);
  };
  for (const kind of ["unhandledrejection", "error"] as const) {
    globalThis.addEventListener(kind, (event) => {
      event.preventDefault();
      uncaught ??= "reason" in event ? event.reason : event.error;
    });
  }
  watchProcesses();
  for (const file of Deno.args) {
    loading = file;
    await import(new URL(`../../${file}`, import.meta.url).href);
  }
  state = (globalThis as { __switch?: Switch }).__switch ?? state;
  answer({ tests: tests.map(({ file, name }) => ({ file, name })), reached: takeReached() });
  for await (const line of createInterface({ input: process.stdin })) {
    answer(await run(JSON.parse(line)));
  }
  exit();
}

if (import.meta.main) await main();
