/** What the commands of a chat do, seen from all sides, as processes with piped input. */
import assert from "node:assert/strict";
import { Bot } from "../support/bot.ts";
import { temporaryHome } from "../support/home.ts";
import { freePorts } from "../support/ports.ts";
import { Program, run } from "../support/program.ts";

/** The lines of a conversation, with the same time of day in each. */
function linesOf(text: string): string[] {
  return text.replaceAll(/\[\d\d:\d\d\] /g, "[17:24] ").split("\n").filter((line) => line !== "");
}

/** Matches when a peer was welcomed, at the start or later. */
function isPresent(name: string): RegExp {
  return new RegExp(`chatting with .*\\b${name}\\b|^${name} is here\\.`, "m");
}

/** The port of a chat that was started on port 0, and is up now. */
async function portOf(bot: Bot): Promise<string> {
  const [{ port }] = await bot.until("listening");
  return `${port}`;
}

Deno.test("in a pipe, the answer of a command comes after the lines before it", async () => {
  const [a, b] = freePorts();
  const input = "one\n/history 0\ntwo\n/queue\n/cancel 1\nthree\n/history\n";
  const alice = await run(["chat", "Alice", a, `Bob@${b}`, "--linger", "0.1"], { input });
  assert.deepEqual(linesOf(alice.out), [
    "Waiting for other peer to connect...",
    "[17:24] Alice> one (waiting)",
    "Usage: /history N, where N is a number of lines from 1 to 999999.",
    "[17:24] Alice> two (waiting)",
    "1. [17:24] Alice> one (waiting for Bob)",
    "2. [17:24] Alice> two (waiting for Bob)",
    "[17:24] Alice> one (cancelled)",
    "[17:24] Alice> three (waiting)",
    "No messages have been exchanged yet.",
  ]);
  assert.equal(alice.code, 78);
});

Deno.test("in a pipe, a command waits until the lines before it are delivered", async () => {
  const [a] = freePorts();
  await using bob = new Bot(["Bob", "0", a]);
  const b = await portOf(bob);
  const alice = await run(["chat", "Alice", a, b], { input: "one\ntwo\n/queue\n/history\n" });
  assert.deepEqual(linesOf(alice.out).slice(-5), [
    "[17:24] Alice> one",
    "[17:24] Alice> two",
    "No messages are waiting.",
    "[17:24] Alice> one",
    "[17:24] Alice> two",
  ]);
  await bob.until("message", 2);
});

Deno.test("/cancel says who will not get the message, and who has it", async () => {
  const [a, b, c, d] = freePorts(4);
  await using bob = new Bot(["Bob", b, a, c, d]);
  await using alice = Program.greet(["chat", "Alice", a, b, `Carol@${c}`, `Dave@${d}`]);
  await alice.out.until("Welcome");
  await alice.write("secret\n");
  await bob.until("message");
  await alice.out.until("secret (waiting for Carol and Dave)");
  await alice.write("/cancel 1\n/queue\n");
  await alice.out.until(
    "secret (cancelled for Carol and Dave; Bob has it)\nNo messages are waiting.",
  );
});

Deno.test("/me is shown as an action on both sides, and as a field to programs", async () => {
  const [a, b, c] = freePorts(3);
  await using bob = Program.greet(["chat", "Bob", b, a, c]);
  await using carol = new Bot(["Carol", c, a, b]);
  await using alice = Program.greet(["chat", "Alice", a, b, c]);
  for (const name of ["Bob", "Carol"]) await alice.out.until(isPresent(name));
  for (const name of ["Alice", "Carol"]) await bob.out.until(isPresent(name));
  await alice.write("/me waves\n* Bob waves back\n");
  for (const { out } of [alice, bob]) {
    await out.until(/^\[\d\d:\d\d\] \* Alice waves\n\[\d\d:\d\d\] Alice> \* Bob waves back$/m);
  }
  const [action, text] = await carol.until("message", 2);
  assert.deepEqual([action.body, action.action], ["waves", true]);
  assert(!("action" in text) && !("to" in text));
  await carol.program.write('{"body": "smiles", "action": true}\n');
  await alice.out.until("] * Carol smiles\n");
  assert.equal((await carol.until("queued"))[0].action, true);
});

Deno.test("/msg reaches one member of a group, waits for it alone, and is shown as such", async () => {
  const [a, b, c] = freePorts(3);
  await using carol = Program.greet(["chat", "Carol", c, a, b]);
  await using alice = Program.greet(["chat", "Alice", a, `Bob@${b}`, c]);
  await alice.out.until("You are chatting with Carol.");
  await alice.write("/msg Bob psst\n/queue\n");
  await alice.out.until(/^1\. \[\d\d:\d\d\] Alice \(only to Bob\)> psst \(waiting for Bob\)$/m);
  await using bob = new Bot(["Bob", b, a, c]);
  const [secret] = await bob.until("message");
  assert.deepEqual([secret.body, secret.to], ["psst", "Bob"]);
  await alice.out.until(/^\[\d\d:\d\d\] Alice \(only to Bob\)> psst$/m);
  await bob.program.write('{"body": "psst yourself", "to": "Alice"}\n{"body": "hi all"}\n');
  await alice.out.until(/^\[\d\d:\d\d\] Bob \(only to Alice\)> psst yourself\n.* Bob> hi all$/m);
  await carol.out.until("Bob> hi all\n");
  assert.doesNotMatch(carol.out.text, /psst/);
});

