/**
 * A {@link Screen} on the terminal that the program runs in.
 *
 * The conversation scrolls up as with any other program; pending messages and the line being typed
 * stay below it. This file reads keys, writes frames, and restores the terminal; `line_editor.ts`,
 * `layout.ts` and `canvas.ts` decide what a frame shows.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import { AUTOWRAP, Canvas, EMPTY_FOOTER, type Size } from "./canvas.ts";
import { cellsOf, PICTOGRAM } from "./cells.ts";
import { ALARM, type Span, type Styled, withLook } from "./style.ts";
import { type Editor, type EditorContext, EMPTY } from "./editor.ts";
import { press } from "./line_editor.ts";
import { BRACKETED_PASTE, type Key, KeyReader, QUERY_CURSOR } from "./keys.ts";
import { composeFooter, type PendingRow } from "./layout.ts";
import type { Piece } from "./row_breaker.ts";
import { Resizing } from "./resizing.ts";
import { RowQueue } from "./rows.ts";
import type { Screen } from "./screen.ts";
import { pause, within } from "../base/timing.ts";

/** How to use the terminal. */
export interface TerminalOptions {
  /** The bytes that the terminal sends. */
  input: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Precedes the line being typed. */
  prompt: readonly Span[];
  /** Whether to use color and dim text. */
  color: boolean;
  /** Whether {@link Screen.ring} rings the bell. */
  bell: boolean;
  /** Whether Ctrl-Z suspends the program; `false` if it could not be resumed. */
  suspends: boolean;
}

/** How long Escape may be the start of a sequence before it counts as a key of its own. */
const ESCAPE_MS = 500;

/** How long closing waits for the last frame; a suspended terminal never takes it. */
const LAST_FRAME_MS = 1_000;

/** How long the program may take to notice that it was resumed. */
const RESUME_MS = 100;

/** How many characters may be pending before {@link Screen.ready} makes writers wait. */
const HIGH_WATER_MARK = 1 << 20;

/** What the editor knows until someone reads its lines. */
const NO_CONTEXT: EditorContext = {
  commands: [],
  names: () => [],
  earlier: () => [],
  objection: () => undefined,
};

/**
 * Opens the terminal that the program runs in, in raw mode.
 *
 * @returns a screen; disposing of it restores the terminal
 */
export function openTerminal(options: TerminalOptions): Screen {
  return new Terminal(options);
}

class Terminal implements Screen {
  readonly interactive = true;
  readonly echoes = false;
  readonly #options: TerminalOptions;
  readonly #canvas: Canvas;
  readonly #keys = new KeyReader();
  readonly #lines = lineQueue();
  readonly #cleanup = new DisposableStack();
  #editorContext: EditorContext = NO_CONTEXT;
  #editor: Editor = EMPTY;
  #pending: readonly PendingRow[] = [];
  /** Sequences to write in front of the next frame. */
  #prefix = BRACKETED_PASTE.on as string;
  readonly #conversation: RowQueue;
  readonly #resizing: Resizing;
  #isSuspended = false;
  #isOpen = true;
  /** The terminal can no longer be written to. */
  #isGone = false;
  #isDirty = false;
  #painting: Promise<void> | undefined;
  #awaitingFrame: ((written: boolean) => void)[] = [];

