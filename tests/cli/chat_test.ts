/** Chats as processes with piped input and output. */
import assert from "node:assert/strict";
import { Peer } from "../../mod.ts";
import { freePorts } from "../support/ports.ts";
import { greetCommand, Printed, Program, ROOT, run } from "../support/program.ts";
import { posixTest } from "../support/tools.ts";
import { inTime, PATIENCE_MS } from "../support/waiting.ts";
import { dial } from "../../src/rpc/client.ts";
import { CHAT } from "../../src/rpc/services.ts";
import { parseTarget } from "../../src/net/address.ts";

/** A transcript with the same time of day in every line. */
function withoutTimes(text: string): string {
  return text.replaceAll(/^\[\d\d:\d\d\] /gm, "[17:24] ");
}

function transcriptOf(name: string, other: string, ...lines: string[]): string {
  const welcome = `Welcome, ${name}. You are chatting with ${other}.`;
  return ["Waiting for other peer to connect...", "", welcome, "", ...lines, ""].join("\n");
}

Deno.test("a chat prints exactly the expected transcript on both sides", async () => {
  const [a, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", a, b]);
  await alice.out.until("Waiting for other peer to connect...\n");
  await using bob = Program.greet(["chat", "Bob", b, a]);
  await alice.out.until("Welcome");
  await alice.write("Hello, Bob!\n");
  await Promise.all([alice, bob].map(({ out }) => out.until("Alice> Hello, Bob!\n")));
  await bob.write("Hello, Alice!\n");
  await alice.out.until("Bob> Hello, Alice!\n");
  await Promise.all([alice.end(), bob.end()]);
  assert.equal(await alice.code(), 0);
  assert.equal(await bob.code(), 0);
  const said = ["[17:24] Alice> Hello, Bob!", "[17:24] Bob> Hello, Alice!"];
  // The last one to leave sees that the other has left.
  const hasLeft = /\n(Alice|Bob) has left\.\n/g;
  assert.equal(
    withoutTimes(alice.out.text).replace(hasLeft, "\n"),
    transcriptOf("Alice", "Bob", ...said),
  );
  assert.equal(
    withoutTimes(bob.out.text).replace(hasLeft, "\n"),
    transcriptOf("Bob", "Alice", ...said),
  );
  assert.equal(alice.err.text + bob.err.text, "");
});

// On Windows, Deno ignores TZ: https://github.com/denoland/deno/issues/15370.
posixTest("the time shown is the sender's, in local time, and obeys TZ", async () => {
  const [a, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", a, b], { env: { TZ: "Asia/Kathmandu" } });
  await using bob = Program.greet(["chat", "Bob", b, a]);
  await bob.out.until("Welcome");
  await bob.write("now\n");
  const [, hours, minutes] = await alice.out.until(/^\[(\d\d):(\d\d)\] Bob> now$/m);
  const shown = Number(hours) * 60 + Number(minutes);
  const now = new Date();
  const expected = (now.getUTCHours() * 60 + now.getUTCMinutes() + 5 * 60 + 45) % 1440;
  assert([0, 1].includes((expected - shown + 1440) % 1440), `${hours}:${minutes}`);
});

Deno.test("piped lines wait for the peer and are delivered, and the chat exits with 0", async () => {
  const [a, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", a, b]);
  await alice.write("hi\n\n  \nno line end");
  await alice.end();
  await alice.out.until("Waiting for other peer to connect...\n");
  await using bob = Program.greet(["chat", "Bob", b, a]);
  await bob.out.until("Alice> hi\n");
  assert.equal(await alice.code(), 0);
  await bob.out.until("Alice has left.\n");
  await bob.leave();
  assert.equal(
    withoutTimes(bob.out.text),
    transcriptOf(
      "Bob",
      "Alice",
      "[17:24] Alice> hi",
      "[17:24] Alice> no line end",
      "Alice has left.",
    ),
  );
  const waiting = "[17:24] Alice> hi (waiting)\n[17:24] Alice> no line end (waiting)\n";
  assert.equal(
    withoutTimes(alice.out.text).replace(waiting, ""),
    transcriptOf("Alice", "Bob", "[17:24] Alice> hi", "[17:24] Alice> no line end"),
  );
  assert(withoutTimes(alice.out.text).includes(waiting));
});

Deno.test("the end of input ends a chat whose other peer has just left", async () => {
  const [a, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", a, b, "--no-journal"]);
  {
    await using bob = Program.greet(["chat", "Bob", b, a, "--no-journal"]);
    await bob.out.until("Welcome");
    await alice.write("hi\n");
    await bob.out.until("] Alice> hi\n");
    bob.kill();
  }
  await alice.out.until("Bob has left.\n");
  await alice.end();
  assert([0, 78].includes(await alice.code()), "delivered, or not and said so");
});

Deno.test("a chat with empty input still meets the other peer", async () => {
  const [a, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", a, b]);
  await alice.out.until("Waiting");
  const bob = await run(["chat", "Bob", b, a]);
  assert.equal(bob.code, 0);
  assert.equal(bob.out, transcriptOf("Bob", "Alice"));
  await alice.out.until("Welcome, Alice. You are chatting with Bob.\n");
});

const DEPARTURES: readonly [how: string, leave: (program: Program) => void | Promise<void>][] = [
  ["SIGINT", (program) => program.kill("SIGINT")],
  ["SIGTERM", (program) => program.kill("SIGTERM")],
  ["SIGHUP", (program) => program.kill("SIGHUP")],
  ["SIGKILL", (program) => program.kill("SIGKILL")],
  ["/quit", (program) => program.write("/quit\n")],
  ["the end of input", (program) => program.end()],
];

for (const [how, leave] of DEPARTURES) {
  const test = /^SIG(?!KILL)/.test(how) ? posixTest : Deno.test;
  test(`a peer that leaves with ${how} is announced, waited for, and welcomed back`, async () => {
    const [a, b] = freePorts();
    await using alice = Program.greet(["chat", "Alice", a, b]);
    await using bob = Program.greet(["chat", "Bob", b, a]);
    await Promise.all([alice.out.until("Welcome"), bob.out.until("Welcome")]);
    await leave(bob);
    await alice.out.until("Bob has left.\n");
    const code = await bob.code();
    if (how !== "SIGKILL") assert.equal(code, 0);
    await alice.write("kept\n");
    await using again = Program.greet(["chat", "Bob", b, a]);
    await again.out.until("Alice> kept\n");
    await alice.out.until("Bob is back.\n");
  });
}

posixTest(
  "without a journal, a message to a suspended peer is reported as not delivered",
  async () => {
    const [a, b] = freePorts();
    await using alice = Program.greet(["chat", "Alice", a, b, "--no-journal"]);
    await using bob = Program.greet(["chat", "Bob", b, a]);
    await Promise.all([alice.out.until("Welcome"), bob.out.until("Welcome")]);
    bob.kill("SIGSTOP");
    await alice.write("hello?\n");
    await alice.end();
    await alice.out.until(/\] Alice> hello\? \(not delivered: .*no answer within 5 s\)\n/);
    assert.equal(await alice.code(), 68);
  },
);

Deno.test("lines of 5 MB are refused and not echoed, the chat goes on, and exits with 72", async () => {
  const [a, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", a, b]);
  await using bob = Program.greet(["chat", "Bob", b, a]);
  await bob.out.until("Welcome");
  const long = "y".repeat(5_000_000);
  await alice.write(`${"x".repeat(1_000_000)}\n${long}\n${long}\nafter\n`);
  await alice.end();
  await bob.out.until("Alice> after\n");
  assert.equal(await alice.code(), 72);
  const refusal = "of the input: not sent: the message has 5000000 bytes; the limit is 4000000\n";
  assert(alice.err.text.startsWith(`line 2 ${refusal}line 3 ${refusal}`), alice.err.text);
  assert.doesNotMatch(alice.out.text, /yy/);
  assert.match(bob.out.text, /Alice> x{1000000}\n/);
  assert.doesNotMatch(bob.out.text, /yy/);
});

Deno.test("in a pipe, // says a command, and leaves paths and comments as they are", async () => {
  const [a, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", a, b]);
  await using bob = Program.greet(["chat", "Bob", b, a]);
  // Otherwise Alice may leave before she has met Bob, and keep the messages.
  await Promise.all([alice.out.until("Welcome"), bob.out.until("Welcome")]);
  await alice.write("/etc/passwd\n// a comment\n//who\n//quit now\n///help\n /quit\nnever\n");
  await bob.out.until("left");
  assert.equal(await alice.code(), 0);
  const said = [...bob.out.text.matchAll(/Alice> (.*)/g)].map(([, text]) => text);
  assert.deepEqual(said, ["/etc/passwd", "// a comment", "/who", "/quit now", "//help"]);
});

Deno.test("a message that took over a minute shows two times, and one that took a day a date", async () => {
  const [a, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", a, b], { env: { TZ: "UTC" } });
  await using bob = Program.greet(["chat", "Bob", b, a]);
  await alice.out.until("Welcome");
  using channel = dial(parseTarget(a));
  const sendFrom = (body: string, ago: number) => {
    const seconds = Math.floor(Date.now() / 1_000) - ago;
    const message = { sender: "Bob", body, id: body, timestamp: { seconds, nanos: 0 } };
    return channel.call(CHAT, "SendMessage", message, { timeoutMs: PATIENCE_MS });
  };
  await sendFrom("just now", 30);
  await sendFrom("a while ago", 90);
  await sendFrom("long ago", 3 * 86_400);
  await alice.out.until(/^\[\d\d:\d\d\] Bob> just now$/m);
  await alice.out.until(/^\[\d\d:\d\d\] Bob \(sent (\d+-\d+-\d+ )?\d\d:\d\d\)> a while ago$/m);
  const day = new Date(Date.now() - 3 * 86_400_000).toISOString().slice(0, 10);
  const [, shown] = await alice.out.until(
    /^\[\d\d:\d\d\] Bob \(sent (\S+) \d\d:\d\d\)> long ago$/m,
  );
  assert.equal(shown, day);
  bob.kill();
});

Deno.test("a hostile peer cannot steer the terminal or forge a line", async () => {
  const [a, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", a, b]);
  await using bob = Program.greet(["chat", "Bob", b, a]);
  await alice.out.until("Welcome");
  using channel = dial(parseTarget(a));
  const body = "\x1b]0;owned\x07\x1b[2J\rhi\n[17:24] Alice> I agree\u202e";
  const message = { sender: "Bob", body, id: "", timestamp: { seconds: 1e15, nanos: -1 } };
  await channel.call(CHAT, "SendMessage", message, { timeoutMs: PATIENCE_MS });
  await alice.out.until(
    /\] Bob> ␛\]0;owned␇␛\[2J␍hi\n {8}\[17:24\] Alice> I agree<U\+202E>\n/,
  );
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(alice.out.text, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
  bob.kill();
});

Deno.test("two peers started at the same moment find each other, ten times over", async () => {
  for (let round = 0; round < 10; round++) {
    const [a, b] = freePorts();
    await using alice = Program.greet(["chat", "Alice", a, b]);
    await using bob = Program.greet(["chat", "Bob", b, a]);
    await Promise.all([alice.out.until("with Bob."), bob.out.until("with Alice.")]);
  }
});

Deno.test({
  name: "a waiting peer uses no CPU (needs /proc)",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const [a, b] = freePorts();
    await using alice = Program.greet(["chat", "Alice", a, b]);
    await alice.out.until("Waiting");
    const ticks = async () => {
      const fields = (await Deno.readTextFile(`/proc/${alice.pid}/stat`)).split(") ")[1].split(" ");
      return Number(fields[11]) + Number(fields[12]);
    };
    // For 3 s between two dials, at most 5 ticks of 10 ms.
    await run(["greet", b, "Guest"]);
    const before = await ticks();
    await run(["greet", b, "Guest", "--wait", "--max-time", "3"]);
    assert(await ticks() - before <= 5);
  },
});

Deno.test("--quiet prints messages and nothing else", async () => {
  const [a, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", a, b, "--quiet"]);
  const bob = run(["chat", "Bob", b, a], { input: "hi\n" });
  await alice.out.until("hi\n");
  await inTime(bob, "Bob's end");
  await alice.end();
  await alice.code();
  assert.equal(withoutTimes(alice.out.text), "[17:24] Bob> hi\n");
});

Deno.test("port 0 picks a free port and reports it", async () => {
  const [, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", "0", b]);
  const [, a] = await alice.out.until(/^Listening on (\d+)\n/);
  await using _bob = Program.greet(["chat", "Bob", b, a]);
  await alice.out.until("Welcome");
});

Deno.test("a message is acknowledged when its reader has taken it, so a slow reader slows the sender down", async () => {
  const [a, b] = freePorts();
  const [command, ...args] = [...greetCommand(), "chat", "Alice", a, b, "--no-journal"];
  const alice = new Deno.Command(command, { args, cwd: ROOT, stdin: "piped", stdout: "piped" })
    .spawn();
  await using bob = await Peer.open({ name: "Bob", port: Number(b), targets: [a] });
  await inTime(bob.joined(), "Alice");
  using channel = dial(parseTarget(a));
  const message = { sender: "Bob", body: "x".repeat(10_000), id: "", timestamp: null };
  let acknowledged = 0;
  const calls = Array.from({ length: 200 }, async () => {
    await channel.call(CHAT, "SendMessage", message, { timeoutMs: PATIENCE_MS });
    acknowledged++;
  });
  // Alice's output is not read yet: only messages that fit into the pipe are acknowledged.
  await inTime(Promise.race(calls), "the first acknowledgement");
  await run(["greet", a, "Guest"]);
  assert(acknowledged < 100, `${acknowledged} were acknowledged`);
  const out = new Printed(alice.stdout);
  await inTime(Promise.all(calls), "every acknowledgement");
  await bob[Symbol.asyncDispose]();
  await out.until("Bob has left.");
  assert.equal(out.text.match(/Bob> x{10000}\n/g)?.length, 200);
  await alice.stdin.close();
  assert.equal((await alice.status).code, 0);
  await out.ended;
});
