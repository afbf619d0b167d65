/**
 * Where a conversation is shown, and where typed lines come from.
 *
 * A {@link Screen} is either a terminal (`terminal.ts`) or a pipe (`pipe.ts`). It knows nothing of
 * the network, and makes everything that it is given safe to show (`rows.ts`).
 *
 * @module
 */
import type { EditorContext } from "./editor.ts";
import type { PendingRow } from "./layout.ts";
import type { Styled } from "./style.ts";

/** Where a conversation is shown. Disposing of it restores the terminal. */
export interface Screen extends AsyncDisposable {
  /** Whether a user edits lines on it. */
  readonly interactive: boolean;
  /** Whether typed lines stay visible where they were typed. */
  readonly echoes: boolean;
  /**
   * Reads typed lines, without line ends, until the end of the input. Can be read once.
   *
   * @param context what the line editor recalls and completes
   */
  read(context: EditorContext): AsyncIterable<string>;
  /** Adds to the conversation. */
  show(text: Styled): void;
  /** Adds a remark that is not part of the conversation: dim, where possible. */
  note(text: Styled): void;
  /** Reports a problem; a pipe reports it on its error output. */
  warn(text: string): void;
  /** Reports something that must not be missed. */
  alarm(text: string): void;
  /** Rings the bell, if that is enabled. */
  ring(): void;
  /** Replaces the rows below the conversation; a pipe has none. */
  showPending(rows: readonly PendingRow[]): void;
  /** Resolves when there is room for more; `undefined` if there already is. */
  ready(): Promise<void> | undefined;
  /** Resolves when everything has been written; to `false` if it can no longer be read. */
  written(): Promise<boolean>;
  /** Ends the lines of {@link Screen.read}. */
  close(): void;
}
