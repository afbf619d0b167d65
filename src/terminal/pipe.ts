/**
 * A {@link Screen} without a terminal: plain lines in and out.
 *
 * @module
 */
import type { Output } from "../base/output.ts";
import { rendered } from "./rows.ts";
import type { Screen } from "./screen.ts";
import { lengthOf, type Styled, withLook } from "./style.ts";

/** The two ends of a pipe. */
export interface PipeOptions {
  /** Bytes of UTF-8, read only as fast as the lines are consumed. */
  input: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Receives the conversation. */
  out: Output;
  /** Receives reports of problems. */
  err: Output;
  /** Whether to use color. */
  color: boolean;
  /** The width of the terminal that receives the conversation, if it is one. */
  columns: () => number | undefined;
  /** Whether both ends are a terminal that can only echo (`TERM=dumb`). */
  echoes: boolean;
}

/** Opens a screen of plain lines. */
export function openPipe({ input, out, err, color, columns, echoes }: PipeOptions): Screen {
  const closing = new AbortController();
  const show = (text: Styled) => out.print(rendered(text, { color, columns }), lengthOf(text));
  return {
    interactive: false,
    echoes,
    read: () => readLines(input, closing.signal),
    show,
    note: (text) => show(withLook(text, "dim")),
    warn: (text) => err.line(text),
    alarm: (text) => err.line(text),
    ring: () => {},
    showPending: () => {},
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
