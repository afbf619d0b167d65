/**
 * Names that look like other names: `A1ice`, or `Аlice` with a Cyrillic А.
 *
 * Two names look alike if they have the same skeleton (Unicode Technical Standard #39, section 4), where
 * upper and lower case count as the same. It is for warnings, and forbids nothing: there may
 * well be two people.
 *
 * @module
 */
import unhomoglyph from "unhomoglyph";

/**
 * The first of some names that another one looks like, without being it.
 *
 * @example
 * ```ts
 * import { lookalikeOf } from "./lookalikes.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(lookalikeOf("A1ice", ["Bob", "Alice"]), "Alice");
 * assert.equal(lookalikeOf("\u0410lice", ["Alice"]), "Alice");
 * assert.equal(lookalikeOf("Alice", ["Alice", "Alicia"]), undefined);
 * ```
 */
export function lookalikeOf(name: string, others: Iterable<string>): string | undefined {
  const [large, small] = skeletons(name);
  for (const other of others) {
    if (other === name) continue;
    const [otherLarge, otherSmall] = skeletons(other);
    if (large === otherLarge || small === otherSmall) return other;
  }
  return undefined;
}

/** As it looks; and as it looks in small letters: a capital I is like an l, and a small one is not. */
function skeletons(name: string): [string, string] {
  const letters = name.normalize("NFKD");
  return [unhomoglyph(letters).toLowerCase(), unhomoglyph(letters.toLowerCase())];
}
