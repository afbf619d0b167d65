/**
 * Measures text on the grid of a terminal.
 *
 * A {@link Cell} is the smallest unit there: a letter with its accents, an emoji with all its
 * parts, `<U+202E>`. Widths come from `string-width`; terminals disagree on some, so each cell says
 * whether its width is certain.
 *
 * @module
 */
import stringWidth from "string-width";
import type { Look } from "./style.ts";
import { showableParts } from "../base/text.ts";

/** A piece of text that a terminal cannot divide. */
export interface Cell {
  /** The text to show; already safe. */
  readonly text: string;
  readonly look: Look;
  /** Its width in columns. */
  readonly columns: number;
  /** Whether all terminals agree on its width. */
  readonly isWidthCertain: boolean;
  /** The number of UTF-16 code units of the original text that it stands for. */
  readonly length: number;
}

const GRAPHEMES = new Intl.Segmenter("en", { granularity: "grapheme" });
const PLAIN_ASCII = /^[ -~]*$/;

/** Text of certain width: terminals disagree on pictograms, narrow in older ones, and on sequences. */
const CERTAIN = /^(?:[ -~]*|\P{Extended_Pictographic})$/u;

/** Characters that older terminals show one by one, each two columns wide. */
export const PICTOGRAM = /\p{Extended_Pictographic}|\p{Regional_Indicator}/u;

/** Code points that terminals draw over the character before them. */
const ZERO_WIDTH = /[\p{Mn}\p{Me}\u200C\u200D\u{E0020}-\u{E007F}]/u;

/** Circled numbers of ambiguous width: wide in glibc, and so in many terminals. */
const MAYBE_WIDE = /[\u3248-\u324F]/;

/** A cache: measuring a cell takes far longer than looking it up. */
const cache = new Map<string, Cell>();
const MAX_CACHED = 10_000;
const MAX_CACHED_LENGTH = 32;

/**
 * Divides untrusted text into cells.
 *
 * @param text one line
 * @param look the look of all cells
 */
export function cellsOf(text: string, look: Look = "plain"): Cell[] {
  const cells = PLAIN_ASCII.test(text)
    ? Array.from(text, (character) => cellOf(character))
    : showableParts(text).flatMap((part) =>
      part.text === part.shown
        ? Array.from(GRAPHEMES.segment(part.text), ({ segment }) => cellOf(segment))
        : cellOf(part.shown, part.text.length)
    );
  return look === "plain" ? cells : cells.map((cell) => ({ ...cell, look }));
}

function cellOf(text: string, length = text.length): Cell {
  const cached = cache.get(text);
  if (cached !== undefined) return cached;
  const cell: Cell = {
    text,
    look: "plain",
    columns: PICTOGRAM.test(text) ? stringWidth(text) : widthOf(text),
    isWidthCertain: CERTAIN.test(text),
    length,
  };
  if (cache.size >= MAX_CACHED) cache.clear();
  if (text.length <= MAX_CACHED_LENGTH) cache.set(text, cell);
  return cell;
}

/** Many terminals do not combine the letters of a grapheme, and give each its own columns. */
function widthOf(text: string): number {
  let sum = 0;
  for (const character of text) {
    if (ZERO_WIDTH.test(character)) continue;
    sum += MAYBE_WIDE.test(character) ? 2 : Math.max(1, stringWidth(character));
  }
  return Math.max(sum, stringWidth(text));
}

/** The total width of cells, in columns. */
export function columnsOf(cells: readonly Cell[]): number {
  return cells.reduce((sum, { columns }) => sum + columns, 0);
}

/**
 * Breaks cells into rows as a terminal does: a cell that does not fit starts the next row.
 *
 * @param columns the width of a row
 * @returns the index of each row's first cell, starting with 0
 */
export function rowStarts(cells: readonly Cell[], columns: number): number[] {
  const starts = [0];
  let used = 0;
  for (const [i, cell] of cells.entries()) {
    if (used + cell.columns > columns && used > 0) {
      starts.push(i);
      used = 0;
    }
    used += cell.columns;
  }
  return starts;
}

/** Truncates cells to a width in columns, marking the cut with `…`. */
export function clip(cells: readonly Cell[], columns: number): readonly Cell[] {
  if (columnsOf(cells) <= columns) return cells;
  const [, second] = rowStarts(cells, Math.max(1, columns - 1));
  return [...cells.slice(0, second), ...cellsOf("…", cells[0].look)];
}

/** The start of the grapheme before an index; 0 if there is none. */
export function graphemeBefore(text: string, at: number): number {
  return at === 0 ? 0 : graphemeAt(text, at - 1);
}

/** The start of the grapheme at an index; the index itself at the end of the text. */
export function graphemeAt(text: string, at: number): number {
  return GRAPHEMES.segment(text).containing(at)?.index ?? at;
}

/** The end of the grapheme at an index; the end of the text if there is none. */
export function graphemeAfter(text: string, at: number): number {
  const grapheme = GRAPHEMES.segment(text).containing(at);
  return grapheme === undefined ? text.length : grapheme.index + grapheme.segment.length;
}
