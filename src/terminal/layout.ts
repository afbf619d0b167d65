/**
 * Lays out the footer: pending rows, and below them the line being typed.
 *
 * {@link composeFooter} leaves room for the conversation, and never returns more rows than could
 * still be removed after the terminal has become narrower.
 *
 * @module
 */
import type { Footer, Size } from "./canvas.ts";
import { type Cell, cellsOf, clip, columnsOf, rowStarts } from "./cells.ts";
import type { Span } from "./style.ts";
import type { Editor, Search } from "./editor.ts";
import { boundaryBefore } from "./slices.ts";
import { CONTINUATION } from "../base/text.ts";

/** A row for something pending: a text, truncated to fit, and an ending that stays whole. */
export interface PendingRow {
  /** Untrusted text, of which only the first line is shown. */
  readonly text: string;
  readonly end?: string;
  /** What can be done about it: untrusted text in rows of its own. Then nothing is truncated. */
  readonly hint?: string;
}

/** The content of a footer. */
export interface FooterContent {
  readonly pending: readonly PendingRow[];
  /** Precedes the line being typed. */
  readonly prompt: readonly Span[];
  readonly editor: Editor;
}

/**
 * The width, in columns, at which the footer must still fit on the screen. A terminal that becomes
 * narrower rewraps its contents, and rows that it pushes off the top can never be removed.
 */
const NARROW = 40;

/** How many UTF-16 code units of a text are considered for one row. */
const MAX_ROW_LENGTH = 2_000;

/**
 * Of a longer text only the parts around the cursor are laid out, each of so many UTF-16 code units.
 */
const PART = 4_096;

/** How many UTF-16 code units of a query are shown. */
const MAX_QUERY_LENGTH = 16;

/** How many rows a recalled line takes until another key shows that it is the right one. */
const RECALLED_ROWS = 4;

/** A row of the line being typed. */
interface TypedRow {
  readonly cells: readonly Cell[];
  /** The cell that the cursor stands in front of, if it is in this row. */
  readonly cursor?: number;
}

/** Breaks a footer into rows for a terminal of a given size. */
export function composeFooter(
  { pending, prompt, editor }: FooterContent,
  { columns, rows }: Size,
): Footer {
  // The last column stays free: terminals disagree on where the cursor goes after it.
  const width = Math.max(1, columns - 1);
  const most = Math.max(1, rows - 1);
  const typed = editor.search === undefined
    ? typedRows(prompt, editor, { width, most: Math.min(Math.ceil(most / 2), mostFor(editor)) })
    : [searchRow(editor, editor.search, width)];
  const line = typed.map(({ cells }) => cells);
  const above = pendingRows(pending, most - heightOf(line), width);
  const row = typed.findIndex(({ cursor }) => cursor !== undefined);
  return {
    rows: [...above, ...line],
    cursor: { row: above.length + row, cell: typed[row].cursor! },
  };
}

/** The last pending rows that fit, leaving two rows for the conversation. */
function pendingRows(
  pending: readonly PendingRow[],
  room: number,
  width: number,
): (readonly Cell[])[] {
  const rows: (readonly Cell[])[] = [];
  for (const one of pending.toReversed()) {
    const added = one.hint === undefined
      ? [truncatedRow(one, width)]
      : [...wordRows(one.text, "", width), ...wordRows(one.hint, "  ", width)];
    rows.unshift(...added);
    if (heightOf(rows) > room - 2) return rows.slice(added.length);
  }
  return rows;
}

function truncatedRow({ text, end = "" }: PendingRow, width: number): readonly Cell[] {
  const ending = cellsOf(end, "dim");
  const [line] = text.slice(0, MAX_ROW_LENGTH).split("\n", 1);
  const first = cellsOf(line.length < text.length ? `${line}…` : line, "dim");
  return clip([...clip(first, width - columnsOf(ending)), ...ending], width);
}

/** Indented rows, broken at spaces. */
function wordRows(text: string, indentation: string, width: number): (readonly Cell[])[] {
  const indent = cellsOf(indentation, "dim");
  const room = Math.max(1, width - indent.length);
  const rows: Cell[][] = [];
  for (const word of text.slice(0, MAX_ROW_LENGTH).split(/\s+/)) {
    const cells = cellsOf(word, "dim");
    const row = rows.at(-1);
    const isFull = row === undefined || columnsOf(row) + 1 + columnsOf(cells) > room;
    if (isFull) rows.push(cells);
    else row.push(...cellsOf(" ", "dim"), ...cells);
  }
  return rows.flatMap((row) => {
    const starts = rowStarts(row, room);
    return starts.map((start, i) => [...indent, ...row.slice(start, starts[i + 1])]);
  });
}

