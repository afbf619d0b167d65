/** What is drawn below a conversation, as a terminal without a window (xterm.js) shows it. */
import headless from "@xterm/headless";
import assert from "node:assert/strict";
import { Canvas, NOTHING } from "../../src/terminal/canvas.ts";
import { type Editor, EMPTY, press, type Typist } from "../../src/terminal/line_editor.ts";
import { compose, type Held } from "../../src/terminal/layout.ts";
import { randomNumbers } from "../support/random.ts";

const TYPIST: Typist = { commands: [], names: () => [], earlier: () => [] };
const PROMPT = [{ text: "Alice", look: 28 }, { text: "> ", look: "plain" }] as const;

/** A terminal, what is to be on it, and what was written to it. */
class Shown {
  readonly #terminal: InstanceType<typeof headless.Terminal>;
  readonly #canvas = new Canvas(true);
  columns: number;
  rows: number;
  conversation: string[] = [];
  held: readonly Held[] = [];
  editor: Editor = EMPTY;
  /** What the last change wrote. */
  written = "";

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
    this.#terminal = new headless.Terminal({
      cols: columns,
      rows,
      scrollback: 100_000,
      allowProposedApi: true,
    });
  }

  async #write(text: string): Promise<void> {
    await new Promise<void>((resolve) => this.#terminal.write(text, resolve));
  }

  type(text: string): void {
    this.editor = press(this.editor, { type: "text", text }, TYPIST).editor;
  }

  press(name: string): void {
    this.editor = press(this.editor, { type: "press", name }, TYPIST).editor;
  }

  get below() {
    const { held, editor, columns, rows } = this;
    return compose({ held, prompt: PROMPT, editor }, { columns, rows });
  }

  async draw(...added: string[]): Promise<void> {
    this.conversation.push(...added);
    const text = added.map((line) => line + "\n").join("");
    this.written = this.#canvas.draw(text, this.below, this.columns);
    await this.#write(this.written);
  }

  async leave(): Promise<void> {
    await this.#write(this.#canvas.draw("", NOTHING, this.columns));
  }

  /** The cursor is in the last row then: xterm.js takes what it rewraps below it for above. */
  async resize(columns: number, rows: number): Promise<void> {
    this.editor = { ...this.editor, cursor: this.editor.text.length };
    await this.draw();
    this.columns = columns;
    this.rows = rows;
    this.#terminal.resize(columns, rows);
    await this.#write(this.#canvas.erase(columns, this.#terminal.buffer.active.cursorX));
    await this.draw();
  }

  /** Everything on the terminal and above it, what was wrapped put together again. */
  get lines(): string[] {
    const buffer = this.#terminal.buffer.active;
    const lines: string[] = [];
    for (let i = 0; i < buffer.length; i++) {
      const row = buffer.getLine(i)!;
      const before = row.isWrapped ? lines.pop()! : "";
      // A wide character that has no room at the end of a row leaves an empty cell there.
      const isFull = row.getCell(row.length - 1)!.getCode() !== 0;
      lines.push(before + row.translateToString(false, 0, row.length - (isFull ? 0 : 1)));
    }
    return trimmed(lines);
  }

  /** In front of what the cursor is, to the end of its row. */
  get afterCursor(): string {
    const buffer = this.#terminal.buffer.active;
    const row = buffer.getLine(buffer.baseY + buffer.cursorY)!;
    return row.translateToString(true, buffer.cursorX);
  }

  /** Checks that all that should be there is there, and nothing else. */
  check(): void {
    const { rows, cursor } = this.below;
    const below = rows.map((cells) => cells.map(({ text }) => text).join(""));
    assert.deepEqual(this.lines, trimmed([...this.conversation, ...below]));
    const rest = rows[cursor.row].slice(cursor.cell).map(({ text }) => text).join("");
    assert.equal(this.afterCursor.trimEnd(), rest.trimEnd());
  }
}

/** A terminal does not tell blanks from nothing, where nothing follows. */
function trimmed(lines: readonly string[]): string[] {
  return lines.map((line) => line.trimEnd()).join("\n").trimEnd().split("\n");
}

