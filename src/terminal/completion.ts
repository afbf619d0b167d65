/**
 * Completing commands and names.
 *
 * @module
 */
import { type Completion, type Editor, type EditorContext, replace } from "./editor.ts";

/** Completes; repeated, goes through the candidates and back to the typed text. */
export function complete(editor: Editor, context: EditorContext): Editor {
  const { last } = editor;
  const completion = last?.type === "completion" ? last : completionOf(editor, context);
  const { from, candidates, at } = completion;
  if (candidates.length === 0) return editor;
  const completed = replace(editor, from, editor.cursor, candidates[at]);
  return { ...completed, last: { ...completion, at: (at + 1) % candidates.length } };
}

function completionOf({ text, cursor }: Editor, context: EditorContext): Completion {
  const typed = text.slice(0, cursor);
  if (/^\/\S*$/.test(typed)) {
    return completionAt(0, candidatesFor(typed, context.commands));
  }
  // A name may contain spaces, so its beginning may lie several words back.
  for (const { index } of typed.matchAll(/(?<=^|\s)\S/g)) {
    const candidates = candidatesFor(typed.slice(index), context.names());
    if (candidates.length > 0) return completionAt(index, candidates);
  }
  return completionAt(cursor, []);
}

function completionAt(from: number, candidates: readonly string[]): Completion {
  return { type: "completion", from, candidates, at: 0 };
}

function candidatesFor(typed: string, words: readonly string[]): string[] {
  const start = typed.toLowerCase();
  const matching = words.filter((word) => word.toLowerCase().startsWith(start));
  if (matching.length === 0) return [];
  return matching.length === 1 ? [`${matching[0]} `] : [...matching.map((one) => `${one} `), typed];
}
