/** No message is lost or repeated when processes are killed, suspended and restarted. */
import assert from "node:assert/strict";
import { GreetError } from "../../src/base/errors.ts";
import { dial } from "../../src/rpc/client.ts";
import { serve } from "../../src/rpc/server.ts";
import { implement } from "../../src/rpc/service.ts";
import { CHAT } from "../../src/rpc/services.ts";
import { parseTarget } from "../../src/net/address.ts";
import { Bot, Immortal } from "../support/bot.ts";
import { temporaryHome } from "../support/home.ts";
import { freePorts } from "../support/ports.ts";
import { greetCommand, Printed, Program, ROOT, run } from "../support/program.ts";
import { randomNumbers } from "../support/random.ts";
import { posixTest } from "../support/tools.ts";
import { PATIENCE_MS } from "../support/waiting.ts";

/** How many rounds of random kills; more rounds find rarer faults. */
const SEEDS = Number(Deno.env.get("GREET_TEST_SEEDS") ?? 3);
const MESSAGES = 2_000;

Deno.test("a message to an absent peer waits, and is delivered when the peer comes", async () => {
  const [a, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", a, b]);
  await alice.write("are you there?\n");
  await alice.out.until("] Alice> are you there? (waiting)\n");
  await using bob = Program.greet(["chat", "Bob", b, a]);
  await bob.out.until("] Alice> are you there?\n");
  await alice.out.until("] Alice> are you there?\n");
  await bob.write("yes\n");
  await alice.out.until("] Bob> yes\n");
  assert.equal(bob.out.text.match(/are you there\?/g)?.length, 1);
});

Deno.test("messages that wait when a chat is left are reported, kept, and delivered in the next run, on any port", async () => {
  const [a, b, elsewhere] = freePorts(3);
  await using home = temporaryHome();
  {
    await using alice = Program.greet(["chat", "Alice", a, b], home);
    const bob = new Bot(["Bob", b, a]);
    await alice.out.until("Welcome");
    await bob.kill();
    await bob[Symbol.asyncDispose]();
    await alice.out.until("Bob has left.\n");
    await alice.write("one\ntwo\n");
    await alice.out.until("] Alice> two (waiting)\n");
    await alice.write("/quit\n");
    assert.equal(await alice.code(), 0);
    assert.equal(
      alice.err.text,
      "2 messages for Bob are kept and will be sent when you meet again.\n",
    );
  }
  await using bob = new Bot(["Bob", elsewhere, a]);
  await using alice = new Bot(["Alice", a, elsewhere], home);
  const received = await bob.until("message", 2);
  assert.deepEqual(received.map(({ body }) => body), ["one", "two"]);
  await alice.until("delivered", 2);
});

Deno.test("messages sent just before /quit are delivered if the other peer is there", async () => {
  const [a, b] = freePorts();
  await using bob = new Bot(["Bob", b, a]);
  for (let i = 0; i < 5; i++) {
    await using alice = Program.greet(["chat", "Alice", a, b]);
    await alice.out.until("Welcome");
    await alice.write(`goodbye ${i}\n/quit\n`);
    assert.equal(await alice.code(), 0);
    assert.equal(alice.err.text, "");
    assert.match(alice.out.text, /\] Alice> goodbye \d\n/);
  }
  assert.equal((await bob.until("message", 5)).length, 5);
});

Deno.test("the end of input waits for delivery; --linger limits that, with exit code 78", async () => {
  const [a, b] = freePorts();
  await using home = temporaryHome();
  {
    await using alice = new Bot(["Alice", a, b, "--linger", "0.2"], home);
    await alice.say("kept");
    await alice.program.end();
    assert.equal(await alice.program.code(), 78);
    assert.match(
      alice.all("error")[0].message as string,
      /^1 message for 127\.0\.0\.1:\d+ is kept/,
    );
  }
  {
    // Messages for peers outside this chat are not waited for.
    const [c] = freePorts();
    await using alice = new Bot(["Alice", a, c, "--linger", "0"], home);
    await alice.program.end();
    assert.equal(await alice.program.code(), 0);
  }
  await using alice = new Bot(["Alice", a, b], home);
  await alice.program.end();
  await using bob = new Bot(["Bob", b, a]);
  await bob.until("message");
  assert.equal(await alice.program.code(), 0);
});

