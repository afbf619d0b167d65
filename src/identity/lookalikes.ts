/**
 * Names that look like other names: `A1ice`, or `Аlice` with a Cyrillic А.
 *
 * Two names look alike if they have the same skeleton (Unicode Technical Standard #39, section 4), where
 * upper and lower case count as the same, and nothing invisible or blank counts at all. It is for
 * warnings, and forbids nothing: there may well be two people.
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

/**
 * As it looks; and as it looks in small letters: a capital I is like an l, and a small one is not.
 * `cl` looks like a `d` only as it is written: Clara is not like Dara.
 */
function skeletons(name: string): [string, string] {
  const letters = name.normalize("NFKD").replace(UNSEEN, "").replace(REPEATED_MARK, "$1");
  return [
    unhomoglyph(letters).replaceAll("cl", "d").toLowerCase(),
    unhomoglyph(letters.toLowerCase()),
  ].map((skeleton) => skeleton.replaceAll("vv", "w")) as [string, string];
}

/**
 * What shows nothing, or nothing of its own: blanks, format characters, joiners and variation
 * selectors, and the tatweel, which only stretches a word. Some blanks are letters, marks or symbols
 * to Unicode.
 */
const UNSEEN =
  /[\p{White_Space}\p{C}\p{Default_Ignorable_Code_Point}\u0640\u2800\u{16FE4}\u{1D159}\u{13441}\u{13442}]/gu;

/** A mark that is set twice looks as if it were set once. */
const REPEATED_MARK = /(\p{Mn})\1+/gu;
