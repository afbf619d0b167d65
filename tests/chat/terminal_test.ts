/** A chat in a real terminal: tmux types and reads the screen. */
import assert from "node:assert/strict";
import { Bot } from "../support/bot.ts";
import { freePorts } from "../support/ports.ts";
import { greetIn, Terminal, terminalTest, unbroken, untimed } from "../support/terminal.ts";

terminalTest("two screens show the transcript of a chat, to the letter", async () => {
  const [a, b] = freePorts();
  await using alice = await Terminal.open();
  await using bob = await Terminal.open();
  await alice.greet("chat", "Alice", a, b);
  assert.deepEqual(untimed(await alice.until("refused")), [
    "Waiting for other peer to connect...",
    `127.0.0.1:${b}: connection refused`,
    "Alice>",
  ]);
  await bob.greet("chat", "Bob", b, a);
  await alice.until("Welcome");
  await alice.type("Hello, Bob!", "Enter");
  await bob.until("> Hello, Bob!");
  await bob.type("Hello, Alice!", "Enter");
  await bob.until("] Bob> Hello, Alice!");
  const said = ["[17:24] Alice> Hello, Bob!", "[17:24] Bob> Hello, Alice!"];
  assert.deepEqual(untimed(await alice.until("] Bob> Hello, Alice!")), [
    "Waiting for other peer to connect...",
    "",
    "Welcome, Alice. You are chatting with Bob.",
    "",
    ...said,
    "Alice>",
  ]);
  await bob.type("/quit", "Enter");
  assert.deepEqual(untimed(await bob.until("exit 0")), [
    "Waiting for other peer to connect...",
    "",
    "Welcome, Bob. You are chatting with Alice.",
    "",
    ...said,
    "exit 0",
    "$",
  ]);
  await alice.until("Bob has left.");
  await alice.type("still there?", "Enter");
  await alice.until("] Alice> still there? (waiting)");
});

terminalTest(
  "Ctrl-L scrolls the conversation away, and no copy of the line being typed",
  async () => {
    await using chat = await together();
    const { alice, bob } = chat;
    await bob.say("said before");
    await alice.until("said before");
    await alice.type("half-a-line-".repeat(8));
    await alice.until(/\nAlice> half/);
    await alice.type("C-l");
    await alice.until(/^Alice> half/);
    const history = await alice.screen("-S", "-");
    assert.match(history, /said before/);
    assert.equal(history.match(/Alice> half/g)?.length, 1);
  },
);

terminalTest("a message appears above the line being typed", async () => {
  await using chat = await together();
  const { alice, bob } = chat;
  const long = "half-a-line-".repeat(12);
  await alice.type(long, "Home");
  await alice.until(long.slice(-20));
  await bob.say("first", "second");
  await alice.until("] Bob> second");
  await alice.type("the cursor is where it was: ", "Enter");
  await alice.until(/\] Alice> the cursor[^]*\nAlice>/);
  const screen = await alice.screen("-J");
  assert.equal(
    untimed(unbroken(screen)).slice(4).join("|"),
    `[17:24] Bob> first|[17:24] Bob> second|[17:24] Alice> the cursor is where it was: ${long}|Alice>`,
  );
});

terminalTest(
  "a pending message stands below, dim, can be listed and cancelled, and moves up when delivered",
  async () => {
    const [a, b] = freePorts();
    await using alice = await Terminal.open();
    await using bob = await Terminal.open();
    await alice.greet("chat", "Alice", a, b);
    await alice.until("refused");
    const long = "a line that is longer than the screen is wide ".repeat(3).trim();
    for (const line of ["one", "two", long]) await alice.type(line, "Enter");
    await alice.until(
      /Alice> one \(waiting\)\n.*Alice> two \(waiting\)\n.*Alice> a line.*… \(waiting\)\n/,
    );
    // deno-lint-ignore no-control-regex
    assert.match(await alice.screen("-e"), /\x1b\[2m[^\x1b]*\] Alice> two \(waiting\)/);
    await alice.type("/queue", "Enter");
    await alice.until(
      new RegExp(`2\\. \\[\\d\\d:\\d\\d\\] Alice> two \\(waiting for 127.0.0.1:${b}\\)`),
    );
    await alice.type("/cancel 2", "Enter");
    await alice.until("] Alice> two (cancelled)");
    await alice.type("/who", "Enter");
    await alice.until(`Not here yet: 127.0.0.1:${b}: connection refused.`);
    await bob.greet("chat", "Bob", b, a);
    await bob.until(/\] Alice> one\n/);
    await alice.until(/Welcome[^]*e\nAlice>/);
    const screen = untimed(unbroken(await alice.screen("-J")));
    const at = screen.indexOf("Welcome, Alice. You are chatting with Bob.");
    assert.equal(
      screen.slice(at + 2).join("|"),
      `[17:24] Alice> one|[17:24] Alice> ${long}|Alice>`,
    );
    await bob.type("/quit", "Enter");
    await alice.until("Bob has left.");
    await alice.type("three", "Enter");
    await alice.until("] Alice> three (waiting)");
    await alice.type("/quit", "Enter");
    await alice.until("1 message for Bob is kept and will be sent when you meet again.\nexit 0");
    await alice.greet("chat", "Alice", a, b, "--history", "2");
    const again = untimed(await alice.until(/three \(waiting\)[^]*\nAlice>/)).join("|");
    assert.match(again, /^\[17:24\] Alice> one\|\[17:24\] Alice> a line/);
    // deno-lint-ignore no-control-regex
    assert.match(await alice.screen("-e"), /^\x1b\[2m\[\d\d:\d\d\] Alice> one/);
  },
);

