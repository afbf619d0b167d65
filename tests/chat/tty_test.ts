/** However a chat ends, it restores the terminal; and chats without a full terminal. */
import assert from "node:assert/strict";
import { Bot } from "../support/bot.ts";
import { freePorts } from "../support/ports.ts";
import { ROOT, run } from "../support/program.ts";
import { PATIENCE_MS } from "../support/waiting.ts";
import { greetIn, Terminal, terminalTest } from "../support/terminal.ts";

/** A shell command that runs the program and writes its process id to a file. */
function withPid(args: readonly string[]): string {
  return `sh -c 'echo $$ > "$GREET_HOME/pid"; exec "$@"' sh ${greetIn(args)}`;
}

async function kill(terminal: Terminal, signal: Deno.Signal): Promise<void> {
  Deno.kill(Number(await Deno.readTextFile(`${terminal.home}/pid`)), signal);
}

const ENDS: readonly [how: string, end: (terminal: Terminal) => Promise<void>, exit: string][] = [
  ["Ctrl-C", (terminal) => terminal.type("C-c"), "exit 0"],
  ["Ctrl-D", (terminal) => terminal.type("C-d"), "exit 0"],
  ["/quit", (terminal) => terminal.type("/quit", "Enter"), "exit 0"],
  ["SIGTERM", (terminal) => kill(terminal, "SIGTERM"), "exit 0"],
  ["SIGHUP", (terminal) => kill(terminal, "SIGHUP"), "exit 0"],
  ["SIGINT while a line is being typed", async (terminal) => {
    await terminal.type("half");
    await terminal.until("> half");
    await kill(terminal, "SIGINT");
  }, "exit 0"],
];

for (const [how, end, exit] of ENDS) {
  terminalTest(`${how} ends a chat and restores the terminal`, async () => {
    const [a, b] = freePorts();
    await using terminal = await Terminal.open();
    const before = await terminal.settings();
    await terminal.run(withPid(["chat", "Alice", a, b]));
    await terminal.until("refused");
    await end(terminal);
    assert.equal(
      await terminal.until(exit),
      `Waiting for other peer to connect...\n${exit}\n$`,
    );
    assert.equal(await terminal.settings(), before);
    await assertPastesAreUnmarked(terminal);
  });
}

terminalTest("closing the terminal ends the chat", async () => {
  const [a, b] = freePorts();
  await using terminal = await Terminal.open();
  await terminal.run(withPid(["chat", "Alice", a, b]));
  await terminal.until("refused");
  const pid = await Deno.readTextFile(`${terminal.home}/pid`);
  await terminal.close();
  const isThere = async () => {
    const { success } = await new Deno.Command("kill", { args: ["-0", pid.trim()] }).output();
    return success;
  };
  const deadline = Date.now() + PATIENCE_MS;
  while (await isThere()) assert(Date.now() < deadline, "it is still there");
});

async function assertPastesAreUnmarked(terminal: Terminal): Promise<void> {
  await terminal.clear();
  await terminal.paste("echo pasted\n");
  await terminal.until(/\$ echo pasted\npasted/);
}

terminalTest("a crash restores the terminal, too", async () => {
  await using terminal = await Terminal.open();
  const before = await terminal.settings();
  const script = `${terminal.home}/crash.ts`;
  const module = new URL("../../src/terminal/terminal.ts", import.meta.url).href;
  await Deno.writeTextFile(
    script,
    `import { openTerminal } from "${module}";
     const prompt = [{ text: "> ", look: "plain" }] as const;
     const screen = openTerminal({
       input: Deno.stdin.readable, prompt, color: false, bell: false, suspends: true
     });
     screen.show("open");
     const context = {
       commands: [], names: () => [], earlier: () => [], objection: () => undefined
     };
     for await (const line of screen.read(context)) {
       setTimeout(() => { throw new Error(line); });
     }`,
  );
  for (const how of ["thrown", "thrown again"]) {
    await terminal.run(`'${Deno.execPath()}' run -A --config '${ROOT}deno.json' '${script}'`);
    await terminal.until(/open\n>/);
    await terminal.type(how, "Enter");
    const screen = await terminal.until("exit 1");
    assert.match(screen, new RegExp(`^open\\nerror: Uncaught Error: ${how}\n`));
    assert.equal(await terminal.settings(), before);
    await assertPastesAreUnmarked(terminal);
  }
});

