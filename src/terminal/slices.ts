/**
 * Cuts a long text into slices that can be worked on one after another, in a time that does not
 * depend on the length of the text.
 *
 * @module
 */

/** How many UTF-16 code units are rendered at a time: a millisecond of work. */
export const SLICE = 1_024;

/** How far back from the end of a slice to look for a boundary between characters. */
const LOOK_BACK = 64;

/** Divides a text, if possible between characters as a reader sees them. */
export function* slicesOf(text: string): Generator<string> {
  for (let from = 0; from < text.length;) {
    const to = boundaryBefore(text, from + SLICE);
    yield text.slice(from, to);
    from = to;
  }
}

/** A code point that starts a new character unless a joiner precedes it. */
const CHARACTER_START =
  /(?<![\u200C\u200D])(?![\p{M}\p{Emoji_Modifier}\p{Regional_Indicator}\u1100-\u11FF])[\p{L}\p{N}\p{P}\p{S}\p{Z}]/gu;

/** The last boundary between characters at or before an index; roughly, if there is none nearby. */
export function boundaryBefore(text: string, at: number): number {
  if (at >= text.length) return text.length;
  if (at <= 0) return 0;
  const start = Math.max(0, at - LOOK_BACK);
  const last = [...text.slice(start, at).matchAll(CHARACTER_START)].at(-1)?.index;
  // Index 0 is unusable: a joiner may precede it.
  if (last) return start + last;
  const isWithin = text.codePointAt(at - 1)! > 0xFFFF || text.startsWith("\r\n", at - 1);
  return isWithin ? at - 1 : at;
}
