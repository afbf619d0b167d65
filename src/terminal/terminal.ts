/**
 * A chat in the terminal that the program runs in.
 *
 * The conversation scrolls up as in any other program, and can be scrolled back and selected;
 * what is held and the line that is being typed stand below it. What is where, others decide
 * (`editor.ts`, `layout.ts`, `canvas.ts`, all of them without a terminal); here keys come in,
 * bytes go out, and the terminal is given back as it was.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import { Canvas, NOTHING, type Size, WRAP } from "./canvas.ts";
import { cellsOf } from "./cells.ts";
import { ALARM, inLook, type Span, type Styled } from "./style.ts";
import { type Editor, EMPTY, press, type Typist } from "./line_editor.ts";
import { type Key, KeyReader, MARK_PASTES, WHERE_IS_CURSOR } from "./keys.ts";
import { compose, type Held } from "./layout.ts";
import { type Piece, RowQueue } from "./rows.ts";
import type { Screen } from "./screen.ts";
import { pause, within } from "../base/timing.ts";

/** How a terminal is to be used. */
export interface TerminalOptions {
  /** The bytes that are typed. */
  input: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** What stands in front of the line that is being typed. */
  prompt: readonly Span[];
  /** Whether there may be colours. */
  color: boolean;
  /** Whether it may ring. */
  bell: boolean;
  /** Whether Ctrl-Z stops the program: not where nobody could continue it. */
  suspends: boolean;
}

/** After what time Escape is a key of its own, and not the beginning of another one. */
const ESCAPE_MS = 500;

/**
 * How long nothing is drawn after the size has changed, in case it goes on changing: tmux, for one,
 * tells a program 250 ms later than it rewraps what is on the screen.
 */
const SETTLE_MS = 300;

/** How long a terminal has to say where its cursor is. */
const ANSWER_MS = 200;

/** How long the last words may take to be written: a terminal can be stopped. */
const LAST_WORDS_MS = 1_000;

/** How long it takes at most until the program notices that it was continued. */
const CONTINUED_MS = 100;

/** From how many characters on the writers of a conversation have to wait. */
const HIGH_WATER_MARK = 1 << 20;

