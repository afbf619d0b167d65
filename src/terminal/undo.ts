/**
 * Undoing, change by change. As in readline, characters typed in a row are undone together, up to
 * twenty at a time.
 *
 * @module
 */
import { type Editor, insert, MAX_CHANGES } from "./editor.ts";

/** How many UTF-16 code units are undone together. */
const MAX_GROUP = 20;

/** Inserts typed characters. The groups are the same in whatever portions the characters arrive. */
export function typeText(editor: Editor, text: string): Editor {
  const { cursor, changes, last } = editor;
  const isContinued = last?.type === "typing";
  const groups = isContinued ? changes.slice(0, -1) : [...changes];
  let group = isContinued ? changes.at(-1)! : { before: "", from: cursor, to: cursor, cursor };
  for (const { length } of text) {
    const { from, to } = group;
    if (to + length - from <= MAX_GROUP) group = { ...group, to: to + length };
    else groups.push(group), group = { before: "", from: to, to: to + length, cursor: to };
  }
  const grouped = [...groups, group].slice(-MAX_CHANGES);
  return { ...insert(editor, text), changes: grouped, last: { type: "typing" } };
}

/** Undoes the last change. */
export function undo(editor: Editor): Editor {
  const change = editor.changes.at(-1);
  if (change === undefined) return editor;
  const { text } = editor;
  return {
    ...editor,
    text: text.slice(0, change.from) + change.before + text.slice(change.to),
    cursor: change.cursor,
    changes: editor.changes.slice(0, -1),
    last: undefined,
  };
}
