import assert from "node:assert/strict";
import net from "node:net";
import { Journal, Peer } from "../../mod.ts";
import { dial } from "../../src/rpc/client.ts";
import { implement, serve } from "../../src/rpc/server.ts";
import { CHAT } from "../../src/rpc/services.ts";
import { parseTarget } from "../../src/net/address.ts";
import { pause } from "../../src/base/timing.ts";
import { temporaryHome } from "../support/home.ts";
import { freePorts } from "../support/ports.ts";
import { inTime } from "../support/waiting.ts";
import { Witness } from "../support/witness.ts";

async function pair() {
  const [portA, portB] = freePorts();
  const alice = await Peer.open({ name: "Alice", port: Number(portA), targets: [portB] });
  const bob = await Peer.open({ name: "Bob", port: Number(portB), targets: [portA] });
  const [alices, bobs] = [new Witness(alice), new Witness(bob)];
  await Promise.all([alices.until("welcome"), bobs.until("welcome")]);
  return {
    alice,
    bob,
    alices,
    bobs,
    portA,
    portB,
    async [Symbol.asyncDispose]() {
      await Promise.all([alice[Symbol.asyncDispose](), bob[Symbol.asyncDispose]()]);
      await Promise.all([alices.done, bobs.done]);
    },
  };
}

Deno.test("two peers meet, by whatever names they have", async () => {
  await using chat = await pair();
  assert.deepEqual(await chat.alices.until("welcome"), [{ type: "welcome", names: ["Bob"] }]);
  assert.equal(await chat.bob.joined(), "Alice");
});

Deno.test("to be called is the signal: who waits does not wait for the next dial of its own", async () => {
  const [portA, portB] = freePorts();
  await using alice = await Peer.open({ name: "Alice", port: Number(portA), targets: [portB] });
  const alices = new Witness(alice);
  await alices.until("waiting");
  await using bob = await Peer.open({ name: "Bob", port: Number(portB), targets: [portA] });
  const bobs = new Witness(bob);
  // The next dial of her own would come after 5 s.
  await inTime(alice.joined(), "Bob", 2_000);
  await Promise.all([alice[Symbol.asyncDispose](), bob[Symbol.asyncDispose]()]);
  await Promise.all([alices.done, bobs.done]);
});

