/**
 * Finds out which mutants the tests notice. One test after the other runs against a mutant, the
 * quickest first, until one fails. It then runs against the original: a test that fails there as
 * well has proved nothing.
 *
 * @module
 */
import { TestProcess } from "./test_process.ts";
import type { NumberedMutant, Tree } from "./tree.ts";
import type { TestInfo } from "./worker.ts";

/** How a mutant fared. */
export interface Verdict {
  readonly mutant: NumberedMutant;
  /** `timeout`: a test hung, or its process ended; `unreached`: no test runs the code. */
  readonly result: "killed" | "timeout" | "survived" | "unreached";
  /** The test that noticed it. */
  readonly by?: string;
  /** How many tests ran. */
  readonly tests: number;
}

/** What a test says about a mutant. */
type Outcome = "killed" | "timeout" | "survived";

/** A test with what is known about it from a run against the original. */
export interface MeasuredTest extends TestInfo {
  readonly index: number;
  readonly ms: number;
  readonly reached: ReadonlySet<number>;
  readonly startsProcess: boolean;
}

/** What runs against the original have shown. */
export interface Baseline {
  /** The tests that passed. */
  readonly tests: readonly MeasuredTest[];
  /** The mutants that are reached while files are loaded. */
  readonly atLoad: ReadonlySet<number>;
}

/** How long a test may take against the original, in milliseconds. */
const FIRST_LIMIT_MS = 120_000;

/** How much longer than five times that long it may take against a mutant, in milliseconds. */
const MARGIN_MS = 3_000;

/**
 * Runs all tests against the original. Tests that fail are reported and left out.
 *
 * @param mayStart whether to run tests that start processes as well
 */
export async function measure(
  tree: Tree,
  files: readonly string[],
  mayStart: boolean,
  report: (line: string) => void,
): Promise<Baseline> {
  const started = await TestProcess.start(tree, files);
  if (started === undefined) throw new Error("the tests cannot be loaded");
  using process = started.process;
  const tests: MeasuredTest[] = [];
  for (const [index, info] of started.loaded.tests.entries()) {
    const outcome = await process.run({ test: index, mutant: 0, mayStart }, FIRST_LIMIT_MS);
    if (outcome === undefined) throw new Error(`${info.file}: "${info.name}" does not end`);
    if (outcome.error === undefined) {
      tests.push({ ...info, ...outcome, index, reached: new Set(outcome.reached) });
    } else if (mayStart || !outcome.startsProcess) {
      report(`left out, because it fails without a mutant: ${info.file}: ${info.name}`);
    }
  }
  const seconds = tests.reduce((sum, { ms }) => sum + ms, 0) / 1000;
  report(`${tests.length} tests in ${seconds.toFixed(1)} s`);
  return { tests, atLoad: new Set(started.loaded.reached) };
}

/** Judges mutants, one at a time, in a tree of its own. */
export class Judge implements Disposable {
  readonly #tree: Tree;
  readonly #files: readonly string[];
  readonly #baseline: Baseline;
  #process: TestProcess | undefined;

  constructor(tree: Tree, files: readonly string[], baseline: Baseline) {
    this.#tree = tree;
    this.#files = files;
    this.#baseline = baseline;
  }

  /**
   * Runs the tests that may notice a mutant.
   *
   * @param siblings the ids of the mutants in the same file
   */
  async judge(mutant: NumberedMutant, siblings: ReadonlySet<number>): Promise<Verdict> {
    const isReached = this.#baseline.tests.some(({ reached }) => reached.has(mutant.id));
    // Such a mutant, mostly a constant, needs a process of its own.
    const isAtLoad = !isReached && this.#baseline.atLoad.has(mutant.id);
    const mayNotice = ({ reached, startsProcess }: MeasuredTest) =>
      startsProcess || reached.has(mutant.id) || isAtLoad && !reached.isDisjointFrom(siblings);
    // Last, those that may reach it in a process that they start, or may not.
    const rank = ({ reached }: MeasuredTest) => Number(!reached.has(mutant.id));
    const tests = this.#baseline.tests.filter(mayNotice)
      .toSorted((a, b) => rank(a) - rank(b) || a.ms - b.ms);
    if (tests.length === 0) return { mutant, result: "unreached", tests: 0 };
    if (isAtLoad && !await this.#restart(mutant.id)) {
      return { mutant, result: "killed", by: "loading", tests: 0 };
    }
    for (const [i, test] of tests.entries()) {
      const result = await this.#try(mutant.id, test, isAtLoad);
      const by = `${test.file}: ${test.name}`;
      if (result !== "survived") return { mutant, result, by, tests: i + 1 };
    }
    if (isAtLoad) this.#end();
    return { mutant, result: "survived", tests: tests.length };
  }

  /** Runs a test against a mutant and, if it fails, against the original. */
  async #try(id: number, test: MeasuredTest, isAtLoad: boolean): Promise<Outcome> {
    const runs: Outcome[] = [];
    // What an earlier mutant left behind, or a busy machine, may be the reason for a failure. So the
    // second run is in a new process.
    while (runs.length < 2) {
      if (isAtLoad && runs.length > 0) await this.#restart(id);
      const outcome = await this.#run(id, test);
      if (outcome === "survived") return outcome;
      runs.push(outcome);
      if (isAtLoad) this.#end();
      const isSound = await this.#run(0, test) === "survived";
      if (!isSound) this.#end();
      if (isSound && (outcome === "killed" || runs.length === 2)) return outcome;
    }
    return "survived";
  }

  async #run(id: number, test: MeasuredTest): Promise<Outcome> {
    if (this.#process === undefined && !await this.#restart(0)) {
      throw new Error("the tests cannot be loaded");
    }
    if (test.startsProcess) this.#tree.activate(id);
    const limit = MARGIN_MS + 5 * test.ms;
    const outcome = await this.#process!.run(
      { test: test.index, mutant: id, mayStart: true },
      limit,
    );
    if (test.startsProcess) this.#tree.activate(0);
    if (outcome === undefined) this.#end();
    if (outcome === undefined) return "timeout";
    return outcome.error === undefined ? "survived" : "killed";
  }

  /** Starts a process in which a mutant is active from the start; returns whether it can load. */
  async #restart(active: number): Promise<boolean> {
    this.#end();
    this.#process = (await TestProcess.start(this.#tree, this.#files, active))?.process;
    return this.#process !== undefined;
  }

  #end(): void {
    this.#process?.[Symbol.dispose]();
    this.#process = undefined;
  }

  [Symbol.dispose](): void {
    this.#end();
  }
}
