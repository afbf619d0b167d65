/**
 * A conversation that scrolls up, and a footer that stays below it.
 *
 * A {@link Canvas} remembers the footer it has drawn and computes the shortest output that replaces
 * it or adds to the conversation above; it writes nothing itself. It leaves no traces even when the
 * terminal rewraps its contents at a new width, or draws a character wider than expected.
 *
 * @module
 */
import { type Cell, columnsOf, rowStarts } from "./cells.ts";
import { paint } from "./style.ts";

/** A terminal's size. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** A position on the screen, counted from 0. */
export interface Position {
  readonly row: number;
  readonly column: number;
}

/** The rows below the conversation. */
export interface Footer {
  /** Each row leaves at least one column free. */
  readonly rows: readonly (readonly Cell[])[];
  /** The position of the cursor: its row, and the cell that it stands in front of. */
  readonly cursor: { readonly row: number; readonly cell: number };
}

/** A footer without rows. */
export const EMPTY_FOOTER: Footer = { rows: [], cursor: { row: 0, cell: 0 } };

// ECMA-48, and DEC's autowrap mode: a row that is too wide must not spill into the next one.
const CLEAR_BELOW = "\x1b[J";
const CLEAR_RIGHT = "\x1b[K";
const CLEAR_ROW = "\x1b[2K";
/**
 * Clears a row and those below it by deleting them. `CLEAR_BELOW` in the first cell of the screen
 * would make tmux keep a copy in its history; and GNU screen remembers of a row that it was wrapped,
 * however it is cleared, and would join it to the next one when the screen becomes wider.
 */
const CLEAR_ROWS = "\x1b[999M";
/** A new row at the bottom of the screen. */
const NEW_ROW = "\r\x1b[999B\n";
export const AUTOWRAP = { off: "\x1b[?7l", on: "\x1b[?7h" } as const;
const CLEAR_SCREEN = "\x1b[H\x1b[2J";

function vertically(rows: number): string {
  return rows === 0 ? "" : rows < 0 ? `\x1b[${-rows}A` : `\x1b[${rows}B`;
}

/** Draws the footer and whatever is added to the conversation. */
export class Canvas {
  readonly #color: boolean;
  #drawn = EMPTY_FOOTER;
  /** The terminal's width when the footer was drawn. */
  #columns = Infinity;

  /** @param color whether to use color and dim text */
  constructor(color: boolean) {
    this.#color = color;
  }

  /**
   * Adds to the conversation and replaces the footer.
   *
   * @param added whole, painted lines for the conversation, or `""`
   * @param footer the new footer
   * @param columns the terminal's width
   * @returns what to write; `""` if nothing changes
   */
  draw(added: string, footer: Footer, columns: number): string {
    const text = added === "" && columns === this.#columns
      ? this.#change(footer)
      : this.erase(columns) + added.replaceAll("\n", "\r\n") + this.#place(footer);
    this.#drawn = footer;
    this.#columns = columns;
    return text;
  }

  /**
   * Removes the footer.
   *
   * @param columns the terminal's width
   * @param reported the cursor's position, if the terminal has reported it since its size changed
   * @returns what to write; it leaves the cursor where the next row of the conversation belongs
   */
  erase(columns: number, reported?: Position): string {
    const { rows } = this.#drawn;
    const up = this.#rowsAbove(columns, reported?.column);
    const isLost = this.#isLost(reported);
    this.forget();
    if (rows.length === 0) return "";
    return isLost ? NEW_ROW : `\r${vertically(-up)}${CLEAR_ROWS}`;
  }

  /**
   * Clears the whole screen. The footer goes first: some terminals keep what they clear in their
   * history, where it would be out of date.
   *
   * @param columns the terminal's width
   */
  clear(columns: number): string {
    return this.erase(columns) + CLEAR_SCREEN;
  }

  /** Forgets the footer, because another program has written to the terminal. */
  forget(): void {
    this.#drawn = EMPTY_FOOTER;
  }

  /**
   * Counts the rows between the footer's first row and the cursor. A terminal that has become
   * narrower has usually rewrapped them.
   */
  #rowsAbove(columns: number, column?: number): number {
    const { rows, cursor } = this.#drawn;
    if (columns >= this.#columns || rows.length === 0) return cursor.row;
    const cells = rows[cursor.row].slice(0, cursor.cell);
    return rows.slice(0, cursor.row)
      .map((row) => rowStarts(row, columns).length)
      .reduce((sum, count) => sum + count, wrapsBefore(cells, columns, column));
  }

