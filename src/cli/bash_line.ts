/**
 * Divides a command line of bash into words, and quotes what is inserted into it.
 *
 * Bash hands completions the line as it was typed, quotes included, and replaces only what follows
 * the last word break. Nothing here is ever evaluated: `$x` and `$(…)` stand for themselves.
 *
 * @module
 */

/** A character of a word, and whether it is quoted. */
interface Letter {
  readonly letter: string;
  readonly isQuoted: boolean;
}

/** An unfinished command line. */
export interface BashLine {
  /** The words without quotes. The last one ends at the cursor, and may be empty. */
  readonly words: readonly string[];
  /** The quote that is open at the cursor, if any. */
  readonly quote: "" | "'" | '"';
  /** The beginning of the last word that bash keeps, without quotes. */
  readonly kept: string;
}

/**
 * Divides a line, as POSIX describes (Shell Command Language, section 2.2).
 *
 * @param line the line up to the cursor
 * @param breaks the characters that end a word for readline: `COMP_WORDBREAKS`
 */
export function readBashLine(line: string, breaks: string): BashLine {
  const words: Letter[][] = [[]];
  let quote: BashLine["quote"] = "";
  let quotedFrom = 0;
  for (let i = 0; i < line.length; i++) {
    const word = words.at(-1)!;
    const [letter, next] = [line[i], line[i + 1]];
    if (quote === letter) quote = "";
    else if (quote === "" && (letter === "'" || letter === '"')) {
      [quote, quotedFrom] = [letter, word.length];
    } else if (letter === "\\" && (quote === "" || quote === '"' && /["$`\\]/.test(next ?? ""))) {
      if (next !== undefined) word.push({ letter: next, isQuoted: true });
      i++;
    } else if (quote === "" && /[ \t\n]/.test(letter)) words.push([]);
    else word.push({ letter, isQuoted: quote !== "" });
  }
  const last = words.at(-1)!;
  const keptLength = quote === "" ? 1 + last.findLastIndex(isBreak(breaks)) : quotedFrom;
  const texts = words.map(textOf);
  return {
    // Several spaces separate as one does.
    words: texts.filter((text, i) => text !== "" || i === texts.length - 1),
    quote,
    kept: textOf(last.slice(0, keptLength)),
  };
}

function isBreak(breaks: string): (letter: Letter) => boolean {
  return ({ letter, isQuoted }) => !isQuoted && breaks.includes(letter);
}

function textOf(word: readonly Letter[]): string {
  return word.map(({ letter }) => letter).join("");
}

/**
 * Quotes a text, so that bash takes it for one word and nothing in it has a meaning.
 *
 * @param text any text without line breaks
 * @param quote the quote that is open already; the result begins with it
 *
 * @example
 * ```ts
 * import { quoteForBash } from "./bash_line.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(quoteForBash("Anna Lena", ""), String.raw`Anna\ Lena`);
 * assert.equal(quoteForBash("$(reboot)", '"'), String.raw`"\$(reboot)"`);
 * assert.equal(quoteForBash("it's", "'"), String.raw`'it'\''s'`);
 * ```
 */
export function quoteForBash(text: string, quote: BashLine["quote"]): string {
  if (quote === "'") return `'${text.replaceAll("'", String.raw`'\''`)}'`;
  // Outside ASCII, no character has a meaning.
  if (quote === "") return text.replaceAll(/[^\w@%+=:,./\u{80}-\u{10FFFF}-]/gu, String.raw`\$&`);
  // History expansion is not stopped by a backslash between double quotes.
  return `"${text.replaceAll(/["$`\\]/g, String.raw`\$&`).replaceAll("!", String.raw`"\!"`)}"`;
}
