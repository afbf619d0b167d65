/**
 * The line that is being typed: {@link press | state, key → state}.
 *
 * Keys do what they do in readline and in other chats. The text may have several lines, if
 * they were pasted or Alt-Enter was pressed; the cursor stands between graphemes, never in one.
 *
 * Nothing here is drawn, and nothing waits.
 *
 * @module
 */
import { graphemeAfter, graphemeAt, graphemeBefore } from "./cells.ts";
import type { Key } from "./keys.ts";

/** What is typed, and what goes with it. */
export interface Editor {
  readonly text: string;
  /** In front of which UTF-16 code unit the cursor stands. */
  readonly cursor: number;
  /** What Ctrl-Y puts back. */
  readonly killed: string;
  /** What was typed before, in this run. */
  readonly typed: readonly string[];
  /** While an earlier line is shown: all of them, as they are edited, and which one it is. */
  readonly recalled?: { readonly lines: readonly string[]; readonly at: number };
  /** While Tab is pressed repeatedly: what it offers, and in place of what. */
  readonly completion?: Completion;
}

interface Completion {
  readonly from: number;
  readonly offers: readonly string[];
  readonly at: number;
}

/** What the editor has to know of the world around. */
export interface Typist {
  /** What a line may begin with, `/help` for example. */
  readonly commands: readonly string[];
  /** Who may be addressed. */
  names(): readonly string[];
  /** What was typed before this run, the oldest first. */
  earlier(): readonly string[];
}

/** What a key leads to. */
export interface Pressed {
  readonly editor: Editor;
  /** A line that is complete. */
  readonly line?: string;
  /** What somebody else has to do. */
  readonly wish?: "leave" | "suspend" | "redraw";
}

/** Nothing is typed yet. */
export const EMPTY: Editor = { text: "", cursor: 0, killed: "", typed: [] };

/** How many lines of this run are remembered. */
const REMEMBERED = 1_000;

type Edit = (editor: Editor, typist: Typist) => Editor;

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
 * What a key does.
 *
 * @returns the editor as it is afterwards; for keys that mean nothing, as it was
 *
 * @example
 * ```ts
 * import { EMPTY, press } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * const typist = { commands: ["/quit"], names: () => ["Bob"], earlier: () => ["Hello!"] };
 * const { editor } = press(EMPTY, { type: "press", name: "up" }, typist);
 * assert.equal(editor.text, "Hello!");
 * assert.equal(press(editor, { type: "press", name: "enter" }, typist).line, "Hello!");
 * ```
 */
export function press(editor: Editor, key: Key, typist: Typist): Pressed {
  if (key.type === "cursor") return { editor };
  if (key.type !== "press") return { editor: insert(editor, key.text) };
  switch (key.name) {
    case "enter":
      return submit(editor);
    case "ctrl-c":
      return editor.text === "" ? { editor, wish: "leave" } : { editor: clear(editor) };
    case "ctrl-d":
      if (editor.text === "") return { editor, wish: "leave" };
      break;
    case "ctrl-l":
      return { editor, wish: "redraw" };
    case "ctrl-z":
      return { editor, wish: "suspend" };
  }
  const edit = EDITS[SAME_AS[key.name] ?? key.name];
  return { editor: edit === undefined ? editor : edit(editor, typist) };
}

/** Who pasted lines did not mean the empty ones around them. */
function submit(editor: Editor): Pressed {
  const line = editor.text.replace(/^\n+|(?<!\n)\n+$/g, "");
  if (line.trim() === "") return { editor: clear(editor) };
  const typed = editor.typed.at(-1) === line ? editor.typed : [...editor.typed, line];
  return { editor: { ...clear(editor), typed: typed.slice(-REMEMBERED) }, line };
}