  /**
   * Whether the cursor is no longer in the footer: tmux puts it into the corner when rewrapping has
   * pushed its row off the screen. Then the footer stays, because clearing might remove something
   * that was said.
   */
  #isLost(reported?: Position): boolean {
    const { row, cell } = this.#drawn.cursor;
    return reported?.row === 0 && reported.column === 0 && (row > 0 || cell > 0);
  }

  /** Draws the whole footer, starting at the cursor. */
  #place({ rows, cursor }: Footer): string {
    if (rows.length === 0) return "";
    const pen = this.#pen({ row: 0, cell: 0 });
    pen.text = AUTOWRAP.off;
    rows.forEach((row, i) => pen.append(i, row));
    pen.text += AUTOWRAP.on;
    pen.goTo(rows, cursor);
    return pen.text;
  }

  /** Draws only what differs from the current footer. */
  #change(footer: Footer): string {
    const { rows: old } = this.#drawn;
    const { rows, cursor } = footer;
    if (old.length === 0 || rows.length === 0) {
      return this.erase(this.#columns) + this.#place(footer);
    }
    const pen = this.#pen(this.#drawn.cursor);
    const lastBefore = old.length - 1;
    for (const [i, row] of rows.entries()) {
      const mayBeFollowedByBlanks = i === lastBefore ||
        i < lastBefore && columnsOf(old[i]) > columnsOf(row);
      if (i > lastBefore) pen.append(i, row);
      else if (mayBeFollowedByBlanks && i < rows.length - 1) pen.replace(i, row);
      else pen.rewrite(i, old[i], row);
    }
    if (rows.length < old.length) pen.clearFrom(rows.length);
    pen.goTo(rows, cursor);
    return pen.text;
  }

  #pen(at: Footer["cursor"]): Pen {
    return new Pen(at, (cells) => paint(cells, this.#color));
  }
}

/**
 * Counts how many times a terminal has wrapped the cells in front of the cursor.
 *
 * The cursor's column reveals how: after a full row, some terminals leave the cursor in it and
 * others move it to the next; and some, such as xterm.js in VS Code, truncate the cursor's row
 * instead of rewrapping it.
 */
function wrapsBefore(cells: readonly Cell[], columns: number, column?: number): number {
  const breaks = rowStarts(cells, columns);
  const wraps = breaks.length - 1;
  const rewrapped = columnsOf(cells.slice(breaks.at(-1)));
  if (column === undefined || isSameColumn(column, rewrapped, columns)) return wraps;
  return column === 0 ? wraps + 1 : 0;
}

/** Whether two columns are the same to a terminal that has no place for a cursor after a full row. */
function isSameColumn(a: number, b: number, columns: number): boolean {
  return Math.min(a, columns - 1) === Math.min(b, columns - 1);
}

/** Writes rows and moves between them, keeping track of its position. */
class Pen {
  text = "";
  #at: Footer["cursor"];
  readonly #paint: (cells: readonly Cell[]) => string;

  constructor(at: Footer["cursor"], paint: (cells: readonly Cell[]) => string) {
    this.#at = at;
    this.#paint = paint;
  }

  /** Writes a row below the last one, or the first row at the current position. */
  append(row: number, cells: readonly Cell[]): void {
    this.#toRow(Math.max(0, row - 1));
    if (row > 0) this.text += "\r\n";
    this.text += this.#paint(cells);
    this.#at = { row, cell: cells.length };
  }

  /** Writes a row from the first difference on. */
  rewrite(row: number, old: readonly Cell[], cells: readonly Cell[]): void {
    const from = firstDifference(old, cells);
    if (from === undefined) return;
    const isWidthCertain = haveCertainWidths(old) && haveCertainWidths(cells);
    if (!isWidthCertain) this.text += AUTOWRAP.off;
    this.#to(row, cells, from);
    this.text += this.#paint(cells.slice(from));
    if (!isWidthCertain || columnsOf(old) > columnsOf(cells)) this.text += CLEAR_RIGHT;
    if (!isWidthCertain) this.text += AUTOWRAP.on;
    this.#at = { row, cell: cells.length };
  }

  /**
   * Replaces a whole row. When tmux rewraps a row whose end was cleared, the cleared blanks take up
   * space and push the following rows down; clearing the whole row avoids that.
   */
  replace(row: number, cells: readonly Cell[]): void {
    this.#toRow(row);
    this.text += `\r${CLEAR_ROW}${AUTOWRAP.off}${this.#paint(cells)}${AUTOWRAP.on}`;
    this.#at = { row, cell: cells.length };
  }

  clearFrom(row: number): void {
    this.#toRow(row);
    this.text += `\r${CLEAR_BELOW}`;
    this.#at = { row, cell: 0 };
  }

  goTo(rows: Footer["rows"], { row, cell }: Footer["cursor"]): void {
    this.#to(row, rows[row], cell);
  }

  #to(row: number, cells: readonly Cell[], cell: number): void {
    if (this.#at.row === row && this.#at.cell === cell) return;
    this.#toRow(row);
    const before = cells.slice(0, cell);
    if (cell === 0) this.text += "\r";
    else if (haveCertainWidths(before)) this.text += `\x1b[${columnsOf(before) + 1}G`;
    // Only the terminal knows the width of this text, so write it again.
    else this.text += `\r${this.#paint(before)}`;
    this.#at = { row, cell };
  }

  #toRow(row: number): void {
    this.text += vertically(row - this.#at.row);
    this.#at = { row, cell: NaN };
  }
}

function haveCertainWidths(cells: readonly Cell[]): boolean {
  return cells.every(({ isWidthCertain }) => isWidthCertain);
}

/** The first cell in which two rows differ; `undefined` if they are equal. */
function firstDifference(a: readonly Cell[], b: readonly Cell[]): number | undefined {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    if (a[i]?.text !== b[i]?.text || a[i]?.look !== b[i]?.look) return i;
  }
}
