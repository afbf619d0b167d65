/**
 * Words and numbers for the results of mutation testing.
 *
 * @module
 */
import type { Verdict } from "./judge.ts";
import type { Mutant } from "./operators.ts";

/** One mutant and how it fared, in a line. */
export function lineOf(
  { mutant, result, by }: { mutant: Mutant } & Partial<Pick<Verdict, "result" | "by">>,
): string {
  const { file, line, where, original, replacement, isStatement } = mutant;
  const [before, after] = [original, replacement].map((code) => code.replaceAll(/\s+/g, " "));
  // Long parts that both begin with are left out, so that the difference is seen.
  const same = isStatement ? 0 : Math.max(0, sameBeginning(before, after) - CONTEXT);
  const change = isStatement
    ? `without \`${shortened(before)}\``
    : `\`${shortened(before, same)}\` → \`${shortened(after, same)}\``;
  const outcome = result === undefined ? "" : `${result}: `;
  return `${outcome}${file}:${line} ${where}: ${change}${by === undefined ? "" : ` [${by}]`}`;
}

/** The mutants in the output of a run that were not noticed, each as {@link lineOf} writes it. */
export function survivorsIn(output: string): Set<string> {
  const found = output.matchAll(/^(?:\d+\/\d+ )?(?:survived|unreached): (.*)$/gm);
  return new Set(found.map(([, mutant]) => mutant));
}

/** How long the code of one change may be in a line, and what is shown before the difference. */
const LONGEST = 70;
const CONTEXT = 20;

function shortened(code: string, from = 0): string {
  if (code.length <= LONGEST) return code;
  const rest = from === 0 ? code : `…${code.slice(from)}`;
  return rest.length <= LONGEST ? rest : `${rest.slice(0, LONGEST - 1)}…`;
}

function sameBeginning(one: string, other: string): number {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length++;
  return length;
}

/** Whether a verdict says that the tests noticed the mutant. */
function isKilled({ result }: Verdict): boolean {
  return result === "killed" || result === "timeout";
}

/**
 * The share of mutants in all that tests notice, judging by a sample.
 *
 * @returns the limits of the 95 % confidence interval (Wilson's), from 0 to 1
 */
export function interval(killed: number, count: number): [number, number] {
  const z = 1.96;
  const share = killed / count;
  const middle = share + z * z / (2 * count);
  const spread = z * Math.sqrt(share * (1 - share) / count + z * z / (4 * count * count));
  const scale = 1 + z * z / count;
  return [(middle - spread) / scale, (middle + spread) / scale];
}

/**
 * A table of files, the mutants that were not noticed, and the score.
 *
 * @param total how many mutants there are, of which some were judged
 */
export function summaryOf(verdicts: readonly Verdict[], total: number): string {
  const rows = [...Map.groupBy(verdicts, ({ mutant }) => mutant.file)]
    .map(([file, own]) => row(file, own));
  const killed = verdicts.filter(isKilled).length;
  const count = verdicts.length;
  const [low, high] = interval(killed, count);
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const certainty = count < total
    ? `, a sample of ${total}: ${percent(low)} to ${percent(high)}`
    : "";
  return [
    "",
    row("file", undefined),
    ...rows,
    row("all", verdicts),
    "",
    ...verdicts.filter((verdict) => !isKilled(verdict)).map(lineOf),
    "",
    `score: ${percent(killed / count)} (${killed} of ${count}${certainty})`,
  ].join("\n");
}

const RESULTS = ["killed", "timeout", "survived", "unreached"] as const;

function row(file: string, verdicts: readonly Verdict[] | undefined): string {
  const cells = RESULTS.map((result) =>
    verdicts?.filter((verdict) => verdict.result === result).length ?? result
  );
  return [file.padEnd(32), ...cells.map((cell) => `${cell}`.padStart(10))].join("");
}
