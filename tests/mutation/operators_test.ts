/** The mutants of a source, and the source that has all of them behind a switch. */
import assert from "node:assert/strict";
import { mutantsOf } from "./operators.ts";
import { interval, lineOf, survivorsIn } from "./report.ts";
import { switchedSource } from "./switched.ts";

/** The changes of a source: each part that changes, and what takes its place. */
function changes(source: string): string[] {
  return mutantsOf("sample.ts", source).map(({ original, replacement, isStatement }) =>
    isStatement ? `without ${original}` : `${original} → ${replacement}`
  );
}

const SOURCES: readonly [what: string, source: string, changes: readonly string[]][] = [
  ["a condition is always true or always false", "if (a) b;", [
    ...["a → true", "a → false", "without b;"],
  ]],
  ["each part of an `and` is always true, and all of it is false", "x = a && b ? y : z;", [
    ...["without x = a && b ? y : z;", "a && b → false", "a → true", "b → true"],
  ]],
  ["in a negated `or`, each part is always false", "const x = !(a || b > 9);", [
    ...["a || b > 9 → true", "a → false", "b > 9 → false", "b > 9 → b >= 9", "9 → 10"],
  ]],
  ["a loop is never entered, and never made endless", "while (a < b) {}", [
    ...["a < b → false", "a < b → a <= b"],
  ]],
  ["a call is left out, or not waited for", "await save();", [
    ...["without await save();", "await save() → save()"],
  ]],
  ["a thrown error is left out, unless it is all that a condition decides", "{ f: throw a; }", [
    "without throw a;",
  ]],
  ["a limit is off by one, or ten times as large", "const [A, B] = [3, 5_000];", [
    ...["[3, 5_000] → []", "3 → 4", "5_000 → 50000"],
  ]],
  ["numbers are added and subtracted, texts are only joined", 'a + 2; "a b" + c;', [
    ...["without a + 2;", "a + 2 → a - 2", "2 → 3", 'without "a b" + c;'],
  ]],
  ["a value without its fallback, and the fallback alone", "const a = b ?? c;", [
    ...["b ?? c → b", "b ?? c → c"],
  ]],
  ["a result is forgotten", "function f() { return g(); }", ["g() → undefined"]],
  ["a lock is not taken", "using _lock = lock();", ["lock() → undefined"]],
  ["a list is not sorted or filtered", "f(a.filter(g));", [
    ...["without f(a.filter(g));", "a.filter(g) → a"],
  ]],
  [
    "types, keys, imports and texts for people are left alone",
    [
      'import x from "x";',
      'type A = "a" | 1;',
      'const b: { c: 1 } = { "d": "no such file" };',
    ].join("\n"),
    [],
  ],
];

for (const [what, source, expected] of SOURCES) {
  Deno.test(`mutants: ${what}`, () => assert.deepEqual(changes(source), expected));
}

Deno.test("a mutant names its file, line, class and method", () => {
  const [mutant] = mutantsOf("sample.ts", "class A {\n  b() {\n    c();\n  }\n}");
  assert.deepEqual([mutant.file, mutant.line, mutant.where], ["sample.ts", 3, "A.b"]);
});

const SAMPLE = `
  export function price(count: number, isMember?: boolean): number {
    let sum = 0;
    for (let i = 0; i < count; i++) sum += 10;
    if (isMember && (count > 2 || !sum)) return sum - 5;
    return Math.max(sum, 10);
  }
`;

/** The results of the sample for some arguments, as each mutant and as the original. */
async function results(source: string, count: number): Promise<string[]> {
  const ids = Array.from({ length: count + 1 }, (_, id) => id);
  const url = URL.createObjectURL(new Blob([source], { type: "text/typescript" }));
  try {
    const { price } = await import(url);
    return ids.map((id) => {
      (globalThis as { __sampled?: number }).__sampled = id;
      return [price(0), price(2, true), price(3, true), price(3)].join(" ");
    });
  } finally {
    URL.revokeObjectURL(url);
  }
}

Deno.test("the switch makes each mutant, and the original", async () => {
  const mutants = mutantsOf("sample.ts", SAMPLE);
  const mark = "export const __m = (id: number) => globalThis.__sampled === id;";
  const url = `data:text/typescript,${encodeURIComponent(mark)}`;
  const switched = await results(switchedSource(SAMPLE, mutants, 1, url), mutants.length);
  const expected = await results(SAMPLE, 0);
  for (const { start, end, replacement } of mutants) {
    const source = SAMPLE.slice(0, start) + replacement + SAMPLE.slice(end);
    expected.push(...await results(source, 0));
  }
  assert.deepEqual(switched, expected);
  assert(new Set(switched).size > 8, switched.join("\n"));
});

Deno.test("the score of a sample has an interval, the smaller the larger the sample", () => {
  const rounded = (...args: [number, number]) => interval(...args).map((x) => Math.round(1000 * x));
  assert.deepEqual(rounded(80, 100), [711, 867]);
  assert.deepEqual(rounded(800, 1000), [774, 824]);
  assert.deepEqual(rounded(100, 100), [963, 1000]);
});

Deno.test("the survivors of an earlier run are found in its output", () => {
  const [one, other, killed] = mutantsOf("sample.ts", "if (a) b;");
  const lines = [
    `1/3 ${lineOf({ mutant: one, result: "survived" })}`,
    `2/3 ${lineOf({ mutant: killed, result: "killed", by: "a test" })}`,
    lineOf({ mutant: other, result: "unreached" }),
  ];
  const expected = [one, other].map((mutant) => lineOf({ mutant }));
  assert.deepEqual([...survivorsIn(lines.join("\n"))], expected);
});

Deno.test("a long change is shown where it differs", () => {
  const list = Array.from({ length: 30 }, (_, i) => `item${i}`).join(" && ");
  const [, ...mutants] = mutantsOf("sample.ts", `const x = f(${list} && a < b, c).sort();`);
  const lines = mutants.map((mutant) => lineOf({ mutant }));
  assert(lines.includes("sample.ts:1 x: `a < b` → `a <= b`"), lines.join("\n"));
  const [unsorted] = mutantsOf("sample.ts", `const x = f(${list}).sort();`);
  assert.match(
    lineOf({ mutant: unsorted }),
    /^sample\.ts:1 x: `….{16,}\.sort\(\)` → `….{16,}\)`$/,
  );
});
