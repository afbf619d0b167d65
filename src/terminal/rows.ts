/**
 * Renders untrusted text for a pipe or a terminal.
 *
 * Lines are broken into rows here: if the terminal did it, a message could forge another one at the
 * start of a row. Text is rendered in slices, so that a long one does not block the event loop.
 *
 * @module
 */
import { lengthOf, paint, spansOf, type Styled } from "./style.ts";
import { CONTINUATION, showable } from "../base/text.ts";

/** A piece of text that must stay in one row. */
export interface Piece {
  readonly text: string;
  readonly columns: number;
}

/** How text is rendered. */
export interface Rendering {
  /** Whether to use color and dim text (default: no). */
  readonly color?: boolean;
  /** Returns the terminal's width; `undefined` if lines may have any length (the default). */
  readonly columns?: () => number | undefined;
  /** Divides a line into pieces and measures them (default: assumes the widest). */
  readonly measure?: (line: string) => Iterable<Piece>;
}

/** How many UTF-16 code units are rendered at a time: a millisecond of work. */
const SLICE = 1_024;

/** How many characters are rendered for one frame of a terminal, and for how long at most. */
const FRAME = 1 << 14;
const FRAME_MS = 5;

/** How many UTF-16 code units a row may have. Accents take no columns, so width is no bound. */
const MAX_ROW_LENGTH = 4_096;

/** How far back from the end of a slice to look for a boundary between characters. */
const LOOK_BACK = 64;

const PLAIN_ASCII = /^[ -~]*$/;

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
  const wrapper = new LineWrapper(measure);
  // Most lines are short, and many small pieces cost more than one.
  let piece = "";
  for (const { text, look, escape = escapeLines } of spansOf(styled)) {
    for (const slice of text.length <= SLICE ? [text] : slicesOf(text)) {
      piece += paint([{ text: wrapper.wrap(escape(slice), columns()), look }], color);
      if (piece.length < SLICE) continue;
      yield piece;
      piece = "";
    }
  }
  yield piece + "\n";
}

/** Escapes a message body, indenting further lines so that none can pose as another message. */
export function escapeBody(slice: string): string {
  return showable(slice, CONTINUATION);
}

function escapeLines(slice: string): string {
  return showable(slice, "");
}

/**
 * Measures without tables: no terminal gives a character more than two columns, or one below U+1100
 * more than one.
 */
function* widest(line: string): Generator<Piece> {
  for (const text of line) yield { text, columns: text < "\u1100" ? 1 : 2 };
}

/** Breaks lines that arrive in slices. */
class LineWrapper {
  readonly #measure: (line: string) => Iterable<Piece>;
  /** The width of the current row so far. */
  #used = 0;
  /** The length of the current row so far, in UTF-16 code units; approximate. */
  #length = 0;

  constructor(measure: (line: string) => Iterable<Piece>) {
    this.#measure = measure;
  }

  wrap(text: string, columns: number | undefined): string {
    if (columns === undefined) return text;
    // The last column stays free: terminals disagree on where the cursor goes after it.
    const width = Math.max(1, columns - 1);
    return text.split("\n").map((line, i) => {
      if (i > 0) this.#used = this.#length = 0;
      return this.#wrapLine(line, width);
    }).join("\n");
  }

  #wrapLine(line: string, width: number): string {
    if (this.#used + line.length <= width && PLAIN_ASCII.test(line)) {
      this.#used += line.length;
      return line;
    }
    const indent = CONTINUATION.slice(0, Math.max(1, width >> 2));
    let rows = "";
    for (const { text, columns } of this.#piecesOf(line, width - indent.length)) {
      const isFull = this.#used + columns > width && this.#used > indent.length;
      if (isFull || this.#length > MAX_ROW_LENGTH) {
        rows += "\n" + indent;
        this.#used = indent.length;
        this.#length = 0;
      }
      rows += text;
      this.#used += columns;
      this.#length += text.length;
    }
    return rows;
  }

  /** Divides pieces that are wider than a row: the terminal would cut them off. */
  *#piecesOf(line: string, width: number): Generator<Piece> {
    for (const piece of this.#measure(line)) {
      if (piece.columns <= width) yield piece;
      else yield* widest(piece.text);
    }
  }
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

/** The last boundary between characters at or before an index. */
function boundaryBefore(text: string, at: number): number {
  if (at >= text.length) return text.length;
  const near = text.slice(at - LOOK_BACK, at);
  const last = [...near.matchAll(CHARACTER_START)].at(-1)?.index;
  // Index 0 is unusable: a joiner may precede it.
  if (last) return at - LOOK_BACK + last;
  const isWithin = text.codePointAt(at - 1)! > 0xFFFF || text.startsWith("\r\n", at - 1);
  return isWithin ? at - 1 : at;
}
