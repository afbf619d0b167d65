/**
 * Searching the lines that can be recalled, as they are typed: Ctrl-R towards older lines, Ctrl-S
 * towards newer ones. Unlike in readline, Enter only ends the search: what was found would go to
 * people at once.
 *
 * @module
 */
import { graphemeAt } from "./cells.ts";
import { type Editor, type EditorContext, move, type Search } from "./editor.ts";
import type { Key } from "./keys.ts";
import { recallable, shown } from "./recall.ts";

/** The longest text that can be searched for, in UTF-16 code units. */
const MAX_QUERY = 200;

/** Begins a search with an empty query. */
export function beginSearch(editor: Editor, context: EditorContext): Editor {
  const recalled = recallable(editor, context);
  const search = { query: "", hasFailed: false, origin: editor, previous: editor };
  return { ...editor, recalled, search };
}

/**
 * Applies a key to a search.
 *
 * @returns the new state, or `undefined` if the key is not one of the search; then it applies to the
 *   line that was found
 */
export function searchOn(editor: Editor, search: Search, key: Key): Editor | undefined {
  const { query, origin, previous } = search;
  if (key.type === "cursor") return editor;
  if (key.type !== "press") return Array.from(key.text).slice(0, MAX_QUERY).reduce(extend, editor);
  switch (key.name) {
    case "ctrl-r":
      return again(editor, search, -1);
    case "ctrl-s":
      return again(editor, search, +1);
    case "backspace":
      return query === "" ? editor : previous;
    case "ctrl-g":
    case "ctrl-c":
      return { ...origin, searched: query || origin.searched };
    case "enter":
    case "escape":
      return endSearch(editor, search);
  }
}

/** Ends a search with the line that was found. */
export function endSearch(editor: Editor, { query, origin }: Search): Editor {
  const { search: _, ...found } = editor;
  return { ...found, searched: query || origin.searched, last: undefined };
}

/** Searches for a longer text, from the line that was found on. */
function extend(editor: Editor, more: string): Editor {
  const search = editor.search!;
  const query = (search.query + more).slice(0, MAX_QUERY);
  return find(editor, { ...search, query }, editor.recalled!.at, -1);
}

/** Searches for the same text further on; without a text, for the one searched for before. */
function again(editor: Editor, search: Search, step: -1 | 1): Editor {
  if (search.query === "") return editor.searched === "" ? editor : extend(editor, editor.searched);
  return find(editor, search, editor.recalled!.at + step, step);
}

function find(editor: Editor, search: Search, from: number, step: -1 | 1): Editor {
  const recalled = editor.recalled!;
  const { lines, at: current } = recalled;
  const pattern = new RegExp(RegExp.escape(search.query), "iu");
  const next = { ...search, hasFailed: false, previous: editor };
  for (let at = from; at >= 0 && at < lines.length; at += step) {
    // The same line again would look as if the key did nothing.
    if (at !== current && lines[at].text === editor.text) continue;
    const index = lines[at].text.search(pattern);
    if (index === -1) continue;
    const found = shown(editor, recalled, at);
    return { ...move(found, graphemeAt(found.text, index)), search: next };
  }
  return { ...editor, search: { ...next, hasFailed: true } };
}