Deno.test("what is said arrives exactly, with its sender, time and id", async () => {
  await using chat = await pair();
  const before = Date.now();
  await chat.alice.send("Hello,\n\x1b[31mBob\u202e!");
  const [{ message }] = await chat.bobs.until("message");
  assert.equal(message.from, "Alice");
  assert.equal(message.body, "Hello,\n\x1b[31mBob\u202e!");
  assert.match(message.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert(message.at.getTime() >= before && message.at.getTime() <= Date.now());
  assert.equal(parseInt(message.id.replace("-", "").slice(0, 12), 16), message.at.getTime());
});

Deno.test("a thousand messages at once arrive once each, in order", async () => {
  await using chat = await pair();
  const bodies = Array.from({ length: 1000 }, (_, i) => `${i}`);
  await Promise.all(bodies.map((body) => chat.alice.send(body)));
  const received = await chat.bobs.until("message", bodies.length);
  assert.deepEqual(received.map(({ message }) => message.body), bodies);
});

Deno.test("a megabyte arrives; five are refused, said so, and harm nothing", async () => {
  await using chat = await pair();
  await chat.alice.send("x".repeat(1_000_000));
  await assert.rejects(chat.alice.send("x".repeat(5_000_000)), { code: "RESOURCE_EXHAUSTED" });
  assert.equal((await chat.alices.until("failed")).length, 1);
  await chat.alice.send("still here");
  const received = await chat.bobs.until("message", 2);
  assert.deepEqual(received.map(({ message }) => message.body.length), [1_000_000, 10]);
});

Deno.test("who leaves is missed at once; what is said meanwhile fails; who comes back is back", async () => {
  const [portA, portB] = freePorts();
  await using alice = await Peer.open({ name: "Alice", port: Number(portA), targets: [portB] });
  const alices = new Witness(alice);
  for (const stay of [1, 2]) {
    await using bob = await Peer.open({ name: "Bob", port: Number(portB), targets: [portA] });
    const bobs = new Witness(bob);
    await bobs.until("welcome");
    if (stay === 1) await alices.until("welcome");
    else {assert.deepEqual(await alices.until("joined"), [{
        type: "joined",
        name: "Bob",
        back: true,
      }]);}
    await bob[Symbol.asyncDispose]();
    await alices.until("left", stay);
  }
  await assert.rejects(alice.send("Bob?"), { code: "UNAVAILABLE", message: "Bob has left" });
  assert.equal((await alices.until("failed")).length, 1);
});

Deno.test("somebody else on the other port is somebody else", async () => {
  const [portA, portB] = freePorts();
  await using alice = await Peer.open({ name: "Alice", port: Number(portA), targets: [portB] });
  const alices = new Witness(alice);
  const order = ["Bob", "Carol", "Bob"];
  for (const [i, name] of order.entries()) {
    await using other = await Peer.open({ name, port: Number(portB), targets: [portA] });
    const others = new Witness(other);
    await others.until("welcome");
    await inTime(
      (async () => assert.equal(await alice.joined(), name))(),
      `Alice meets ${name}`,
    );
    await other[Symbol.asyncDispose]();
    await others.done;
    await alices.until("left", i + 1);
    await assert.rejects(alice.send("still there?"), { message: `${name} has left` });
  }
  assert.deepEqual(await alices.until("welcome"), [{ type: "welcome", names: ["Bob"] }]);
  assert.deepEqual(await alices.until("joined", 2), [
    { type: "joined", name: "Carol", back: false },
    { type: "joined", name: "Bob", back: true },
  ]);
});

Deno.test("what waits can be cancelled, once", async () => {
  const [portA, portB] = freePorts();
  const home = await Deno.makeTempDir({ prefix: "greet-home-" });
  using journal = Journal.open({ home, name: "Alice" });
  const targets = [portB];
  await using alice = await Peer.open({ name: "Alice", port: Number(portA), targets, journal });
  const alices = new Witness(alice);
  // grpc-js leaves a timer of 250 ms behind when a channel is closed while it connects.
  await alices.until("waiting");
  await Promise.all(["one", "two"].map((body) => alice.send(body)));
  const [, two] = alice.queue();
  alice.cancel(two);
  await alices.until("cancelled");
  assert.throws(() => alice.cancel(two), { message: "it does not wait any more" });
  assert.deepEqual(alice.queue().map(({ message }) => message.body), ["one"]);
  await alice[Symbol.asyncDispose]();
  await alices.done;
  await Deno.remove(home, { recursive: true });
});

Deno.test("a stranger, or a peer under another name, is refused and not shown", async () => {
  await using chat = await pair();
  using stranger = dial(parseTarget(chat.portA));
  const message = { id: "", body: "psst", timestamp: null };
  for (const sender of ["Mallory", "", "Alice", "bob", "Bob "]) {
    await assert.rejects(
      stranger.call(CHAT, "SendMessage", { ...message, sender }, { timeoutMs: 5000 }),
      { code: "PERMISSION_DENIED" },
      sender,
    );
  }
  await chat.bob.send("the real one");
  const received = await chat.alices.until("message");
  assert.deepEqual(received.map(({ message }) => message.body), ["the real one"]);
});

Deno.test("a message that overtakes the handshake is taken", async () => {
  const [portA, portB] = freePorts();
  await using alice = await Peer.open({ name: "Alice", port: Number(portA), targets: [portB] });
  const alices = new Witness(alice);
  await alices.until("waiting");
  // A foreign peer that calls nobody's GetInfo, leaves id and time out, and speaks first.
  await using _bob = await serve({
    host: "127.0.0.1",
    port: Number(portB),
    services: [implement(CHAT, {
      GetInfo: () => ({ sender: "Bob", body: "", id: "", timestamp: null }),
      SendMessage: () => ({}),
      SendMessages: () => ({}),
    })],
  });
  using channel = dial(parseTarget(portA));
  const message = { sender: "Bob", body: "first!", id: "", timestamp: null };
  await channel.call(CHAT, "SendMessage", message, { timeoutMs: 5000 });
  const [received] = await alices.until("message");
  assert.equal(received.message.body, "first!");
  assert(Math.abs(received.message.at.getTime() - Date.now()) < 60_000);
  await alice[Symbol.asyncDispose]();
  await alices.done;
});

Deno.test("what we said stands in front of the reply to it, even if that overtakes its answer", async () => {
  const [portA, portB] = freePorts();
  using replies = dial(parseTarget(portA));
  const reply = { sender: "Bob", body: "a reply", id: "", timestamp: null };
  await using _bob = await serve({
    host: "127.0.0.1",
    port: Number(portB),
    services: [implement(CHAT, {
      GetInfo: () => ({ sender: "Bob", body: "", id: "", timestamp: null }),
      async SendMessage() {
        await replies.call(CHAT, "SendMessage", reply, { timeoutMs: 5_000 });
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
  const alices = new Witness(alice);
  await alices.until("welcome");
  await alice.send("a question");
  await alices.until("message");
  const said = alices.seen.map(({ type }) => type);
  assert(
    said.includes("delivered") && said.indexOf("delivered") < said.indexOf("message"),
    `${said}`,
  );
});

const IMPOSSIBLE_OTHERS: readonly [sender: string, reason: RegExp][] = [
  ["", /name is empty/],
  ["a\x1b[2J", /control or invisible/],
  ["x".repeat(65), /longer than 64/],
  ["Alice", /name is Alice, too/],
];

for (const [sender, reason] of IMPOSSIBLE_OTHERS) {
  Deno.test(`nobody joins as ${JSON.stringify(sender)}`, async () => {
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
    const alices = new Witness(alice);
    const [{ reason: said }] = await alices.until("waiting");
    assert.match(said, reason);
    assert.deepEqual(alices.seen.filter(({ type }) => type !== "waiting"), []);
    await alice[Symbol.asyncDispose]();
    await alices.done;
  });
}

Deno.test("a greeting server is no peer, and the wait says why", async () => {
  const { serveGreeter } = await import("../../mod.ts");
  await using server = await serveGreeter();
  await using alice = await Peer.open({ name: "Alice", targets: [`${server.port}`] });
  const alices = new Witness(alice);
  const [{ nobodyThere, reason }] = await alices.until("waiting");
  assert.equal(nobodyThere, false);
  assert.match(reason, /does not implement/);
  await alice[Symbol.asyncDispose]();
  await alices.done;
});

Deno.test("a peer that meets nobody can be left at once, and twice", async () => {
  const [, portB] = freePorts();
  const alice = await Peer.open({ name: "Alice", targets: [portB] });
  const alices = new Witness(alice);
  await alices.until("waiting");
  await Promise.all([alice[Symbol.asyncDispose](), alice[Symbol.asyncDispose]()]);
  await alices.done;
});

Deno.test("who calls and says on which port it listens does not make us dial anybody else", async () => {
  const [portB] = freePorts();
  let dials = 0;
  const absent = net.createServer((connection) => {
    dials++;
    connection.on("error", () => {});
    connection.destroy();
  });
  await new Promise<void>((resolve) => absent.listen(0, "127.0.0.1", resolve));
  const portC = `${(absent.address() as net.AddressInfo).port}`;
  await using alice = await Peer.open({ name: "Alice", targets: [portB, portC] });
  const alices = new Witness(alice);
  const areAway = async () => {
    while (!alice.others.every(({ presence }) => presence.state === "away")) await pause(1);
  };
  await inTime(areAway(), "to know that nobody is there");
  using caller = dial(parseTarget(`${alice.port}`));
  const headers = { "listening-port": portB };
  dials = 0;
  for (let calls = 0; calls < 200; calls++) {
    await caller.call(CHAT, "GetInfo", {}, { timeoutMs: 5_000, headers });
  }
  assert.equal(dials, 0);
  await alice[Symbol.asyncDispose]();
  await alices.done;
  await new Promise<void>((resolve) => absent.close(() => resolve()));
});

Deno.test("a stranger who floods us cannot make us flood the one we wait for", async () => {
  let dials = 0;
  const absent = net.createServer((connection) => {
    dials++;
    connection.on("error", () => {});
    connection.destroy();
  });
  await new Promise<void>((resolve) => absent.listen(0, "127.0.0.1", resolve));
  const target = `${(absent.address() as net.AddressInfo).port}`;
  await using alice = await Peer.open({ name: "Alice", targets: [target] });
  const alices = new Witness(alice);
  await alices.until("waiting");
  using stranger = dial(parseTarget(`${alice.port}`));
  const start = performance.now();
  dials = 0;
  for (let calls = 0; calls < 1000; calls++) {
    await stranger.call(CHAT, "GetInfo", {}, { timeoutMs: 5_000 });
  }
  // A dial takes up to four connections: grpc-js tries twice, and explaining the failure takes two more.
  const most = 4 * ((performance.now() - start) / 50 + 2);
  assert(dials <= most, `${dials} dials, at most ${most}`);
  assert(dials > 0);
  await alice[Symbol.asyncDispose]();
  await alices.done;
  await new Promise<void>((resolve) => absent.close(() => resolve()));
});
