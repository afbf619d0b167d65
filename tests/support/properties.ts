/**
 * Properties that hold for any input: fast-check makes inputs, and a smaller one that fails.
 *
 * A failure prints a seed and a path; `GREET_TEST_REPLAY=seed:path` runs that input again.
 */
import fc from "fast-check";
import { GreetError } from "../../src/base/errors.ts";

/** How many times as many inputs to try: GREET_TEST_SEEDS=100 deno test … */
export const FACTOR = Number(Deno.env.get("GREET_TEST_SEEDS") ?? 1);

/** The same inputs in every run, unless another seed, or one input, is asked for. */
const [SEED, PATH] = (Deno.env.get("GREET_TEST_REPLAY") ?? "1").split(/:(.*)/);

/** Tests that a check throws for no input. */
export function propertyTest<T>(
  name: string,
  inputs: fc.Arbitrary<T>,
  check: (input: T) => void | Promise<void>,
  runs = 1_000,
): void {
  Deno.test(name, async () => {
    const property = fc.asyncProperty(inputs, async (input) => await check(input));
    // With a fraction, fast-check would never end.
    const numRuns = Math.ceil(runs * FACTOR);
    await fc.assert(property, { numRuns, seed: Number(SEED), path: PATH ?? "" });
  });
}

/** Any text, half of it built from parts that mean something to a decoder. */
export function texts(...parts: string[]): fc.Arbitrary<string> {
  const anything = fc.string({ unit: "binary" });
  const part = fc.oneof(fc.constantFrom(...parts), fc.string({ unit: "binary", maxLength: 3 }));
  return fc.oneof(anything, fc.array(part, { maxLength: 12 }).map((all) => all.join("")));
}

/** A change of some bytes. */
export interface Damage {
  readonly kind: "flip" | "cut" | "insert" | "repeat" | "zero";
  /** Where, from 0 to 1. */
  readonly at: number;
  readonly length: number;
}

/**
 * Anywhere in a file or a packet, from 0 to 1. Evenly, unlike `fc.double`, half of whose numbers
 * between 0 and 1 are below 1e-150.
 */
export const anywhere: fc.Arbitrary<number> = fc.nat(999_999).map((n) => n / 1_000_000);

/** Damage to a file or a packet, at one place or several. */
export const damages: fc.Arbitrary<Damage[]> = fc.array(
  fc.record({
    kind: fc.constantFrom<Damage["kind"]>("flip", "cut", "insert", "repeat", "zero"),
    at: anywhere,
    length: fc.integer({ min: 1, max: 64 }),
  }),
  { minLength: 1, maxLength: 4 },
);

/** Bytes with some damage. */
export function damaged(bytes: Uint8Array, all: readonly Damage[]): Uint8Array<ArrayBuffer> {
  return all.reduce(damagedOnce, new Uint8Array(bytes));
}

function damagedOnce(
  bytes: Uint8Array<ArrayBuffer>,
  { kind, at, length }: Damage,
): Uint8Array<ArrayBuffer> {
  const from = Math.floor(at * bytes.length);
  const [before, hit, after] = [
    bytes.subarray(0, from),
    bytes.slice(from, from + length),
    bytes.subarray(from + length),
  ];
  const join = (...parts: Uint8Array[]) => new Uint8Array(parts.flatMap((part) => [...part]));
  if (kind === "cut") return join(before);
  if (kind === "insert") return join(before, new Uint8Array(length).fill(0xFF), hit, after);
  if (kind === "repeat") return join(before, hit, hit, after);
  if (kind === "zero") return join(before, new Uint8Array(hit.length), after);
  if (hit.length > 0) hit[0] ^= 1 << length % 8;
  return join(before, hit, after);
}

/**
 * Calls a function that may only fail with a {@link GreetError} in one sentence.
 *
 * @returns its result; nothing if it failed
 */
export function oneSentence<T>(fn: () => T): T | undefined {
  try {
    return fn();
  } catch (error) {
    if (!(error instanceof GreetError)) throw error;
    if (/[\n\r]|\.$|\bat \w+ \(|os error/.test(error.message)) throw error;
    return undefined;
  }
}
