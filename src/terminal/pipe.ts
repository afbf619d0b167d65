/**
 * A {@link Screen} without a terminal: plain lines in and out.
 *
 * @module
 */
import type { Output } from "../base/output.ts";
import { rendered } from "./rows.ts";
import type { Screen } from "./screen.ts";
import { lengthOf, type Styled, withLook } from "./style.ts";

/** How many UTF-16 code units of a line are kept: no message is as long, so it is refused anyway. */
const MAX_LINE_LENGTH = 1 << 26;

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
  const line = new LineParts();
  for (;;) {
    const { done, value } = await chunks.read();
    if (done) break;
    const [first, ...others] = value.split("\n");
    line.add(first);
    for (const other of others) {
      yield line.take().replace(/\r$/, "");
      line.add(other);
    }
  }
  const rest = line.take();
  if (rest !== "" && !signal.aborted) yield rest;
}

/** A line that arrives in parts, so that a long one takes no longer than several short ones. */
class LineParts {
  #parts: string[] = [];
  #length = 0;

  /** Adds a part; beyond {@link MAX_LINE_LENGTH} it is dropped. */
  add(part: string): void {
    if (this.#length >= MAX_LINE_LENGTH) return;
    this.#parts.push(part);
    this.#length += part.length;
  }

  take(): string {
    const line = this.#parts.join("");
    this.#parts = [];
    this.#length = 0;
    return line;
  }
}
