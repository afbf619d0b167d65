/** Peers that are added to a chat while it runs, and removed from it. */
import assert from "node:assert/strict";
import { Journal, Peer } from "../../mod.ts";
import { Bot } from "../support/bot.ts";
import { GRPC_TIMERS_OUTLIVE_CHANNELS } from "../support/grpc_timers.ts";
import { homeTest, temporaryHome } from "../support/home.ts";
import { freePorts } from "../support/ports.ts";
import { FACTOR } from "../support/properties.ts";
import { randomNumbers } from "../support/random.ts";
import { VirtualNetwork } from "../support/virtual_network.ts";
import { settle } from "../support/virtual_time.ts";
import { inTime } from "../support/waiting.ts";
import { openWitnessed, Witness } from "../support/witness.ts";
import { greetIn, Terminal, terminalTest } from "../support/terminal.ts";

/** How many times peers are added and removed: a thousand with GREET_TEST_SEEDS=10. */
const CHANGES = 100 * FACTOR;

const bodiesOf = (bot: Bot) => bot.all("message").map(({ body }) => body);

/** Adds or removes a peer. */
async function change(bot: Bot, instruction: { add: string } | { remove: string }): Promise<void> {
  await bot.program.write(JSON.stringify(instruction) + "\n");
}

for (const tls of [[], ["--tls"]]) {
  const how = tls[0] ?? "plaintext";

  Deno.test(`an added peer gets what is said from then on, a removed one no longer (${how})`, async () => {
    const [a, b, c] = freePorts(3);
    await using home = temporaryHome();
    await using alice = new Bot(["Alice", a, b, ...tls], home);
    await using bob = new Bot(["Bob", b, a, ...tls], home);
    await alice.until("welcome");
    await alice.say("for Bob alone");
    await alice.until("delivered");
    await using carol = new Bot(["Carol", c, a, ...tls], home);
    const [{ argument }] = await alice.until("caller");
    await change(alice, { add: String(argument) });
    await Promise.all([alice.until("joined"), carol.until("welcome")]);
    assert.deepEqual(alice.all("added"), [{ type: "added", target: `127.0.0.1:${c}` }]);
    await alice.say("for both");
    await carol.until("message");

    await change(alice, { remove: "Carol" });
    const [removed] = await alice.until("removed");
    assert.deepEqual(removed, { type: "removed", target: `127.0.0.1:${c}`, name: "Carol" });
    await carol.until("left");
    const [refused] = await carol.until("refused");
    assert.equal(refused.name, "Alice");
    await carol.say("waits");
    await alice.say("for Bob again");
    await bob.until("message", 3);
    await alice.until("delivered", 4);

    await change(alice, { add: `Carol@${c}` });
    await alice.until("message");
    await alice.say("for both again");
    await Promise.all([carol.until("message", 2), bob.until("message", 4)]);
    assert.deepEqual(bodiesOf(bob), [
      "for Bob alone",
      "for both",
      "for Bob again",
      "for both again",
    ]);
    assert.deepEqual(bodiesOf(carol), ["for both", "for both again"]);
    assert.deepEqual(bodiesOf(alice), ["waits"]);
    // She knows that Carol calls: she has removed her herself.
    assert.equal(alice.all("caller").length, 1);
    assert.deepEqual(alice.all("error"), []);
  });
}

Deno.test("what cannot be added or removed is refused in a sentence", async () => {
  const [a, b] = freePorts();
  await using alice = new Bot(["Alice", a, b]);
  const refusals: [instruction: { add: string } | { remove: string }, message: RegExp][] = [
    [{ add: b }, /: 127\.0\.0\.1:\d+ is in this chat already$/],
    [{ add: `Bob@${b}` }, /is in this chat already$/],
    [{ add: a }, /: 127\.0\.0\.1:\d+ is your own address$/],
    [{ add: "Alice@99" }, /: Alice is your own name$/],
    [{ add: "99999" }, /99999/],
    [{ add: "Dave" }, /Dave/],
    [{ add: "192.0.2.1:55555" }, /is beyond this machine, and this chat is not encrypted$/],
    [{ remove: "Dave" }, /: no peer in this chat is called Dave$/],
    [{ remove: b }, /: a chat needs at least one other peer$/],
  ];
  for (const [instruction] of refusals) await change(alice, instruction);
  await alice.program.write('{"add": 5}\n{"add": "1", "body": "x"}\n{"add": "1", "to": "Bob"}\n');
  const errors = await alice.until("error", refusals.length + 2);
  refusals.forEach(([, message], i) => assert.match(String(errors[i].message), message));
  assert.match(String(errors.at(-2)!.message), /"add" is not a string$/);
  assert.match(String(errors.at(-1)!.message), /"add" stands alone in its object$/);
  // An object with a body is a message.
  assert.deepEqual((await alice.until("queued")).map(({ body }) => body), ["x"]);
});

