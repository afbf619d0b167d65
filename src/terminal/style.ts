/**
 * How text looks on a terminal: plain, dim or in color.
 *
 * Each name has one {@link hueOf | color}, the same on every machine and every day. {@link paint}
 * turns styled text into escape sequences, or into bare text if color is off.
 *
 * @module
 */

/** Plain, dim, or one of a terminal's 256 colors. */
export type Look = "plain" | "dim" | number;

/** A piece of text in one look. */
export interface Span {
  readonly text: string;
  readonly look: Look;
  /** Makes a slice of the text safe to show, in place of the default escaping. */
  readonly escape?: (slice: string) => string;
}

/** A plain string, or text in several looks. */
export type Styled = string | readonly Span[];

/** Styled text as spans. */
export function spansOf(styled: Styled): readonly Span[] {
  return typeof styled === "string" ? [{ text: styled, look: "plain" }] : styled;
}

/** The length of a text in UTF-16 code units. */
export function lengthOf(styled: Styled): number {
  return spansOf(styled).reduce((sum, { text }) => sum + text.length, 0);
}

/** The same text in a single look. */
export function withLook(styled: Styled, look: Look): Span[] {
  return spansOf(styled).map((span) => ({ ...span, look }));
}

/**
 * Colors for names, far apart from each other and readable on both black and white: the contrast is
 * at least 3.9 : 1 on either, where 4.58 : 1 is the most possible (WCAG 2.2, contrast ratio).
 */
export const HUES: readonly number[] = [64, 161, 28, 130, 30, 27, 31, 163, 98, 129];

/** The color of an alarm: red, with as much contrast as {@link HUES}. */
export const ALARM = 160;

/** The color of a name. */
export function hueOf(name: string): number {
  // FNV-1a: short, and its upper half spreads similar names best.
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  return HUES[(hash >>> 16) % HUES.length];
}

/** The sequences that begin and end a look (ECMA-48 SGR; 38;5 is xterm's). */
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
 * Paints text for a terminal.
 *
 * @param styled text that is already safe to show
 * @param color whether to use color and dim text
 * @returns the text; each of its lines returns to the plain look at its end
 *
 * @example
 * ```ts
 * import { paint } from "./style.ts";
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

/** Joins neighboring spans of the same look. */
function joined(spans: readonly Span[]): Span[] {
  const pieces: Span[] = [];
  for (const { text, look } of spans) {
    const before = pieces.at(-1)?.look === look ? pieces.pop()!.text : "";
    pieces.push({ text: before + text, look });
  }
  return pieces;
}
