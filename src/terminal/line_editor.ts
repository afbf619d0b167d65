/**
 * The line being typed, as a pure function: {@link press | state, key → state}.
 *
 * The keys are those of readline. Pastes and Alt-Enter can give the text several lines, and the
 * cursor always stands between graphemes.
 *
 * @module
 */
import { graphemeAfter, graphemeAt, graphemeBefore } from "./cells.ts";
import type { Key } from "./keys.ts";

/** The state of the editor. */
export interface Editor {
  readonly text: string;
  /** The position of the cursor, in UTF-16 code units. */
  readonly cursor: number;
  /** The text that was cut last and that Ctrl-Y pastes. */
  readonly killed: string;
  /** The lines completed in this run. */
  readonly completed: readonly string[];
  /** While recalling: all recallable lines with their edits, and the index of the one shown. */
  readonly recalled?: { readonly lines: readonly string[]; readonly at: number };
  /** While Tab is pressed repeatedly: the candidates, and where they are inserted. */
  readonly completion?: Completion;
}

interface Completion {
  readonly from: number;
  readonly candidates: readonly string[];
  readonly at: number;
}

/** What the editor recalls and completes. */
export interface EditorContext {
  /** Commands that a line can start with, such as `/help`. */
  readonly commands: readonly string[];
  /** Names that can be completed. */
  names(): readonly string[];
  /** Lines from earlier runs, oldest first. */
  earlier(): readonly string[];
}

/** The effect of a key. */
export interface KeyResult {
  readonly editor: Editor;
  /** The line that the key has completed. */
  readonly line?: string;
  /** An action that is left to the caller. */
  readonly action?: "leave" | "suspend" | "redraw";
}

/** An empty line. */
export const EMPTY: Editor = { text: "", cursor: 0, killed: "", completed: [] };

/** How many lines of this run can be recalled. */
const MAX_RECALLED = 1_000;

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
  "ctrl-y": (editor) => insert(editor, editor.killed),
  "alt-enter": (editor) => insert(editor, "\n"),
  "up": up,
  "down": down,
  "tab": complete,
};

const SAME_AS: Readonly<Record<string, string>> = {
  "ctrl-b": "left",
  "ctrl-f": "right",
  "ctrl-a": "home",
  "ctrl-e": "end",
  "ctrl-left": "alt-b",
  "alt-left": "alt-b",
  "ctrl-right": "alt-f",
  "alt-right": "alt-f",
  "ctrl-d": "delete",
  "ctrl-p": "up",
  "ctrl-n": "down",
};

/**
 * Applies a key to the line being typed.
 *
 * @param editor the current state
 * @param key the key that was pressed
 * @param context what to recall and complete
 * @returns the new state, unchanged for keys without a meaning, and the line or action that the key
 *   resulted in
 *
 * @example
 * ```ts
 * import { EMPTY, press } from "./line_editor.ts";
 * import assert from "node:assert/strict";
 *
 * const context = { commands: ["/quit"], names: () => ["Bob"], earlier: () => ["Hello!"] };
 * const { editor } = press(EMPTY, { type: "press", name: "up" }, context);
 * assert.equal(editor.text, "Hello!");
 * assert.equal(press(editor, { type: "press", name: "enter" }, context).line, "Hello!");
 * ```
 */
