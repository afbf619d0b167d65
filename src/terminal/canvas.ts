/**
 * A conversation that scrolls up, and below it some rows that stay.
 *
 * A {@link Canvas} knows what it has drawn below the conversation, and says what to write to a
 * terminal so that something else stands there, or something is added above: as little as
 * possible. It writes nothing itself.
 *
 * How wide the terminal is may change at any time, and then the terminal rewraps what is on
 * it; and terminals do not agree on how wide some characters are. Both must not leave traces.
 *
 * @module
 */
import { breaksOf, type Cell, columnsOf } from "./cells.ts";
import { paint } from "./style.ts";

/** A terminal's size. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** What is to stand below the conversation. */
export interface Below {
  /** Its rows; each of them leaves at least one column free. */
  readonly rows: readonly (readonly Cell[])[];
  /** Where the cursor is to be: in which row, and in front of which of its cells. */
  readonly cursor: { readonly row: number; readonly cell: number };
}

/** Nothing at all. */
export const NOTHING: Below = { rows: [], cursor: { row: 0, cell: 0 } };

// ECMA-48, and DEC's autowrap mode: what is too wide must not take another row than ours.
const CLEAR_BELOW = "\x1b[J";
const CLEAR_RIGHT = "\x1b[K";
const CLEAR_ROW = "\x1b[2K";
export const WRAP = { off: "\x1b[?7l", on: "\x1b[?7h" } as const;
const CLEAR_SCREEN = "\x1b[H\x1b[2J";

function vertically(rows: number): string {
  return rows === 0 ? "" : rows < 0 ? `\x1b[${-rows}A` : `\x1b[${rows}B`;
}

/** What stands below the conversation, and how to change it. */
export class Canvas {
  readonly #color: boolean;
  #drawn = NOTHING;
  /** How wide the terminal was then. */
  #columns = Infinity;

  /** @param color whether any look but plain is wanted */
  constructor(color: boolean) {
    this.#color = color;
  }

  /**
   * @param added what is added to the conversation: whole lines, painted, or `""`
   * @param below what is to stand below it from now on
   * @param columns how wide the terminal is
   * @returns what to write; `""` where all is as it should be
   */
  draw(added: string, below: Below, columns: number): string {
    const text = added === "" && columns === this.#columns
      ? this.#change(below)
      : this.erase(columns) + added.replaceAll("\n", "\r\n") + this.#place(below);
    this.#drawn = below;
    this.#columns = columns;
    return text;
  }

  /**
   * Takes what is below the conversation away.
   *
   * @param columns how wide the terminal is
   * @param column in which column the cursor is, if that was asked for since the width changed
   * @returns what to write; the cursor is at the left of the first row afterwards
   */
  erase(columns: number, column?: number): string {
    const { rows } = this.#drawn;
    const up = this.#rowsAbove(columns, column);
    this.forget();
    return rows.length === 0 ? "" : `\r${vertically(-up)}${CLEAR_BELOW}`;
  }

  /** Takes everything off the screen. */
  clear(): string {
    this.forget();
    return CLEAR_SCREEN;
  }

  /** Nothing stands below any more: somebody else has written to the terminal. */
  forget(): void {
    this.#drawn = NOTHING;
  }

  /**
   * How many rows there are between the first one and the cursor, now that the terminal may
   * have become narrower and has rewrapped them, as nearly all of them do.
   */
  #rowsAbove(columns: number, column?: number): number {
    const { rows, cursor } = this.#drawn;
    if (columns >= this.#columns || rows.length === 0) return cursor.row;
    const cells = rows[cursor.row].slice(0, cursor.cell);
    return rows.slice(0, cursor.row)
      .map((row) => breaksOf(row, columns).length)
      .reduce((sum, count) => sum + count, wrapsBefore(cells, columns, column));
  }

