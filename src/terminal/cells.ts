/**
 * What text takes on the grid of a terminal.
 *
 * A {@link Cell} is what cannot be divided there: a letter with its accents, an emoji of
 * several parts, `<U+202E>`. Terminals do not agree on how wide some of them are, so cells
 * say which of them can be relied on.
 *
 * How wide a cell is, `string-width` tells.
 *
 * @module
 */
import stringWidth from "string-width";
import type { Look } from "./style.ts";
import { showable } from "../base/text.ts";

/** The smallest piece of text that a terminal shows. */
export interface Cell {
  /** What it shows; it is showable. */
  readonly text: string;
  readonly look: Look;
  /** How many columns it takes. */
  readonly columns: number;
  /** Whether all terminals agree on that. */
  readonly isCertain: boolean;
  /** How many UTF-16 code units of the original text it stands for. */
  readonly length: number;
}

const GRAPHEMES = new Intl.Segmenter("en", { granularity: "grapheme" });
const PLAIN_ASCII = /^[ -~]*$/;

/** Where terminals differ are pictograms, which older ones think narrow, and sequences. */
const CERTAIN = /^(?:[ -~]*|\P{Extended_Pictographic})$/u;

/** Cells that were needed before: to measure one takes far longer than to look it up. */
const known = new Map<string, Cell>();
const MOST_KNOWN = 10_000;
const LONGEST_KNOWN = 32;

/**
 * Divides text, which may come from anybody, into cells.
 *
 * @param text one line
 */
export function cellsOf(text: string, look: Look = "plain"): Cell[] {
  const cells = PLAIN_ASCII.test(text)
    ? Array.from(text, cellOf)
    : Array.from(GRAPHEMES.segment(text), ({ segment }) => cellOf(segment));
  return look === "plain" ? cells : cells.map((cell) => ({ ...cell, look }));
}

function cellOf(grapheme: string): Cell {
  const before = known.get(grapheme);
  if (before !== undefined) return before;
  const text = showable(grapheme);
  const cell: Cell = {
    text,
    look: "plain",
    columns: stringWidth(text),
    isCertain: CERTAIN.test(text),
    length: grapheme.length,
  };
  if (known.size >= MOST_KNOWN) known.clear();
  if (grapheme.length <= LONGEST_KNOWN) known.set(grapheme, cell);
  return cell;
}

/** How many columns cells take. */
export function columnsOf(cells: readonly Cell[]): number {
  return cells.reduce((sum, { columns }) => sum + columns, 0);
}

/**
 * Breaks cells into rows, as a terminal does: one that does not fit begins the next row.
 *
 * @returns where each row begins; the first one at 0
 */
export function breaksOf(cells: readonly Cell[], columns: number): number[] {
  const breaks = [0];
  let used = 0;
  for (const [i, cell] of cells.entries()) {
    if (used + cell.columns > columns && used > 0) {
      breaks.push(i);
      used = 0;
    }
    used += cell.columns;
  }
  return breaks;
}

/** As many cells as there is room for, with `…` where some are left out. */
export function clip(cells: readonly Cell[], columns: number): readonly Cell[] {
  if (columnsOf(cells) <= columns) return cells;
  const [, second] = breaksOf(cells, Math.max(1, columns - 1));
  return [...cells.slice(0, second), ...cellsOf("…", cells[0].look)];
}

/** Where the grapheme before a place in a text begins; 0 where there is none. */
export function graphemeBefore(text: string, at: number): number {
  return at === 0 ? 0 : graphemeAt(text, at - 1);
}

/** Where the grapheme at a place in a text begins; the place itself at the text's end. */
export function graphemeAt(text: string, at: number): number {
  return GRAPHEMES.segment(text).containing(at)?.index ?? at;
}

/** Where the grapheme at a place in a text ends; the end of the text where there is none. */
export function graphemeAfter(text: string, at: number): number {
  const grapheme = GRAPHEMES.segment(text).containing(at);
  return grapheme === undefined ? text.length : grapheme.index + grapheme.segment.length;
}