Deno.test("what is added to the conversation stands above the line that is being typed", async () => {
  const shown = new Shown(40, 10);
  await shown.draw("one");
  shown.type("half a line that is longer than the terminal is wide, and goes on");
  await shown.draw();
  shown.press("home");
  await shown.draw("two");
  await shown.draw("three that is longer than the terminal is wide, too, and goes on");
  shown.held = [{ text: "held", end: " (waiting)" }];
  await shown.draw();
  shown.check();
  await shown.leave();
  assert.deepEqual(shown.lines, shown.conversation);
});

Deno.test("only what changed is written", async () => {
  const shown = new Shown(80, 24);
  shown.held = [{ text: "held" }];
  await shown.draw("one");
  for (const letter of "a long line 日本語") {
    shown.type(letter);
    await shown.draw();
    assert.equal(shown.written, letter);
  }
  await shown.draw();
  assert.equal(shown.written, "");
  shown.press("left");
  await shown.draw();
  assert.equal(shown.written, "\x1b[24G");
  shown.press("backspace");
  await shown.draw();
  assert.equal(shown.written, "\x1b[22G語\x1b[K\x1b[22G");
  shown.held = [{ text: "held back" }];
  await shown.draw();
  assert.equal(shown.written, "\x1b[1A\x1b[5G\x1b[2m back\x1b[22m\x1b[1B\x1b[22G");
  shown.check();
});

Deno.test("a row that is wider than we think is cut off, and leaves no trace", async () => {
  const shown = new Shown(40, 10);
  for (let i = 0; i < 20; i++) {
    shown.type("क्षि"); // One column or two for us, more for xterm.js.
    await shown.draw();
  }
  await shown.draw("one");
  await shown.draw("two");
  await shown.leave();
  assert.deepEqual(shown.lines, shown.conversation);
});

const PIECES = [
  ..."a|word |日本|한국어| |-|\t|\x1b[2J".split("|"),
  "e\u0301",
  "x".repeat(30),
];
/** How wide these are, terminals do not agree on; xterm.js thinks some of them narrower than we. */
const DOUBTFUL = ["🚀", "👩‍🚀", "❤️", "🇩🇪", "👍🏽", "1️⃣", "ab"];
const KEYS = [
  "left",
  "right",
  "home",
  "end",
  "backspace",
  "delete",
  "ctrl-w",
  "alt-b",
  "alt-enter",
];

/** Does this and that in a random order, and looks at the terminal after each step. */
async function muddle(seed: number, pieces: readonly string[], resizes: boolean): Promise<void> {
  const random = randomNumbers(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const some = (from: readonly string[]) => from[below(from.length)];
  const line = () => Array.from({ length: 1 + below(20) }, () => some(pieces)).join("");
  const held = () => ({ text: line(), end: " (waiting)" });
  const shown = new Shown(80, 24);
  const steps = [
    () => shown.type(some(pieces)),
    () => shown.type(line()),
    () => shown.press(some(KEYS)),
    () => shown.press(some(KEYS)),
    () => shown.held = Array.from({ length: below(6) }, held),
    () => below(3) === 0 && (shown.editor = EMPTY),
    () => shown.draw(`said ${shown.conversation.length}: ${"x日".repeat(below(60))}.`),
    () => resizes && below(2) === 0 && shown.resize(40 + below(160), shown.rows),
    () => resizes && below(2) === 0 && shown.resize(shown.columns, 24 + below(20)),
  ];
  for (let step = 0; step < 150; step++) {
    await steps[below(steps.length)]();
    await shown.draw();
    shown.check();
  }
  await shown.leave();
  assert.deepEqual(shown.lines, trimmed(shown.conversation));
}

const SEEDS = Number(Deno.env.get("GREET_TEST_SEEDS") ?? 5);

for (let seed = 1; seed <= SEEDS; seed++) {
  Deno.test(`whatever is typed, said and resized, nothing is garbled: ${seed}`, async () => {
    await muddle(seed, PIECES, true);
  });
  Deno.test(`whatever a terminal thinks how wide it is, nothing is garbled: ${seed}`, async () => {
    await muddle(seed, DOUBTFUL, false);
  });
}