  constructor(options: TerminalOptions) {
    this.#options = options;
    this.#canvas = new Canvas(options.color);
    this.#resizing = new Resizing({
      measure: currentSize,
      drawn: async () => await this.#painting,
      ask: () => void writeAll(new TextEncoder().encode(QUERY_CURSOR)).catch(() => {}),
      draw: () => this.#repaint(),
    });
    const columns = () => this.#resizing.size.columns;
    this.#conversation = new RowQueue({ color: options.color, columns, measure: piecesOf });
    setRaw(true);
    this.#cleanup.defer(() => this.#restore());
    for (const event of ["unload", "error", "unhandledrejection"]) {
      const restore = () => this.#cleanup.dispose();
      globalThis.addEventListener(event, restore);
      this.#cleanup.defer(() => globalThis.removeEventListener(event, restore));
    }
    this.#onSignal("SIGWINCH", () => {
      if (this.#isOpen && !this.#isSuspended) this.#resizing.start();
    });
    if (Deno.build.os !== "windows") this.#onSignal("SIGCONT", () => this.#resume());
    void this.#readKeys();
    this.#repaint();
  }

  #onSignal(signal: Deno.Signal, listener: () => void): void {
    Deno.addSignalListener(signal, listener);
    this.#cleanup.defer(() => Deno.removeSignalListener(signal, listener));
  }

  // ---------------------------------------------------------------- the screen

  read(context: EditorContext): AsyncIterable<string> {
    this.#editorContext = context;
    return this.#lines.lines;
  }

  show(text: Styled): void {
    this.#conversation.push(text);
    this.#repaint();
  }

  note(text: Styled): void {
    this.show(withLook(text, "dim"));
  }

  warn(text: string): void {
    this.show(text);
  }

  alarm(text: string): void {
    this.show([{ text, look: ALARM }]);
  }

  ring(): void {
    if (this.#options.bell) this.#prefix += "\x07";
  }

  showPending(rows: readonly PendingRow[]): void {
    this.#pending = rows;
    this.#repaint();
  }

  ready(): Promise<void> | undefined {
    if (this.#conversation.length < HIGH_WATER_MARK) return undefined;
    return this.written().then(() => {});
  }

  written(): Promise<boolean> {
    if (this.#isGone) return Promise.resolve(false);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#awaitingFrame.push(resolve);
    this.#repaint();
    return promise;
  }

  /** Stops reading keys; output continues. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#resizing.stop();
    this.#prefix += BRACKETED_PASTE.off;
    // Outside raw mode, Ctrl-C is a signal again.
    setRaw(false);
    this.#lines.end();
    this.#repaint();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await within(LAST_FRAME_MS, this.written());
    this.#cleanup.dispose();
  }

  // ---------------------------------------------------------------- keys in

  async #readKeys(): Promise<void> {
    const chunks = this.#options.input.pipeThrough(new TextDecoderStream()).getReader();
    let endPartial: ReturnType<typeof setTimeout> | undefined;
    while (this.#isOpen) {
      // If the terminal has gone away, that is the end of the input, too.
      const { value } = await chunks.read().catch(() => ({ value: undefined }));
      clearTimeout(endPartial);
      if (value === undefined) return this.close();
      for (const key of this.#keys.read(value)) this.#press(key);
      if (this.#keys.isAmbiguous) {
        const end = () => this.#keys.endPartial().forEach((key) => this.#press(key));
        endPartial = setTimeout(end, ESCAPE_MS);
      }
    }
  }

  #press(key: Key): void {
    if (key.type === "cursor") this.#resizing.answer(key);
    if (!this.#isOpen) return;
    const { editor, line, objection, action } = press(this.#editor, key, this.#editorContext);
    this.#editor = editor;
    if (line !== undefined) this.#lines.push(line);
    if (objection !== undefined) this.note(objection);
    switch (action) {
      case "leave":
        return this.close();
      case "suspend":
        return void this.#suspend();
      case "redraw":
        this.#prefix = this.#canvas.clear(this.#resizing.size.columns) + this.#prefix;
    }
    this.#repaint();
  }

  // ---------------------------------------------------------------- frames out

  #repaint(): void {
    this.#isDirty = true;
    this.#painting ??= this.#paint();
  }

  async #paint(): Promise<void> {
    // Draw everything that happens in one turn of the event loop at once.
    await setImmediate();
    let awaiting: ((written: boolean) => void)[] = [];
    try {
      while (this.#isDirty && !this.#isPaused()) {
        const frame = this.#frame(this.#conversation.next());
        this.#isDirty = !this.#conversation.isEmpty;
        if (this.#conversation.isEmpty) awaiting = this.#awaitingFrame.splice(0);
        await writeAll(new TextEncoder().encode(frame));
        for (const resolve of awaiting.splice(0)) resolve(true);
        // A write may complete immediately; let other work run in between.
        if (this.#isDirty) await setImmediate();
      }
    } catch {
      this.#isGone = true;
      for (const resolve of [...awaiting, ...this.#awaitingFrame.splice(0)]) resolve(false);
      this.close();
    } finally {
      this.#painting = undefined;
    }
  }

  #isPaused(): boolean {
    return this.#isOpen && (this.#isSuspended || this.#resizing.isUnderWay());
  }

  #frame(rows: string): string {
    const { size } = this.#resizing;
    const settled = this.#resizing.takeSettled();
    if (settled) this.#prefix = this.#canvas.erase(size.columns, settled.cursor) + this.#prefix;
    const footer = this.#isOpen
      ? composeFooter(
        { pending: this.#pending, prompt: this.#options.prompt, editor: this.#editor },
        size,
      )
      : EMPTY_FOOTER;
    return this.#canvas.draw(this.#withPrefix(rows), footer, size.columns);
  }

  /**
   * Puts the prefix in front of rows of the conversation. They are broken already, so wrapping is
   * off: the terminal may consider a row wider than we do.
   */
  #withPrefix(rows: string): string {
    const added = this.#prefix + (rows === "" ? "" : AUTOWRAP.off + rows + AUTOWRAP.on);
    this.#prefix = "";
    return added;
  }

  // ---------------------------------------------------------------- suspend, resume, restore

  async #suspend(): Promise<void> {
    if (!this.#options.suspends) {
      return this.note("Ctrl-Z does nothing here: the program could not be resumed.");
    }
    if (this.#isSuspended) return;
    this.#isSuspended = true;
    this.#resizing.stop();
    await this.#painting;
    this.#restore();
    Deno.kill(Deno.pid, "SIGTSTP");
    // The program stops here, unless it has the terminal to itself: then the system ignores the
    // signal. The first pause may already be over when the program is resumed.
    await pause(RESUME_MS);
    await pause(RESUME_MS);
    if (this.#isSuspended) this.#resume();
  }

  /** Takes the terminal back after another program has used it. */
  #resume(): void {
    if (!this.#isOpen) return;
    setRaw(true);
    if (!this.#isSuspended) {
      this.#canvas.forget();
      this.#prefix = "\r\n" + this.#prefix;
    }
    this.#isSuspended = false;
    this.#prefix = BRACKETED_PASTE.on + this.#prefix;
    this.#resizing.stop();
    this.#repaint();
  }

  /** Restores the terminal, after writing what has not been drawn yet. */
  #restore(): void {
    setRaw(false);
    // Writing would block on a terminal that takes nothing.
    if (this.#isGone || this.#painting !== undefined) return;
    const added = this.#withPrefix(this.#conversation.rest());
    const rest = this.#canvas.draw(added, EMPTY_FOOTER, this.#resizing.size.columns);
    const text = this.#isOpen ? rest + BRACKETED_PASTE.off : rest;
    try {
      if (text !== "") Deno.stdout.writeSync(new TextEncoder().encode(text));
    } catch {
      this.#isGone = true;
    }
  }
}

/**
 * Measures a line in cells, counting each pictogram as wide as all its parts, so that it also fits
 * on a terminal that does not combine them.
 */
function piecesOf(line: string): Piece[] {
  return cellsOf(line).map(({ text, columns }) => ({
    text,
    columns: PICTOGRAM.test(text) ? 2 * [...text].length : columns,
  }));
}

function setRaw(raw: boolean): void {
  try {
    Deno.stdin.setRaw(raw);
  } catch {
    // The terminal has gone away, which reading and writing will report.
  }
}

/** The terminal's size; 80 × 24 if it does not know (on a serial line, for example). */
function currentSize(): Size {
  try {
    const { columns, rows } = Deno.consoleSize();
    if (columns > 0 && rows > 0) return { columns, rows };
  } catch {
    // The terminal has gone away.
  }
  return { columns: 80, rows: 24 };
}

async function writeAll(bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await Deno.stdout.write(bytes.subarray(done));
}

/** A queue of lines, pushed on one side and read on the other. */
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