Deno.test("a removed peer is no longer connected, and the only one left cannot be removed", async () => {
  const network = new VirtualNetwork(() => Promise.resolve());
  const open = async (name: string, port: number, targets: readonly string[]) => {
    const peer = await Peer.openOn(network.host(name), { name, port, targets });
    return { peer, witness: new Witness(peer) };
  };
  const alice = await open("Alice", 1, ["2", "3"]);
  const bob = await open("Bob", 2, ["1"]);
  await Promise.all([alice, bob].map(({ witness }) => witness.until("welcome")));
  alice.peer.remove("Bob");
  await settle();
  const dialled = [...network.wires].filter(({ client }) => client.name === "Alice");
  assert.deepEqual(dialled, []);
  assert.throws(() => alice.peer.remove("3"), { code: "FAILED_PRECONDITION" });
  const joined = alice.peer.joined();
  const carol = await open("Carol", 3, ["1"]);
  assert.equal(await joined, "Carol");
  await Promise.all([alice, bob, carol].map(({ peer }) => peer[Symbol.asyncDispose]()));
  await Promise.all([alice, bob, carol].map(({ witness }) => witness.done));
});

homeTest("messages for a peer that is removed are waited for no longer", async (home) => {
  using journal = Journal.open({ home, name: "Alice" });
  const network = new VirtualNetwork(() => Promise.resolve());
  const options = { name: "Alice", targets: ["2", "Bob@3"], journal };
  const alice = await Peer.openOn(network.host("Alice"), options);
  const witness = new Witness(alice);
  await alice.send({ text: "Bob?", to: "Bob" });
  let isDrained = false;
  const drained = alice.drained().then(() => isDrained = true, () => {});
  alice.remove("Bob");
  await settle();
  assert(isDrained);
  await alice[Symbol.asyncDispose]();
  await Promise.all([drained, witness.done]);
});

Deno.test("the calls of a peer that was removed are not announced", async () => {
  const [a, b, c] = freePorts(3);
  await using alice = new Bot(["Alice", a, b, c]);
  await using carol = new Bot(["Carol", c, a]);
  await Promise.all([alice.until("welcome"), carol.until("welcome")]);
  await change(alice, { remove: "Carol" });
  await carol.until("refused");
  await carol.say("Alice?");
  await carol.until("queued");
  // Her next dial comes after her calls.
  await change(alice, { add: c });
  await alice.until("message");
  assert.deepEqual(alice.all("caller"), []);
});

Deno.test("a peer that was removed and added again is announced like any other if it calls from elsewhere", async () => {
  const [a, b, c, d] = freePorts(4);
  await using alice = new Bot(["Alice", a, b, c]);
  {
    await using carol = new Bot(["Carol", c, a]);
    await Promise.all([alice.until("welcome"), carol.until("welcome")]);
    await change(alice, { remove: "Carol" });
    await alice.until("removed");
    await change(alice, { add: c });
    await alice.until("joined");
  }
  await using _carol = new Bot(["Carol", d, a]);
  const [{ name, from }] = await alice.until("caller");
  assert.deepEqual([name, from], ["Carol", `127.0.0.1:${d}`]);
});

Deno.test({
  name: "without a journal, what waits for a removed peer fails",
  ...GRPC_TIMERS_OUTLIVE_CHANNELS,
  fn: async () => {
    const [a, b, c] = freePorts(3);
    await using _bob = new Bot(["Bob", b, a]);
    await using carol = new Bot(["Carol", c, a]);
    await using alice = await openWitnessed({ name: "Alice", port: Number(a), targets: [b, c] });
    const [{ names }] = await alice.witness.until("welcome");
    if (names.length < 2) await alice.witness.until("joined");
    await carol.until("welcome");
    carol.program.kill("SIGSTOP");
    const sent = Promise.allSettled(
      ["Carol?", "Are you there?"].map((text) => alice.peer.send(text)),
    );
    await alice.witness.until("queued", 2);
    alice.peer.remove("Carol");
    const outcomes = await inTime(sent, "the outcomes");
    assert.deepEqual(outcomes.map(({ status }) => status), ["rejected", "rejected"]);
    const failed = await alice.witness.until("failed", 2);
    assert.deepEqual(failed.map(({ to }) => to), ["Carol", "Carol"]);
    carol.program.kill("SIGCONT");
  },
});

