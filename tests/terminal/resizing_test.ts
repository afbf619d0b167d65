/** When drawing may continue after a terminal has changed its size. */
import assert from "node:assert/strict";
import type { Position, Size } from "../../src/terminal/canvas.ts";
import { Resizing } from "../../src/terminal/resizing.ts";
import { inTime } from "../support/waiting.ts";

/** A terminal that is asked, and answers when a test says so. */
class Asked {
  size: Size = { columns: 80, rows: 24 };
  readonly resizing = new Resizing({
    measure: () => this.size,
    drawn: () => Promise.resolve(),
    ask: () => this.#onAsk(),
    draw: () => this.#onDraw(),
  });
  #onAsk = () => {};
  #onDraw = () => {};

  /** Resolves at the next question. */
  question(): Promise<void> {
    return inTime(new Promise<void>((resolve) => this.#onAsk = resolve), "a question");
  }

  /** Resolves when drawing may continue, with the cursor. */
  async settled(): Promise<Position | undefined> {
    await inTime(new Promise<void>((resolve) => this.#onDraw = resolve), "it settles");
    assert(!this.resizing.isUnderWay());
    return this.resizing.takeSettled()?.cursor;
  }
}

const HERE = { row: 10, column: 7 };
const ELSEWHERE = { row: 3, column: 2 };

Deno.test("after a change of size, drawing waits for the terminal's answer", async () => {
  const terminal = new Asked();
  assert(!terminal.resizing.isUnderWay());
  terminal.size = { columns: 60, rows: 24 };
  assert(terminal.resizing.isUnderWay());
  await terminal.question();
  assert(terminal.resizing.isUnderWay());
  const settled = terminal.settled();
  terminal.resizing.answer(HERE);
  assert.deepEqual(await settled, HERE);
  assert.deepEqual(terminal.resizing.size, terminal.size);
  assert.equal(terminal.resizing.takeSettled(), undefined);
});

Deno.test("an answer does not count if the size has changed again before it came", async () => {
  const terminal = new Asked();
  terminal.size = { columns: 60, rows: 24 };
  assert(terminal.resizing.isUnderWay());
  await terminal.question();
  terminal.size = { columns: 70, rows: 24 };
  terminal.resizing.answer(ELSEWHERE);
  assert(terminal.resizing.isUnderWay());
  assert.equal(terminal.resizing.takeSettled(), undefined);
  await terminal.question();
  const settled = terminal.settled();
  terminal.resizing.answer(HERE);
  assert.deepEqual(await settled, HERE);
});

Deno.test("a late answer to an earlier question is not taken for the answer to a later one", async () => {
  const terminal = new Asked();
  terminal.resizing.start();
  await terminal.question();
  terminal.resizing.start();
  await terminal.question();
  const settled = terminal.settled();
  terminal.resizing.answer(ELSEWHERE);
  assert(terminal.resizing.isUnderWay());
  terminal.resizing.answer(HERE);
  assert.deepEqual(await settled, HERE);
});

Deno.test("a terminal that does not answer is drawn on all the same", async () => {
  const terminal = new Asked();
  terminal.resizing.start();
  await terminal.question();
  assert.equal(await terminal.settled(), undefined);
});