export function press(editor: Editor, key: Key, context: EditorContext): KeyResult {
  if (key.type === "cursor") return { editor };
  if (key.type !== "press") return { editor: insert(editor, key.text) };
  switch (key.name) {
    case "enter":
      return submit(editor);
    case "ctrl-c":
      return editor.text === "" ? { editor, action: "leave" } : { editor: clear(editor) };
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
function submit(editor: Editor): KeyResult {
  const line = editor.text.replace(/^\n+|(?<!\n)\n+$/g, "");
  if (line.trim() === "") return { editor: clear(editor) };
  const completed = editor.completed.at(-1) === line
    ? editor.completed
    : [...editor.completed, line];
  return { editor: { ...clear(editor), completed: completed.slice(-MAX_RECALLED) }, line };
}

function clear({ killed, completed }: Editor): Editor {
  return { ...EMPTY, killed, completed };
}

// ---------------------------------------------------------------- editing

function replace(editor: Editor, from: number, to: number, text: string): Editor {
  return {
    ...editor,
    text: editor.text.slice(0, from) + text + editor.text.slice(to),
    cursor: from + text.length,
    completion: undefined,
  };
}

function insert(editor: Editor, text: string): Editor {
  return replace(editor, editor.cursor, editor.cursor, text);
}

function remove(editor: Editor, other: number): Editor {
  return replace(editor, Math.min(editor.cursor, other), Math.max(editor.cursor, other), "");
}

function kill(editor: Editor, other: number): Editor {
  if (other === editor.cursor) return editor;
  const [from, to] = [Math.min(editor.cursor, other), Math.max(editor.cursor, other)];
  return { ...remove(editor, other), killed: editor.text.slice(from, to) };
}

function move(editor: Editor, cursor: number): Editor {
  return { ...editor, cursor, completion: undefined };
}

// ---------------------------------------------------------------- positions

function lineStart({ text, cursor }: Editor): number {
  return cursor === 0 ? 0 : text.lastIndexOf("\n", cursor - 1) + 1;
}

function lineEnd({ text, cursor }: Editor): number {
  const end = text.indexOf("\n", cursor);
  return end === -1 ? text.length : end;
}

/** At the end of a line, cutting joins the next line. */
function toLineEnd(editor: Editor): number {
  const end = lineEnd(editor);
  return end > editor.cursor ? end : Math.min(end + 1, editor.text.length);
}

function toLineStart(editor: Editor): number {
  const start = lineStart(editor);
  return start < editor.cursor ? start : Math.max(start - 1, 0);
}

/** The length of a pattern's match at the cursor, or of its lookbehind there. */
function reach({ text, cursor }: Editor, pattern: RegExp): number {
  pattern.lastIndex = cursor;
  const [matched, lookedBack] = pattern.exec(text)!;
  return (lookedBack ?? matched).length;
}

// A lookbehind matches from right to left, in time proportional to the length of the match.
const WORD_BEFORE = /(?<=([\p{L}\p{N}\p{M}_]*[^\p{L}\p{N}\p{M}_]*))/uy;
const WORD_AFTER = /[^\p{L}\p{N}\p{M}_]*[\p{L}\p{N}\p{M}_]*/uy;
const BLANK_BEFORE = /(?<=(\S*\s*))/uy;

function wordBefore(editor: Editor): number {
  return editor.cursor - reach(editor, WORD_BEFORE);
}

function wordAfter(editor: Editor): number {
  return editor.cursor + reach(editor, WORD_AFTER);
}

function blankBefore(editor: Editor): number {
  return editor.cursor - reach(editor, BLANK_BEFORE);
}

// ---------------------------------------------------------------- earlier lines

/** Moves up a line; from the first line, recalls the previous entry. */
function up(editor: Editor, context: EditorContext): Editor {
  const start = lineStart(editor);
  if (start === 0) return recall(editor, context, -1);
  const above = lineStart({ ...editor, cursor: start - 1 });
  return move(editor, graphemeAt(editor.text, Math.min(above + editor.cursor - start, start - 1)));
}

function down(editor: Editor, context: EditorContext): Editor {
  const end = lineEnd(editor);
  if (end === editor.text.length) return recall(editor, context, +1);
  const below = lineEnd({ ...editor, cursor: end + 1 });
  const column = editor.cursor - lineStart(editor);
  return move(editor, graphemeAt(editor.text, Math.min(end + 1 + column, below)));
}

/** The unfinished line is kept as the last of the recallable lines. */
function recall(editor: Editor, context: EditorContext, step: -1 | 1): Editor {
  const { lines, at } = editor.recalled ?? recallable(editor, context);
  const to = at + step;
  if (to < 0 || to >= lines.length) return editor;
  const edited = lines.with(at, editor.text);
  const text = edited[to];
  return { ...move(editor, text.length), text, recalled: { lines: edited, at: to } };
}

function recallable({ completed, text }: Editor, context: EditorContext) {
  const lines = [...context.earlier(), ...completed].filter((line, i, all) => line !== all[i - 1]);
  return { lines: [...lines, text], at: lines.length };
}

// ---------------------------------------------------------------- completion

/** Completes; repeated, goes through the candidates and back to the typed text. */
function complete(editor: Editor, context: EditorContext): Editor {
  const { from, candidates, at } = editor.completion ?? completionOf(editor, context);
  if (candidates.length === 0) return editor;
  const completed = replace(editor, from, editor.cursor, candidates[at]);
  const next = { from, candidates, at: (at + 1) % candidates.length };
  return { ...completed, completion: next };
}

function completionOf({ text, cursor }: Editor, context: EditorContext): Completion {
  const typed = text.slice(0, cursor);
  if (/^\/\S*$/.test(typed)) {
    return { from: 0, candidates: candidatesFor(typed, context.commands), at: 0 };
  }
  // A name may contain spaces, so its beginning may lie several words back.
  for (const { index } of typed.matchAll(/(?<=^|\s)\S/g)) {
    const candidates = candidatesFor(typed.slice(index), context.names());
    if (candidates.length > 0) return { from: index, candidates, at: 0 };
  }
  return { from: cursor, candidates: [], at: 0 };
}

function candidatesFor(typed: string, words: readonly string[]): string[] {
  const start = typed.toLowerCase();
  const matching = words.filter((word) => word.toLowerCase().startsWith(start));
  if (matching.length === 0) return [];
  return matching.length === 1 ? [`${matching[0]} `] : [...matching.map((one) => `${one} `), typed];
}