for (const shell of [["sh"], ["bash", "--norc", "--noprofile"]]) {
  terminalTest(
    `Ctrl-Z suspends a chat in ${shell[0]}, and fg resumes it with the line intact`,
    async () => {
      const [a, b] = freePorts();
      await using terminal = await Terminal.open({ shell });
      await using bob = new Bot(["Bob", b, a]);
      const before = await terminal.settings();
      await terminal.greet("chat", "Alice", a, b);
      await bob.until("welcome");
      await terminal.until("Welcome");
      for (const time of ["once", "twice"]) {
        await terminal.type(`half ${time}`);
        await terminal.until(`> half ${time}`);
        await terminal.type("C-z", "C-z");
        const stopped = await terminal.until(/Stopped/);
        assert(!stopped.includes(`half ${time}`));
        assert.equal(await terminal.settings(), before);
        await bob.say(`meanwhile ${time}`);
        await terminal.type('clear; fg; echo "exit $?"', "Enter");
        await terminal.until(new RegExp(`meanwhile ${time}\nAlice> half ${time}$`));
        await terminal.type(" and on", "Enter");
        await terminal.until(`] Alice> half ${time} and on`);
      }
      const messages = await bob.until("message", 2);
      assert.deepEqual(messages.map(({ body }) => body), ["half once and on", "half twice and on"]);
      await terminal.type("C-d");
      await terminal.until("exit 0");
      assert.equal(await terminal.settings(), before);
    },
  );
}

terminalTest("Ctrl-Z does nothing without job control", async () => {
  const [a, b] = freePorts();
  // The chat replaces the shell, so there is no job control.
  await using terminal = await Terminal.open();
  await terminal.type(`clear; exec ${greetIn(["chat", "Alice", a, b])}`, "Enter");
  await terminal.until("refused");
  await terminal.type("half", "C-z");
  await terminal.until(/Alice> half$/);
  await terminal.type(" and on");
  await terminal.until(/Alice> half and on$/);
});

terminalTest(
  "with GREET_NO_SUSPEND, Ctrl-Z only says that it does nothing",
  async () => {
    const [a, b] = freePorts();
    await using terminal = await Terminal.open();
    await terminal.run(`GREET_NO_SUSPEND=1 ${greetIn(["chat", "Alice", a, b])}`);
    await terminal.until("refused");
    await terminal.type("half", "C-z");
    await terminal.until(/Ctrl-Z does nothing here[^]*Alice> half$/);
  },
);

terminalTest("a chat that was suspended by a signal resumes at the cursor", async () => {
  const [a, b] = freePorts();
  await using terminal = await Terminal.open({ shell: ["bash", "--norc", "--noprofile"] });
  await terminal.run(withPid(["chat", "Alice", a, b]));
  await terminal.until("refused");
  await terminal.type("half");
  await terminal.until("> half");
  await kill(terminal, "SIGSTOP");
  await terminal.until("Stopped");
  await terminal.type('clear; fg; echo "exit $?"', "Enter");
  await terminal.until(/\nAlice> half$/);
  await terminal.type("C-c", "C-c");
  await terminal.until("exit 0");
});

// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x09\x0b-\x1f\x7f-\x9f]/;

terminalTest("TERM=dumb: plain lines, and typed lines are not shown twice", async () => {
  const [a, b] = freePorts();
  await using terminal = await Terminal.open();
  await using bob = new Bot(["Bob", b, a]);
  await terminal.run(`TERM=dumb ${greetIn(["chat", "Alice", a, b])}`);
  await terminal.until("Welcome");
  await terminal.record();
  await terminal.type("typed", "Enter");
  await bob.until("message");
  await bob.say("answered");
  await terminal.until("Bob> answered");
  const recorded = await terminal.recorded("Bob> answered\r\n");
  assert.match(recorded, /^typed\r\n\[\d\d:\d\d\] Bob> answered\r\n$/);
  await terminal.type("C-d");
  await terminal.until("exit 0");
});

terminalTest(
  "keyboard in, file out: typed lines are sent, and the file is plain text",
  async () => {
    const [a, b] = freePorts();
    await using terminal = await Terminal.open();
    await using bob = new Bot(["Bob", b, a]);
    await terminal.run(`${greetIn(["chat", "Alice", a, b])} > "$GREET_HOME/log"`);
    await terminal.file("log", "Welcome");
    await terminal.type("typed", "Enter");
    await terminal.file("log", "] Alice> typed\n");
    await bob.say("answered");
    const log = await terminal.file("log", "] Bob> answered\n");
    await terminal.type("C-d");
    await terminal.until("exit 0");
    assert.match(log, /\[\d\d:\d\d\] Alice> typed\n\[\d\d:\d\d\] Bob> answered\n$/);
    assert.doesNotMatch(log, CONTROL);
  },
);

