/** Chats of more than two peers, each linked to all others. */
import assert from "node:assert/strict";
import { Bot, Immortal } from "../support/bot.ts";
import { temporaryHome } from "../support/home.ts";
import { freePorts } from "../support/ports.ts";
import { Program } from "../support/program.ts";
import { randomNumbers } from "../support/random.ts";

/** The arguments of each member of a full mesh. */
function mesh(names: readonly string[]): string[][] {
  const ports = freePorts(names.length);
  return names.map((name, i) => [name, ports[i], ...ports.toSpliced(i, 1)]);
}

Deno.test("three peers are welcomed together; joining, leaving and waiting are shown by name", async () => {
  const [alices, bobs, carols] = mesh(["Alice", "Bob", "Carol"]);
  await using alice = Program.greet(["chat", ...alices]);
  await using bob = Program.greet(["chat", ...bobs]);
  await using home = temporaryHome();
  {
    await using carol = Program.greet(["chat", ...carols], home);
    // Peers that arrive within a second are welcomed together.
    await carol.out.until("Welcome, Carol. You are chatting with Alice and Bob.\n");
    await alice.out.until(/Welcome, Alice\. You are chatting with Bob( and Carol)?\.\n/);
    await alice.out.until(/with Bob and Carol\.|Carol is here\./);
    await alice.write("hello, both\n");
    await Promise.all([carol, bob].map(({ out }) => out.until("] Alice> hello, both\n")));
    await alice.out.until(/\] Alice> hello, both\n/);
    carol.kill();
    await alice.out.until("Carol has left.\n");
  }
  await alice.write("hello, one\n");
  await bob.out.until("] Alice> hello, one\n");
  await alice.out.until("] Alice> hello, one (waiting for Carol)\n");
  await using carol = Program.greet(["chat", ...carols], home);
  await carol.out.until("] Alice> hello, one\n");
  await alice.out.until("Carol is back.\n");
  assert.equal(bob.out.text.match(/hello, one/g)?.length, 1);
});

Deno.test("a message is shown as waiting for all peers, then for one, then as delivered", async () => {
  const [alices, bobs, carols] = mesh(["Alice", "Bob", "Carol"]);
  await using alice = Program.greet(["chat", ...alices]);
  await alice.write("anybody?\n");
  await alice.out.until("] Alice> anybody? (waiting)\n");
  await using bob = Program.greet(["chat", ...bobs]);
  await alice.out.until(`] Alice> anybody? (waiting for 127.0.0.1:${carols[1]})\n`);
  await bob.out.until("] Alice> anybody?\n");
  await using _carol = Program.greet(["chat", ...carols]);
  await alice.out.until(/\] Alice> anybody\?\n/);
});

Deno.test("a second peer of the same name is refused, and every side says so", async () => {
  const [alices, bobs, others] = mesh(["Alice", "Bob", "Bob"]);
  await using alice = new Bot(alices);
  await using bob = new Bot(bobs);
  await Promise.all([alice.until("welcome"), bob.until("welcome")]);
  await using other = new Bot(others);
  const [refused] = await alice.until("error");
  assert.match(
    `${refused.message}`,
    /name is Bob, which is also the name of the peer at 127\.0\.0\.1:\d+$/,
  );
  assert.match(`${(await bob.until("error"))[0].message}`, /name is Bob, the same as ours$/);
  assert.match(`${(await other.until("error"))[0].message}`, /name is Bob, the same as ours$/);
  assert.deepEqual([...alice.all("joined"), ...bob.all("joined")], []);
});

Deno.test("ten peers: each receives all messages once, in the order of each sender", async () => {
  const names = Array.from({ length: 10 }, (_, i) => `Peer${i}`);
  const all = mesh(names);
  await using stack = new AsyncDisposableStack();
  const bots = all.map((args) => stack.use(new Bot(args)));
  const hasMetAll = (bot: Bot) => {
    const [welcome] = bot.all("welcome");
    if (welcome === undefined) return;
    const count = (welcome.peers as string[]).length + bot.all("joined").length;
    return count === names.length - 1 || undefined;
  };
  for (const bot of bots) {
    await bot.program.out.waitFor(
      () => hasMetAll(bot),
      () => `all peers in ${bot.program.out.text}`,
      30_000,
    );
  }
  const words = ["one", "two", "three"];
  await Promise.all(bots.map((bot) => bot.say(...words)));
  for (const [i, bot] of bots.entries()) {
    const received = await bot.until("message", words.length * (names.length - 1));
    for (const [k, name] of names.entries()) {
      const bodies = received.filter(({ from }) => from === name).map(({ body }) => body);
      assert.deepEqual(bodies, k === i ? [] : words, `from ${name} to ${names[i]}`);
    }
  }
});

Deno.test("three peers that are killed at random: each receives all messages, once and in order", async () => {
  const random = randomNumbers(7);
  const names = ["Alice", "Bob", "Carol"];
  await using stack = new AsyncDisposableStack();
  const peers = mesh(names).map((args) => stack.use(new Immortal(...args)));
  for (let round = 0; round < 12; round++) {
    const bodies = Array.from({ length: 50 }, (_, i) => `${round * 50 + i}`);
    await Promise.all(peers.map(({ now }) => now.say(...bodies)));
    const victim = peers[Math.floor(random() * peers.length)];
    await victim.now.until("queued", Math.ceil(random() * 50));
    await victim.killAndStart();
  }
  await Promise.all(peers.map(({ now }) => now.say("the end")));
  for (const { now } of peers) {
    const endings = () => now.all("message").filter(({ body }) => body === "the end");
    await now.program.out.waitFor(
      () => endings().length === names.length - 1 || undefined,
      () => `the ends in ${now.program.out.text.slice(-2_000)}`,
      60_000,
    );
  }
  for (const [i, receiver] of peers.entries()) {
    const received = receiver.received();
    for (const [k, sender] of peers.entries()) {
      if (k === i) continue;
      const heard = received.filter(({ from }) => from === names[k]).map(({ body }) => body!);
      const lost = sender.all("queued").filter(({ body }) => !heard.includes(body!));
      assert.deepEqual(lost, [], `lost from ${names[k]} to ${names[i]}`);
      const numbers = heard.slice(0, -1).map(Number);
      assert.deepEqual(numbers, numbers.toSorted((x, y) => x - y), "in order");
      assert.equal(new Set(heard).size, heard.length, "once");
    }
  }
});

Deno.test("four peers over TLS: each meets the keys of all others and receives all messages in order", async () => {
  const bots = mesh(["Alice", "Bob", "Carol", "Dave"]).map((args) => new Bot([...args, "--tls"]));
  try {
    await Promise.all(bots.map((bot) => bot.until("met", 3)));
    const bodies = Array.from({ length: 50 }, (_, i) => `${i}`);
    await Promise.all(bots.map((bot) => bot.say(...bodies)));
    for (const bot of bots) {
      const messages = await bot.until("message", 3 * bodies.length);
      const senders = Map.groupBy(messages, ({ from }) => from);
      assert.equal(senders.size, 3);
      for (const sent of senders.values()) assert.deepEqual(sent.map(({ body }) => body), bodies);
      assert.deepEqual([...bot.all("error"), ...bot.all("impostor")], []);
    }
    const keys = bots.map((bot) => bot.all("met").map(({ fingerprint }) => fingerprint));
    assert.equal(new Set(keys.flat()).size, 4);
  } finally {
    await Promise.all(bots.map((bot) => bot[Symbol.asyncDispose]()));
  }
});
