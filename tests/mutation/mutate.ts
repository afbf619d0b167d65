/**
 * Mutation testing: `deno task mutate src/identity` changes the source in many small ways, one at a
 * time, and reports the changes that no test notices. See docs/mutation.md.
 *
 * @module
 */
import { globSync } from "node:fs";
import { parseArgs } from "node:util";
import { ROOT } from "../support/program.ts";
import { randomNumbers } from "../support/random.ts";
import { Judge, measure, type Verdict } from "./judge.ts";
import { lineOf, summaryOf, survivorsIn } from "./report.ts";
import { type NumberedMutant, numberedMutants, Tree } from "./tree.ts";

const USAGE = `deno task mutate FILE[:LINE]|FOLDER… [options]

  --sample N        judge N mutants, chosen at random
  --seed N          choose others (default 1)
  --again REPORT    judge only the mutants that survived in an earlier run, whose output this is
  --tests PATTERN   the tests to run; may be repeated (default: those of the same rooms)
  --quick           leave out tests that start processes
  --jobs N          judge N mutants at once (default 1)
  --list            print the mutants, and judge none`;

/** Tables, in which a change is a change of data. */
const EXCLUDED = /\/(confusables|protos)\.ts$/;

/** A file, and the line of it that is of interest, if not all of it is. */
interface Place {
  readonly file: string;
  readonly line: number | undefined;
}

function placesIn(path: string): Place[] {
  const [, file, line] = /^(.*\.ts)(?::(\d+))?$/.exec(path) ?? [];
  if (file !== undefined) return [{ file, line: line === undefined ? undefined : Number(line) }];
  return globSync(`${path}/**/*.ts`, { cwd: ROOT }).toSorted()
    .filter((file) => !EXCLUDED.test(file))
    .map((file) => ({ file, line: undefined }));
}

/** The tests of the rooms that files are in, or those that match patterns. */
function testFiles(patterns: readonly string[] | undefined, sources: readonly string[]): string[] {
  const rooms = new Set(sources.map((file) => file.split("/")[1]));
  const chosen = patterns ?? [...rooms].map((room) => `tests/${room}/*_test.ts`);
  return [...new Set(globSync(chosen, { cwd: ROOT }))].toSorted();
}

/** Chooses some mutants, in random order: what an interrupted run has judged is a sample as well. */
function sample(mutants: readonly NumberedMutant[], count: number, seed: number): NumberedMutant[] {
  const random = randomNumbers(seed);
  const shuffled = mutants.map((mutant) => ({ mutant, at: random() }))
    .sort((a, b) => a.at - b.at);
  return shuffled.slice(0, count).map(({ mutant }) => mutant);
}

interface Plan {
  /** All mutants of the files. */
  readonly all: readonly NumberedMutant[];
  /** Those that are judged. */
  readonly chosen: readonly NumberedMutant[];
  /** The files with tests. */
  readonly tests: readonly string[];
  /** Whether to leave out tests that start processes. */
  readonly isQuick: boolean;
  /** How many mutants are judged at once. */
  readonly jobs: number;
}

async function judgeAll({ all, chosen, tests, isQuick, jobs }: Plan): Promise<Verdict[]> {
  await using stack = new AsyncDisposableStack();
  const trees: Tree[] = [];
  for (let i = 0; i < jobs; i++) trees.push(stack.use(await Tree.with(all)));
  const baseline = await measure(trees[0], tests, !isQuick, console.log);
  console.log(`${chosen.length} of ${all.length} mutants`);
  const siblings = Map.groupBy(all, ({ file }) => file);
  const verdicts: Verdict[] = [];
  const queue = chosen.values();
  await Promise.all(trees.map(async (tree) => {
    using judge = new Judge(tree, tests, baseline);
    for (const mutant of queue) {
      const ids = new Set(siblings.get(mutant.file)!.map(({ id }) => id));
      const verdict = await judge.judge(mutant, ids);
      verdicts.push(verdict);
      console.log(`${verdicts.length}/${chosen.length} ${lineOf(verdict)}`);
    }
  }));
  return verdicts.toSorted((a, b) => a.mutant.id - b.mutant.id);
}

async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      sample: { type: "string" },
      again: { type: "string" },
      seed: { type: "string", default: "1" },
      tests: { type: "string", multiple: true },
      jobs: { type: "string", default: "1" },
      quick: { type: "boolean", default: false },
      list: { type: "boolean" },
    },
  });
  const places = positionals.flatMap(placesIn);
  const files = [...new Set(places.map(({ file }) => file))];
  if (files.length === 0) {
    console.error(USAGE);
    return 2;
  }
  const all = numberedMutants(files);
  const survivors = values.again && survivorsIn(Deno.readTextFileSync(values.again));
  const meant = all.filter((mutant) =>
    places.some(({ file, line }) =>
      file === mutant.file && (line ?? mutant.line) === mutant.line
    ) &&
    (!survivors || survivors.has(lineOf({ mutant })))
  );
  const chosen = sample(meant, Number(values.sample ?? meant.length), Number(values.seed));
  if (values.list) {
    for (const mutant of chosen) console.log(lineOf({ mutant }));
    return 0;
  }
  const verdicts = await judgeAll({
    ...{ all, chosen },
    tests: testFiles(values.tests, files),
    isQuick: values.quick,
    jobs: Number(values.jobs),
  });
  console.log(summaryOf(verdicts, meant.length));
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