/** The terminal that the program runs in. */
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
  readonly #undo = new DisposableStack();
  #typist: Typist = { commands: [], names: () => [], earlier: () => [] };
  #editor: Editor = EMPTY;
  #held: readonly Held[] = [];
  /** What is written with the next frame, before the conversation goes on. */
  #prefix = MARK_PASTES.on as string;
  readonly #added: RowQueue;
  #size = currentSize();
  /** Set while the size changes. */
  #settling: ReturnType<typeof setTimeout> | undefined;
  /** Gets the column that the cursor is in, once it was asked for. */
  #onCursor: (column?: number) => void = () => {};
  #isSuspended = false;
  #isOpen = true;
  /** Nobody sees what is written. */
  #isGone = false;
  #isDirty = false;
  #painting: Promise<void> | undefined;
  #awaitingFrame: ((written: boolean) => void)[] = [];

  constructor(options: TerminalOptions) {
    this.#options = options;
    this.#canvas = new Canvas(options.color);
    const columns = () => this.#size.columns;
    this.#added = new RowQueue({ color: options.color, columns, measure: piecesOf });
    setRaw(true);
    this.#undo.defer(() => this.#restore());
    for (const event of ["unload", "error", "unhandledrejection"]) {
      const restore = () => this.#undo.dispose();
      globalThis.addEventListener(event, restore);
      this.#undo.defer(() => globalThis.removeEventListener(event, restore));
    }
    this.#onSignal("SIGWINCH", () => this.#settle());
    this.#onSignal("SIGCONT", () => this.#continue());
    void this.#readKeys();
    this.#repaint();
  }

  #onSignal(signal: Deno.Signal, listener: () => void): void {
    if (Deno.build.os === "windows") return;
    Deno.addSignalListener(signal, listener);
    this.#undo.defer(() => Deno.removeSignalListener(signal, listener));
  }

  // ---------------------------------------------------------------- as a screen

  read(typist: Typist): AsyncIterable<string> {
    this.#typist = typist;
    return this.#lines.lines;
  }

  show(text: Styled): void {
    this.#added.push(text);
    this.#repaint();
  }

  note(text: Styled): void {
    this.show(inLook(text, "dim"));
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

  below(rows: readonly Held[]): void {
    this.#held = rows;
    this.#repaint();
  }

  ready(): Promise<void> | undefined {
    if (this.#added.length < HIGH_WATER_MARK) return undefined;
    return this.written().then(() => {});
  }

  written(): Promise<boolean> {
    if (this.#isGone) return Promise.resolve(false);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#awaitingFrame.push(resolve);
    this.#repaint();
    return promise;
  }

  /** From here on nobody types; what is shown is still shown. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    clearTimeout(this.#settling);
    this.#prefix += MARK_PASTES.off;
    // From here on Ctrl-C is a signal again.
    setRaw(false);
    this.#lines.end();
    this.#repaint();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await within(LAST_WORDS_MS, this.written());
    this.#undo.dispose();
  }

  // ---------------------------------------------------------------- keys in

  async #readKeys(): Promise<void> {
    const chunks = this.#options.input.pipeThrough(new TextDecoderStream()).getReader();
    let giveUp: ReturnType<typeof setTimeout> | undefined;
    while (this.#isOpen) {
      // A terminal that is gone is the end of the input, too.
      const { value } = await chunks.read().catch(() => ({ value: undefined }));
      clearTimeout(giveUp);
      if (value === undefined) return this.close();
      for (const key of this.#keys.read(value)) this.#press(key);
      if (this.#keys.isUnsure) giveUp = setTimeout(() => this.#keys.giveUp(), ESCAPE_MS);
    }
  }

  #press(key: Key): void {
    if (key.type === "cursor") this.#onCursor(key.column);
    if (!this.#isOpen) return;
    const { editor, line, wish } = press(this.#editor, key, this.#typist);
    this.#editor = editor;
    if (line !== undefined) this.#lines.push(line);
    switch (wish) {
      case "leave":
        return this.close();
      case "suspend":
        return void this.#suspend();
      case "redraw":
        this.#prefix = this.#canvas.clear() + this.#prefix;
    }
    this.#repaint();
  }

  // ---------------------------------------------------------------- frames out

  #repaint(): void {
    this.#isDirty = true;
    this.#painting ??= this.#paint();
  }

  async #paint(): Promise<void> {
    // Everything that happens in one go is drawn in one go.
    await setImmediate();
    let awaiting: ((written: boolean) => void)[] = [];
    try {
      while (this.#isDirty && !this.#isHeld()) {
        const frame = this.#frame(this.#added.next());
        this.#isDirty = !this.#added.isEmpty;
        if (this.#added.isEmpty) awaiting = this.#awaitingFrame.splice(0);
        await writeAll(new TextEncoder().encode(frame));
        for (const resolve of awaiting.splice(0)) resolve(true);
        // A write may be over at once.
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

  /** Whether nothing may be drawn now. The size is asked each time, its signal may come late. */
  #isHeld(): boolean {
    if (!this.#isOpen) return false;
    const { columns, rows } = currentSize();
    if (columns !== this.#size.columns || rows !== this.#size.rows) this.#settle();
    return this.#isSuspended || this.#settling !== undefined;
  }

  #frame(rows: string): string {
    const { columns } = this.#size;
    const below = this.#isOpen
      ? compose(
        { held: this.#held, prompt: this.#options.prompt, editor: this.#editor },
        this.#size,
      )
      : NOTHING;
    return this.#canvas.draw(this.#withPrefix(rows), below, columns);
  }

  /**
   * What goes in front of the conversation, and rows of it. We have broken these; where the terminal
   * thinks that one is wider than it is, it must not wrap it.
   */
  #withPrefix(rows: string): string {
    const added = this.#prefix + (rows === "" ? "" : WRAP.off + rows + WRAP.on);
    this.#prefix = "";
    return added;
  }

  /** The size changes: once it no longer does, all is drawn anew. */
  #settle(): void {
    if (!this.#isOpen || this.#isSuspended) return;
    this.#size = currentSize();
    this.#onCursor = () => {};
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => this.#askForCursor(), SETTLE_MS);
  }

  async #askForCursor(): Promise<void> {
    const settling = this.#settling;
    await this.#painting;
    if (!this.#isOpen || this.#settling !== settling) return;
    this.#onCursor = (column) => {
      this.#onCursor = () => {};
      clearTimeout(this.#settling);
      this.#settling = undefined;
      this.#prefix = this.#canvas.erase(this.#size.columns, column) + this.#prefix;
      this.#repaint();
    };
    this.#settling = setTimeout(() => this.#onCursor(), ANSWER_MS);
    await writeAll(new TextEncoder().encode(WHERE_IS_CURSOR)).catch(() => {});
  }

  // ---------------------------------------------------------------- giving it back

  async #suspend(): Promise<void> {
    if (!this.#options.suspends) {
      return this.note("Ctrl-Z does nothing here: nobody could continue.");
    }
    if (this.#isSuspended) return;
    this.#isSuspended = true;
    await this.#painting;
    this.#restore();
    Deno.kill(Deno.pid, "SIGTSTP");
    // Here the program stands still, unless it has the terminal for itself: then the signal is
    // ignored. The first of these may be over by the time somebody continues it.
    await pause(CONTINUED_MS);
    await pause(CONTINUED_MS);
    if (this.#isSuspended) this.#continue();
  }

  /** Somebody else had the terminal. */
  #continue(): void {
    if (!this.#isOpen) return;
    setRaw(true);
    if (!this.#isSuspended) {
      this.#canvas.forget();
      this.#prefix = "\r\n" + this.#prefix;
    }
    this.#isSuspended = false;
    this.#prefix = MARK_PASTES.on + this.#prefix;
    this.#size = currentSize();
    this.#repaint();
  }

  /** Gives the terminal back as it was, with everything on it that was shown. */
  #restore(): void {
    setRaw(false);
    // A terminal that takes nothing would keep us here.
    if (this.#isGone || this.#painting !== undefined) return;
    const added = this.#withPrefix(this.#added.rest());
    const rest = this.#canvas.draw(added, NOTHING, this.#size.columns);
    const text = this.#isOpen ? rest + MARK_PASTES.off : rest;
    try {
      if (text !== "") Deno.stdout.writeSync(new TextEncoder().encode(text));
    } catch {
      this.#isGone = true;
    }
  }
}

/**
 * Cells, where pictograms are as wide as their parts: so they are shown whole also by a terminal that
 * does not combine them.
 */
function piecesOf(line: string): Piece[] {
  return cellsOf(line).map(({ text, columns }) => ({
    text,
    columns: /\p{Extended_Pictographic}/u.test(text) ? 2 * [...text].length : columns,
  }));
}

function setRaw(raw: boolean): void {
  try {
    Deno.stdin.setRaw(raw);
  } catch {
    // The terminal is gone, and everybody will notice by other means.
  }
}

/** A terminal that does not know its size, on a serial line for example, is a small one. */
function currentSize(): Size {
  try {
    const { columns, rows } = Deno.consoleSize();
    if (columns > 0 && rows > 0) return { columns, rows };
  } catch {
    // It is gone.
  }
  return { columns: 80, rows: 24 };
}

async function writeAll(bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await Deno.stdout.write(bytes.subarray(done));
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