  /** Everything, from where the cursor is. */
  #place({ rows, cursor }: Below): string {
    if (rows.length === 0) return "";
    const pen = this.#pen({ row: 0, cell: 0 });
    pen.text = WRAP.off;
    rows.forEach((row, i) => pen.append(i, row));
    pen.text += WRAP.on;
    pen.goTo(rows, cursor);
    return pen.text;
  }

  /** Only what differs. */
  #change(below: Below): string {
    const { rows: old } = this.#drawn;
    const { rows, cursor } = below;
    if (old.length === 0 || rows.length === 0) {
      return this.erase(this.#columns) + this.#place(below);
    }
    const pen = this.#pen(this.#drawn.cursor);
    for (const [i, row] of rows.entries()) {
      const isShorter = i < old.length && columnsOf(old[i]) > columnsOf(row);
      if (i >= old.length) pen.append(i, row);
      else if (isShorter && i < rows.length - 1) pen.replace(i, row);
      else pen.rewrite(i, old[i], row);
    }
    if (rows.length < old.length) pen.clearFrom(rows.length);
    pen.goTo(rows, cursor);
    return pen.text;
  }

  #pen(at: Below["cursor"]): Pen {
    return new Pen(at, (cells) => paint(cells, this.#color));
  }
}

/**
 * How many times a terminal has wrapped what is in front of the cursor.
 *
 * Where the cursor is tells what the terminal does with it: at the end of a full row, it may
 * stay there or go to the next one; and some terminals, xterm.js in VS Code for one, cut off
 * the row that the cursor is in.
 */
function wrapsBefore(cells: readonly Cell[], columns: number, column?: number): number {
  const breaks = breaksOf(cells, columns);
  const wraps = breaks.length - 1;
  const rewrapped = columnsOf(cells.slice(breaks.at(-1)));
  if (column === undefined || column === Math.min(rewrapped, columns - 1)) return wraps;
  return column === 0 ? wraps + 1 : 0;
}

/** Writes rows and moves between them, and knows where it is. */
class Pen {
  text = "";
  #at: Below["cursor"];
  readonly #paint: (cells: readonly Cell[]) => string;

  constructor(at: Below["cursor"], paint: (cells: readonly Cell[]) => string) {
    this.#at = at;
    this.#paint = paint;
  }

  /** Writes a row below the last one; the first one where the pen is. */
  append(row: number, cells: readonly Cell[]): void {
    this.#toRow(Math.max(0, row - 1));
    if (row > 0) this.text += "\r\n";
    this.text += this.#paint(cells);
    this.#at = { row, cell: cells.length };
  }

  /** Writes what differs, and all that follows it in the row. */
  rewrite(row: number, old: readonly Cell[], cells: readonly Cell[]): void {
    const from = firstDifference(old, cells);
    if (from === undefined) return;
    const isCertain = areCertain(old) && areCertain(cells);
    if (!isCertain) this.text += WRAP.off;
    this.#to(row, cells, from);
    this.text += this.#paint(cells.slice(from));
    if (!isCertain || columnsOf(old) > columnsOf(cells)) this.text += CLEAR_RIGHT;
    if (!isCertain) this.text += WRAP.on;
    this.#at = { row, cell: cells.length };
  }

  /**
   * Writes a whole row in place of a longer one. When tmux rewraps a row, it counts the blanks at its
   * end that were cleared, unless all of the row was; and then what follows is further down.
   */
  replace(row: number, cells: readonly Cell[]): void {
    this.#toRow(row);
    this.text += `\r${CLEAR_ROW}${WRAP.off}${this.#paint(cells)}${WRAP.on}`;
    this.#at = { row, cell: cells.length };
  }

  clearFrom(row: number): void {
    this.#toRow(row);
    this.text += `\r${CLEAR_BELOW}`;
    this.#at = { row, cell: 0 };
  }

  goTo(rows: Below["rows"], { row, cell }: Below["cursor"]): void {
    this.#to(row, rows[row], cell);
  }

  #to(row: number, cells: readonly Cell[], cell: number): void {
    if (this.#at.row === row && this.#at.cell === cell) return;
    this.#toRow(row);
    const before = cells.slice(0, cell);
    if (cell === 0) this.text += "\r";
    else if (areCertain(before)) this.text += `\x1b[${columnsOf(before) + 1}G`;
    // Only the terminal knows how wide this is; so it is written once more.
    else this.text += `\r${this.#paint(before)}`;
    this.#at = { row, cell };
  }

  #toRow(row: number): void {
    this.text += vertically(row - this.#at.row);
    this.#at = { row, cell: NaN };
  }
}

function areCertain(cells: readonly Cell[]): boolean {
  return cells.every(({ isCertain }) => isCertain);
}

/** Where two rows begin to differ; `undefined` where they do not. */
function firstDifference(a: readonly Cell[], b: readonly Cell[]): number | undefined {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    if (a[i]?.text !== b[i]?.text || a[i]?.look !== b[i]?.look) return i;
  }
}
