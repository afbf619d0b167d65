/** One peer and another: meeting, sending, leaving, and what a peer refuses. */
import assert from "node:assert/strict";
import net from "node:net";
import { Journal, Peer } from "../../mod.ts";
import { dial } from "../../src/rpc/client.ts";
import { serve } from "../../src/rpc/server.ts";
import { implement } from "../../src/rpc/service.ts";
import { CHAT } from "../../src/rpc/services.ts";
import { parseTarget } from "../../src/net/address.ts";
import { pause } from "../../src/base/timing.ts";
import { temporaryHome } from "../support/home.ts";
import { GRPC_TIMERS_OUTLIVE_CHANNELS } from "../support/grpc_timers.ts";
import { freePorts } from "../support/ports.ts";
import { inTime, PATIENCE_MS } from "../support/waiting.ts";
import { openWitnessed, Witness } from "../support/witness.ts";

/** Alice and Bob, who have met, and their events. */
async function pair() {
  const [portA, portB] = freePorts();
  const alice = await Peer.open({ name: "Alice", port: Number(portA), targets: [portB] });
  const bob = await Peer.open({ name: "Bob", port: Number(portB), targets: [portA] });
  const [aliceEvents, bobEvents] = [new Witness(alice), new Witness(bob)];
  await Promise.all([aliceEvents.until("welcome"), bobEvents.until("welcome")]);
  return {
    alice,
    bob,
    aliceEvents,
    bobEvents,
    portA,
    portB,
    async [Symbol.asyncDispose]() {
      await Promise.all([alice[Symbol.asyncDispose](), bob[Symbol.asyncDispose]()]);
      await Promise.all([aliceEvents.done, bobEvents.done]);
    },
  };
}

/** Alice, who waits for Bob: nothing listens on his port yet. */
async function waitingAlice(journal?: Journal) {
  const [portA, portB] = freePorts();
  const options = { name: "Alice", port: Number(portA), targets: [portB], journal };
  const alice = await openWitnessed(options);
  await alice.witness.until("waiting");
  return { ...alice, portA, portB };
}

Deno.test("two peers meet and learn each other's names", async () => {
  await using chat = await pair();
  assert.deepEqual(await chat.aliceEvents.until("welcome"), [{ type: "welcome", names: ["Bob"] }]);
  assert.equal(await chat.bob.joined(), "Alice");
});

Deno.test("an incoming call makes a waiting peer dial at once", async () => {
  await using alice = await waitingAlice();
  const { portA, portB } = alice;
  await using bob = await openWitnessed({ name: "Bob", port: Number(portB), targets: [portA] });
  // Without the call, her next dial would come after 5 s.
  await inTime(alice.peer.joined(), "Bob", 4_500);
  await Promise.all([alice[Symbol.asyncDispose](), bob[Symbol.asyncDispose]()]);
});

Deno.test("a call that does not say where its program listens makes a waiting peer dial, too", async () => {
  await using alice = await waitingAlice();
  await using _bob = await serve({
    host: "127.0.0.1",
    port: Number(alice.portB),
    services: [implement(CHAT, {
      GetInfo: () => ({ sender: "Bob", body: "", id: "", timestamp: null }),
    })],
  });
  using channel = dial(parseTarget(alice.portA));
  await channel.call(CHAT, "GetInfo", {}, { timeoutMs: PATIENCE_MS });
  await inTime(alice.peer.joined(), "Bob", 4_500);
  await alice[Symbol.asyncDispose]();
});

Deno.test("what is sent before it is known who is here waits until it is", async () => {
  const [portA, portB] = freePorts();
  await using bob = await Peer.open({ name: "Bob", port: Number(portB), targets: [portA] });
  const bobEvents = new Witness(bob);
  await bobEvents.until("waiting");
  await using alice = await Peer.open({ name: "Alice", port: Number(portA), targets: [portB] });
  const aliceEvents = new Witness(alice);
  await alice.send("at once");
  assert.equal((await bobEvents.until("message"))[0].message.body, "at once");
  await Promise.all([alice[Symbol.asyncDispose](), bob[Symbol.asyncDispose]()]);
  await Promise.all([aliceEvents.done, bobEvents.done]);
});

