/** Two chats as processes, in pipes. */
import assert from "node:assert/strict";
import { Peer } from "../../mod.ts";
import { freePorts } from "../support/ports.ts";
import { greetCommand, Printed, Program, ROOT, run } from "../support/program.ts";
import { inTime } from "../support/waiting.ts";
import { dial } from "../../src/rpc/client.ts";
import { CHAT } from "../../src/rpc/services.ts";
import { parseTarget } from "../../src/net/address.ts";

/** The transcript of one side, with the time of day taken out. */
function untimed(text: string): string {
  return text.replaceAll(/^\[\d\d:\d\d\] /gm, "[17:24] ");
}

function chatOf(name: string, other: string, ...lines: string[]): string {
  const welcome = `Welcome, ${name}. You are chatting with ${other}.`;
  return ["Waiting for other peer to connect...", "", welcome, "", ...lines, ""].join("\n");
}

Deno.test("the transcript of a chat, to the letter, on both sides", async () => {
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
  // Whoever leaves last is told that the other one has left.
  const hasLeft = /\n(Alice|Bob) has left\.\n/g;
  assert.equal(untimed(alice.out.text).replace(hasLeft, "\n"), chatOf("Alice", "Bob", ...said));
  assert.equal(untimed(bob.out.text).replace(hasLeft, "\n"), chatOf("Bob", "Alice", ...said));
  assert.equal(alice.err.text + bob.err.text, "");
});

