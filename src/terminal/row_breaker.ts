/**
 * Breaks lines into rows, at spaces if possible.
 *
 * Spaces stay at the end of their row, so taking out the breaks and the indentation gives the line
 * back. Chinese and Japanese break between any two characters, and a word that is longer than a row
 * is cut where the row ends.
 *
 * @module
 */
import type { Look, Span } from "./style.ts";
import { CONTINUATION } from "../base/text.ts";

/** A piece of text that must stay in one row. */
export interface Piece {
  readonly text: string;
  readonly columns: number;
}

interface HeldPiece extends Piece {
  readonly look: Look;
}

/** How many UTF-16 code units a row may have. Accents take no columns, so width is no bound. */
const MAX_ROW_LENGTH = 4_096;

const PLAIN_ASCII = /^[ -~]*$/;

/** A word of ASCII with the spaces after it. */
const WORD = /[^ ]+ *| +/g;

/** Spaces at which a row may end; no-break spaces are not among them. */
const SPACE = /^[ \u1680\u2000-\u2006\u2008-\u200A\u205F\u3000]$/;

/** Below this, there is a break at spaces only. */
const FIRST_IDEOGRAPH = "\u2E80";

/** Characters of scripts that are written without spaces between words, and emoji. */
const IDEOGRAPH =
  /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Yi}\u3000-\u303F\uFF01-\uFF60\p{Emoji_Presentation}]/u;

/** Characters that do not begin a row, or do not end one (JIS X 4051, in short). */
const NOT_FIRST =
  /^[\p{Pe}\p{Pf}\p{Po}ー々〻〜゛゜ヽヾゝゞぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ‥…]/u;
const NOT_LAST = /^[\p{Ps}\p{Pi}]/u;

/** Breaks lines that arrive in parts. */
export class RowBreaker {
  readonly #measure: (line: string) => Iterable<Piece>;
  /** What is certain and not returned yet. */
  #rows: { text: string; readonly look: Look }[] = [];
  /** The width of the current row, and its length in UTF-16 code units. */
  #used = 0;
  #length = 0;
  /** The word whose end has not arrived, with the spaces after it. */
  #held: HeldPiece[] = [];
  #heldColumns = 0;
  #heldLength = 0;
  /** The current word is longer than a row, so nothing of it is held. */
  #isCutting = false;
  /** The last piece of the line so far. */
  #last = "";
  #width = 0;
  #indent = "";

  /** @param measure divides a line into pieces and measures them */
  constructor(measure: (line: string) => Iterable<Piece>) {
    this.#measure = measure;
  }

  /**
   * Adds a part of a text.
   *
   * @param columns the terminal's width
   * @returns what is certain now: the word that the part ends with may go on
   */
  add(text: string, look: Look, columns: number): Span[] {
    // The last column stays free: terminals disagree on where the cursor goes after it.
    this.#width = Math.max(1, columns - 1);
    this.#indent = CONTINUATION.slice(0, Math.max(1, this.#width >> 2));
    if (this.#heldColumns > this.#room) this.#cut();
    const lines = text.split("\n");
    const unfinished = lines.pop()!;
    for (const line of lines) this.#addLine(line, look);
    this.#addPart(unfinished, look);
    return this.#take();
  }

  /** Ends the text. */
  end(): Span[] {
    this.#place();
    return this.#take();
  }

  /** The width of a row that continues a line. */
  get #room(): number {
    return this.#width - this.#indent.length;
  }

