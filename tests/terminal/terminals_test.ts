/** The same script in every terminal, screen by screen; docs/terminals.md says where they differ. */
import assert from "node:assert/strict";
import { pause } from "../../src/base/timing.ts";
import { Bot } from "../support/bot.ts";
import { freePorts } from "../support/ports.ts";
import { greetIn, POLL_MS, type TerminalBase, untimed } from "../support/terminal_base.ts";
import { type TerminalKind, TERMINALS } from "../support/terminals.ts";
import { PATIENCE_MS } from "../support/waiting.ts";

/** Alice's chat in a terminal, with Bob. */
class Stage {
  constructor(
    readonly kind: TerminalKind,
    readonly terminal: TerminalBase,
    readonly bob: Bot,
    readonly ports: readonly string[],
    /** The settings of the terminal before the chat. */
    readonly settings: string,
  ) {}

  /** Clears the line and the screen. */
  async clear(): Promise<void> {
    await this.terminal.type("x", "C-c", "C-l");
    await this.shows(["Alice>"], 7);
  }

  /**
   * Waits until the screen shows exactly some rows, and the cursor is in the last one, or `up` rows
   * above it.
   */
  async shows(rows: readonly string[], column: number, up = 0): Promise<void> {
    const wanted = { rows, cursor: { row: rows.length - 1 - up, column } };
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const found = {
        rows: untimed(await this.terminal.screen()),
        cursor: await this.terminal.cursor(),
      };
      if (Date.now() > deadline) return assert.deepEqual(found, wanted);
      try {
        return assert.deepEqual(found, wanted);
      } catch {
        await pause(POLL_MS);
      }
    }
  }

  /** Waits until the screen shows exactly some rows, as far as this terminal can, and the cursor. */
  async showsAsFarAsItCan(rows: readonly string[], column: number): Promise<void> {
    await this.shows(rows.map((row) => this.kind.shown(row).trimEnd()), column);
  }

  /** Waits until the screen ends with some rows, and shows the prompt only once. */
  async endsWith(...rows: string[]): Promise<void> {
    const wanted = rows.map((row) => row.trimEnd()).join("\n");
    await this.terminal.until((screen) =>
      screen.match(/^Alice>/gm)?.length === 1 &&
      untimed(screen).slice(-rows.length).join("\n") === wanted
    );
  }

  /** Waits until there is color on the screen, or none. */
  async hasColor(isWanted: boolean): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (await this.terminal.hasColor() !== isWanted) {
      assert(Date.now() < deadline, isWanted ? "everything is plain" : "something is in color");
      await pause(POLL_MS);
    }
  }

  /** Waits until Bob has got a message. */
  async bobGets(body: string): Promise<void> {
    const count = this.bob.all("message").length;
    for (let more = count;; more++) {
      const messages = await this.bob.until("message", more);
      if (messages.at(-1)?.body === body) return;
    }
  }
}

