/**
 * Keys that change what is typed already: they exchange characters or words, or change the case of
 * a word.
 *
 * @module
 */
import { graphemeAfter, graphemeBefore } from "./cells.ts";
import { type Editor, replace } from "./editor.ts";
import { lineEnd, lineStart, wordAfter, wordBefore } from "./positions.ts";

/** Exchanges the characters around the cursor; at the end of a line, the last two. */
export function transposeCharacters(editor: Editor): Editor {
  const { text, cursor } = editor;
  const middle = cursor === lineEnd(editor) ? graphemeBefore(text, cursor) : cursor;
  const from = graphemeBefore(text, middle);
  if (middle <= lineStart(editor)) return editor;
  const to = graphemeAfter(text, middle);
  return replace(editor, from, to, text.slice(middle, to) + text.slice(from, middle));
}

/** Exchanges the words around the cursor; at the end of the text, the last two. */
export function transposeWords(editor: Editor): Editor {
  const { text } = editor;
  const to = wordAfter(editor);
  const second = wordBefore({ text, cursor: to });
  const from = wordBefore({ text, cursor: second });
  const gap = wordAfter({ text, cursor: from });
  if (from === second || gap > second) return editor;
  const exchanged = text.slice(second, to) + text.slice(gap, second) + text.slice(from, gap);
  return replace(editor, from, to, exchanged);
}

/** Changes the rest of the word at the cursor, or the next word. */
export function changeWord(editor: Editor, change: (word: string) => string): Editor {
  const { text, cursor } = editor;
  const end = wordAfter(editor);
  return replace(editor, cursor, end, change(text.slice(cursor, end)));
}

export function upperCase(word: string): string {
  return word.toUpperCase();
}

export function lowerCase(word: string): string {
  return word.toLowerCase();
}

/** A word with a capital letter and small ones. */
export function capitalized(word: string): string {
  return word.toLowerCase().replace(/[\p{L}\p{N}]/u, upperCase);
}
