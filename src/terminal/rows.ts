/**
 * Renders untrusted text for a pipe or a terminal.
 *
 * Lines are broken into rows here: if the terminal did it, a message could forge another one at the
 * start of a row. Text is rendered in slices, so that a long one does not block the event loop.
 *
 * @module
 */
import { lengthOf, paint, type Span, spansOf, type Styled } from "./style.ts";
import { type Piece, RowBreaker, widest } from "./row_breaker.ts";
import { SLICE, slicesOf } from "./slices.ts";
import { CONTINUATION, showable } from "../base/text.ts";

/** How text is rendered. */
export interface Rendering {
  /** Whether to use color and dim text (default: no). */
  readonly color?: boolean;
  /** Returns the terminal's width; `undefined` if lines may have any length (the default). */
  readonly columns?: () => number | undefined;
  /** Divides a line into pieces and measures them (default: assumes the widest). */
  readonly measure?: (line: string) => Iterable<Piece>;
}

/** How many characters are rendered for one frame of a terminal, and for how long at most. */
const FRAME = 1 << 14;
const FRAME_MS = 5;

/**
 * Renders one or more lines, and a final line end.
 *
 * @param styled untrusted text
 * @param rendering the target's color, width and measure
 * @returns consecutive pieces of the result, each rendered on demand
 *
 * @example
 * ```ts
 * import { rendered } from "./rows.ts";
 * import assert from "node:assert/strict";
 *
 * const rows = [...rendered("Bob> " + " ".repeat(15) + "Eve> hi", { columns: () => 21 })];
 * assert.equal(rows.join(""), "Bob>                \n     Eve> hi\n");
 * ```
 */
export function* rendered(
  styled: Styled,
  { color = false, columns = () => undefined, measure = widest }: Rendering = {},
): Generator<string> {
  // Most lines are short, and many small pieces cost more than one.
  let piece = "";
  for (const spans of styledRows(styled, columns, measure)) {
    piece += paint(spans, color);
    if (piece.length < SLICE) continue;
    yield piece;
    piece = "";
  }
  yield piece + "\n";
}

function* styledRows(
  styled: Styled,
  columns: () => number | undefined,
  measure: (line: string) => Iterable<Piece>,
): Generator<readonly Span[]> {
  const breaker = new RowBreaker(measure);
  for (const { text, look, escape = escapeLines } of spansOf(styled)) {
    for (const slice of text.length <= SLICE ? [text] : slicesOf(text)) {
      const width = columns();
      const escaped = escape(slice);
      yield width === undefined ? [{ text: escaped, look }] : breaker.add(escaped, look, width);
    }
  }
  yield breaker.end();
}

/** Escapes a message body, indenting further lines so that none can pose as another message. */
export function escapeBody(slice: string): string {
  return showable(slice, CONTINUATION);
}

function escapeLines(slice: string): string {
  return showable(slice, "");
}

/** Text to be added to a conversation, rendered only when it is drawn. */
export class RowQueue {
  readonly #rendering: Rendering;
  #queue: Iterator<string>[] = [];
  /** The start of a row whose end has not been rendered. */
  #unfinished = "";
  /** The approximate number of characters in the queue. */
  length = 0;

  constructor(rendering: Rendering) {
    this.#rendering = rendering;
  }

  get isEmpty(): boolean {
    return this.#queue.length === 0;
  }

  push(text: Styled): void {
    this.#queue.push(rendered(text, this.#rendering));
    this.length += lengthOf(text);
  }

  /** Takes whole rows, about as many as fill one frame. */
  next(): string {
    let text = this.#unfinished;
    const enough = text.length + FRAME;
    const end = performance.now() + FRAME_MS;
    while (!this.isEmpty && text.length < enough && performance.now() < end) {
      const { done, value } = this.#queue[0].next();
      if (done) this.#queue.shift();
      else text += value;
    }
    if (this.isEmpty) this.length = 0;
    const whole = text.lastIndexOf("\n") + 1;
    this.#unfinished = text.slice(whole);
    return text.slice(0, whole);
  }

  /** Takes all remaining rows. */
  rest(): string {
    let rows = "";
    while (!this.isEmpty) rows += this.next();
    return rows;
  }
}