Deno.test("a peer that is removed while it is silent is not called any longer, and leaving takes no longer", async () => {
  const [a, b, absent] = freePorts(3);
  await using home = temporaryHome();
  await using bob = new Bot(["Bob", b, a]);
  await using alice = new Bot(["Alice", a, b, absent], home);
  await Promise.all([alice, bob].map((bot) => bot.until("welcome")));
  bob.program.kill("SIGSTOP");
  await alice.say("Bob?");
  await alice.until("queued");
  await change(alice, { remove: "Bob" });
  await alice.until("removed");
  // As long as the delivery that was in flight may take.
  alice.program.kill("SIGTERM");
  await alice.program.code();
  bob.program.kill("SIGCONT");
  const messages = alice.all("error").map(({ message }) => String(message));
  assert.deepEqual(messages.filter((message) => message.includes("connection lost")), []);
});

Deno.test("a name that a peer has given itself does not let it stand for another one's target", async () => {
  const [a, b, e] = freePorts(3);
  await using bob = new Bot(["Bob", b, a]);
  await using eve = await openWitnessed({ name: b, port: Number(e), targets: [a] });
  await using alice = new Bot(["Alice", a, b, e]);
  await Promise.all([
    ...[alice, bob].map((bot) => bot.until("welcome")),
    eve.witness.until("welcome"),
  ]);
  await change(alice, { remove: b });
  const [{ message }] = await alice.until("error");
  assert.match(
    String(message),
    new RegExp(`${b} is the name of the peer at 127.0.0.1:${e}, but also`),
  );
  await change(alice, { remove: `127.0.0.1:${b}` });
  const [removed] = await alice.until("removed");
  assert.equal(removed.name, "Bob");
});

Deno.test("random changes lose nothing, repeat nothing, and tell no one what is not for them", async () => {
  const [a, b, c, absent] = freePorts(4);
  await using home = temporaryHome();
  await using alice = new Bot(["Alice", a, absent], home);
  await using bob = new Bot(["Bob", b, a], home);
  await using carol = new Bot(["Carol", c, a], home);
  const random = randomNumbers(7);
  const members = new Set<string>();
  const expected = new Map<string, string[]>([[b, []], [c, []]]);
  let lines = "";
  for (let i = 0; i < CHANGES; i++) {
    const port = random() < 0.5 ? b : c;
    lines += JSON.stringify(members.delete(port) ? { remove: port } : { add: port }) + "\n";
    if (lines.endsWith(`{"add":"${port}"}\n`)) members.add(port);
    if (random() < 0.7) continue;
    lines += JSON.stringify({ body: `${i}` }) + "\n";
    for (const member of members) expected.get(member)!.push(`${i}`);
  }
  for (const port of [b, c]) if (!members.has(port)) lines += `{"add":"${port}"}\n`;
  await alice.program.write(lines + `{"body":"last"}\n`);
  const theLast = (bot: Bot) => bodiesOf(bot).includes("last") || undefined;
  const arrived = (bot: Bot) =>
    bot.program.out.waitFor(() => theLast(bot), () => "the last message", 120_000 * FACTOR);
  await Promise.all([bob, carol].map(arrived));
  assert.deepEqual(bodiesOf(bob), [...expected.get(b)!, "last"]);
  assert.deepEqual(bodiesOf(carol), [...expected.get(c)!, "last"]);
  assert.equal(alice.all("added").length + alice.all("removed").length, CHANGES + 2 - members.size);
});

terminalTest("a caller is added as its announcement says, and removed again", async () => {
  const [a, b, c] = freePorts(3);
  await using alices = await Terminal.open({ columns: 120, rows: 24 });
  await alices.run(greetIn(["chat", "Alice", a, b]));
  await alices.until("Waiting for other peer");
  await using carols = await Terminal.open({ columns: 120, rows: 24 });
  await carols.run(greetIn(["chat", "Carol", c, a]));
  await alices.until(`type /add ${c})`);
  await alices.type(`/add ${c}`, "Enter");
  await alices.until(`127.0.0.1:${c} was added and gets what you say from now on.`);
  await alices.until("Welcome, Alice. You are chatting with Carol.");
  await carols.until("Welcome, Carol. You are chatting with Alice.");
  await alices.type("/remove Carol", "Enter");
  await alices.until("Carol was removed and gets nothing more.");
  await carols.until("Alice has left.");
  await carols.until(`ask Alice to add ${c}`);
  await alices.type("/remove Bob", "Enter");
  await alices.until("no peer in this chat is called Bob");
});
