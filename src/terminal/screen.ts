/**
 * Where a conversation is shown, and where what is typed comes from.
 *
 * A {@link Screen} is a terminal, with a line that is being edited below the
 * conversation (`terminal.ts`), or a pipe, with plain lines in and out
 * ({@link openPipe}). It knows no network, and makes whatever it is given safe to
 * show (`rows.ts`).
 *
 * @module
 */
import { inLook, lengthOf, type Styled } from "./style.ts";
import type { Typist } from "./line_editor.ts";
import type { Held } from "./layout.ts";
import type { Output } from "../base/output.ts";
import { rendered } from "./rows.ts";

/** Where a conversation is shown. Disposing of it restores the terminal. */
export interface Screen extends AsyncDisposable {
  /** Whether somebody edits lines in front of it. */
  readonly interactive: boolean;
  /** Whether it shows what is typed, as it is typed, for good. */
  readonly echoes: boolean;
  /**
   * What is typed, line by line, without line ends; ends at the end of input. It can be read once.
   *
   * @param typist whom the editor asks for what it offers
   */
  read(typist: Typist): AsyncIterable<string>;
  /** Adds to the conversation. */
  show(text: Styled): void;
  /** Adds something that is not part of it: dim, where that is possible. */
  note(text: Styled): void;
  /** Says what does not work; a pipe has another one for that. */
  warn(text: string): void;
  /** Says what nobody must miss. */
  alarm(text: string): void;
  /** Calls for attention, where that was asked for. */
  ring(): void;
  /** What stands below the conversation from now on; a pipe has no below. */
  below(rows: readonly Held[]): void;
  /** Resolves when there is room for more; settled already, unless the reader is slow. */
  ready(): Promise<void> | undefined;
  /** Resolves when everything is where it can be read: to `false` where nobody reads any more. */
  written(): Promise<boolean>;
  /** Ends what {@link Screen.read} gives. */
  close(): void;
}

/** What a pipe consists of. */
export interface PipeOptions {
  /** Bytes of UTF-8; read only as fast as the lines are taken. */
  input: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Gets the conversation. */
  out: Output;
  /** Gets what does not work. */
  err: Output;
  /** Whether there may be colours. */
  color: boolean;
  /** How wide the terminal is that the conversation goes to, if it is one. */
  columns: () => number | undefined;
  /** Whether a terminal that can do no more than echo is at both ends. */
  echoes: boolean;
}

/** Plain lines in and out. */
export function openPipe({ input, out, err, color, columns, echoes }: PipeOptions): Screen {
  const closing = new AbortController();
  const show = (text: Styled) => out.print(rendered(text, { color, columns }), lengthOf(text));
  return {
    interactive: false,
    echoes,
    read: () => readLines(input, closing.signal),
    show,
    note: (text) => show(inLook(text, "dim")),
    warn: (text) => err.line(text),
    alarm: (text) => err.line(text),
    ring: () => {},
    below: () => {},
    ready: () => out.ready(),
    written: () => out.flush(),
    close: () => closing.abort(),
    [Symbol.asyncDispose]: () => Promise.resolve(closing.abort()),
  };
}

async function* readLines(
  input: ReadableStream<Uint8Array<ArrayBuffer>>,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const chunks = input.pipeThrough(new TextDecoderStream()).getReader();
  const stop = () => chunks.cancel().catch(() => {});
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop, { once: true });
  let rest = "";
  for (;;) {
    const { done, value } = await chunks.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop()!;
    for (const line of lines) yield line.replace(/\r$/, "");
  }
  if (rest !== "" && !signal.aborted) yield rest;
}