terminalTest("options and environment decide whether there is color", async () => {
  const [a, b] = freePorts();
  const wanted: readonly [env: string, args: string[], dim: boolean][] = [
    ["", [], true],
    ["NO_COLOR=1 ", [], false],
    ["NO_COLOR=1 ", ["--color", "always"], true],
    ["TERM=dumb ", [], false],
    ["TERM=dumb FORCE_COLOR=1 ", [], true],
    ["", ["--color=never"], false],
  ];
  for (const [env, args, dim] of wanted) {
    await using terminal = await Terminal.open();
    await terminal.run(env + greetIn(["chat", "Alice", a, b, ...args]));
    await terminal.until("Waiting for");
    // deno-lint-ignore no-control-regex
    assert.equal(/\x1b\[2m/.test(await terminal.screen("-e")), dim, env + args);
  }
});

terminalTest("an unknown command is answered, and not sent", async () => {
  const [a, b] = freePorts();
  await using terminal = await Terminal.open();
  await terminal.greet("chat", "Alice", a, b);
  await terminal.until("refused");
  await terminal.type("/qiut", "Enter");
  await terminal.until("Unknown command: /qiut. Did you mean /quit?");
});

terminalTest(
  "// says a line that begins with a slash, and recalls it as it was typed",
  async () => {
    const [a, b] = freePorts();
    await using alice = await Terminal.open();
    await using bob = new Bot(["Bob", b, a]);
    await alice.greet("chat", "Alice", a, b);
    await alice.until("Welcome");
    await alice.type("//etc/passwd", "Enter");
    await alice.until("] Alice> /etc/passwd");
    await alice.type("C-d");
    await alice.until("exit 0");
    await alice.greet("chat", "Alice", a, b);
    await alice.until("Welcome");
    await alice.type("Up");
    await alice.until(/Alice> \/\/etc\/passwd$/);
    await alice.type("Enter");
    assert.deepEqual(await bodies(bob, 2), ["/etc/passwd", "/etc/passwd"]);
  },
);

terminalTest("a command with a space in front is not sent without a question", async () => {
  await using chat = await together();
  const { alice, bob } = chat;
  await alice.type("Space", "/quit", "Enter");
  await alice.until(/with a space in front, \/quit is a message\.[^]*\nAlice> {2}\/quit$/);
  await alice.type("Home", "DC", "/", "C-e", "!", "Enter");
  assert.deepEqual(await bodies(bob, 1), ["/quit!"]);
  await alice.type("Space", "/qiut", "Enter");
  await alice.until(/\/qiut is a message\.[^]*\nAlice> {2}\/qiut$/);
  await alice.type("Enter");
  assert.deepEqual(await bodies(bob, 2), ["/quit!", " /qiut"]);
});

terminalTest("a paste of 5 MB can be seen, is refused, and stays in the line", async () => {
  await using chat = await together();
  const { alice, bob } = chat;
  await alice.paste("word ".repeat(1_000_000));
  await alice.until(/\(character 5000000 of 5000000\)\n/);
  await alice.type("Enter");
  await alice.until("Not sent: the message has 5000000 bytes; the limit is 4000000.");
  await alice.type("C-u", "but this");
  await alice.until(/Alice> but this$/);
  await alice.type("Enter");
  assert.deepEqual(await bodies(bob, 1), ["but this"]);
});

terminalTest(
  "on a narrow terminal, the remedy for a missing connection is not cut off",
  async () => {
    const [a, b] = freePorts();
    await using terminal = await Terminal.open({ columns: 40, rows: 20 });
    await using _bob = new Bot(["Bob", b, a]);
    await terminal.greet("chat", "Alice", a, b, "--tls");
    await terminal.until(/this side does\n {2}turn it on over there: --tls\n/);
  },
);

/** Alice in a terminal, in a chat with a bot called Bob. */
async function together(args: string[] = [], options?: Parameters<typeof Terminal.open>[0]) {
  const [a, b] = freePorts();
  await using resources = new AsyncDisposableStack();
  const alice = resources.use(await Terminal.open(options));
  const bob = resources.use(new Bot(["Bob", b, a]));
  await alice.greet("chat", "Alice", a, b, ...args);
  await bob.until("welcome");
  await alice.until("Welcome");
  const moved = resources.move();
  return { alice, bob, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

async function bodies(bob: Bot, count: number): Promise<unknown[]> {
  return (await bob.until("message", count)).map(({ body }) => body);
}

terminalTest("a paste of several lines is one message, shown before it is sent", async () => {
  await using chat = await together();
  const { alice, bob } = chat;
  await alice.type("see:", "Enter");
  await alice.paste("first\n\tsecond \x1b[31m\n/quit\n");
  assert.match(
    untimed(await alice.until("/quit")).join("|"),
    /\|Alice> first\| {12}second ␛\[31m\| {8}\/quit$/,
  );
  assert.deepEqual(await bodies(bob, 1), ["see:"]);
  await alice.type("Enter");
  assert.deepEqual(await bodies(bob, 2), ["see:", "first\n\tsecond \x1b[31m\n/quit"]);
  assert.match(
    untimed(await alice.until(/\/quit\nAlice>/)).join("|"),
    /\|\[17:24\] Alice> first\| {12}second ␛\[31m\| {8}\/quit\|Alice>$/,
  );
});

terminalTest("deleted text leaves no trace when the terminal becomes narrower", async () => {
  await using chat = await together();
  const { alice, bob } = chat;
  await alice.paste(`${"long ".repeat(14)}\nsecond`);
  await alice.until("second");
  await alice.type("Up", "C-a", "C-k", "first", "Down", "!");
  await alice.until(/Alice> first\n {8}secon!d$/);
  await alice.resize(50, 20);
  await bob.say("hi");
  assert.match(
    untimed(await alice.until(/Bob> hi\n/)).join("|"),
    /Bob\.\|\|\[17:24\] Bob> hi\|Alice> first\| {8}secon!d$/,
  );
});

terminalTest("a row that deleted text was in leaves no trace below a new row", async () => {
  const [a, b] = freePorts();
  await using alice = await Terminal.open();
  await alice.greet("chat", "Alice", a, b);
  await alice.until("refused");
  await alice.write("x".repeat(70));
  await alice.until("xxx");
  await alice.type("C-u");
  await alice.write("hi");
  await alice.until("Alice> hi");
  await alice.type("Enter");
  await alice.until(/hi \(waiting\)\n.* refused\nAlice>$/);
  await alice.resize(60, 20);
  await alice.write("there");
  const rows = untimed(await alice.until("Alice> there"));
  assert.equal(rows.filter((row) => row.includes("(waiting)")).length, 1, rows.join("\n"));
  assert.match(rows.join("|"), /hi \(waiting\)\|[^|]* refused\|Alice> there$/);
});

terminalTest("a typed line that fills its rows exactly leaves no trace when narrowed", async () => {
  await using chat = await together();
  const { alice } = chat;
  const line = "x".repeat(2 * 50 - "Alice> ".length - "ends".length) + "ends";
  await alice.resize(120, 20);
  await alice.write(line);
  await alice.until("ends");
  await alice.resize(50, 20);
  await alice.write("!");
  const screen = await alice.until("!");
  assert.equal(screen.match(/Alice> x/g)?.length, 1, screen);
});

terminalTest("a typed line that fills the whole screen when narrowed leaves no copy", async () => {
  await using chat = await together([], { columns: 80, rows: 6 });
  const { alice } = chat;
  await alice.write("x".repeat(95) + "ends");
  await alice.until("ends");
  await alice.resize(20, 6);
  await alice.write("!");
  await alice.until("!");
  const all = await alice.screen("-S", "-");
  assert.equal(all.match(/ends/g)?.length, 1, all);
});

for (const columns of [40, 80, 200]) {
  terminalTest(
    `a line of 5,000 characters can be typed, edited and read, ${columns} columns wide`,
    async () => {
      await using chat = await together([], { columns, rows: 24 });
      const { alice, bob } = chat;
      const line = "0123456789".repeat(500);
      await alice.write(line);
      await alice.type("C-a", "<", "C-e", "BSpace", ">");
      const [body] = await (alice.type("Enter"), bodies(bob, 1));
      assert.equal(body, `<${line.slice(0, -1)}>`);
      await alice.until(/>\nAlice>/);
      const all = unbroken(await alice.screen("-J", "-S", "-")).split("\n");
      assert.deepEqual(all.slice(-2).map((row) => row.replace(/^\[.{5}\] /, "")), [
        `Alice> ${body}`,
        "Alice>",
      ]);
    },
  );
}

terminalTest("Ctrl-C clears the line, and leaves on an empty line", async () => {
  await using chat = await together();
  const { alice, bob } = chat;
  await alice.type("not meant", "C-c");
  await alice.until(/\nAlice>$/);
  await alice.type("meant", "Enter", "C-c");
  await alice.until("exit 0");
  assert.deepEqual(await bodies(bob, 1), ["meant"]);
});

terminalTest("an empty line is ignored", async () => {
  await using chat = await together();
  const { alice, bob } = chat;
  const before = await alice.screen();
  await alice.type("Enter", "Space", "Space", "Enter", "x", "BSpace", "Enter", "that", "Enter");
  assert.deepEqual(await bodies(bob, 1), ["that"]);
  assert.equal(
    untimed(await alice.until(/that\nAlice>/)).join("|"),
    untimed(before).join("|").replace("|Alice>", "|[17:24] Alice> that|Alice>"),
  );
});

terminalTest("Up recalls earlier lines to the same peers, of earlier runs as well", async () => {
  const [a, b, c] = freePorts(3);
  await using alice = await Terminal.open();
  await using bob = new Bot(["Bob", b, a]);
  await alice.greet("chat", "Alice", a, b);
  await alice.until("Welcome");
  await alice.type("one", "Enter", "two", "Enter", "/who", "Enter", "half");
  await alice.until(/Alice> half$/);
  await alice.type("Up", "Up");
  await alice.until(/Alice> two$/);
  await alice.type("Down", "Down");
  await alice.until(/Alice> half$/);
  await alice.type("C-c", "/quit", "Enter");
  await alice.until("exit 0");
  await alice.greet("chat", "Alice", a, b);
  await alice.until("Welcome");
  await alice.type("Up", "Up");
  await alice.until(/Alice> one$/);
  await alice.type("C-c", "C-c");
  await alice.until("exit 0");
  // With other peers, lines to Bob are not recalled.
  await using carol = new Bot(["Carol", c, a]);
  await alice.greet("chat", "Alice", a, c);
  await alice.until("Welcome");
  await alice.type("Up", "nothing");
  await alice.until(/Alice> nothing$/);
  await bob.until("left");
  await carol.until("welcome");
});

terminalTest(
  "a long message is shortened at the next start, and /history shows it whole",
  async () => {
    const [a, b] = freePorts();
    await using alice = await Terminal.open({ columns: 40 });
    await using bob = new Bot(["Bob", b, a]);
    await alice.greet("chat", "Alice", a, b);
    await alice.until("Welcome");
    await bob.say(`${"word ".repeat(300)}the end`, "short");
    await alice.until(/the end\n.*> short\nAlice>/);
    await alice.type("C-d");
    await alice.until("exit 0");
    await alice.greet("chat", "Alice", a, b);
    await alice.until("Welcome");
    const screen = await alice.screen("-J", "-S", "-");
    assert.match(
      unbroken(screen),
      /> word [dorw ]+… \(\d+ more characters: see \/history\)\n.*> short\n/,
    );
    await alice.type("/history", "Enter");
    await alice.until(/the end\n.*> short\nAlice>/);
  },
);

terminalTest("Ctrl-R finds what was said, and a second Enter sends it", async () => {
  await using chat = await together();
  const { alice, bob } = chat;
  for (const line of ["one word", "two words", "three"]) await alice.type(line, "Enter");
  await alice.type("half", "C-r");
  await alice.until(/\(search `'\) half$/);
  await alice.type("WOR");
  await alice.until(/\(search `WOR'\) two words$/);
  await alice.type("C-r");
  await alice.until(/\(search `WOR'\) one word$/);
  await alice.type("C-s");
  await alice.until(/\(search `WOR'\) two words$/);
  await alice.type("C-s");
  await alice.until(/\(failed search `WOR'\) two words$/);
  await alice.type("C-g");
  await alice.until(/Alice> half$/);
  await alice.type("C-r", "two", "Enter");
  await alice.until(/Alice> two words$/);
  await alice.type("C-r", "Escape");
  await alice.until(/Alice> two words$/);
  assert.equal((await bodies(bob, 3)).length, 3);
  await alice.type("C-e", "!", "Enter");
  assert.deepEqual(await bodies(bob, 4), ["one word", "two words", "three", "two words!"]);
});

terminalTest("Tab completes commands and names, and /help lists the commands", async () => {
  await using chat = await together();
  const { alice, bob } = chat;
  await alice.type("hello b", "Tab", "!", "Enter");
  assert.deepEqual(await bodies(bob, 1), ["hello Bob !"]);
  await alice.until(/> hello Bob !\nAlice>/);
  await alice.type("/he", "Tab", "Enter");
  const help = await alice.until(/\nCtrl-C .*\nAlice>/);
  const commands = ["/who", "/history [N]", "/queue", "/cancel N", "/help", "/quit", "//TEXT"];
  for (const left of [...commands, "Up, Ctrl-R", "Tab", "Ctrl-J", "Ctrl-C"]) {
    assert(help.includes(`\n${left} `), left);
  }
});

terminalTest("/help fits on a screen of 40 × 20", async () => {
  await using chat = await together([], { columns: 40, rows: 20 });
  const { alice } = chat;
  await alice.type("/help", "Enter");
  const help = await alice.until(/\nCtrl-C .*\nAlice>/);
  assert.match(help, /^\/who /m);
});

terminalTest("only changes are written to the terminal", async () => {
  await using chat = await together();
  const { alice, bob } = chat;
  await alice.write("a line that is rather long, and is not written again when it goes on");
  await alice.until("goes on");
  await alice.record();
  await alice.write("!");
  await alice.until("goes on!");
  assert.equal(await alice.recorded("!"), "!");
  await bob.say("hi");
  await alice.until("Bob> hi");
  // The footer moves down, so it is written again; nothing else is.
  const recorded = await alice.recorded("goes on!\x1b");
  assert(recorded.length < 200, JSON.stringify(recorded));
});

const RINGS: readonly [args: string[], body: string, rings: boolean][] = [
  [[], "hello, Alice", false],
  [["--bell", "all"], "hello", true],
  [["--bell", "mention"], "hello", false],
  [["--bell=mention"], "are you there, alice?", true],
];

for (const [args, body, rings] of RINGS) {
  const what = `${["a chat", ...args].join(" ")} ${rings ? "rings" : "does not ring"} for`;
  terminalTest(`${what} ${JSON.stringify(body)}`, async () => {
    await using chat = await together(args);
    const { alice, bob } = chat;
    await alice.record();
    await alice.type("mine for Alice", "Enter");
    await alice.until(/> mine for Alice\nAlice>/);
    assert(!(await alice.recorded("> mine")).includes("\x07"));
    await bob.say(body);
    assert.equal((await alice.recorded(`> ${body}`)).includes("\x07"), rings);
  });
}

terminalTest(
  "a name has its own color, the same on every screen, and messages have none",
  async () => {
    const [a, b] = freePorts();
    await using alice = await Terminal.open();
    await using bob = await Terminal.open();
    await alice.greet("chat", "Alice", a, b);
    await bob.greet("chat", "Bob", b, a);
    await Promise.all([alice.until("Welcome"), bob.until("Welcome")]);
    await bob.write("\x1b[31m[17:24] Alice> forged");
    await alice.type("hello", "Enter");
    await bob.until("Alice> hello");
    await bob.type("Enter");
    await Promise.all([
      alice.until("> [17:24] Alice> forged"),
      bob.until("> [17:24] Alice> forged"),
    ]);
    const colors = async (terminal: Terminal) =>
      // deno-lint-ignore no-control-regex
      [...(await terminal.screen("-e")).matchAll(/\x1b\[38;5;(\d+)m(\w+)(?:\x1b\[39m)?>/g)]
        .map(([, color, name]) => `${name} ${color}`).sort();
    const seen = await colors(alice);
    assert.equal(new Set(seen).size, 2);
    assert.deepEqual(new Set(await colors(bob)), new Set(seen));
    assert.equal(seen.length, 3);
  },
);
