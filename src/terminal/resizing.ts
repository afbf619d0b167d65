/**
 * Waits until a terminal has stopped changing its size, and asks it where its cursor is then.
 *
 * A terminal rewraps its contents before it reports a new size, so nothing may be drawn in between.
 * An answer only counts if it belongs to the last question and the size is still the same.
 *
 * @module
 */
import type { Position, Size } from "./canvas.ts";

/** The terminal that changes its size. */
export interface Resizable {
  /** Returns the current size. */
  measure(): Size;
  /** Resolves when everything that has been drawn is written. */
  drawn(): Promise<void>;
  /** Asks for the cursor; the answer goes to {@link Resizing.answer}. */
  ask(): void;
  /** Draws again, because the size has settled. */
  draw(): void;
}

/**
 * How long drawing pauses after a change of size, in case more changes follow. tmux reports a
 * change up to 250 ms after it has rewrapped the screen.
 */
const SETTLE_MS = 300;

/** How long to wait for an answer, which a busy machine delays; almost all terminals give one. */
const ANSWER_MS = 1_000;

/** Follows the size of a terminal. */
export class Resizing {
  readonly #terminal: Resizable;
  /** The size that drawing may rely on unless {@link Resizing.isUnderWay}. */
  size: Size;
  /** Set while the size is changing. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isAsking = false;
  /** The number of questions that the terminal has not answered. It answers in order. */
  #unanswered = 0;
  /** Set once the size has settled, until what was drawn at the old size is removed. */
  #settled: { readonly cursor?: Position } | undefined;

  constructor(terminal: Resizable) {
    this.#terminal = terminal;
    this.size = terminal.measure();
  }

  /** Whether drawing must wait. Measures each time, because the signal of a change may come late. */
  isUnderWay(): boolean {
    const { columns, rows } = this.#terminal.measure();
    if (columns !== this.size.columns || rows !== this.size.rows) this.start();
    return this.#timer !== undefined;
  }

  /** Waits for the size to settle, from now on. */
  start(): void {
    this.#reset();
    this.#timer = setTimeout(() => this.#ask(), SETTLE_MS);
  }

  /** Stops waiting, and relies on the current size. Answers may go to another program now. */
  stop(): void {
    this.#reset();
    this.#unanswered = 0;
  }

  #reset(): void {
    clearTimeout(this.#timer);
    this.#timer = this.#settled = undefined;
    this.#isAsking = false;
    this.size = this.#terminal.measure();
  }

  /** Takes the terminal's answer to {@link Resizable.ask}. */
  answer(cursor: Position): void {
    this.#unanswered = Math.max(0, this.#unanswered - 1);
    if (this.#isAsking && this.#unanswered === 0) this.#settle(cursor);
  }

  /**
   * Takes the result of a change that has settled: everything must be drawn again.
   *
   * @returns the cursor's position, if the terminal has reported it; `undefined` without a change
   */
  takeSettled(): { readonly cursor?: Position } | undefined {
    const settled = this.#settled;
    this.#settled = undefined;
    return settled;
  }

  async #ask(): Promise<void> {
    const timer = this.#timer;
    await this.#terminal.drawn();
    if (this.#timer !== timer) return;
    this.#isAsking = true;
    this.#unanswered++;
    this.#timer = setTimeout(() => this.#settle(), ANSWER_MS);
    this.#terminal.ask();
  }

  #settle(cursor?: Position): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isAsking = false;
    this.#settled = { cursor };
    // If the size has changed again since, this starts over instead of drawing.
    this.#terminal.draw();
  }
}
