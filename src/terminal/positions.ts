/**
 * Positions in the line being typed that keys move to, or cut to: the starts and ends of its lines
 * and words. All take time proportional to the distance.
 *
 * @module
 */

/** A text and a position in it. */
interface Place {
  readonly text: string;
  readonly cursor: number;
}

export function lineStart({ text, cursor }: Place): number {
  return cursor === 0 ? 0 : text.lastIndexOf("\n", cursor - 1) + 1;
}

export function lineEnd({ text, cursor }: Place): number {
  const end = text.indexOf("\n", cursor);
  return end === -1 ? text.length : end;
}

/** How far to cut to the end of the line; from there, to the next line. */
export function toLineEnd(place: Place): number {
  const end = lineEnd(place);
  return end > place.cursor ? end : Math.min(end + 1, place.text.length);
}

/** How far to cut to the start of the line; from there, to the line before. */
export function toLineStart(place: Place): number {
  const start = lineStart(place);
  return start < place.cursor ? start : Math.max(start - 1, 0);
}

// A lookbehind matches from right to left, in time proportional to the length of the match.
const WORD_BEFORE = /(?<=([\p{L}\p{N}\p{M}_]*[^\p{L}\p{N}\p{M}_]*))/uy;
const WORD_AFTER = /[^\p{L}\p{N}\p{M}_]*[\p{L}\p{N}\p{M}_]*/uy;
const BLANK_BEFORE = /(?<=(\S*\s*))/uy;

/** The start of the word before a position. */
export function wordBefore(place: Place): number {
  return place.cursor - reach(place, WORD_BEFORE);
}

/** The end of the word after a position. */
export function wordAfter(place: Place): number {
  return place.cursor + reach(place, WORD_AFTER);
}

/** The end of the white space before the word before a position. */
export function blankBefore(place: Place): number {
  return place.cursor - reach(place, BLANK_BEFORE);
}

/** The length of a pattern's match at the cursor, or of its lookbehind there. */
function reach({ text, cursor }: Place, pattern: RegExp): number {
  pattern.lastIndex = cursor;
  const [matched, lookedBack] = pattern.exec(text)!;
  return (lookedBack ?? matched).length;
}
