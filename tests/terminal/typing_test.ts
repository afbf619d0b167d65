/** Typing in a real terminal while much is said and the window changes its size, at random. */
import assert from "node:assert/strict";
import { EMPTY, press, type Typist } from "../../src/terminal/line_editor.ts";
import { KeyReader } from "../../src/terminal/keys.ts";
import { compose } from "../../src/terminal/layout.ts";
import { Bot } from "../support/bot.ts";
import { freePorts } from "../support/ports.ts";
import { randomNumbers } from "../support/random.ts";
import { inTime } from "../support/waiting.ts";
import { Terminal, terminalTest, unbroken } from "../support/terminal.ts";

const SEEDS = Number(Deno.env.get("GREET_TEST_SEEDS") ?? 2);

/** How many things are typed in a run, and how often Bob says something meanwhile. */
const STEPS = 400;
const EVERY_MS = 20;

const PROMPT = [{ text: "Alice> ", look: "plain" }] as const;
const TYPIST: Typist = { commands: [], names: () => [], earlier: () => [] };
const NARROW = ["a", "word ", "é", "long".repeat(20), " ", "- "];
const WIDE = [...NARROW, "日本", "한국어", "🚀"];

/** Keys by the names that tmux has for them, and what a terminal sends for them. */
const KEYS: Readonly<Record<string, string>> = {
  Left: "\x1b[D",
  Right: "\x1b[C",
  Home: "\x1b[H",
  End: "\x1b[F",
  BSpace: "\x7f",
  DC: "\x1b[3~",
  "C-w": "\x17",
  "M-b": "\x1bb",
  Enter: "\r",
};

/** Types on a terminal, and knows what should have become of it. */
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
      const { editor, line } = press(this.#editor, key, TYPIST);
      this.#editor = editor;
      if (line !== undefined) this.lines.push(line);
    }
  }

  /** Waits until the terminal shows what is typed and not sent yet, at its end. */
  async isShown(): Promise<void> {
    const { columns, rows } = this.#terminal;
    const below = compose({ held: [], prompt: PROMPT, editor: this.#editor }, { columns, rows });
    const texts = below.rows.map((cells) => cells.map(({ text }) => text).join("").trimEnd());
    await this.#terminal.until((screen) => screen.endsWith(texts.join("\n").trimEnd()));
  }
}

/** Says something every now and then. */
class Talk {
  readonly #bot: Bot;
  readonly #text: () => string;
  readonly said: string[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(bot: Bot, text: () => string) {
    this.#bot = bot;
    this.#text = text;
  }

  start(): void {
    this.#timer = setInterval(() => {
      const body = `${this.said.length}: ${this.#text()}.`;
      this.said.push(body);
      void this.#bot.say(body);
    }, EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

for (let seed = 1; seed <= SEEDS; seed++) {
  terminalTest(`what is typed is sent, and nothing is garbled, while much is said: ${seed}`, () => {
    return muddle(seed, WIDE, 0);
  });

  // No wide characters: when tmux 3.3 rewraps some, it puts the cursor into the wrong row, whatever
  // program it is in. `canvas_test.ts` has both, in another terminal.
  terminalTest(`what is typed is sent, and nothing is garbled, while sizes change: ${seed}`, () => {
    return muddle(seed, NARROW, 1 / 50);
  });
}

async function muddle(seed: number, pieces: readonly string[], resizes: number): Promise<void> {
  const random = randomNumbers(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const some = (from: readonly string[]) => from[below(from.length)];
  const text = (most: number) =>
    Array.from({ length: 1 + below(most) }, () => some(pieces)).join("");

  const [a, b] = freePorts();
  await using terminal = await Terminal.open();
  await using bob = new Bot(["Bob", b, a]);
  await terminal.greet("chat", "Alice", a, b);
  await bob.until("welcome");
  await terminal.until("Welcome");
  const typing = new Typing(terminal);
  const talk = new Talk(bob, () => text(20).trim());
  const quiet = async () => {
    talk.stop();
    await bob.until("delivered", talk.said.length);
    await bob.until("message", typing.lines.length);
    const all = () => terminal.screen("-e", "-S", "-");
    await inTime(shows(all, talk.said.length + typing.lines.length), "all is shown");
    await typing.isShown();
  };

  talk.start();
  for (let step = 0; step < STEPS; step++) {
    if (random() < resizes) {
      // What is drawn in the very moment in which a terminal changes its size may leave a trace,
      // as with any program that has no screen of its own.
      await quiet();
      await terminal.resize(40 + below(160), 20 + below(20));
      talk.start();
    } else if (random() < 0.6) {
      await typing.text(text(3));
    } else {
      await typing.key(some(Object.keys(KEYS)));
    }
  }
  await typing.key("Enter");
  await quiet();

  const arrived = await bob.until("message", typing.lines.length);
  assert.deepEqual(arrived.map(({ body }) => body), typing.lines);
  const all = unbroken(await terminal.screen("-J", "-S", "-"));
  // Blanks at the end of a line may have a row for themselves.
  const conversation = all.slice(all.indexOf("Bob.\n\n") + "Bob.\n\n".length).split("\n")
    .filter((line) => line !== "");
  const of = (name: string) =>
    conversation.flatMap((line) => line.split(`] ${name}> `, 2).slice(1)).map(trimmed);
  assert.deepEqual(of("Bob"), talk.said.map(trimmed));
  assert.deepEqual(of("Alice"), typing.lines.map(trimmed));
  assert.deepEqual(conversation.slice(talk.said.length + typing.lines.length), ["Alice>"]);
}

/** A terminal does not tell blanks at the end from nothing. */
function trimmed(text: string): string {
  return text.trimEnd();
}

/** Waits until a screen has so many lines of a conversation, and none that is only held, and dim. */
async function shows(screen: () => Promise<string>, count: number): Promise<void> {
  for (;;) {
    const lines = (await screen()).match(STAMPED) ?? [];
    if (lines.length === count && !lines.some((line) => line.startsWith("\x1b[2m"))) return;
  }
}

/** A line of a conversation, with its colours. */
const STAMPED = new RegExp(String.raw`^(\x1b\[[\d;]*m)*\[\d\d:\d\d\] `, "gm");
