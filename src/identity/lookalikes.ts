/**
 * Detects names that look like other names, such as `A1ice`, or `Аlice` with a Cyrillic А.
 *
 * Two names look alike if they have the same skeleton (Unicode Technical Standard #39, section 4),
 * ignoring case and characters that are invisible or blank. The result is only good for a warning,
 * because both names may be legitimate.
 *
 * @module
 */
import { CONFUSABLES } from "./confusables.ts";

/**
 * Finds the first of several names that a name looks like, but is not equal to.
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
  const [mixed, lower] = skeletons(name);
  for (const other of others) {
    if (other === name) continue;
    const [otherMixed, otherLower] = skeletons(other);
    if (mixed === otherMixed || lower === otherLower) return other;
  }
  return undefined;
}

/**
 * The skeletons of a name as written and in lower case, because case matters for looks: a capital I
 * looks like an l, a small i does not. Only lower-case `cl` looks like a `d`: Clara is not like
 * Dara.
 */
function skeletons(name: string): [string, string] {
  // Compatibility decomposition makes an ordinary sigma, which no c looks like, of a lunate one.
  const letters = name.replaceAll("\u03F2", "c").replaceAll("\u03F9", "C")
    .normalize("NFKD").replace(INVISIBLE, "").replace(REPEATED_MARK, "$1");
  return [
    prototypesOf(letters).replaceAll("cl", "d").toLowerCase(),
    prototypesOf(letters.toLowerCase()),
  ].map((skeleton) => skeleton.replaceAll("vv", "w")) as [string, string];
}

/** What each character of a text looks like. */
function prototypesOf(text: string): string {
  return Array.from(text, (character) => prototypes.get(character) ?? character).join("");
}

/** What a character looks like, for each that looks like something else. */
const prototypes = new Map(
  CONFUSABLES.trimEnd().split("\n").flatMap((line) => {
    const [prototype, members] = line.split(":");
    return members.split(",").map((member) => [fromHex(member), fromHex(prototype)]);
  }),
);

function fromHex(codes: string): string {
  return String.fromCodePoint(...codes.split("+").map((code) => parseInt(code, 16)));
}

/**
 * Characters without a shape of their own: blanks, format characters, joiners, variation selectors
 * and the tatweel, which only stretches a word. Unicode classifies some blanks as letters, marks or
 * symbols.
 */
const INVISIBLE =
  /[\p{White_Space}\p{C}\p{Default_Ignorable_Code_Point}\u0640\u2800\u{16FE4}\u{1D159}\u{13441}\u{13442}]/gu;

/** A repeated mark, which looks like a single one. */
const REPEATED_MARK = /(\p{Mn})\1+/gu;
