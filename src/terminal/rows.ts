/**
 * Text from others, made ready for a pipe or a terminal one slice after another.
 *
 * On a terminal, lines are broken into rows here: if the terminal broke them, a message could begin
 * one of its rows with what looks like another message. However long a text is, only a slice is
 * worked on at a time, so that whoever writes it can let others run in between.
 *
 * @module
 */
import { lengthOf, paint, spansOf, type Styled } from "./style.ts";
import { CONTINUATION, showable } from "../base/text.ts";

/** A piece of text that is not divided between rows. */
export interface Piece {
  readonly text: string;
  readonly columns: number;
}

/** Where rendered text goes. */
export interface Rendering {
  /** Whether there may be colours. */
  readonly color?: boolean;
  /** How wide the terminal is; nothing where lines have no limit. */
  readonly columns?: () => number | undefined;
  /** Divides a line and measures its pieces. */
  readonly measure?: (line: string) => Iterable<Piece>;
}

/** How many UTF-16 code units are rendered at a time: a millisecond's work. */
const SLICE = 1_024;

/** How many characters are rendered for one frame of a terminal, and how long that may take. */
const FRAME = 1 << 14;
const FRAME_MS = 5;

/** How many UTF-16 code units a row may have: accents take no columns, and there is no end to them. */
const LONGEST_ROW = 4_096;

/** How far back from the end of a slice a place is sought that divides no character. */
const LOOK_BACK = 64;

const PLAIN_ASCII = /^[ -~]*$/;

/**
 * Renders a line, or several, with a line end.
 *
 * @param styled text that may come from anybody
 * @returns pieces of the result, in order; each is made when it is asked for
 *
 * @example
 * ```ts
 * import { rendered } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * const rows = [...rendered("Bob> " + " ".repeat(15) + "Eve> hi", { columns: () => 21 })];
 * assert.equal(rows.join(""), "Bob>                \n     Eve> hi\n");
 * ```
 */
export function* rendered(
  styled: Styled,
  { color = false, columns = () => undefined, measure = atMost }: Rendering = {},
): Generator<string> {
  const wrapping = new Wrapping(measure);
  for (const { text, look, safely = linesShowable } of spansOf(styled)) {
    for (const slice of slicesOf(text)) {
      yield paint([{ text: wrapping.wrap(safely(slice), columns()), look }], color);
    }
  }
  yield "\n";
}

/** A message body: each further line is indented, so that it cannot pose as another message. */
export function bodyShowable(slice: string): string {
  return showable(slice, CONTINUATION);
}

function linesShowable(slice: string): string {
  return showable(slice, "");
}

/** No terminal gives a character more than two columns. */
function* atMost(line: string): Generator<Piece> {
  for (const text of line) yield { text, columns: PLAIN_ASCII.test(text) ? 1 : 2 };
}

/** Breaks lines that come slice by slice. */
class Wrapping {
  readonly #measure: (line: string) => Iterable<Piece>;
  /** How many columns of the current row are taken. */
  #used = 0;
  /** How many code units it has, about. */
  #length = 0;

  constructor(measure: (line: string) => Iterable<Piece>) {
    this.#measure = measure;
  }

  wrap(text: string, columns: number | undefined): string {
    if (columns === undefined) return text;
    // The last column stays free: terminals disagree on what follows a full row.
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
    for (const { text, columns } of this.#measure(line)) {
      const isFull = this.#used + columns > width && this.#used > indent.length;
      if (isFull || this.#length > LONGEST_ROW) {
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
}

/** What is to be added to a conversation, rendered only as it is drawn. */
export class RowQueue {
  readonly #rendering: Rendering;
  #queue: Iterator<string>[] = [];
  /** The beginning of a row whose end is not rendered yet. */
  #begun = "";
  /** How many characters wait, about. */
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

  /** Some more whole rows: about as many as fill one frame. */
  next(): string {
    let text = this.#begun;
    const enough = text.length + FRAME;
    const end = performance.now() + FRAME_MS;
    while (!this.isEmpty && text.length < enough && performance.now() < end) {
      const { done, value } = this.#queue[0].next();
      if (done) this.#queue.shift();
      else text += value;
    }
    if (this.isEmpty) this.length = 0;
    const whole = text.lastIndexOf("\n") + 1;
    this.#begun = text.slice(whole);
    return text.slice(0, whole);
  }

  /** All rows that are left. */
  rest(): string {
    let rows = "";
    while (!this.isEmpty) rows += this.next();
    return rows;
  }
}

/** Divides a text, as far as possible not within what is one character to its reader. */
export function* slicesOf(text: string): Generator<string> {
  for (let from = 0; from < text.length;) {
    const to = cut(text, from + SLICE);
    yield text.slice(from, to);
    from = to;
  }
}

/** What begins a character of its own, whatever stands in front of it but a joiner. */
const BEGINNING =
  /(?<![\u200C\u200D])(?![\p{M}\p{Emoji_Modifier}\p{Regional_Indicator}\u1100-\u11FF])[\p{L}\p{N}\p{P}\p{S}\p{Z}]/gu;

function cut(text: string, at: number): number {
  if (at >= text.length) return text.length;
  const near = text.slice(at - LOOK_BACK, at);
  const last = [...near.matchAll(BEGINNING)].at(-1)?.index;
  // The first of these may be preceded by a joiner that is out of sight.
  if (last) return at - LOOK_BACK + last;
  const isWithin = text.codePointAt(at - 1)! > 0xFFFF || text.startsWith("\r\n", at - 1);
  return isWithin ? at - 1 : at;
}
