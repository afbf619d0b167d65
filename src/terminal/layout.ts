/**
 * What stands below a conversation: what is held there, and the line that is being typed.
 *
 * {@link compose} breaks it into the rows of a terminal. It leaves room for the conversation,
 * and it never makes more rows than could be taken away again if the terminal became narrower.
 *
 * @module
 */
import type { Below, Size } from "./canvas.ts";
import { breaksOf, type Cell, cellsOf, clip, columnsOf } from "./cells.ts";
import type { Span } from "./style.ts";
import type { Editor } from "./line_editor.ts";
import { CONTINUATION } from "../base/text.ts";

/** One row that is held: as much of a text as there is room for, and all of its end. */
export interface Held {
  /** Text that may come from anybody; only its first line is shown. */
  readonly text: string;
  readonly end?: string;
}

/** What is to be shown. */
export interface Content {
  readonly held: readonly Held[];
  /** What stands in front of the line that is being typed. */
  readonly prompt: readonly Span[];
  readonly editor: Editor;
}

/**
 * A terminal that is made narrower rewraps what is on it, and what it pushes off the top by
 * that can never be taken away. So there are only so many rows as would have room if it
 * were made as narrow as this.
 */
const NARROW = 40;

/** How much of a long text is looked at for one row. */
const GLANCE = 2_000;

/** A row of the line that is being typed. */
interface TypedRow {
  readonly cells: readonly Cell[];
  /** In front of which cell the cursor stands, if it is in this row. */
  readonly cursor?: number;
}

/** Breaks it all into rows. */
export function compose({ held, prompt, editor }: Content, { columns, rows }: Size): Below {
  // The last column stays free: a terminal is in two minds about what comes after it.
  const width = Math.max(1, columns - 1);
  const most = Math.max(1, rows - 1);
  const typed = windowOf(typedRows(prompt, editor, width), Math.ceil(most / 2), width);
  const line = typed.map(({ cells }) => cells);
  const below = heldRows(held, most - heightOf(line), width);
  const row = typed.findIndex(({ cursor }) => cursor !== undefined);
  return {
    rows: [...below, ...line],
    cursor: { row: below.length + row, cell: typed[row].cursor! },
  };
}

/** What is held, without that line: the last of it, and room for some of the conversation. */
function heldRows(held: readonly Held[], room: number, width: number): (readonly Cell[])[] {
  const rows: (readonly Cell[])[] = [];
  for (const { text, end = "" } of held.toReversed()) {
    const ending = cellsOf(end, "dim");
    const [line] = text.slice(0, GLANCE).split("\n", 1);
    const first = cellsOf(line.length < text.length ? `${line}…` : line, "dim");
    rows.unshift(clip([...clip(first, width - columnsOf(ending)), ...ending], width));
    if (heightOf(rows) > room - 2) return rows.slice(1);
  }
  return rows;
}

/** How many rows they would be on a narrow terminal. */
function heightOf(rows: Below["rows"]): number {
  return rows.reduce((sum, cells) => sum + breaksOf(cells, NARROW).length, 0);
}

// ---------------------------------------------------------------- the line that is being typed

function typedRows(prompt: readonly Span[], { text, cursor }: Editor, width: number): TypedRow[] {
  const before = prompt.flatMap(({ text, look }) => cellsOf(text, look));
  const indent = cellsOf(CONTINUATION);
  let from = 0;
  return text.split("\n").flatMap((line, i) => {
    const rows = lineRows(i === 0 ? before : indent, line, cursor - from, width);
    from += line.length + 1;
    return rows;
  });
}

/** One line of the text, wrapped; the cursor is in it if it is from 0 to its length. */
function lineRows(
  before: readonly Cell[],
  line: string,
  cursor: number,
  width: number,
): TypedRow[] {
  const typed = cellsOf(line);
  const cells = [...before, ...typed];
  const at = cursor < 0 || cursor > line.length ? undefined : before.length + cellAt(typed, cursor);
  const breaks = breaksOf(cells, width);
  return breaks.map((start, i) => {
    const end = breaks[i + 1] ?? cells.length;
    const isHere = at !== undefined && at >= start && (at < end || end === cells.length);
    return { cells: cells.slice(start, end), cursor: isHere ? at - start : undefined };
  });
}

/** In front of which cell a place in the text is. */
function cellAt(cells: readonly Cell[], place: number): number {
  let passed = 0;
  const at = cells.findIndex(({ length }) => (passed += length) > place);
  return at === -1 ? cells.length : at;
}

/** As many rows as there is room for, up to the one with the cursor, and what is left out. */
function windowOf(rows: readonly TypedRow[], most: number, width: number): readonly TypedRow[] {
  if (heightOf(rows.map(({ cells }) => cells)) <= most) return rows;
  const heights = rows.map(({ cells }) => heightOf([cells]));
  let from = rows.findIndex(({ cursor }) => cursor !== undefined);
  let to = from + 1;
  let room = most - 1 - heights[from];
  while (from > 0 && heights[from - 1] <= room) room -= heights[--from];
  while (to < rows.length && heights[to] <= room) room -= heights[to++];
  const legend = `(rows ${from + 1} to ${to} of ${rows.length})`;
  return [{ cells: clip(cellsOf(legend, "dim"), width) }, ...rows.slice(from, to)];
}