posixTest(
  "without a journal nothing is written to disk, and what cannot be delivered is reported",
  async () => {
    const [a, b] = freePorts();
    await using home = temporaryHome();
    await using alice = new Bot(["Alice", a, b, "--no-journal"], home);
    await using bob = new Bot(["Bob", b, a, "--no-journal"]);
    await Promise.all([alice.until("welcome"), bob.until("welcome")]);
    await alice.say("hello");
    await alice.until("delivered");
    bob.program.kill("SIGSTOP");
    await alice.say("anybody?");
    const [error] = await alice.until("error");
    assert.equal(error.id, alice.all("queued")[1].id);
    await bob.kill();
    await alice.until("left");
    assert.deepEqual([...Deno.readDirSync(home.env.GREET_HOME)], []);
  },
);

Deno.test("when two pipes end at the same moment, every delivered message has been shown", async () => {
  for (let round = 0; round < 15; round++) {
    const [a, b] = freePorts();
    await using alice = new Bot(["Alice", a, b]);
    await using bob = new Bot(["Bob", b, a]);
    await Promise.all([alice, bob].map(async (bot) => {
      await bot.say("hi");
      await bot.program.end();
      assert.equal(await bot.program.code(), 0);
    }));
    for (const [sender, receiver] of [[alice, bob], [bob, alice]]) {
      assert.equal(sender.all("delivered").length, 1);
      assert.equal(receiver.all("message").length, 1, `round ${round}`);
    }
  }
});

/** Bob in another language: he takes one message at a time, and may refuse each of them. */
async function foreignBob(accept: (body: string) => void) {
  const received: string[] = [];
  const server = await serve({
    host: "127.0.0.1",
    port: 0,
    services: [implement(CHAT, {
      GetInfo: () => ({ sender: "Bob", body: "", id: "", timestamp: null }),
      SendMessage({ body }) {
        accept(body);
        received.push(body);
        return {};
      },
      SendMessages() {
        throw new GreetError("UNIMPLEMENTED", "one at a time");
      },
    })],
  });
  return { port: `${server.port}`, received, [Symbol.asyncDispose]: () => server.stop() };
}

Deno.test("a message that the other side will never accept fails, is reported, and blocks no others", async () => {
  await using bob = await foreignBob((body) => {
    if (body === "bad") throw new GreetError("INVALID_ARGUMENT", "no such words here");
  });
  await using alice = new Bot(["Alice", "0", bob.port]);
  await alice.say("one", "bad", "two");
  await alice.program.end();
  assert.equal(await alice.program.code(), 64 + 3);
  assert.deepEqual(bob.received, ["one", "two"]);
  const [error] = alice.all("error");
  assert.equal(error.id, alice.all("queued")[1].id);
  assert.equal(error.to, "Bob");
  assert.match(`${error.message}`, /no such words here$/);
});

Deno.test("a message that the other side cannot accept now is sent again, in order", async () => {
  let refusals = 2;
  await using bob = await foreignBob((body) => {
    if (body === "two" && refusals-- > 0) throw new GreetError("UNAVAILABLE", "not now");
  });
  await using alice = new Bot(["Alice", "0", bob.port]);
  await alice.say("one", "two", "three");
  await alice.program.end();
  assert.equal(await alice.program.code(), 0);
  assert.deepEqual(bob.received, ["one", "two", "three"]);
  assert.equal(alice.all("error").length, 1, "reported once");
});

