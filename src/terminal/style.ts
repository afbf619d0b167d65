/**
 * How text looks on a terminal: as it comes, dim, or in somebody's colour.
 *
 * Each name has one {@link hueOf | hue}, the same on every machine and every day.
 * {@link paint} turns spans of text and their looks into what a terminal understands,
 * or into the bare text where there is to be no colour.
 *
 * @module
 */

/** As it comes, dim, or one of the 256 colours that terminals have. */
export type Look = "plain" | "dim" | number;

/** A piece of text that looks the same all over. */
export interface Span {
  readonly text: string;
  readonly look: Look;
  /** Makes a slice of the text safe to show, where that is not what is done with any text. */
  readonly safely?: (slice: string) => string;
}

/** Text, plain or made of pieces. */
export type Styled = string | readonly Span[];

/** The pieces of a text. */
export function spansOf(styled: Styled): readonly Span[] {
  return typeof styled === "string" ? [{ text: styled, look: "plain" }] : styled;
}

/** How many UTF-16 code units a text has. */
export function lengthOf(styled: Styled): number {
  return spansOf(styled).reduce((sum, { text }) => sum + text.length, 0);
}

/** The same text, all of it in one look. */
export function inLook(styled: Styled, look: Look): Span[] {
  return spansOf(styled).map((span) => ({ ...span, look }));
}

/**
 * Colours that are far apart from each other and can be read on black and on white: the
 * contrast is at least 3.9 : 1 on both, of 4.58 : 1 that are possible (WCAG 2.2, contrast ratio).
 */
export const HUES: readonly number[] = [64, 161, 28, 130, 30, 27, 31, 163, 98, 129];

/** The colour of what nobody must miss: red, with as much contrast as the others. */
export const ALARM = 160;

/** The colour of a name. */
export function hueOf(name: string): number {
  // FNV-1a: short, and spreads names that are nearly the same, most of all in its upper half.
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return HUES[(hash >>> 16) % HUES.length];
}

/** What makes a terminal write in some look, and what ends it (ECMA-48 SGR; 38;5 is xterm's). */
function codes(look: Look): readonly [begin: string, end: string] {
  switch (look) {
    case "plain":
      return ["", ""];
    case "dim":
      return ["\x1b[2m", "\x1b[22m"];
    default:
      return [`\x1b[38;5;${look}m`, "\x1b[39m"];
  }
}

/**
 * Text for a terminal.
 *
 * @param styled text that is showable already
 * @param color whether any look but plain is wanted
 * @returns the text; each of its lines ends in the plain look
 *
 * @example
 * ```ts
 * import { paint } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * const spans = [{ text: "Bob", look: 27 }, { text: " is here.", look: "plain" }] as const;
 * assert.equal(paint(spans, true), "\x1b[38;5;27mBob\x1b[39m is here.");
 * assert.equal(paint(spans, false), "Bob is here.");
 * ```
 */
export function paint(styled: Styled, color: boolean): string {
  if (typeof styled === "string") return styled;
  if (!color) return styled.map(({ text }) => text).join("");
  return joined(styled).map(({ text, look }) => {
    const [begin, end] = codes(look);
    return begin === "" ? text : begin + text.replaceAll("\n", `${end}\n${begin}`) + end;
  }).join("");
}

/** Neighbours that look the same, in one piece. */
function joined(spans: readonly Span[]): Span[] {
  const pieces: Span[] = [];
  for (const { text, look } of spans) {
    const before = pieces.at(-1)?.look === look ? pieces.pop()!.text : "";
    pieces.push({ text: before + text, look });
  }
  return pieces;
}
