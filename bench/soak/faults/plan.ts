/** The sequence of faults of a soak. It depends on a seed alone, so the same seed gives it again. */
import { randomNumbers } from "../../../tests/support/random.ts";

/** The kinds of faults, by the names that `--faults` takes. */
export const FAULTS = ["disk", "kill", "stop", "network", "hostile"] as const;
export type Fault = typeof FAULTS[number];

/** One fault to come. */
export interface Step {
  /** The pause before it, in milliseconds. */
  readonly afterMs: number;
  readonly fault: Fault;
  /** Below 1: chooses among the processes that the fault can hit. */
  readonly target: number;
  /** Below 1: chooses among the ways in which it can happen. */
  readonly way: number;
  /** How long it lasts, in milliseconds, if it lasts at all. */
  readonly lastsMs: number;
}

/** The pause between two faults, and how long one lasts, in milliseconds: at least and at most. */
const PAUSE = [2_000, 10_000] as const;
const LASTS = [1_000, 15_000] as const;

/** The faults of a soak, without end. */
export function* plan(faults: readonly Fault[], seed: number): Generator<Step, never> {
  const random = randomNumbers(seed);
  const within = ([least, most]: readonly [number, number]) =>
    Math.round(least + random() * (most - least));
  for (;;) {
    yield {
      afterMs: within(PAUSE),
      fault: oneOf(faults, random()),
      target: random(),
      way: random(),
      lastsMs: within(LASTS),
    };
  }
}

/** Chooses one by a number below 1. */
export function oneOf<T>(all: readonly T[], choice: number): T {
  return all[Math.floor(choice * all.length)];
}

/**
 * Parses the value of `--faults`: names separated by commas, or `all`.
 *
 * @throws if a name is unknown
 */
export function parseFaults(text: string): Fault[] {
  if (text === "all") return [...FAULTS];
  return text.split(",").map((name) => {
    const fault = FAULTS.find((one) => one === name);
    if (fault === undefined) throw new Error(`--faults takes all, or some of ${FAULTS}: ${name}`);
    return fault;
  });
}