Deno.test("the time shown is local, the sender's, and obeys TZ", async () => {
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

Deno.test("a piped line waits for the peer, is delivered, and the chat ends with 0", async () => {
  const [a, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", a, b]);
  await alice.write("hi\n\n  \nno line end");
  await alice.end();
  await alice.out.until("Waiting for other peer to connect...\n");
  await using bob = Program.greet(["chat", "Bob", b, a]);
  await bob.out.until("Alice> hi\n");
  assert.equal(await alice.code(), 0);
  await bob.out.until("Alice has left.\n");
  bob.kill("SIGTERM");
  assert.equal(await bob.code(), 0);
  assert.equal(
    untimed(bob.out.text),
    chatOf("Bob", "Alice", "[17:24] Alice> hi", "[17:24] Alice> no line end", "Alice has left."),
  );
  const waiting = "[17:24] Alice> hi (waiting)\n[17:24] Alice> no line end (waiting)\n";
  assert.equal(
    untimed(alice.out.text).replace(waiting, ""),
    chatOf("Alice", "Bob", "[17:24] Alice> hi", "[17:24] Alice> no line end"),
  );
  assert(untimed(alice.out.text).includes(waiting));
});

Deno.test("the end of input is noticed also when the other one has just left", async () => {
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

Deno.test("an empty input still meets the other peer", async () => {
  const [a, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", a, b]);
  await alice.out.until("Waiting");
  const bob = await run(["chat", "Bob", b, a]);
  assert.equal(bob.code, 0);
  assert.equal(bob.out, chatOf("Bob", "Alice"));
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
  Deno.test(`who leaves by ${how} is missed, waited for, and welcomed back`, async () => {
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

Deno.test("without a journal, what is on its way to a stopped peer is not delivered, and is said so", async () => {
  const [a, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", a, b, "--no-journal"]);
  await using bob = Program.greet(["chat", "Bob", b, a]);
  await Promise.all([alice.out.until("Welcome"), bob.out.until("Welcome")]);
  bob.kill("SIGSTOP");
  await alice.write("anybody?\n");
  await alice.end();
  await alice.out.until(/\] Alice> anybody\? \(not delivered: .*no answer within 5 s\)\n/);
  assert.equal(await alice.code(), 68);
});

Deno.test("5 MB in one line are reported as not delivered; the chat goes on; exit 72", async () => {
  const [a, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", a, b]);
  await using bob = Program.greet(["chat", "Bob", b, a]);
  await bob.out.until("Welcome");
  await alice.write("x".repeat(1_000_000) + "\n" + "y".repeat(5_000_000) + "\nafter\n");
  await alice.end();
  await bob.out.until("Alice> after\n");
  assert.equal(await alice.code(), 72);
  assert.match(
    alice.out.text,
    /y \(not delivered: the message has 5000000 bytes; it may have 4000000\)/,
  );
  assert.match(bob.out.text, /Alice> x{1000000}\n/);
  assert.doesNotMatch(bob.out.text, /yy/);
});

Deno.test("what took more than a minute has two times, and what took a day a date", async () => {
  const [a, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", a, b], { env: { TZ: "UTC" } });
  await using bob = Program.greet(["chat", "Bob", b, a]);
  await alice.out.until("Welcome");
  using channel = dial(parseTarget(a));
  const say = (body: string, ago: number) => {
    const seconds = Math.floor(Date.now() / 1_000) - ago;
    const message = { sender: "Bob", body, id: body, timestamp: { seconds, nanos: 0 } };
    return channel.call(CHAT, "SendMessage", message, { timeoutMs: 5_000 });
  };
  await say("just now", 30);
  await say("a while ago", 90);
  await say("long ago", 3 * 86_400);
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
  await channel.call(CHAT, "SendMessage", message, { timeoutMs: 5_000 });
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
  name: "a peer that waits burns no CPU (needs /proc)",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const [a, b] = freePorts();
    await using alice = Program.greet(["chat", "Alice", a, b]);
    await alice.out.until("Waiting");
    const ticks = async () => {
      const fields = (await Deno.readTextFile(`/proc/${alice.pid}/stat`)).split(") ")[1].split(" ");
      return Number(fields[11]) + Number(fields[12]);
    };
    // Between two dials nothing at all may happen: 3 s of it, in hundredths of a second.
    await run(["greet", b, "Nobody"]);
    const before = await ticks();
    await run(["greet", b, "Nobody", "--wait", "--max-time", "3"]);
    assert(await ticks() - before <= 5);
  },
});

Deno.test("--quiet shows what is said and nothing else", async () => {
  const [a, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", a, b, "--quiet"]);
  const bob = run(["chat", "Bob", b, a], { input: "hi\n" });
  await alice.out.until("hi\n");
  await inTime(bob, "Bob's end");
  await alice.end();
  await alice.code();
  assert.equal(untimed(alice.out.text), "[17:24] Bob> hi\n");
});

Deno.test("port 0 takes a free port and says which", async () => {
  const [, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", "0", b]);
  const [, a] = await alice.out.until(/^Listening on (\d+)\n/);
  await using _bob = Program.greet(["chat", "Bob", b, a]);
  await alice.out.until("Welcome");
});

Deno.test("a message is answered when its reader has taken it: a slow one slows the sender down", async () => {
  const [a, b] = freePorts();
  const [command, ...args] = [...greetCommand(), "chat", "Alice", a, b, "--no-journal"];
  const alice = new Deno.Command(command, { args, cwd: ROOT, stdin: "piped", stdout: "piped" })
    .spawn();
  await using bob = await Peer.open({ name: "Bob", port: Number(b), targets: [a] });
  await inTime(bob.joined(), "Alice");
  using channel = dial(parseTarget(a));
  const message = { sender: "Bob", body: "x".repeat(10_000), id: "", timestamp: null };
  let answered = 0;
  const calls = Array.from({ length: 200 }, async () => {
    await channel.call(CHAT, "SendMessage", message, { timeoutMs: 60_000 });
    answered++;
  });
  // Alice's output is not read yet. What fits into the pipe is answered, and no more.
  await inTime(Promise.race(calls), "the first answer");
  await run(["greet", a, "Nobody"]);
  assert(answered < 100, `${answered} were answered`);
  const out = new Printed(alice.stdout);
  await inTime(Promise.all(calls), "every answer", 60_000);
  await bob[Symbol.asyncDispose]();
  await out.until("Bob has left.");
  assert.equal(out.text.match(/Bob> x{10000}\n/g)?.length, 200);
  alice.kill("SIGTERM");
  await alice.stdin.close();
  assert.equal((await alice.status).code, 0);
  await out.ended;
});