Deno.test("a repeated message is acknowledged but not shown again, even after the receiver was killed", async () => {
  const [a] = freePorts();
  await using home = temporaryHome();
  await using bob = await serve({
    host: "127.0.0.1",
    port: 0,
    services: [implement(CHAT, {
      GetInfo: () => ({ sender: "Bob", body: "", id: "", timestamp: null }),
      SendMessage: () => ({}),
      SendMessages: () => ({}),
    })],
  });
  const message = { sender: "Bob", body: "once", id: "the-id", timestamp: null };
  const say = async () => {
    using channel = dial(parseTarget(a));
    await channel.call(CHAT, "SendMessage", message, { timeoutMs: PATIENCE_MS });
    await channel.call(CHAT, "SendMessages", { messages: [message, message] }, {
      timeoutMs: PATIENCE_MS,
    });
  };
  const args = ["Alice", a, `${bob.port}`];
  {
    await using alice = new Bot(args, home);
    await alice.until("welcome");
    await say();
    await alice.until("message");
    // A message is marked as shown right after it was printed; what comes next finds it marked.
    await alice.say("marked");
    await alice.until("delivered");
    await alice.kill();
  }
  await using alice = new Bot(args, home);
  await alice.until("welcome");
  await say();
  await alice.say("done");
  await alice.until("delivered");
  assert.deepEqual(alice.all("message"), []);
});

for (let i = 0; i < SEEDS; i++) {
  const seed = SEEDS === 3 ? i + 1 : Math.floor(Math.random() * 2 ** 32);
  Deno.test(`${MESSAGES} messages between processes that are killed: none lost, none twice, in order (seed ${seed})`, async () => {
    const random = randomNumbers(seed);
    const [a, b] = freePorts();
    await using alice = new Immortal("Alice", a, b);
    await using bob = new Immortal("Bob", b, a);
    let next = 0;
    while (next < MESSAGES) {
      const count = Math.min(MESSAGES - next, 1 + Math.floor(random() * 400));
      const heard = bob.now.all("message").length;
      // A killed process may or may not have read all of its input.
      await alice.now.say(...Array.from({ length: count }, (_, k) => `${next + k}`));
      next += count;
      const [share, watched, victim] = [random(), random(), random()];
      const some = Math.ceil(count * share);
      if (watched < 0.3) await alice.now.until("queued", some);
      else await bob.now.until("message", heard + some);
      if (victim < 0.4) await bob.killAndStart();
      else if (victim < 0.7) await alice.killAndStart();
      else if (victim < 0.9) await Promise.all([alice.killAndStart(), bob.killAndStart()]);
    }
    await alice.now.say("the end");
    const isEnd = () => bob.now.all("message").find(({ body }) => body === "the end");
    await bob.now.program.out.waitFor(isEnd, () => `the end, seed ${seed}`);

    const sent = new Set(alice.all("queued").map(({ body }) => body));
    assert(sent.size > MESSAGES / 4, `only ${sent.size} were sent`);
    const bodies = bob.received().map(({ body }) => body!);
    const lost = [...sent].filter((body) => !bodies.includes(body!));
    assert.deepEqual(lost, [], "lost");
    const numbers = bodies.slice(0, -1).map(Number);
    assert.deepEqual(numbers, numbers.toSorted((x, y) => x - y), "in order");
    assert.equal(new Set(bodies).size, bodies.length, "sent once, received twice");
  });
}

Deno.test("messages that the receiver had stored but not shown when it was killed are shown as late in its next run", async () => {
  const [a, b] = freePorts();
  await using home = temporaryHome();
  const [command, ...args] = [...greetCommand(), "chat", "Bob", b, a, "--json"];
  const options = { args, cwd: ROOT, env: home.env, stdin: "piped", stdout: "piped" } as const;
  const bob = new Deno.Command(command, options).spawn();
  await using alice = new Bot(["Alice", a, b]);
  await alice.until("welcome");
  const bodies = Array.from({ length: 200 }, (_, i) => `${i} ${"x".repeat(1_000)}`);
  await alice.say(...bodies);
  // Bob's output is not read: only what fits into the pipe is shown, but everything is stored.
  await alice.until("delivered", bodies.length);
  bob.kill("SIGKILL");
  const out = new Printed(bob.stdout);
  await Promise.all([out.ended, bob.status]);
  await bob.stdin.close().catch(() => {});
  const whole = out.text.slice(0, out.text.lastIndexOf("\n")).split("\n");
  const first = whole.map((line) => JSON.parse(line)).filter(({ type }) => type === "message");
  assert(first.length < bodies.length);
  await using again = new Bot(["Bob", b, a], home);
  await alice.say("and now");
  const isNew = () => again.all("message").find(({ body }) => body === "and now");
  const last = await again.program.out.waitFor(isNew, () => "and now");
  assert.equal(last.late, undefined);
  const late = again.all("message").slice(0, -1);
  assert(late.length > 0 && late.every((message) => message.late === true));
  // The message that was being printed when he was killed may appear twice.
  const both = new Map([...first, ...late].map(({ id, body }) => [id, body]));
  assert.deepEqual([...both.values()], bodies);
});