/** The number of rows after rewrapping on a narrow terminal. */
function heightOf(rows: Footer["rows"]): number {
  return rows.reduce((sum, cells) => sum + rowStarts(cells, NARROW).length, 0);
}

// ---------------------------------------------------------------- the line being typed

/** As many rows as fit, including the cursor's, below a legend if any are left out. */
function typedRows(
  prompt: readonly Span[],
  { text, cursor }: Editor,
  { width, most }: { width: number; most: number },
): readonly TypedRow[] {
  const { from, to } = partAround(cursor, text);
  const first = from === 0 ? prompt : [{ text: CONTINUATION, look: "plain" } as const];
  const rows = linesRows(first, text.slice(from, to), cursor - from, width);
  if (from === 0 && to === text.length) return windowOf(rows, most, width);
  const legend = `(character ${cursor} of ${text.length})`;
  return windowOf(rows, most, width, legend);
}

function mostFor({ last }: Editor): number {
  return last?.type === "recall" ? RECALLED_ROWS : Infinity;
}

/** The part of a text that is laid out. Its ends stay the same while the cursor moves a little. */
function partAround(cursor: number, text: string): { from: number; to: number } {
  if (text.length <= 3 * PART) return { from: 0, to: text.length };
  const from = Math.max(0, Math.floor(cursor / PART) - 1) * PART;
  return { from: boundaryBefore(text, from), to: boundaryBefore(text, from + 3 * PART) };
}

function linesRows(
  prompt: readonly Span[],
  text: string,
  cursor: number,
  width: number,
): TypedRow[] {
  const before = prompt.flatMap(({ text, look }) => cellsOf(text, look));
  const indent = cellsOf(CONTINUATION);
  let from = 0;
  return text.split("\n").flatMap((line, i) => {
    const rows = lineRows(i === 0 ? before : indent, line, cursor - from, width);
    from += line.length + 1;
    return rows;
  });
}

/** Wraps one line. `cursor` is relative to its start, and may lie outside it. */
function lineRows(
  before: readonly Cell[],
  line: string,
  cursor: number,
  width: number,
): TypedRow[] {
  const typed = cellsOf(line);
  const cells = [...before, ...typed];
  const at = cursor < 0 || cursor > line.length ? undefined : before.length + cellAt(typed, cursor);
  const breaks = rowStarts(cells, width);
  return breaks.map((start, i) => {
    const end = breaks[i + 1] ?? cells.length;
    const isHere = at !== undefined && at >= start && (at < end || end === cells.length);
    return { cells: cells.slice(start, end), cursor: isHere ? at - start : undefined };
  });
}

/** The cell that begins at an index in the text. */
function cellAt(cells: readonly Cell[], index: number): number {
  let passed = 0;
  const at = cells.findIndex(({ length }) => (passed += length) > index);
  return at === -1 ? cells.length : at;
}

/** The rows around the cursor's that fit, below a legend if there is one or any are left out. */
function windowOf(
  rows: readonly TypedRow[],
  most: number,
  width: number,
  legend?: string,
): readonly TypedRow[] {
  if (legend === undefined && heightOf(rows.map(({ cells }) => cells)) <= most) return rows;
  const heights = rows.map(({ cells }) => heightOf([cells]));
  let from = rows.findIndex(({ cursor }) => cursor !== undefined);
  let to = from + 1;
  let room = most - 1 - heights[from];
  while (from > 0 && heights[from - 1] <= room) room -= heights[--from];
  while (to < rows.length && heights[to] <= room) room -= heights[to++];
  const shown = legend ?? `(rows ${from + 1} to ${to} of ${rows.length})`;
  return [{ cells: clip(cellsOf(shown, "dim"), width) }, ...rows.slice(from, to)];
}

/** A single row with the query, and the part of the line around what was found. */
function searchRow({ text, cursor }: Editor, search: Search, width: number): TypedRow {
  const { query, hasFailed } = search;
  const hidden = boundaryBefore(query, Math.max(0, query.length - MAX_QUERY_LENGTH));
  const shownQuery = `${hidden > 0 ? "…" : ""}${query.slice(hidden)}`;
  const label = cellsOf(`(${hasFailed ? "failed search" : "search"} \`${shownQuery}') `, "dim");
  const from = boundaryBefore(text, Math.max(0, cursor - (width >> 2)));
  const before = cellsOf(`${from > 0 ? "…" : ""}${text.slice(from, cursor)}`);
  const after = cellsOf(text.slice(cursor, boundaryBefore(text, cursor + MAX_ROW_LENGTH)));
  const cells = clip([...label, ...before, ...after], width);
  return { cells, cursor: Math.min(label.length + before.length, cells.length) };
}
