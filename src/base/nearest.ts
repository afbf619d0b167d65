/**
 * Finds the word that a mistyped one was meant to be: by its spelling, or in a table of words that
 * people know from elsewhere.
 *
 * @module
 */

/**
 * The candidate that is most like what was typed.
 *
 * Upper case, underscores and leading marks such as dashes do not count as differences; two letters
 * that changed places count as one. A beginning of at least three letters stands for the whole word.
 *
 * @param typed the mistyped word
 * @param candidates the words that exist
 * @returns the nearest one; undefined if none is near
 *
 * @example
 * ```ts
 * import { nearest } from "./nearest.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(nearest("--tsl", ["--tls", "--json"]), "--tls");
 * assert.equal(nearest("--plain", ["--tls", "--plaintext"]), "--plaintext");
 * assert.equal(nearest("ls", ["id", "chat"]), undefined);
 * ```
 */
export function nearest(typed: string, candidates: readonly string[]): string | undefined {
  const word = bare(typed);
  const [best] = candidates
    .map((candidate) => ({ candidate, distance: distanceTo(word, bare(candidate)) }))
    .sort((a, b) => a.distance - b.distance);
  return best !== undefined && best.distance < Infinity ? best.candidate : undefined;
}

/** Words from elsewhere, separated by spaces, and what they mean here. */
export type Meanings = readonly (readonly [words: string, meaning: string])[];

/** What a word means, by a table; the same differences as in {@link nearest} do not count. */
export function meaningsOf(typed: string, table: Meanings): string[] {
  const word = bare(typed);
  return table.flatMap(([words, meaning]) => words.split(" ").includes(word) ? meaning : []);
}

/** A word without what people get wrong most often. */
export function bare(word: string): string {
  return word.replace(/^[\p{P}\p{S}]+(?=.)/u, "").toLowerCase().replaceAll("_", "-");
}

/** Infinity if the words have too little in common. */
function distanceTo(typed: string, candidate: string): number {
  if (typed.length >= 3 && candidate.startsWith(typed)) return 0.5;
  const distance = editDistance(typed, candidate);
  const most = Math.floor(Math.max(typed.length, candidate.length) / 3);
  return distance <= Math.max(1, most) && distance < candidate.length ? distance : Infinity;
}

/** How many letters to insert, delete, replace or swap with their neighbor. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next[j] = Math.min(replaced, row[j] + 1, next[j - 1] + 1);
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (isSwapped) next[j] = Math.min(next[j], before[j - 2] + 1);
    }
    [before, row] = [row, next];
  }
  return row[b.length];
}
