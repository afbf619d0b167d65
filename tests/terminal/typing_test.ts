/** Random typing in a real terminal while messages arrive and the window changes its size. */
import assert from "node:assert/strict";
import { type EditorContext, EMPTY } from "../../src/terminal/editor.ts";
import { press } from "../../src/terminal/line_editor.ts";
import { KeyReader } from "../../src/terminal/keys.ts";
import { composeFooter } from "../../src/terminal/layout.ts";
import { Bot } from "../support/bot.ts";
import { freePorts } from "../support/ports.ts";
import { randomNumbers } from "../support/random.ts";
import { inTime } from "../support/waiting.ts";
import { Terminal, terminalTest, unbroken } from "../support/terminal.ts";

const SEEDS = Number(Deno.env.get("GREET_TEST_SEEDS") ?? 2);

/** How many keys or texts are typed in a run, and how often Bob says something meanwhile. */
const STEPS = 400;
const MESSAGES = 1 / 2;

const PROMPT = [{ text: "Alice> ", look: "plain" }] as const;
const CONTEXT: EditorContext = {
  commands: [],
  names: () => [],
  earlier: () => [],
  objection: () => undefined,
};
const NARROW = ["a", "word ", "é", "long".repeat(20), " ", "- "];
const WIDE = [...NARROW, "日本", "한국어", "🚀"];

/** Keys by their tmux names, and what a terminal sends for them. */
const KEYS: Readonly<Record<string, string>> = {
  Left: "\x1b[D",
  Right: "\x1b[C",
  Home: "\x1b[H",
  End: "\x1b[F",
  BSpace: "\x7f",
  DC: "\x1b[3~",
  "C-w": "\x17",
  "C-y": "\x19",
  "C-t": "\x14",
  "C-_": "\x1f",
  "C-r": "\x12",
  "C-s": "\x13",
  "M-b": "\x1bb",
  Up: "\x1b[A",
  Enter: "\r",
};

/** Types on a terminal and keeps track of the expected result. */
class Typing {
  readonly #terminal: Terminal;
  readonly lines: string[] = [];
  #editor = EMPTY;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  async text(text: string): Promise<void> {
    await this.#terminal.write(text);
    this.#follow(text);
  }

  async key(name: string): Promise<void> {
    await this.#terminal.type(name);
    this.#follow(KEYS[name]);
  }

  #follow(sent: string): void {
    for (const key of new KeyReader().read(sent)) {
      const { editor, line } = press(this.#editor, key, CONTEXT);
      this.#editor = editor;
      if (line !== undefined) this.lines.push(line);
    }
  }

  /** Waits until the terminal ends with the unfinished line. */
  async isShown(): Promise<void> {
    const { columns, rows } = this.#terminal;
    const footer = composeFooter({ pending: [], prompt: PROMPT, editor: this.#editor }, {
      columns,
      rows,
    });
    const texts = footer.rows.map((cells) => cells.map(({ text }) => text).join("").trimEnd());
    await this.#terminal.until((screen) => screen.endsWith(texts.join("\n").trimEnd()));
  }
}

for (let seed = 1; seed <= SEEDS; seed++) {
  terminalTest(`typing while messages arrive garbles nothing: seed ${seed}`, () => {
    return randomSteps(seed, WIDE, 0);
  });

  // No wide characters: tmux 3.3 puts the cursor into the wrong row when it rewraps them, in any
  // program. `canvas_test.ts` has both, in another terminal.
  terminalTest(`typing while the window changes its size garbles nothing: seed ${seed}`, () => {
    return randomSteps(seed, NARROW, 1 / 50);
  });
}

async function randomSteps(
  seed: number,
  pieces: readonly string[],
  resizes: number,
): Promise<void> {
  const random = randomNumbers(seed);
  const randomBelow = (limit: number) => Math.floor(random() * limit);
  const pick = (from: readonly string[]) => from[randomBelow(from.length)];
  const text = (most: number) =>
    Array.from({ length: 1 + randomBelow(most) }, () => pick(pieces)).join("");

  const [a, b] = freePorts();
  await using terminal = await Terminal.open();
  await using bob = new Bot(["Bob", b, a]);
  await terminal.greet("chat", "Alice", a, b);
  await bob.until("welcome");
  await terminal.until("Welcome");
  const typing = new Typing(terminal);
  const said: string[] = [];
  const say = () => {
    said.push(`${said.length}: ${text(20).trim()}.`);
    void bob.say(said.at(-1)!);
  };
  const quiet = async () => {
    await bob.until("delivered", said.length);
    await bob.until("message", typing.lines.length);
    const all = () => terminal.screen("-e", "-S", "-");
    await inTime(shows(all, said.length + typing.lines.length), "all is shown");
    await typing.isShown();
  };

  for (let step = 0; step < STEPS; step++) {
    if (random() < MESSAGES) say();
    if (random() < resizes) {
      // A frame drawn at the very moment of a change of size may leave a trace, as with any program
      // that does not use the alternate screen.
      await quiet();
      await terminal.resize(40 + randomBelow(160), 20 + randomBelow(20));
      // The next `quiet` waits for this message, and so until the new size has been drawn.
      say();
    } else if (random() < 0.6) {
      await typing.text(text(3));
    } else {
      await typing.key(pick(Object.keys(KEYS)));
    }
  }
  // The first one may only end a search.
  await typing.key("Enter");
  await typing.key("Enter");
  await quiet();

  const arrived = await bob.until("message", typing.lines.length);
  assert.deepEqual(arrived.map(({ body }) => body), typing.lines);
  const all = unbroken(await terminal.screen("-J", "-S", "-"));
  // Blanks at the end of a line may take a row of their own.
  const conversation = all.slice(all.indexOf("Bob.\n\n") + "Bob.\n\n".length).split("\n")
    .filter((line) => line !== "");
  const of = (name: string) =>
    conversation.flatMap((line) => line.split(`] ${name}> `, 2).slice(1)).map(withoutBlanks);
  assert.deepEqual(of("Bob"), said.map(withoutBlanks));
  assert.deepEqual(of("Alice"), typing.lines.map(withoutBlanks));
  assert.deepEqual(conversation.filter((line) => !MESSAGE.test(line)), ["Alice>"]);
  assert.equal(conversation.at(-1), "Alice>");
}

/** A whole message, with its rows joined. */
const MESSAGE = /^\[\d\d:\d\d\] (Alice|Bob)> /;

/** Removes blanks: a terminal that rewraps its rows loses some at their ends. */
function withoutBlanks(text: string): string {
  return text.replaceAll(" ", "");
}

/** Waits until a screen shows a number of delivered messages, and no dim pending ones. */
async function shows(screen: () => Promise<string>, count: number): Promise<void> {
  for (;;) {
    const lines = (await screen()).match(STAMPED) ?? [];
    if (lines.length === count && !lines.some((line) => line.startsWith("\x1b[2m"))) return;
  }
}

/** A line of a conversation, with its colors. */
const STAMPED = new RegExp(String.raw`^(\x1b\[[\d;]*m)*\[\d\d:\d\d\] `, "gm");