function clear({ killed, typed }: Editor): Editor {
  return { ...EMPTY, killed, typed };
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

// ---------------------------------------------------------------- places

function lineStart({ text, cursor }: Editor): number {
  return cursor === 0 ? 0 : text.lastIndexOf("\n", cursor - 1) + 1;
}

function lineEnd({ text, cursor }: Editor): number {
  const end = text.indexOf("\n", cursor);
  return end === -1 ? text.length : end;
}

/** At the end of one line, the next one is drawn up. */
function toLineEnd(editor: Editor): number {
  const end = lineEnd(editor);
  return end > editor.cursor ? end : Math.min(end + 1, editor.text.length);
}

function toLineStart(editor: Editor): number {
  const start = lineStart(editor);
  return start < editor.cursor ? start : Math.max(start - 1, 0);
}

/** How much of a text fits a pattern, which looks at it from the cursor. */
function reach({ text, cursor }: Editor, pattern: RegExp): number {
  pattern.lastIndex = cursor;
  const [matched, lookedBack] = pattern.exec(text)!;
  return (lookedBack ?? matched).length;
}

// To look behind means to match from right to left: that takes no longer than there is to match.
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

/** Up goes through the lines of the text first. */
function up(editor: Editor, typist: Typist): Editor {
  const start = lineStart(editor);
  if (start === 0) return recall(editor, typist, -1);
  const above = lineStart({ ...editor, cursor: start - 1 });
  return move(editor, graphemeAt(editor.text, Math.min(above + editor.cursor - start, start - 1)));
}

function down(editor: Editor, typist: Typist): Editor {
  const end = lineEnd(editor);
  if (end === editor.text.length) return recall(editor, typist, +1);
  const below = lineEnd({ ...editor, cursor: end + 1 });
  const column = editor.cursor - lineStart(editor);
  return move(editor, graphemeAt(editor.text, Math.min(end + 1 + column, below)));
}

/** What is typed stays where it is, at the end of what was typed before. */
function recall(editor: Editor, typist: Typist, step: -1 | 1): Editor {
  const { lines, at } = editor.recalled ?? fromEarlier(editor, typist);
  const to = at + step;
  if (to < 0 || to >= lines.length) return editor;
  const edited = lines.with(at, editor.text);
  const text = edited[to];
  return { ...move(editor, text.length), text, recalled: { lines: edited, at: to } };
}

function fromEarlier({ typed, text }: Editor, typist: Typist) {
  const lines = [...typist.earlier(), ...typed].filter((line, i, all) => line !== all[i - 1]);
  return { lines: [...lines, text], at: lines.length };
}

// ---------------------------------------------------------------- completion

/** Tab completes; pressed again, it offers the next one, and after the last what was typed. */
function complete(editor: Editor, typist: Typist): Editor {
  const { from, offers, at } = editor.completion ?? offersFor(editor, typist);
  if (offers.length === 0) return editor;
  const completed = replace(editor, from, editor.cursor, offers[at]);
  return { ...completed, completion: { from, offers, at: (at + 1) % offers.length } };
}

function offersFor({ text, cursor }: Editor, typist: Typist): Completion {
  const typed = text.slice(0, cursor);
  if (/^\/\S*$/.test(typed)) return { from: 0, offers: offersOf(typed, typist.commands), at: 0 };
  // A name may have blanks in it, so what is typed of it may have begun several words ago.
  for (const { index } of typed.matchAll(/(?<=^|\s)\S/g)) {
    const offers = offersOf(typed.slice(index), typist.names());
    if (offers.length > 0) return { from: index, offers, at: 0 };
  }
  return { from: cursor, offers: [], at: 0 };
}

function offersOf(typed: string, candidates: readonly string[]): string[] {
  const start = typed.toLowerCase();
  const fitting = candidates.filter((candidate) => candidate.toLowerCase().startsWith(start));
  if (fitting.length === 0) return [];
  return fitting.length === 1 ? [`${fitting[0]} `] : [...fitting.map((one) => `${one} `), typed];
}
