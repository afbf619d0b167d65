/**
 * Where a conversation is shown, and where what is typed comes from.
 *
 * A {@link Screen} is a terminal, with a line that is being edited below the
 * conversation ({@link openTerminal}), or a pipe, with plain lines in and out
 * ({@link openPipe}). It knows no network, and whatever it is given to show is
 * showable already.
 *
 * @module
 */
import process from "node:process";
import readline from "node:readline";
import { styleText } from "node:util";
import type { Output } from "./output.ts";

/** One row of the screen: as much of a text as there is room for, and all of its end. */
export interface Row {
  readonly text: string;
  readonly end?: string;
}

/** Where a conversation is shown. Disposing of it restores the terminal. */
export interface Screen extends Disposable {
  /** Whether somebody sits in front of it. */
  readonly interactive: boolean;
  /** What is typed, line by line, without line ends; ends at the end of input. */
  readonly lines: AsyncIterable<string>;
  /** Adds to the conversation. */
  show(text: string): void;
  /** Adds something that is not part of it: dim, where that is possible. */
  note(text: string): void;
  /** Says what does not work; a pipe has another one for that. */
  warn(text: string): void;
  /** What stands below the conversation from now on; a pipe has no below. */
  below(rows: readonly Row[]): void;
  /** Resolves when there is room for more; settled already, unless the reader is slow. */
  ready(): Promise<void> | undefined;
  /** Resolves when everything is where it can be read: to `false` where nobody reads any more. */
  written(): Promise<boolean>;
  /** Ends {@link Screen.lines}. */
  close(): void;
}

// ---------------------------------------------------------------- a terminal

/**
 * The terminal that the program runs in.
 *
 * @param prompt what stands before the line being typed
 * @param color whether anything may be dim
 */
export function openTerminal(prompt: string, color: boolean): Screen {
  const output = process.stdout;
  const editor = readline.createInterface({ input: process.stdin, output, terminal: true, prompt });
  const { lines, push, end } = lineQueue();
  let below: readonly Row[] = [];
  let open = true;

  const dim = (text: string) => color ? styleText("dim", text, { validateStream: false }) : text;
  /** Takes what is below and the line being typed off the screen; the cursor is where they began. */
  const erase = (rows: number) => {
    readline.moveCursor(output, 0, -(rows + below.length));
    readline.cursorTo(output, 0);
    readline.clearScreenDown(output);
  };
  /** Puts them back; the editor first goes up as many rows as its cursor was down. */
  const draw = () => {
    if (!open) return;
    for (const row of below) output.write(dim(fit(row, output.columns - 1)) + "\n");
    output.write("\n".repeat(editor.getCursorPos().rows));
    editor.prompt(true);
  };
  const redraw = (change: () => void) => {
    if (open) erase(editor.getCursorPos().rows);
    change();
    draw();
  };

  // The line that is typed becomes a line of the conversation once somebody has
  // decided how it is to be shown; until then it is not shown at all.
  let typedRows = 0;
  const beforeEditor = (_: string, key: { name?: string } | undefined) => {
    if (key?.name !== "return" && key?.name !== "enter") return;
    editor.write(null, { ctrl: true, name: "e" });
    typedRows = editor.getCursorPos().rows + 1;
  };
  process.stdin.prependListener("keypress", beforeEditor);

  const close = () => {
    if (!open) return;
    erase(editor.getCursorPos().rows);
    open = false;
    process.stdin.off("keypress", beforeEditor);
    editor.close();
    process.stdin.unref();
    end();
  };
  editor.on("line", (line) => {
    erase(typedRows);
    draw();
    push(line);
  });
  editor.on("SIGINT", close);
  editor.on("close", close);
  draw();

  /** What is below must leave room for the line being typed, and for some of the conversation. */
  const mostRows = () => Math.max(0, output.rows - 4);
  const show = (text: string) => redraw(() => output.write(text + "\n"));
  return {
    interactive: true,
    lines,
    show,
    note: (text) => show(text.split("\n").map(dim).join("\n")),
    warn: show,
    below: (rows) => redraw(() => below = rows.slice(Math.max(0, rows.length - mostRows()))),
    ready: () => undefined,
    written: () => Promise.resolve(true),
    close,
    [Symbol.dispose]: close,
  };
}

/** A row that surely fits: what is not ASCII may be two columns wide. */
function fit({ text, end = "" }: Row, columns: number): string {
  const [line] = text.split("\n");
  const room = columns - end.length;
  let width = 0;
  let length = 0;
  for (const character of line) {
    width += character < "\x7F" ? 1 : 2;
    if (width >= room && length + character.length < line.length) {
      return `${line.slice(0, length)}…${end}`;
    }
    length += character.length;
  }
  return line + end;
}

/** Lines that are pushed in on one side and read on the other. */
function lineQueue() {
  const { readable, writable } = new TransformStream<string, string>(undefined, {
    highWaterMark: Infinity,
  });
  const writer = writable.getWriter();
  const ignore = () => {};
  return {
    lines: readable as AsyncIterable<string>,
    push: (line: string) => void writer.write(line).catch(ignore),
    end: () => void writer.close().catch(ignore),
  };
}

// ---------------------------------------------------------------- a pipe

/**
 * Plain lines in and out.
 *
 * @param input bytes of UTF-8; read only as fast as the lines are taken
 * @param out gets the conversation
 * @param err gets what does not work
 */
export function openPipe(
  input: ReadableStream<Uint8Array<ArrayBuffer>>,
  out: Output,
  err: Output,
): Screen {
  const closing = new AbortController();
  return {
    interactive: false,
    lines: readLines(input, closing.signal),
    show: (text) => out.line(text),
    note: (text) => out.line(text),
    warn: (text) => err.line(text),
    below: () => {},
    ready: () => out.ready(),
    written: () => out.flush(),
    close: () => closing.abort(),
    [Symbol.dispose]: () => closing.abort(),
  };
}

async function* readLines(
  input: ReadableStream<Uint8Array<ArrayBuffer>>,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const chunks = input.pipeThrough(new TextDecoderStream()).getReader();
  signal.addEventListener("abort", () => chunks.cancel().catch(() => {}), { once: true });
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
