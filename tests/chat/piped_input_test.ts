import assert from "node:assert/strict";
import { Bot } from "../support/bot.ts";
import { freePorts } from "../support/ports.ts";
import { run } from "../support/program.ts";
import { posixTest } from "../support/tools.ts";

const LATE = "not everything was delivered within 0.3 s after the end of the input\n";

Deno.test("--linger bounds the wait for a peer without a journal as well, exit 78", async () => {
  const [a, b] = freePorts();
  const chat = ["chat", "Alice", a, b, "--no-journal", "--quiet", "--linger", "0.3"];
  const { code, out, err } = await run(chat, { input: "one\ntwo\n" });
  assert.deepEqual([code, out, err], [78, "", LATE]);
  const nothing = await run(chat, { input: "\n" });
  assert.deepEqual([nothing.code, nothing.err], [0, ""]);
});

posixTest("--linger bounds the wait for a suspended peer without a journal, exit 78", async () => {
  const [a, b] = freePorts();
  await using bob = new Bot(["Bob", b, a]);
  await using alice = new Bot(["Alice", a, b, "--no-journal", "--linger", "0.3"]);
  await alice.until("welcome");
  bob.program.kill("SIGSTOP");
  await alice.say("Hello?");
  await alice.say("Anybody?");
  await alice.program.end();
  assert.equal(await alice.program.code(), 78);
  assert(alice.all("error").some(({ message }) => `${message}\n` === LATE));
  bob.program.kill("SIGCONT");
});

Deno.test("lines that wait for a peer without a journal are sent when it comes within --linger", async () => {
  const [a, b] = freePorts();
  await using alice = new Bot(["Alice", a, b, "--no-journal", "--linger", "60"]);
  const lines = Array.from({ length: 50 }, (_, i) => `line ${i}`);
  for (const line of lines) await alice.say(line);
  await alice.program.end();
  await using bob = new Bot(["Bob", b, a]);
  const received = await bob.until("message", lines.length);
  assert.deepEqual(received.map(({ body }) => body), lines);
  assert.equal(await alice.program.code(), 0);
});