const SCENES: Readonly<Record<string, (stage: Stage) => Promise<void>>> = {
  async "the keys for editing do what they say"(stage) {
    const { terminal, kind } = stage;
    await stage.clear();
    await terminal.type("Helo", "Left", "l", "Home", "Oh! ", "End", "?x", "BSpace");
    await stage.shows(["Alice> Oh! Hello?"], 17);
    await terminal.type("Left", "Left", "DC");
    await stage.shows(["Alice> Oh! Hell?"], 15);
    await terminal.type("o", "Right", "Home", "Right", "Right");
    await stage.shows(["Alice> Oh! Hello?"], 9);
    await terminal.type("End", "Enter");
    await stage.shows(["[17:24] Alice> Oh! Hello?", "Alice>"], 7);
    await terminal.type("Up");
    await stage.shows(["[17:24] Alice> Oh! Hello?", "Alice> Oh! Hello?"], 17);
    await terminal.type("Down");
    await stage.shows(["[17:24] Alice> Oh! Hello?", "Alice>"], 7);
    await terminal.type("one two", "C-w", "M-b");
    const { altB } = kind;
    const line = altB === undefined ? "Alice> one" : `Alice> one ${altB}`;
    await stage.shows(["[17:24] Alice> Oh! Hello?", line], altB === undefined ? 7 : 12);
  },

  async "a message appears above a line of several rows"(stage) {
    const { terminal, bob } = stage;
    await stage.clear();
    const long = `${"x".repeat(60)} and words that go on over more than one row`;
    const typed = [`Alice> ${long.slice(0, 72)}`, long.slice(72)];
    await terminal.type(long);
    await stage.shows(typed, 32);
    await terminal.type("Home");
    await stage.shows(typed, 7, 1);
    await bob.say(`meanwhile ${"word ".repeat(15)}`.trim());
    const said = [
      `[17:24] Bob> meanwhile${" word".repeat(11)}`,
      `       ${" word".repeat(4)}`,
    ];
    await stage.shows([...said, ...typed], 7, 1);
    await terminal.type("End", "C-u");
    await stage.shows([...said, "Alice>"], 7);
  },

  async "wide letters and accents leave the cursor in the right column"(stage) {
    const { terminal, bob } = stage;
    await stage.clear();
    await terminal.write("日本語 cafe\u0301 ok");
    await stage.showsAsFarAsItCan(["Alice> 日本語 cafe\u0301 ok"], 21);
    await terminal.type("Home", "Right", "Right");
    await stage.showsAsFarAsItCan(["Alice> 日本語 cafe\u0301 ok"], 11);
    await terminal.type("x", "DC");
    await stage.showsAsFarAsItCan(["Alice> 日本x cafe\u0301 ok"], 12);
    for (let i = 0; i < 5; i++) await terminal.type("Right");
    await terminal.type("BSpace");
    await stage.showsAsFarAsItCan(["Alice> 日本x caf ok"], 16);
    await terminal.type("Enter");
    await stage.bobGets("日本x caf ok");
    await bob.say("한국어 cafe\u0301 ok");
    await stage.showsAsFarAsItCan([
      "[17:24] Alice> 日本x caf ok",
      "[17:24] Bob> 한국어 cafe\u0301 ok",
      "Alice>",
    ], 7);
  },

  async "emoji leave no trace, whatever their width"(stage) {
    const { terminal, bob, kind } = stage;
    await stage.clear();
    await terminal.write("🚀 👩‍🚀");
    await stage.showsAsFarAsItCan(["Alice> 🚀 👩‍🚀"], 10 + kind.astronautColumns);
    await terminal.type("BSpace", "BSpace", "BSpace", "ok");
    await stage.shows(["Alice> ok"], 9);
    await terminal.write("🚀");
    await stage.shows(["Alice> ok🚀"], 11);
    await terminal.type("Left", "Left", "!");
    await stage.shows(["Alice> o!k🚀"], 9);
    await bob.say("🚀 👍🏽 🇩🇪 1️⃣ ❤️ 👩‍🚀 end");
    await stage.showsAsFarAsItCan([
      "[17:24] Bob> 🚀 👍🏽 🇩🇪 1️⃣ ❤️ 👩‍🚀 end",
      "Alice> o!k🚀",
    ], 9);
  },

  async "a paste of several lines is one message"(stage) {
    const { terminal } = stage;
    await stage.clear();
    await terminal.paste("one\ntwo\nthree");
    await stage.shows(["Alice> one", "        two", "        three"], 13);
    await terminal.type("Enter");
    await stage.shows(["[17:24] Alice> one", "        two", "        three", "Alice>"], 7);
    await stage.bobGets("one\ntwo\nthree");
  },

  async "a change of width loses nothing that fits"(stage) {
    const { terminal, bob } = stage;
    await stage.clear();
    await bob.say("first");
    await terminal.type("being typed");
    await stage.shows(["[17:24] Bob> first", "Alice> being typed"], 18);
    await terminal.resize(50, 20);
    await bob.say("second");
    const said = ["[17:24] Bob> first", "[17:24] Bob> second"];
    await stage.shows([...said, "Alice> being typed"], 18);
    await terminal.resize(100, 20);
    await bob.say("third");
    said.push("[17:24] Bob> third");
    await stage.shows([...said, "Alice> being typed"], 18);
    await terminal.resize(80, 20);
    await terminal.type("!");
    await stage.shows([...said, "Alice> being typed!"], 19);
  },

  async "changes of the size leave one copy of a long line, and all that was said"(stage) {
    const { terminal, bob } = stage;
    await stage.clear();
    const long = "a line that is being typed while the window changes its size, again and again";
    await terminal.type(long);
    await bob.say(`before ${"word ".repeat(15)}end`);
    await stage.endsWith("        word word word word end", `Alice> ${long.slice(0, 72)}`, "again");
    await terminal.resize(50, 20);
    await bob.say("narrow");
    const narrow = "[17:24] Bob> narrow";
    await stage.endsWith(narrow, `Alice> ${long.slice(0, 42)}`, long.slice(42));
    await terminal.resize(100, 20);
    await bob.say("wide");
    await stage.endsWith(narrow, "[17:24] Bob> wide", `Alice> ${long}`);
    await terminal.resize(100, 12);
    await terminal.type(".");
    await stage.endsWith(`Alice> ${long}.`);
    await terminal.resize(80, 20);
    await bob.say("as before");
    await stage.endsWith(
      "[17:24] Bob> as before",
      `Alice> ${long.slice(0, 72)}`,
      `${long.slice(72)}.`,
    );
  },

  async "Ctrl-Z gives the terminal back, and fg takes it again"(stage) {
    const { terminal } = stage;
    await stage.clear();
    await stage.hasColor(true);
    await terminal.type("half", "C-z");
    await terminal.until(/Stopped[^]*\n\$$/);
    await terminal.paste("echo pasted\n");
    await terminal.until(/^pasted\n\$$/m);
    await terminal.type('clear; fg; echo "exit $?"', "Enter");
    await terminal.until(/\nAlice> half$/);
    await terminal.type("End", " and on");
    await terminal.until(/\nAlice> half and on$/);
  },

  async "leaving gives the terminal back, with the conversation on it"(stage) {
    const { terminal, bob, settings } = stage;
    await stage.clear();
    await bob.say("bye");
    await stage.shows(["[17:24] Bob> bye", "Alice>"], 7);
    await terminal.type("C-d");
    await stage.shows(["[17:24] Bob> bye", "exit 0", "$"], 2);
    assert.equal(await terminal.settings(), settings);
    await terminal.clear();
    await terminal.paste("echo pasted\n");
    await stage.shows(["$ echo pasted", "pasted", "$"], 2);
  },

  async "NO_COLOR means no color"(stage) {
    const { terminal, ports } = stage;
    await terminal.run(`NO_COLOR=1 ${greetIn(["chat", "Alice", ...ports])}`);
    await terminal.until(/Welcome[^]*\nAlice>$/);
    await stage.hasColor(false);
    await terminal.type("C-d");
    await terminal.until(/exit 0\n\$$/);
  },

  async "rows that no longer fit are broken again or cut, as the docs say"({ terminal, kind }) {
    await terminal.clear();
    await terminal.type("printf '%070d\\n' 7", "Enter");
    await terminal.until(/^0+7\n\$$/m);
    await terminal.resize(50, 20);
    await terminal.type("stty size", "Enter");
    const screen = await terminal.until(/^20 50\n\$$/m);
    assert.equal(/^0+7$/m.test(screen), kind.rewraps);
  },
};

for (const kind of TERMINALS) {
  Deno.test({
    name: `the script in ${kind.name} (needs ${kind.needs})`,
    ignore: !kind.isHere,
    fn: async (t) => {
      const [a, b] = freePorts();
      await using terminal = await kind.open();
      await using bob = new Bot(["Bob", b, a]);
      const settings = await terminal.settings();
      await terminal.greet("chat", "Alice", a, b);
      await terminal.until("Welcome");
      const stage = new Stage(kind, terminal, bob, [a, b], settings);
      for (const [name, scene] of Object.entries(SCENES)) {
        const isDone = await t.step(name, () => scene(stage));
        // What follows would only fail for want of a screen to begin with.
        if (!isDone) return;
      }
    },
  });
}