  #take(): Span[] {
    const rows = this.#rows;
    this.#rows = [];
    return rows;
  }

  #addLine(line: string, look: Look): void {
    if (this.#fits(line)) this.#writeWords(line, look);
    else this.#addPart(line, look);
    this.#place();
    this.#append("\n", "plain");
    this.#used = this.#length = 0;
    this.#last = "";
  }

  #addPart(line: string, look: Look): void {
    const known = this.#fits(line) ? line.lastIndexOf(" ") + 1 : 0;
    if (known > 0) this.#writeWords(line.slice(0, known), look);
    for (const { text, columns } of this.#piecesOf(line.slice(known))) {
      this.#addPiece({ text, columns, look });
    }
  }

  /** Whether the current row has room for a text, which spares looking at its words. */
  #fits(text: string): boolean {
    return this.#used + this.#heldColumns + text.length <= this.#width && PLAIN_ASCII.test(text);
  }

  #writeWords(text: string, look: Look): void {
    this.#place();
    this.#write({ text, columns: text.length, look });
  }

  /** Divides a line. Characters that are wider than a row would be cut off by the terminal. */
  *#piecesOf(line: string): Generator<Piece> {
    if (PLAIN_ASCII.test(line)) return yield* wordsOf(line);
    for (const piece of this.#measure(line)) {
      if (piece.columns <= this.#room) yield piece;
      else yield* widest(piece.text);
    }
  }

  #addPiece(piece: HeldPiece): void {
    const { text, columns } = piece;
    if (canBreakBetween(this.#last, text)) this.#place();
    this.#last = text;
    if (this.#isCutting) return this.#put(piece);
    this.#held.push(piece);
    this.#heldColumns += columns;
    this.#heldLength += text.length;
    if (this.#heldColumns > this.#room || this.#heldLength > MAX_ROW_LENGTH) this.#cut();
  }

  /** Writes the held word into the current row, or into the next one if it does not fit. */
  #place(): void {
    const isFull = this.#used + this.#heldColumns > this.#width;
    if (isFull || this.#length + this.#heldLength > MAX_ROW_LENGTH) this.#startRow();
    for (const piece of this.#held) this.#write(piece);
    this.#isCutting = false;
    this.#release();
  }

  /** Gives up on keeping the held word together. */
  #cut(): void {
    this.#isCutting = true;
    for (const piece of this.#held) this.#put(piece);
    this.#release();
  }

  #release(): void {
    this.#held = [];
    this.#heldColumns = this.#heldLength = 0;
  }

  /** Writes a piece of a word that does not fit into a row; a piece of ASCII may be long itself. */
  #put(piece: HeldPiece): void {
    const { text, columns, look } = piece;
    if (text.length > 2 && PLAIN_ASCII.test(text)) {
      for (let from = 0; from < columns;) {
        const to = from + Math.max(1, this.#width - this.#used);
        this.#putWhole({ text: text.slice(from, to), columns: Math.min(to, columns) - from, look });
        from = to;
      }
    } else this.#putWhole(piece);
  }

  #putWhole(piece: HeldPiece): void {
    const isFull = this.#used + piece.columns > this.#width;
    if (isFull || this.#length > MAX_ROW_LENGTH) this.#startRow();
    this.#write(piece);
  }

  #write({ text, columns, look }: HeldPiece): void {
    this.#append(text, look);
    this.#used += columns;
    this.#length += text.length;
  }

  /** Starts a row that continues the line, unless this one has only just been started. */
  #startRow(): void {
    if (this.#used <= this.#indent.length && this.#length <= MAX_ROW_LENGTH) return;
    this.#append("\n" + this.#indent, "plain");
    this.#used = this.#indent.length;
    this.#length = 0;
  }

  #append(text: string, look: Look): void {
    const last = this.#rows.at(-1);
    if (last?.look === look) last.text += text;
    else this.#rows.push({ text, look });
  }
}

function* wordsOf(line: string): Generator<Piece> {
  for (const [text] of line.matchAll(WORD)) yield { text, columns: text.length };
}

/**
 * Measures without tables: no terminal gives a character more than two columns, or one below U+1100
 * more than one.
 */
export function* widest(line: string): Generator<Piece> {
  for (const text of line) yield { text, columns: text < "\u1100" ? 1 : 2 };
}

/** Whether a row may end between two pieces of a line. Spaces belong to the word before them. */
function canBreakBetween(before: string, after: string): boolean {
  if (before === "" || isSpace(after[0])) return false;
  if (isSpace(before.at(-1)!)) return true;
  if (before < FIRST_IDEOGRAPH && after < FIRST_IDEOGRAPH) return false;
  return (IDEOGRAPH.test(before) || IDEOGRAPH.test(after)) &&
    !NOT_FIRST.test(after) && !NOT_LAST.test(before);
}

function isSpace(character: string): boolean {
  return character === " " || character >= "\u1680" && SPACE.test(character);
}