Deno.test("a message arrives unchanged, with its sender, time and id", async () => {
  await using chat = await pair();
  const before = Date.now();
  await chat.alice.send("Hello,\n\x1b[31mBob\u202e!");
  const [{ message }] = await chat.bobEvents.until("message");
  assert.equal(message.from, "Alice");
  assert.equal(message.body, "Hello,\n\x1b[31mBob\u202e!");
  assert.match(message.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert(message.at.getTime() >= before && message.at.getTime() <= Date.now());
  assert.equal(parseInt(message.id.replace("-", "").slice(0, 12), 16), message.at.getTime());
});

Deno.test("a thousand messages sent at once arrive once each, in order", async () => {
  await using chat = await pair();
  const bodies = Array.from({ length: 1000 }, (_, i) => `${i}`);
  await Promise.all(bodies.map((body) => chat.alice.send(body)));
  const received = await chat.bobEvents.until("message", bodies.length);
  assert.deepEqual(received.map(({ message }) => message.body), bodies);
});

Deno.test("a message of one megabyte arrives; one of five is refused, and the chat goes on", async () => {
  await using chat = await pair();
  await chat.alice.send("x".repeat(1_000_000));
  await assert.rejects(chat.alice.send("x".repeat(5_000_000)), { code: "RESOURCE_EXHAUSTED" });
  assert.equal((await chat.aliceEvents.until("failed")).length, 1);
  await chat.alice.send("still here");
  const received = await chat.bobEvents.until("message", 2);
  assert.deepEqual(received.map(({ message }) => message.body.length), [1_000_000, 10]);
});

Deno.test("a peer that leaves is announced, messages to it fail, and its return is announced", async () => {
  const [portA, portB] = freePorts();
  await using alice = await Peer.open({ name: "Alice", port: Number(portA), targets: [portB] });
  const aliceEvents = new Witness(alice);
  for (const stay of [1, 2]) {
    await using bob = await Peer.open({ name: "Bob", port: Number(portB), targets: [portA] });
    const bobEvents = new Witness(bob);
    await bobEvents.until("welcome");
    if (stay === 1) {
      await aliceEvents.until("welcome");
    } else {
      const back = [{ type: "joined", name: "Bob", back: true }];
      assert.deepEqual(await aliceEvents.until("joined"), back);
    }
    await bob[Symbol.asyncDispose]();
    await aliceEvents.until("left", stay);
  }
  await assert.rejects(alice.send("Bob?"), { code: "UNAVAILABLE", message: "Bob has left" });
  assert.equal((await aliceEvents.until("failed")).length, 1);
});

Deno.test("without a journal, a message is queued for those that are here before it fails for the others", async () => {
  const [portA, portB] = freePorts();
  const bob = await Peer.open({ name: "Bob", port: Number(portB), targets: [portA] });
  const alice = await Peer.open({ name: "Alice", port: Number(portA), targets: [portB, "1"] });
  const [aliceEvents, bobEvents] = [new Witness(alice), new Witness(bob)];
  await Promise.all([aliceEvents, bobEvents].map((events) => events.until("welcome")));
  await aliceEvents.until("waiting");
  await alice.send("hello");
  await aliceEvents.until("delivered");
  const types = aliceEvents.seen.map(({ type }) => type);
  const reported = types.filter((type) => type === "queued" || type === "failed");
  assert.deepEqual(reported, ["queued", "failed"]);
  await Promise.all([alice[Symbol.asyncDispose](), bob[Symbol.asyncDispose]()]);
  await Promise.all([aliceEvents.done, bobEvents.done]);
});

Deno.test("peers that take turns on one port are told apart", async () => {
  const [portA, portB] = freePorts();
  await using alice = await Peer.open({ name: "Alice", port: Number(portA), targets: [portB] });
  const aliceEvents = new Witness(alice);
  const order = ["Bob", "Carol", "Bob"];
  for (const [i, name] of order.entries()) {
    await using other = await Peer.open({ name, port: Number(portB), targets: [portA] });
    const otherEvents = new Witness(other);
    await otherEvents.until("welcome");
    await inTime(
      (async () => assert.equal(await alice.joined(), name))(),
      `Alice meets ${name}`,
    );
    await other[Symbol.asyncDispose]();
    await otherEvents.done;
    await aliceEvents.until("left", i + 1);
    await assert.rejects(alice.send("still there?"), { message: `${name} has left` });
  }
  assert.deepEqual(await aliceEvents.until("welcome"), [{ type: "welcome", names: ["Bob"] }]);
  assert.deepEqual(await aliceEvents.until("joined", 2), [
    { type: "joined", name: "Carol", back: false },
    { type: "joined", name: "Bob", back: true },
  ]);
});

Deno.test("a waiting message can be cancelled, but not twice", async () => {
  await using home = temporaryHome();
  using journal = Journal.open({ home: home.env.GREET_HOME, name: "Alice" });
  await using alice = await waitingAlice(journal);
  const { peer, witness } = alice;
  await Promise.all(["one", "two"].map((body) => peer.send(body)));
  const [, two] = peer.queue();
  peer.cancel(two);
  await witness.until("cancelled");
  assert.throws(() => peer.cancel(two), { message: "it is no longer waiting" });
  assert.deepEqual(peer.queue().map(({ message }) => message.body), ["one"]);
});

Deno.test("the history of a chat holds what its peers have said, whose names the command does not tell", async () => {
  await using home = temporaryHome();
  using journal = Journal.open({ home: home.env.GREET_HOME, name: "Alice" });
  await using alice = await waitingAlice(journal);
  const { portA, portB } = alice;
  await using bob = await openWitnessed({ name: "Bob", port: Number(portB), targets: [portA] });
  await bob.witness.until("welcome");
  await bob.peer.send("hello");
  await alice.witness.until("message");
  assert.deepEqual(alice.peer.history(9).map(({ message }) => message.body), ["hello"]);
});

Deno.test("a peer knows what it has said, and whether any of it still waits", async () => {
  await using home = temporaryHome();
  using journal = Journal.open({ home: home.env.GREET_HOME, name: "Alice" });
  await using alice = await waitingAlice(journal);
  const { peer } = alice;
  assert(!peer.isWaiting);
  await peer.send("are you there?");
  assert(peer.isWaiting);
  peer.cancel(peer.queue()[0]);
  assert(!peer.isWaiting);
  assert.deepEqual(peer.said(9).map(({ message }) => message.body), ["are you there?"]);
});

Deno.test("what was just sent is delivered before a chat is settled, and before it is left", async () => {
  const [portA, portB] = freePorts();
  await using home = temporaryHome();
  using journal = Journal.open({ home: home.env.GREET_HOME, name: "Alice" });
  const alice = await Peer.open({ name: "Alice", port: Number(portA), targets: [portB], journal });
  await using bob = await Peer.open({ name: "Bob", port: Number(portB), targets: [portA] });
  const [aliceEvents, bobEvents] = [new Witness(alice), new Witness(bob)];
  await Promise.all([aliceEvents, bobEvents].map((events) => events.until("welcome")));
  const delivered = () => aliceEvents.seen.filter(({ type }) => type === "delivered").length;
  const first = alice.send("first");
  await alice.settled();
  assert.equal(delivered(), 1);
  assert.deepEqual((await alice.find("IRS", 9)).map(({ message }) => message.body), ["first"]);
  const last = alice.send("last");
  await alice[Symbol.asyncDispose]();
  await Promise.all([first, last, aliceEvents.done]);
  assert.equal(delivered(), 2);
  await bob[Symbol.asyncDispose]();
  await bobEvents.done;
});

Deno.test("a message that is being delivered cannot be cancelled", async () => {
  const arrived = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  await using bob = await serve({
    host: "127.0.0.1",
    port: 0,
    services: [implement(CHAT, {
      GetInfo: () => ({ sender: "Bob", body: "", id: "", timestamp: null }),
      async SendMessage() {
        arrived.resolve();
        await answered.promise;
        return {};
      },
    })],
  });
  await using home = temporaryHome();
  using journal = Journal.open({ home: home.env.GREET_HOME, name: "Alice" });
  await using alice = await Peer.open({ name: "Alice", targets: [`${bob.port}`], journal });
  const aliceEvents = new Witness(alice);
  await aliceEvents.until("welcome");
  await alice.send("on its way");
  await arrived.promise;
  const [entry] = alice.queue();
  assert.throws(() => alice.cancel(entry), {
    code: "FAILED",
    message: "it is being delivered and cannot be cancelled",
  });
  answered.resolve();
  await aliceEvents.until("delivered");
  await alice[Symbol.asyncDispose]();
  await aliceEvents.done;
});

Deno.test("messages from strangers, or under a wrong name, are refused and not shown", async () => {
  await using chat = await pair();
  using stranger = dial(parseTarget(chat.portA));
  const message = { id: "", body: "psst", timestamp: null };
  for (const sender of ["Mallory", "", "Alice", "bob", "Bob "]) {
    await assert.rejects(
      stranger.call(CHAT, "SendMessage", { ...message, sender }, { timeoutMs: PATIENCE_MS }),
      { code: "PERMISSION_DENIED" },
      sender,
    );
  }
  await chat.bob.send("the real one");
  const received = await chat.aliceEvents.until("message");
  assert.deepEqual(received.map(({ message }) => message.body), ["the real one"]);
});

Deno.test("a message that arrives before the handshake is accepted", async () => {
  await using alice = await waitingAlice();
  // A peer in another language that never calls GetInfo, and leaves out id and time.
  await using _bob = await serve({
    host: "127.0.0.1",
    port: Number(alice.portB),
    services: [implement(CHAT, {
      GetInfo: () => ({ sender: "Bob", body: "", id: "", timestamp: null }),
      SendMessage: () => ({}),
      SendMessages: () => ({}),
    })],
  });
  using channel = dial(parseTarget(alice.portA));
  const message = { sender: "Bob", body: "first!", id: "", timestamp: null };
  await channel.call(CHAT, "SendMessage", message, { timeoutMs: PATIENCE_MS });
  const [received] = await alice.witness.until("message");
  assert.equal(received.message.body, "first!");
  assert(Math.abs(received.message.at.getTime() - Date.now()) < 60_000);
  await alice[Symbol.asyncDispose]();
});

Deno.test("a message is reported as delivered before the reply, even if the reply overtakes the acknowledgement", async () => {
  const [portA, portB] = freePorts();
  using replies = dial(parseTarget(portA));
  const reply = { sender: "Bob", body: "a reply", id: "", timestamp: null };
  await using _bob = await serve({
    host: "127.0.0.1",
    port: Number(portB),
    services: [implement(CHAT, {
      GetInfo: () => ({ sender: "Bob", body: "", id: "", timestamp: null }),
      async SendMessage() {
        await replies.call(CHAT, "SendMessage", reply, { timeoutMs: PATIENCE_MS });
        return {};
      },
      SendMessages: () => ({}),
    })],
  });
  await using home = temporaryHome();
  using journal = Journal.open({ home: home.env.GREET_HOME, name: "Alice" });
  await using alice = await Peer.open({
    name: "Alice",
    port: Number(portA),
    targets: [portB],
    journal,
  });
  const aliceEvents = new Witness(alice);
  await aliceEvents.until("welcome");
  await alice.send("a question");
  await aliceEvents.until("message");
  const types = aliceEvents.seen.map(({ type }) => type);
  assert(
    types.includes("delivered") && types.indexOf("delivered") < types.indexOf("message"),
    `${types}`,
  );
});

Deno.test("a stranger is refused by its name, which is quoted only if it is valid", async () => {
  const [portA, portB] = freePorts();
  await using alice = await Peer.open({ name: "Alice", port: Number(portA), targets: [portB] });
  const aliceEvents = new Witness(alice);
  using channel = dial(parseTarget(portA));
  const names = [["Mallory", "Mallory"], ["", "you"], ["a\x1b[2J", "you"], ["x\u202Ey", "you"]];
  for (const [sender, whom] of names) {
    const message = { sender, body: "hi", id: "", timestamp: null };
    await assert.rejects(channel.call(CHAT, "SendMessage", message, { timeoutMs: PATIENCE_MS }), {
      code: "PERMISSION_DENIED",
      message: new RegExp(`Alice is not chatting with ${whom}$`),
    });
  }
  await alice[Symbol.asyncDispose]();
  await aliceEvents.done;
  assert.deepEqual(aliceEvents.seen.filter(({ type }) => type === "message"), []);
  const callers = aliceEvents.seen.flatMap((event) => event.type === "caller" ? [event.name] : []);
  assert.deepEqual(callers, ["Mallory"]);
});

const INVALID_NAMES: readonly [name: string, reason: RegExp][] = [
  ["", /name is empty/],
  ["a\x1b[2J", /control or invisible/],
  ["x".repeat(65), /longer than 64/],
  ["Alice", /name is Alice, the same as ours/],
];

for (const [sender, expected] of INVALID_NAMES) {
  Deno.test(`a peer cannot join as ${JSON.stringify(sender)}`, async () => {
    await using other = await serve({
      host: "127.0.0.1",
      port: 0,
      services: [implement(CHAT, {
        GetInfo: () => ({ sender, body: "", id: "", timestamp: null }),
        SendMessage: () => ({}),
        SendMessages: () => ({}),
      })],
    });
    await using alice = await Peer.open({ name: "Alice", targets: [`${other.port}`] });
    const aliceEvents = new Witness(alice);
    const [{ reason }] = await aliceEvents.until("waiting");
    assert.match(reason, expected);
    assert.deepEqual(aliceEvents.seen.filter(({ type }) => type !== "waiting"), []);
    await alice[Symbol.asyncDispose]();
    await aliceEvents.done;
  });
}

Deno.test("without encryption, a peer whose answer is larger than any name is not met", async () => {
  await using other = await serve({
    host: "127.0.0.1",
    port: 0,
    services: [implement(CHAT, {
      GetInfo: () => ({ sender: "Bob", body: "x".repeat(100_000), id: "", timestamp: null }),
    })],
  });
  await using alice = await openWitnessed({ name: "Alice", targets: [`${other.port}`] });
  await alice.peer.settled();
  const [{ presence }] = alice.peer.others;
  assert(presence.state === "away");
  assert.equal(presence.error.code, "RESOURCE_EXHAUSTED");
  await alice[Symbol.asyncDispose]();
});

Deno.test("a greeting server is not a peer, and the reason says so", async () => {
  const { serveGreeter } = await import("../../mod.ts");
  await using server = await serveGreeter();
  await using alice = await Peer.open({ name: "Alice", targets: [`${server.port}`] });
  const aliceEvents = new Witness(alice);
  const [{ absent, reason }] = await aliceEvents.until("waiting");
  assert.equal(absent, false);
  assert.match(reason, /the other side speaks gRPC, but has no greet\.v1\.Chat\/GetInfo$/);
  await alice[Symbol.asyncDispose]();
  await aliceEvents.done;
});

Deno.test("a peer that has met nobody can be disposed of immediately, and twice", async () => {
  const [, portB] = freePorts();
  const alice = await Peer.open({ name: "Alice", targets: [portB] });
  const aliceEvents = new Witness(alice);
  await aliceEvents.until("waiting");
  await Promise.all([alice[Symbol.asyncDispose](), alice[Symbol.asyncDispose]()]);
  await aliceEvents.done;
});

Deno.test("waiting for peers or deliveries ends with CANCELLED when the peer leaves", async () => {
  const [, portB] = freePorts();
  await using home = temporaryHome();
  using journal = Journal.open({ home: home.env.GREET_HOME, name: "Alice" });
  for (const options of [{}, { journal }]) {
    const alice = await Peer.open({ name: "Alice", targets: [portB], ...options });
    const aliceEvents = new Witness(alice);
    await aliceEvents.until("waiting");
    if (options.journal !== undefined) await alice.send("kept");
    const waits = options.journal === undefined
      ? [alice.joined()]
      : [alice.joined(), alice.drained()];
    await alice[Symbol.asyncDispose]();
    await aliceEvents.done;
    for (const wait of [...waits, alice.joined(), alice.drained()]) {
      await inTime(assert.rejects(wait, { code: "CANCELLED" }), "the end of the wait");
    }
  }
});

Deno.test("a caller that says which port it listens on does not make us dial other peers", async () => {
  const [portB] = freePorts();
  let dials = 0;
  const absent = net.createServer((connection) => {
    dials++;
    connection.on("error", () => {});
    connection.destroy();
  });
  await new Promise<void>((resolve) => absent.listen(0, "127.0.0.1", resolve));
  const portC = `${(absent.address() as net.AddressInfo).port}`;
  const began = performance.now();
  await using alice = await Peer.open({ name: "Alice", targets: [portB, portC] });
  const aliceEvents = new Witness(alice);
  const areAway = async () => {
    while (!alice.others.every(({ presence }) => presence.state === "away")) await pause(1);
  };
  await inTime(areAway(), "both to be away");
  using caller = dial(parseTarget(`${alice.port}`));
  const headers = { "listening-port": portB };
  dials = 0;
  // A peer that drops connections is dialled again after five seconds anyway.
  for (let calls = 0; calls < 200 && performance.now() - began < 4_000; calls++) {
    await caller.call(CHAT, "GetInfo", {}, { timeoutMs: PATIENCE_MS, headers });
  }
  assert.equal(dials, 0);
  await alice[Symbol.asyncDispose]();
  await aliceEvents.done;
  await new Promise<void>((resolve) => absent.close(() => resolve()));
});

Deno.test({
  name: "a stranger that floods us with calls cannot make us flood the peer that we wait for",
  ...GRPC_TIMERS_OUTLIVE_CHANNELS,
  async fn() {
    let dials = 0;
    const absent = net.createServer((connection) => {
      dials++;
      connection.on("error", () => {});
      connection.destroy();
    });
    await new Promise<void>((resolve) => absent.listen(0, "127.0.0.1", resolve));
    const target = `${(absent.address() as net.AddressInfo).port}`;
    await using alice = await Peer.open({ name: "Alice", targets: [target] });
    const aliceEvents = new Witness(alice);
    await aliceEvents.until("waiting");
    using stranger = dial(parseTarget(`${alice.port}`));
    const start = performance.now();
    dials = 0;
    for (let calls = 0; calls < 1000; calls++) {
      await stranger.call(CHAT, "GetInfo", {}, { timeoutMs: PATIENCE_MS });
    }
    // A dial makes up to four connections: grpc-js tries twice, and explaining the failure takes two.
    const most = 4 * ((performance.now() - start) / 50 + 2);
    assert(dials <= most, `${dials} dials, at most ${most}`);
    assert(dials > 0);
    await alice[Symbol.asyncDispose]();
    await aliceEvents.done;
    await new Promise<void>((resolve) => absent.close(() => resolve()));
  },
});
