/**
 * The line being typed, as a pure function: {@link press | state, key → state}.
 *
 * The keys are those of readline. Pastes, Ctrl-J and Alt-Enter can give the text several lines. This file
 * says which key does what; the other files of the editor say how.
 *
 * @module
 */
import { graphemeAfter, graphemeBefore } from "./cells.ts";
import { complete } from "./completion.ts";
import { cleared, type Editor, type EditorContext, insert, move, remove } from "./editor.ts";
import { beginSearch, endSearch, searchOn } from "./history_search.ts";
import type { Key } from "./keys.ts";
import { kill, yank, yankEarlier } from "./kill_ring.ts";
import {
  blankBefore,
  lineEnd,
  lineStart,
  toLineEnd,
  toLineStart,
  wordAfter,
  wordBefore,
} from "./positions.ts";
import { down, insertLastWord, recallFirst, recallLast, up } from "./recall.ts";
import {
  capitalized,
  changeWord,
  lowerCase,
  transposeCharacters,
  transposeWords,
  upperCase,
} from "./rewording.ts";
import { typeText, undo } from "./undo.ts";

/** The effect of a key. */
export interface KeyResult {
  readonly editor: Editor;
  /** The line that the key has completed. */
  readonly line?: string;
  /** Why the key has not completed the line. */
  readonly objection?: string;
  /** An action that is left to the caller. */
  readonly action?: "leave" | "suspend" | "redraw";
}

/** How many lines of this run can be recalled. */
const MAX_RECALLED = 1_000;

/** How long they may be in all, in UTF-16 code units: the longest message fits. */
const MAX_RECALLED_LENGTH = 4_000_000;

type Edit = (editor: Editor, context: EditorContext) => Editor;

const EDITS: Readonly<Record<string, Edit>> = {
  "left": (editor) => move(editor, graphemeBefore(editor.text, editor.cursor)),
  "right": (editor) => move(editor, graphemeAfter(editor.text, editor.cursor)),
  "home": (editor) => move(editor, lineStart(editor)),
  "end": (editor) => move(editor, lineEnd(editor)),
  "alt-b": (editor) => move(editor, wordBefore(editor)),
  "alt-f": (editor) => move(editor, wordAfter(editor)),
  "backspace": (editor) => remove(editor, graphemeBefore(editor.text, editor.cursor)),
  "delete": (editor) => remove(editor, graphemeAfter(editor.text, editor.cursor)),
  "ctrl-k": (editor) => kill(editor, toLineEnd(editor)),
  "ctrl-u": (editor) => kill(editor, toLineStart(editor)),
  "ctrl-w": (editor) => kill(editor, blankBefore(editor)),
  "alt-backspace": (editor) => kill(editor, wordBefore(editor)),
  "alt-d": (editor) => kill(editor, wordAfter(editor)),
  "ctrl-y": yank,
  "alt-y": yankEarlier,
  "ctrl-t": transposeCharacters,
  "alt-t": transposeWords,
  "alt-u": (editor) => changeWord(editor, upperCase),
  "alt-l": (editor) => changeWord(editor, lowerCase),
  "alt-c": (editor) => changeWord(editor, capitalized),
  "ctrl-_": undo,
  "alt-enter": (editor) => insert(editor, "\n"),
  "up": up,
  "down": down,
  "alt-<": recallFirst,
  "alt->": recallLast,
  "alt-.": insertLastWord,
  "ctrl-r": beginSearch,
  "tab": complete,
};

const SAME_AS: Readonly<Record<string, string>> = {
  "ctrl-b": "left",
  "ctrl-f": "right",
  "ctrl-j": "alt-enter",
  "alt-ctrl-j": "alt-enter",
  "ctrl-a": "home",
  "ctrl-e": "end",
  "ctrl-left": "alt-b",
  "alt-left": "alt-b",
  "ctrl-right": "alt-f",
  "alt-right": "alt-f",
  "ctrl-d": "delete",
  "ctrl-delete": "alt-d",
  "ctrl-p": "up",
  "ctrl-n": "down",
};

/**
 * Applies a key to the line being typed.
 *
 * @param editor the current state
 * @param key the key that was pressed
 * @param context what to recall, complete and object to
 * @returns the new state, unchanged for keys without a meaning, and the line, objection or action
 *   that the key resulted in
 *
 * @example
 * ```ts
 * import { EMPTY } from "./editor.ts";
 * import { press } from "./line_editor.ts";
 * import assert from "node:assert/strict";
 *
 * const context = {
 *   commands: ["/quit"],
 *   names: () => ["Bob"],
 *   earlier: () => ["Hello!"],
 *   objection: () => undefined,
 * };
 * const { editor } = press(EMPTY, { type: "press", name: "up" }, context);
 * assert.equal(editor.text, "Hello!");
 * assert.equal(press(editor, { type: "press", name: "enter" }, context).line, "Hello!");
 * ```
 */
export function press(editor: Editor, key: Key, context: EditorContext): KeyResult {
  if (key.type === "cursor") return { editor };
  if (editor.search === undefined) return pressed(editor, key, context);
  const searching = searchOn(editor, editor.search, key);
  if (searching !== undefined) return { editor: searching };
  return pressed(endSearch(editor, editor.search), key, context);
}

function pressed(
  editor: Editor,
  key: Exclude<Key, { type: "cursor" }>,
  context: EditorContext,
): KeyResult {
  if (key.type === "text") return { editor: typeText(editor, key.text) };
  if (key.type === "paste") return { editor: insert(editor, key.text) };
  switch (key.name) {
    case "enter":
      return submit(editor, context);
    case "ctrl-c":
      return editor.text === "" ? { editor, action: "leave" } : { editor: cleared(editor) };
    case "ctrl-d":
      if (editor.text === "") return { editor, action: "leave" };
      break;
    case "ctrl-l":
      return { editor, action: "redraw" };
    case "ctrl-z":
      return { editor, action: "suspend" };
  }
  const edit = EDITS[SAME_AS[key.name] ?? key.name];
  return { editor: edit === undefined ? editor : edit(editor, context) };
}

/** Completes the line, without the empty lines that often surround a paste. */
function submit(editor: Editor, context: EditorContext): KeyResult {
  const line = editor.text.replace(/^\n+|(?<!\n)\n+$/g, "");
  if (line.trim() === "") return { editor: cleared(editor) };
  const objection = context.objection(line);
  const isAnswered = objection?.isQuestion && editor.last?.type === "objection";
  if (objection !== undefined && !isAnswered) {
    return { editor: { ...editor, last: { type: "objection" } }, objection: objection.reason };
  }
  const completed = editor.completed.at(-1) === line
    ? editor.completed
    : recent([...editor.completed, line]);
  return { editor: { ...cleared(editor), completed }, line };
}

/** The last of these lines, as many as may be recalled. */
function recent(lines: readonly string[]): readonly string[] {
  let length = 0;
  const first = lines.findLastIndex((line) => (length += line.length) > MAX_RECALLED_LENGTH) + 1;
  return lines.slice(Math.max(first, lines.length - MAX_RECALLED));
}
