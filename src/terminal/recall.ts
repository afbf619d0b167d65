/**
 * Recalling earlier lines, each with the edits made to it since. The unfinished line is the last of
 * them.
 *
 * @module
 */
import { graphemeAt } from "./cells.ts";
import { type Editor, type EditorContext, insert, move, type Recalled, replace } from "./editor.ts";
import { lineEnd, lineStart } from "./positions.ts";

/** Moves up a line; from the first line, or after another recall, recalls the previous entry. */
export function up(editor: Editor, context: EditorContext): Editor {
  const start = lineStart(editor);
  if (start === 0 || editor.last?.type === "recall") return recall(editor, context, -1);
  const above = lineStart({ text: editor.text, cursor: start - 1 });
  return move(editor, graphemeAt(editor.text, Math.min(above + editor.cursor - start, start - 1)));
}

/** Moves down a line; from the last line, or after another recall, recalls the next entry. */
export function down(editor: Editor, context: EditorContext): Editor {
  const end = lineEnd(editor);
  if (end === editor.text.length || editor.last?.type === "recall") {
    return recall(editor, context, +1);
  }
  const below = lineEnd({ text: editor.text, cursor: end + 1 });
  const column = editor.cursor - lineStart(editor);
  return move(editor, graphemeAt(editor.text, Math.min(end + 1 + column, below)));
}

function recall(editor: Editor, context: EditorContext, step: -1 | 1): Editor {
  const recalled = recallable(editor, context);
  return shown(editor, recalled, recalled.at + step);
}

/** Recalls the first of all lines. */
export function recallFirst(editor: Editor, context: EditorContext): Editor {
  return shown(editor, recallable(editor, context), 0);
}

/** Returns to the unfinished line. */
export function recallLast(editor: Editor, context: EditorContext): Editor {
  const recalled = recallable(editor, context);
  return shown(editor, recalled, recalled.lines.length - 1);
}

/** The lines that can be recalled, with the edits made to the one that is shown. */
export function recallable(editor: Editor, context: EditorContext): Recalled {
  const { text, changes } = editor;
  const { lines, at } = editor.recalled ?? linesOf(editor, context);
  return { lines: lines.with(at, { text, changes }), at };
}

function linesOf({ completed }: Editor, context: EditorContext): Recalled {
  const texts = [...context.earlier(), ...completed].filter((text, i, all) => text !== all[i - 1]);
  const lines = [...texts, ""].map((text) => ({ text, changes: [] }));
  return { lines, at: texts.length };
}

/** The editor with one of the lines, if there is one at that index. */
export function shown(editor: Editor, { lines }: Recalled, at: number): Editor {
  if (at < 0 || at >= lines.length) return editor;
  const { text, changes } = lines[at];
  const recalled = { lines, at };
  return { ...editor, text, changes, recalled, cursor: text.length, last: { type: "recall" } };
}

/** Inserts the last word of the previous line; pressed again, that of the line before it instead. */
export function insertLastWord(editor: Editor, context: EditorContext): Editor {
  const { last, cursor } = editor;
  const isAgain = last?.type === "lastWord";
  const recalled = recallable(editor, context);
  const at = (isAgain ? last.at : recalled.at) - 1;
  if (at < 0) return editor;
  const word = recalled.lines[at].text.trimEnd().split(/\s/).at(-1)!;
  const from = isAgain ? last.from : cursor;
  const inserted = isAgain ? replace(editor, from, cursor, word) : insert(editor, word);
  return { ...inserted, last: { type: "lastWord", from, at } };
}
