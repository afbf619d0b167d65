/**
 * Cutting and pasting back. As in readline, what is cut by several keys in a row is pasted as one
 * text, and Alt-Y after a paste goes back to what was cut earlier.
 *
 * @module
 */
import { type Editor, insert, remove, replace } from "./editor.ts";

/** How many texts are kept. */
const MAX_KILLS = 10;

/** Cuts the text between the cursor and another position. */
export function kill(editor: Editor, other: number): Editor {
  const { text, cursor, kills, last } = editor;
  if (other === cursor) return editor;
  const cut = text.slice(Math.min(cursor, other), Math.max(cursor, other));
  const former = last?.type === "kill" ? kills.at(-1)! : "";
  const kept = last?.type === "kill" ? kills.slice(0, -1) : kills;
  const joined = other < cursor ? cut + former : former + cut;
  return {
    ...remove(editor, other),
    kills: [...kept, joined].slice(-MAX_KILLS),
    last: { type: "kill" },
  };
}

/** Pastes what was cut last. */
export function yank(editor: Editor): Editor {
  const { kills, cursor } = editor;
  if (kills.length === 0) return editor;
  return { ...insert(editor, kills.at(-1)!), last: { type: "yank", from: cursor, age: 0 } };
}

/** Directly after a paste: replaces it by what was cut before it. */
export function yankEarlier(editor: Editor): Editor {
  const { kills, cursor, last } = editor;
  if (last?.type !== "yank") return editor;
  const age = (last.age + 1) % kills.length;
  return {
    ...replace(editor, last.from, cursor, kills.at(-1 - age)!),
    last: { ...last, age },
  };
}