Deno.test("what was said with a removed peer stays readable, and what waits for it waits for /add", async () => {
  const [a, b, c] = freePorts(3);
  await using bob = new Bot(["Bob", b, a]);
  await using alice = Program.greet(["chat", "Alice", a, b, `Carol@${c}`]);
  await using home = temporaryHome();
  {
    await using carol = new Bot(["Carol", c, a], home);
    await alice.out.until(isPresent("Carol"));
    await carol.say("Carol here");
    await alice.out.until("Carol> Carol here");
  }
  await alice.out.until("Carol has left.");
  const shown = alice.out.text.length;
  await alice.write("for both\n/remove Carol\nfor Bob\n/queue\n/history\n/find here\n");
  await alice.out.until('1 line with "here".');
  assert.deepEqual(linesOf(alice.out.text.slice(shown)), [
    "[17:24] Alice> for both (waiting for Carol)",
    "Carol was removed and gets nothing more; what waits for Carol is kept.",
    "[17:24] Alice> for Bob",
    "1. [17:24] Alice> for both (waiting for Carol)",
    "Carol is not in this chat: what waits is sent when you meet again.",
    "[17:24] Carol> Carol here",
    "[17:24] Alice> for both",
    "[17:24] Alice> for Bob",
    "[17:24] Carol> Carol here",
    '1 line with "here".',
  ]);
  await using carol = new Bot(["Carol", c, a], home);
  await alice.write(`/add Carol@${c}\n`);
  await carol.until("message");
  await alice.out.until("Carol is back.");
  await alice.write("/queue\n");
  await alice.out.until("No messages are waiting.");
  assert.deepEqual(carol.all("message").map(({ body }) => body), ["for both"]);
  await bob.until("message", 2);
});

Deno.test("a line for a name that is not there goes to no one, and the exit code says so", async () => {
  const [a] = freePorts();
  await using bob = new Bot(["Bob", "0", a]);
  const b = await portOf(bob);
  const input = "/msg Carol secret\n/me\nhi\n";
  const alice = await run(["chat", "Alice", a, `Bob@${b}`], { input });
  assert.equal(
    alice.err,
    "line 1 of the input: no peer in this chat is called Carol; your peer is Bob\n" +
      "line 2 of the input: Usage: /me TEXT, as in /me waves\n",
  );
  assert.equal(alice.code, 69);
  const messages = await bob.until("message");
  assert.deepEqual(messages.map(({ body }) => body), ["hi"]);
});

Deno.test("/quit in a pipe leaves once the lines before it have arrived, and tells what was refused", async () => {
  const [a] = freePorts();
  await using bob = new Bot(["Bob", "0", a]);
  const b = await portOf(bob);
  const input = "/me\nbye\n/quit\nnever\n";
  const alice = await run(["chat", "Alice", a, `Bob@${b}`], { input });
  assert.equal(alice.err, "line 1 of the input: Usage: /me TEXT, as in /me waves\n");
  assert.equal(alice.code, 2);
  const messages = await bob.until("message");
  assert.deepEqual(messages.map(({ body }) => body), ["bye"]);
});

Deno.test("as JSON, a message whose addressee is not a known name goes to no one", async () => {
  const [a, b] = freePorts();
  await using bob = new Bot(["Bob", b, a]);
  await using alice = new Bot(["Alice", a, `Bob@${b}`]);
  for (const to of ["Carol", "", null, 1, ["Bob"]]) {
    await alice.program.write(`${JSON.stringify({ body: "secret", to })}\n`);
  }
  await alice.program.write('{"body": "waves", "action": "yes"}\n{"body": "hi", "to": "Bob"}\n');
  const errors = await alice.until("error", 6);
  assert.deepEqual(errors.map(({ code }) => code), [
    ...["NOT_FOUND", "NOT_FOUND", "USAGE", "USAGE", "USAGE", "USAGE"],
  ]);
  await alice.until("delivered");
  assert.deepEqual(bob.all("message").map(({ body }) => body), ["hi"]);
});

Deno.test("/find shows the last lines with a text, and says when there are more", async () => {
  const [a] = freePorts();
  await using bob = new Bot(["Bob", "0", a]);
  const b = await portOf(bob);
  const long = `${"x".repeat(5_000)} needle ${"y".repeat(5_000)}`;
  const lines = [...Array(22).keys()].map((i) => `Line ${i}`);
  const input = [...lines, long, "/find line", "/find NEEDLE", "/find %", "/find", ""].join("\n");
  const { out } = await run(["chat", "Alice", a, b], { input });
  await bob.until("message", 23);
  const answers = linesOf(out).slice(-25);
  assert.deepEqual(answers.slice(0, 20), lines.slice(2).map((line) => `[17:24] Alice> ${line}`));
  assert.equal(answers[20], 'The last 20 lines with "line"; there are more.');
  assert.match(answers[21], /^\[17:24\] Alice> …x{249} needle y{243}…$/);
  assert.deepEqual(answers.slice(22), [
    '1 line with "NEEDLE".',
    'No line with "%".',
    "Usage: /find TEXT",
  ]);
});