terminalTest(
  "pipe in, terminal out: piped lines are sent, and the terminal shows colored lines",
  async () => {
    const [a, b] = freePorts();
    await using terminal = await Terminal.open();
    await using bob = new Bot(["Bob", b, a]);
    const before = await terminal.settings();
    await terminal.run(`printf 'piped\\n' | ${greetIn(["chat", "Alice", a, b])}`);
    await bob.until("message");
    await terminal.until(/\] Alice> piped\nexit 0/);
    // deno-lint-ignore no-control-regex
    assert.match(await terminal.screen("-e"), /\x1b\[38;5;\d+mAlice\x1b\[39m> piped/);
    assert.equal(await terminal.settings(), before);
  },
);

/** Looks like a message if a terminal happens to start a row with it. */
const FORGED = "[02:54] Bob> yes, pay him";

for (const [what, env] of [["a chat", ""], ["a chat with TERM=dumb", "TERM=dumb "]] as const) {
  terminalTest(`${what}: a message cannot choose the start of a row`, async () => {
    const [a, b] = freePorts();
    await using terminal = await Terminal.open();
    await using eve = new Bot(["Eve", b, a]);
    await terminal.run(env + greetIn(["chat", "Alice", a, b]));
    await terminal.until("Welcome");
    const space = 80 - "[17:24] Eve> ".length;
    // Other widths as well, in case the terminal ends its rows elsewhere.
    for (let more = -2; more <= 2; more++) await eve.say(" ".repeat(space + more) + FORGED);
    await eve.say("the end");
    await terminal.until("> the end");
    const screen = await terminal.screen("-S", "-");
    assert.equal(screen.match(/yes, pay him/g)?.length, 5);
    assert.doesNotMatch(screen, /^\[02:54\]/m);
  });
}

/** Texts with letters of several code points, which many terminals make more than one column wide. */
const COMBINED = [
  "प्रत्येक राष्ट्र ने स्त्रियों और विद्यार्थियों के लिए विशेष व्यवस्था की है; क्षत्रिय, प्रार्थना, विद्युत्, श्रद्धा।",
  "প্রত্যেক ব্যক্তির স্বাধীনতা এবং রাষ্ট্রের কর্তৃত্ব সম্পর্কে বিজ্ঞানীরা বিস্তৃত ব্যাখ্যা দিয়েছেন, শ্রদ্ধা ও স্বচ্ছতা।",
  "ทำไมน้ำในแม่น้ำถึงต่ำ คำตอบคือเราทำให้น้ำลดลงจำนวนมาก และจำเป็นต้องทำงานประจำเพื่อนำน้ำกลับมา สำหรับคำแนะนำ",
  "همه‌ی افراد بشر آزاد به دنیا می‌آیند و از لحاظ حیثیت و حقوق با هم برابرند. همه‌ی آن‌ها دارای عقل و وجدان می‌باشند",
  "ශ්‍රී ලංකාව",
  `I agree to pay ก${"ำ".repeat(200)} nothing at all`,
  `${"\u0600".repeat(100)} prefixed numbers`,
  `${"㉈".repeat(60)} circled numbers`,
];

terminalTest("a chat: no part of a message is lost in scripts with combined letters", async () => {
  const [a, b] = freePorts();
  await using terminal = await Terminal.open();
  await using eve = new Bot(["علی\u200cرضا", b, a]);
  await terminal.greet("chat", "Alice", a, b);
  await terminal.until("Welcome");
  for (const body of COMBINED) await eve.say(body);
  for (let more = 50; more < 70; more++) await eve.say(`ก${"ำ".repeat(more)}${FORGED}`);
  await eve.say("the end");
  await terminal.until("> the end");
  const screen = await terminal.screen("-S", "-");
  const shown = screen.replaceAll(/\s/g, "");
  for (const body of COMBINED) {
    assert(shown.includes(`علی\u200cرضا>${body.replaceAll(/\s/g, "")}[`), body);
  }
  assert.equal(shown.match(/yes,payhim/g)?.length, 20);
  assert.doesNotMatch(screen, /^\[02:54\]/m);
  await terminal.write("می\u200cخواهم");
  await terminal.until(/Alice> می\u200cخواهم$/);
});

terminalTest("a log: a caller cannot choose the start of a row", async () => {
  await using terminal = await Terminal.open({ columns: 60 });
  const [port] = freePorts();
  await terminal.type(`clear; ${greetIn(["serve", port])} & sleep 0.1`, "Enter");
  await terminal.until("listening on");
  const start = "[Server] Received request from user named '".length;
  const names = [0, 1, 2].map((more) => "x".repeat(59 - start + more) + "Server Received request");
  await run(["greet", port, ...names]);
  const screen = await terminal.until((screen) => screen.match(/request'$/gm)?.length === 3);
  assert.doesNotMatch(screen, /^Server Received/m);
  await terminal.type("kill %1", "Enter");
});

terminalTest("--json on a terminal is exact: long lines are not broken", async () => {
  const [a, b] = freePorts();
  await using terminal = await Terminal.open();
  await using eve = new Bot(["Eve", b, a]);
  await terminal.run(greetIn(["chat", "Alice", a, b, "--json"]));
  await eve.until("welcome");
  await eve.say("word ".repeat(50) + "\u202e\x9b2J");
  await terminal.until(/\\u009b2J"/);
  const line = (await terminal.screen("-J")).split("\n").find((line) => line.includes("word"))!;
  assert.equal(JSON.parse(line).body, "word ".repeat(50) + "\u202e\x9b2J");
});