posixTest(
  "a suspended peer is missed within 10 s and back when it resumes; nothing is lost",
  async () => {
    const [a, b] = freePorts();
    await using alice = new Bot(["Alice", a, b]);
    await using bob = new Bot(["Bob", b, a]);
    await Promise.all([alice.until("welcome"), bob.until("welcome")]);
    bob.program.kill("SIGSTOP");
    await alice.say("into the silence");
    await alice.until("left", 1, 20_000);
    bob.program.kill("SIGCONT");
    await alice.until("joined");
    await alice.until("delivered");
    assert.deepEqual((await bob.until("message")).map(({ body }) => body), ["into the silence"]);
  },
);

Deno.test("after a restart on the same port, deliveries resume by themselves", async () => {
  const [a, b] = freePorts();
  await using alice = new Bot(["Alice", a, b]);
  await using bob = new Immortal("Bob", b, a);
  await Promise.all([alice.until("welcome"), bob.now.until("welcome")]);
  for (let i = 1; i <= 5; i++) {
    await bob.killAndStart();
    await alice.say(`${i}`);
    // What was shown last may be shown again first.
    const isShown = () => bob.received().at(-1)?.body === `${i}` || undefined;
    await bob.now.program.out.waitFor(isShown, () => `message ${i}`);
    await alice.until("delivered", i);
  }
  assert.deepEqual(bob.received().map(({ body }) => body), ["1", "2", "3", "4", "5"]);
});

/** How many messages wait for a slow reader; `GREET_TEST_WAITING` changes it. */
const WAITING = Number(Deno.env.get("GREET_TEST_WAITING") ?? 4_000);

for (const how of ["over two connections", "over the receiver's own connection"]) {
  const isAttached = how !== "over two connections";

  Deno.test(`a slow reader does not fill the receiver's memory: the backlog stays with the sender (${how})`, async () => {
    const drainMs = 60_000 + WAITING * 5;
    const [a, b] = freePorts();
    const tls = isAttached ? ["--tls"] : [];
    await using home = temporaryHome();
    const [command, ...args] = [...greetCommand(), "chat", "Bob", b, a, ...tls];
    const bob = new Deno.Command(command, {
      args,
      cwd: ROOT,
      env: home.env,
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    await using alice = new Bot(["Alice", a, isAttached ? "Bob" : b, ...tls]);
    await alice.until("welcome");
    const bodies = Array.from({ length: WAITING }, (_, i) => `${i} ${"x".repeat(1_000)}`);
    await alice.say(...bodies);
    await alice.until("queued", bodies.length, drainMs);
    await alice.until("delivered", 800, drainMs);
    // Bob's output is not read yet: a pipe full is shown, a thousand wait, and one call is in flight.
    await run(["greet", b, "Zoe"]);
    const { length } = alice.all("delivered");
    assert(length < 2_000, `${length} were delivered`);
    const out = new Printed(bob.stdout);
    await alice.until("delivered", bodies.length, drainMs);
    await out.until(new RegExp(`\\] Alice> ${WAITING - 1} x`));
    const heard = [...out.text.matchAll(/\] Alice> (\d+) x/g)].map(([, number]) => Number(number));
    assert.deepEqual(heard, bodies.map((_, i) => i));
    await bob.stdin.close();
    assert.equal((await bob.status).code, 0);
    await out.ended;
  });
}
