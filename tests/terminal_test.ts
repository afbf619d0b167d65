/** A chat in a real terminal: tmux types and reads the screen. */
import assert from "node:assert/strict";
import { freePorts, greetCommand } from "./program.ts";
import { Terminal, terminalTest, untimed } from "./terminal.ts";

terminalTest("the transcript of a chat, to the letter, on two screens", async () => {
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

terminalTest("a message arrives above the line that is being typed", async () => {
  const [a, b] = freePorts();
  await using alice = await Terminal.open();
  await using bob = await Terminal.open();
  await alice.greet("chat", "Alice", a, b);
  await bob.greet("chat", "Bob", b, a);
  await Promise.all([alice.until("Welcome"), bob.until("Welcome")]);
  const long = "half a line ".repeat(12).trim();
  await alice.type(long, "Home");
  await alice.until(`${long.slice(-20)}`);
  await bob.type("first", "Enter");
  await bob.type("second", "Enter");
  await alice.until("] Bob> second");
  await alice.type("the cursor is where it was: ", "Enter");
  const screen = untimed(await alice.until(/\] Alice> the cursor[^]*\nAlice>/)).slice(4).join("|");
  assert.equal(
    screen.replaceAll(/\|(?!\[|Alice>)/g, ""),
    `[17:24] Bob> first|[17:24] Bob> second|[17:24] Alice> the cursor is where it was: ${long}|Alice>`,
  );
});

terminalTest(
  "what waits stands below, dim, can be listed and cancelled, and moves up when it arrives",
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
    assert.match(await alice.screen("-e"), /\x1b\[2m\[\d\d:\d\d\] Alice> two \(waiting\)/);
    await alice.type("/queue", "Enter");
    await alice.until(
      new RegExp(`2\\. \\[\\d\\d:\\d\\d\\] Alice> two \\(waiting for 127.0.0.1:${b}\\)`),
    );
    await alice.type("/cancel 2", "Enter");
    await alice.until("] Alice> two (cancelled)");
    await alice.type("/who", "Enter");
    await alice.until(`Somebody is away: 127.0.0.1:${b}: connection refused.`);
    await bob.greet("chat", "Bob", b, a);
    await bob.until(/\] Alice> one\n/);
    const screen = untimed(await alice.until(/Welcome[^]*is wide\nAlice>/));
    const at = screen.indexOf("Welcome, Alice. You are chatting with Bob.");
    assert.equal(
      screen.slice(at + 2).join("|").replaceAll(/\|(?!\[|Alice>)/g, ""),
      `[17:24] Alice> one|[17:24] Alice> ${long}|Alice>`,
    );
    await bob.type("/quit", "Enter");
    await alice.until("Bob has left.");
    await alice.type("three", "Enter");
    await alice.until("] Alice> three (waiting)");
    await alice.type("/quit", "Enter");
    await alice.until("1 message for Bob is kept. It goes out when you meet again.\nexit 0");
    await alice.greet("chat", "Alice", a, b, "--history", "2");
    const again = untimed(await alice.until(/three \(waiting\)[^]*\nAlice>/)).join("|");
    assert.match(again, /^\[17:24\] Alice> one\|\[17:24\] Alice> a line/);
    // deno-lint-ignore no-control-regex
    assert.match(await alice.screen("-e"), /^\x1b\[2m\[\d\d:\d\d\] Alice> one/);
  },
);

for (const [how, leave] of [["Ctrl-C", "C-c"], ["Ctrl-D", "C-d"]] as const) {
  terminalTest(`${how} leaves, and the terminal is as it was`, async () => {
    const [a, b] = freePorts();
    await using terminal = await Terminal.open();
    await terminal.type("clear; stty -g | md5sum", "Enter");
    const [before] = /^[0-9a-f]{32}/m.exec(await terminal.until(/^[0-9a-f]{32}/m))!;
    await terminal.greet("chat", "Alice", a, b);
    await terminal.until("refused");
    await terminal.type(leave);
    await terminal.until("exit 0");
    await terminal.type("clear; stty -g | md5sum", "Enter");
    const [after] = /^[0-9a-f]{32}/m.exec(await terminal.until(/^[0-9a-f]{32}/m))!;
    assert.equal(after, before);
  });
}

terminalTest("colour is for those who want it", async () => {
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
    const command = [...greetCommand(), "chat", "Alice", a, b, ...args].map((part) => `'${part}'`);
    await terminal.type(`clear; ${env}${command.join(" ")}`, "Enter");
    await terminal.until("Waiting for");
    // deno-lint-ignore no-control-regex
    assert.equal(/\x1b\[2m/.test(await terminal.screen("-e")), dim, env + args);
  }
});

terminalTest("a mistyped command is not sent, and answered", async () => {
  const [a, b] = freePorts();
  await using terminal = await Terminal.open();
  await terminal.greet("chat", "Alice", a, b);
  await terminal.until("refused");
  await terminal.type("/qiut", "Enter");
  await terminal.until("There is no command /qiut. /help lists those that there are.");
});
