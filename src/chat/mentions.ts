/**
 * Whether a message mentions a name.
 *
 * @module
 */

/** Letters of words that spaces, or other characters, separate from the next word. */
const SEPARATED = String
  .raw`[[\p{L}\p{N}\p{M}_]--[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]]`;

/**
 * Returns a test for messages that mention a name: as a word of its own, in any case. In scripts
 * that are written without spaces, or with endings on names, it may be part of a longer word.
 *
 * @param name a valid name, which may have several words
 *
 * @example
 * ```ts
 * import { mentionsOf } from "./mentions.ts";
 * import assert from "node:assert/strict";
 *
 * const mentions = mentionsOf("Bob");
 * assert(mentions("is @bob's server up?"));
 * assert(!mentions("the bobsled is here"));
 * ```
 */
export function mentionsOf(name: string): (body: string) => boolean {
  // A long run of accents takes too long to normalize, so the name is given in both forms.
  const forms = [name.normalize("NFC"), name.normalize("NFD")].map(RegExp.escape).join("|");
  const before = new RegExp(`^${SEPARATED}`, "v").test(name) ? `(?<!${SEPARATED})` : "";
  const after = new RegExp(`${SEPARATED}$`, "v").test(name) ? `(?!${SEPARATED})` : "";
  const pattern = new RegExp(`${before}(?:${forms})${after}`, "iv");
  return (body) => pattern.test(body);
}
