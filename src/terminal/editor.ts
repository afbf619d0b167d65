/**
 * The state of the line being typed, and the two changes that all editing consists of: the cursor
 * moves, or a text replaces another one.
 *
 * @module
 */

/** The state of the editor. */
export interface Editor {
  readonly text: string;
  /** The position of the cursor, in UTF-16 code units; always between graphemes. */
  readonly cursor: number;
  /** What can be undone, oldest first. */
  readonly changes: readonly Change[];
  /** The texts that were cut, which Ctrl-Y and Alt-Y paste; the last one at the end. */
  readonly kills: readonly string[];
  /** The lines completed in this run. */
  readonly completed: readonly string[];
  /** What was searched for last. */
  readonly searched: string;
  /** What the last key did, for keys that continue it. */
  readonly last?: Continuable;
  /** While recalling: the lines to choose from. */
  readonly recalled?: Recalled;
  /** While searching; `text` and `cursor` show what was found. */
  readonly search?: Search;
}

/** A replacement in the text, with what undoing it takes. */
export interface Change {
  /** The replaced text. */
  readonly before: string;
  /** The start and end of the text in its place. */
  readonly from: number;
  readonly to: number;
  /** Where the cursor was. */
  readonly cursor: number;
}

/** The effect of a key that has another effect when it is pressed again, or when related keys are. */
export type Continuable =
  | { readonly type: "typing" | "kill" | "recall" | "objection" }
  /** `age` is 0 for the newest kill. */
  | { readonly type: "yank"; readonly from: number; readonly age: number }
  /** `at` is the index of the line whose last word was inserted. */
  | { readonly type: "lastWord"; readonly from: number; readonly at: number }
  | Completion;

/** The candidates for completing a word, and which of them comes next. */
export interface Completion {
  readonly type: "completion";
  readonly from: number;
  readonly candidates: readonly string[];
  readonly at: number;
}

/** All recallable lines with their edits, the unfinished one last, and the index of the one shown. */
export interface Recalled {
  readonly lines: readonly Pick<Editor, "text" | "changes">[];
  readonly at: number;
}

/** An incremental search. */
export interface Search {
  readonly query: string;
  readonly hasFailed: boolean;
  /** The editor as it was before the search. */
  readonly origin: Editor;
  /** The editor as it was before the last step of the search. */
  readonly previous: Editor;
}

/** What the editor recalls and completes, and what it asks about. */
export interface EditorContext {
  /** Commands that a line can start with, such as `/help`. */
  readonly commands: readonly string[];
  /** Names that can be completed. */
  names(): readonly string[];
  /** Lines from earlier runs, oldest first. */
  earlier(): readonly string[];
  /** Why a line should not be completed as it is, if there is a reason. */
  objection(line: string): Objection | undefined;
}

/** A reason why a line stays where it is. */
export interface Objection {
  readonly reason: string;
  /** Whether Enter, pressed once more, completes the line all the same. */
  readonly isQuestion: boolean;
}

/** An empty line. */
export const EMPTY: Editor = {
  text: "",
  cursor: 0,
  changes: [],
  kills: [],
  completed: [],
  searched: "",
};

/** How many changes can be undone. */
export const MAX_CHANGES = 100;

/** Moves the cursor. */
export function move(editor: Editor, cursor: number): Editor {
  return { ...editor, cursor, last: undefined };
}

/** Replaces the text between two positions, and moves the cursor behind it. */
export function replace(editor: Editor, from: number, to: number, text: string): Editor {
  if (from === to && text === "") return move(editor, from);
  const before = editor.text.slice(from, to);
  const change = { before, from, to: from + text.length, cursor: editor.cursor };
  return {
    ...editor,
    text: editor.text.slice(0, from) + text + editor.text.slice(to),
    cursor: change.to,
    changes: [...editor.changes, change].slice(-MAX_CHANGES),
    last: undefined,
  };
}

/** Inserts a text at the cursor. */
export function insert(editor: Editor, text: string): Editor {
  return replace(editor, editor.cursor, editor.cursor, text);
}

/** Removes the text between the cursor and another position. */
export function remove(editor: Editor, other: number): Editor {
  return replace(editor, Math.min(editor.cursor, other), Math.max(editor.cursor, other), "");
}

/** The empty line after this one. */
export function cleared({ kills, completed, searched }: Editor): Editor {
  return { ...EMPTY, kills, completed, searched };
}
