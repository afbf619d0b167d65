/** What the commands of a chat do, seen from all sides, as processes with piped input. */
import assert from "node:assert/strict";
import { Bot } from "../support/bot.ts";
import { freePorts } from "../support/ports.ts";
import { Program, run } from "../support/program.ts";

/** The lines of a conversation, with the same time of day in each. */
function linesOf(text: string): string[] {
  return text.replaceAll(/\[\d\d:\d\d\] /g, "[17:24] ").split("\n").filter((line) => line !== "");
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
  const [a, b] = freePorts();
  await using bob = new Bot(["Bob", b, a]);
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
