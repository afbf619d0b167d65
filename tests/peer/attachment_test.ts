/** Peers of which one cannot connect to the other, and callers that pose as such peers. */
import assert from "node:assert/strict";
import { GreetError, Journal, KnownPeers, newIdentity } from "../../mod.ts";
import { parseTarget } from "../../src/net/address.ts";
import { aborted } from "../../src/base/timing.ts";
import { dial } from "../../src/rpc/client.ts";
import { serve } from "../../src/rpc/server.ts";
import { implement } from "../../src/rpc/service.ts";
import { CHAT, type Delivery, type Receipt } from "../../src/rpc/services.ts";
import { toWire } from "../../src/peer/messages.ts";
import { Proxy } from "../../bench/soak/faults/proxy.ts";
import { Bot, Immortal } from "../support/bot.ts";
import { GRPC_TIMERS_OUTLIVE_CHANNELS } from "../support/grpc_timers.ts";
import { temporaryHome } from "../support/home.ts";
import { freePorts } from "../support/ports.ts";
import { Program, run } from "../support/program.ts";
import { inTime, PATIENCE_MS } from "../support/waiting.ts";
import { openWitnessed as open } from "../support/witness.ts";

const [ALICE, BOB, EVE] = await Promise.all(["Alice", "Bob", "Eve"].map(newIdentity));

/** How many messages are sent each way while both sides are killed; `GREET_TEST_ATTACHED` changes it. */
const MANY = Number(Deno.env.get("GREET_TEST_ATTACHED") ?? 1_000);

/** How long they may take, in milliseconds. */
const MANY_MS = 60_000 + MANY * 10;

/** Someone who knows Alice's key. */
function knowing(): KnownPeers {
  const known = KnownPeers.inMemory();
  known.remember({ name: "Alice", fingerprint: ALICE.fingerprint });
  return known;
}

/** What a caller sends first. */
function introduction(sender: string, port = 1): Receipt {
  return { introduction: { sender, port, instance: "" }, status: 0, reason: "" };
}

/** Receipts that never end before the signal is aborted. */
async function* only(receipts: readonly Receipt[], signal: AbortSignal): AsyncGenerator<Receipt> {
  yield* receipts;
  await aborted(signal);
}

Deno.test("a peer that is only known by name is waited for, welcomed, missed, and welcomed back", async () => {
  await using bob = await open({ name: "Bob", targets: ["Alice"], identity: BOB });
  const [{ reason }] = await bob.witness.until("waiting");
  assert.equal(reason, "waiting for Alice to call");
  const alices = { name: "Alice", targets: [`${bob.peer.port}`], identity: ALICE };
  {
    await using alice = await open(alices);
    await Promise.all([alice, bob].map(({ witness }) => witness.until("welcome")));
    await Promise.all([alice.peer.send("from Alice"), bob.peer.send("from Bob")]);
    const [[toAlice], [toBob]] = await Promise.all(
      [alice, bob].map(({ witness }) => witness.until("message")),
    );
    assert.deepEqual([toAlice.message.body, toBob.message.body], ["from Bob", "from Alice"]);
  }
  await bob.witness.until("left");
  await using _alice = await open(alices);
  const [{ name, back }] = await bob.witness.until("joined");
  assert.deepEqual([name, back], ["Alice", true]);
});

Deno.test({
  name: "an attached peer that is suspended is noticed, and gets what it missed when it resumes",
  ignore: Deno.build.os === "windows",
}, async () => {
  await using bob = new Bot(["Bob", "0", "Alice", "--tls"]);
  const [{ port }] = await bob.until("listening");
  await using alice = new Bot(["Alice", "0", `${port}`, "--tls"]);
  await Promise.all([alice, bob].map((bot) => bot.until("welcome")));
  alice.program.kill("SIGSTOP");
  await bob.say("are you there?");
  await bob.until("left", 1, 20_000);
  alice.program.kill("SIGCONT");
  const [{ body }] = await alice.until("message");
  assert.equal(body, "are you there?");
});

Deno.test("the screen says for whose call a chat waits; without encryption, a name is a mistake", async () => {
  await using bob = Program.greet(["chat", "Bob", "0", "Alice", "--tls"]);
  await bob.out.until("Waiting for Alice to call...\n");
  const { code, err } = await run(["chat", "Bob", "0", "Alice"]);
  assert.equal(code, 2);
  assert.match(err, /"Alice" is a name.*\n.*to wait for a call, add --tls\n/);
});

Deno.test("what waits for a peer goes to no impostor that attaches, and both sides see why", async () => {
  await using home = temporaryHome();
  using journal = Journal.open({ home: home.env.GREET_HOME, name: "Bob" });
  const bobs = { name: "Bob", targets: ["Alice"], identity: BOB, known: knowing(), journal };
  await using bob = await open(bobs);
  await bob.peer.send({ text: "for Alice alone", to: "Alice" });
  await using eve = await open({ name: "Alice", targets: [`${bob.peer.port}`], identity: EVE });
  const [impostor] = await bob.witness.until("impostor");
  assert.equal(impostor.fingerprint, EVE.fingerprint);
  const refused = await inTime(
    (async () => {
      for (let count = 1;; count++) {
        const { reason } = (await eve.witness.until("waiting", count)).at(-1)!;
        if (reason.includes("another key")) return reason;
      }
    })(),
    "the reason",
  );
  assert.match(refused, /Bob knows Alice by another key/);
  // Without asking first, too.
  using channel = dial(parseTarget(`${bob.peer.port}`), { own: EVE });
  const over = new AbortController();
  const receipts = only([introduction("Alice")], over.signal);
  await assert.rejects(
    channel.stream(CHAT, "Attach", receipts, { timeoutMs: PATIENCE_MS }).next(),
    { code: "PERMISSION_DENIED", message: /Bob knows Alice by another key/ },
  );
  over.abort();
  await using alice = await open({ name: "Alice", targets: [`${bob.peer.port}`], identity: ALICE });
  const [{ message }] = await alice.witness.until("message");
  assert.equal(message.body, "for Alice alone");
  assert.equal(bob.witness.seen.filter(({ type }) => type === "impostor").length, 1);
  for (const type of ["welcome", "message"]) {
    assert.deepEqual(eve.witness.seen.filter((event) => event.type === type), []);
  }
});

Deno.test("a caller that is not expected does not attach, and both sides see that it tried", async () => {
  await using bob = await open({ name: "Bob", targets: ["Carol"], identity: BOB });
  await using alice = await open({
    ...{ name: "Alice", targets: [`${bob.peer.port}`], identity: ALICE },
  });
  const [caller] = await bob.witness.until("caller");
  assert.equal(caller.name, "Alice");
  const reason = await inTime(
    (async () => {
      for (let count = 1;; count++) {
        const waiting = (await alice.witness.until("waiting", count)).at(-1)!;
        if (waiting.refusedBy !== undefined) return waiting.reason;
      }
    })(),
    "the reason",
  );
  assert.match(reason, /Bob's command does not name/);
  assert.deepEqual(alice.witness.seen.filter(({ type }) => type === "welcome"), []);
});

for (const other of ["Bob", "Alice"]) {
  Deno.test(
    `a caller that says it listens where another peer answers, called ${other}, does not take its place`,
    {
      ...GRPC_TIMERS_OUTLIVE_CHANNELS,
    },
    async () => {
      await using bob = await open({ name: other, targets: ["Carol"], identity: BOB });
      const { port } = bob.peer;
      await using alice = await open({ name: "Alice", targets: [`${port}`], identity: ALICE });
      using channel = dial(parseTarget(`${alice.peer.port}`), { own: EVE });
      const attach = async () => {
        const over = new AbortController();
        const receipts = only([introduction("Eve", port)], over.signal);
        await assert.rejects(
          channel.stream(CHAT, "Attach", receipts, { timeoutMs: PATIENCE_MS }).next(),
          { code: "PERMISSION_DENIED", message: /Alice is not chatting with Eve/ },
        );
        over.abort();
      };
      // While the first dial goes on, and when the other one has answered it.
      await attach();
      await alice.witness.until("waiting");
      await attach();
      assert.deepEqual(alice.witness.seen.filter(({ type }) => type === "met"), []);
    },
  );
}

Deno.test("the peer that was last met at a target may attach, although another one answers there now", async () => {
  await using home = temporaryHome();
  using journal = Journal.open({ home: home.env.GREET_HOME, name: "Alice" });
  await using carol = await open({ name: "Carol", targets: ["Dave"], identity: EVE });
  const target = `127.0.0.1:${carol.peer.port}`;
  journal.meet(target, { name: "Bob", fingerprint: BOB.fingerprint });
  await using alice = await open({ name: "Alice", targets: [target], identity: ALICE, journal });
  const [{ refusedBy }] = await alice.witness.until("waiting");
  assert.equal(refusedBy, "Carol");
  using channel = dial(parseTarget(`${alice.peer.port}`), { own: BOB });
  const over = new AbortController();
  const deliveries = channel.stream(CHAT, "Attach", only([introduction("Bob")], over.signal), {
    timeoutMs: PATIENCE_MS,
  });
  assert.deepEqual((await deliveries.next()).value?.messages, []);
  assert.deepEqual((await alice.witness.until("welcome"))[0].names, ["Bob"]);
  over.abort();
  await deliveries.return(undefined);
});

Deno.test(`${MANY} messages each way over one connection, both sides killed at random: none lost, none twice, in order`, async () => {
  const [b] = freePorts();
  await using bob = new Immortal("Bob", b, "Alice", "--tls");
  await using alice = new Immortal("Alice", "0", b, "--tls");
  for (let sent = 0; sent < MANY; sent += MANY / 20) {
    const bodies = Array.from({ length: MANY / 20 }, (_, i) => `${sent + i}`);
    await Promise.all([alice, bob].map(({ now }) => now.say(...bodies)));
    const stored = [alice, bob].map(({ now }) => now.until("queued", bodies.length, MANY_MS));
    await Promise.all(stored);
    for (const one of Math.random() < 0.5 ? [alice] : [bob, alice]) await one.killAndStart();
  }
  for (const [from, to] of [[alice, bob], [bob, alice]]) {
    await from.now.say("the end");
    const isEnd = () => to.now.all("message").find(({ body }) => body === "the end");
    await to.now.program.out.waitFor(isEnd, () => "the end", MANY_MS);
    const bodies = to.received().map(({ body }) => body);
    assert.deepEqual(bodies, [...Array.from({ length: MANY }, (_, i) => `${i}`), "the end"]);
  }
});

Deno.test("where nothing listens on this machine, no caller takes the place of the peer to come", {
  ...GRPC_TIMERS_OUTLIVE_CHANNELS,
}, async () => {
  const [b] = freePorts();
  await using alice = await open({ name: "Alice", targets: [b], identity: ALICE });
  await alice.witness.until("waiting");
  using channel = dial(parseTarget(`${alice.peer.port}`), { own: EVE });
  const over = new AbortController();
  const receipts = only([introduction("Eve", Number(b))], over.signal);
  await assert.rejects(
    channel.stream(CHAT, "Attach", receipts, { timeoutMs: PATIENCE_MS }).next(),
    { code: "PERMISSION_DENIED", message: /Alice is not chatting with Eve/ },
  );
  over.abort();
  const targets = [`${alice.peer.port}`];
  await using _bob = await open({ name: "Bob", port: Number(b), targets, identity: BOB });
  const [{ names }] = await alice.witness.until("welcome");
  assert.deepEqual(names, ["Bob"]);
});

Deno.test("a peer that can no longer be called gets messages over the connection that it has", {
  ...GRPC_TIMERS_OUTLIVE_CHANNELS,
}, async () => {
  await using homes = new AsyncDisposableStack();
  const journalOf = (name: string) => {
    const home = homes.use(temporaryHome()).env.GREET_HOME;
    return homes.use(Journal.open({ home, name }));
  };
  const [to, port] = freePorts().map(Number);
  await using proxy = await Proxy.open({ host: "127.0.0.1", port, to });
  const journals = { alice: journalOf("Alice"), bob: journalOf("Bob") };
  await using alice = await open({
    ...{ name: "Alice", targets: [`Bob@${port}`], identity: ALICE, journal: journals.alice },
  });
  const targets = [`${alice.peer.port}`];
  await using bob = await open({
    ...{ name: "Bob", port: to, targets, identity: BOB, journal: journals.bob },
  });
  await Promise.all([alice, bob].map(({ witness }) => witness.until("welcome")));
  proxy.refuse();
  await alice.witness.until("left");
  // Alice refuses this message at first, because she cannot call Bob; so he attaches.
  await bob.peer.send("from Bob");
  const [fromBob] = await alice.witness.until("message");
  await alice.peer.send("from Alice");
  const [fromAlice] = await bob.witness.until("message");
  const bodies = [fromBob, fromAlice].map(({ message: { body } }) => body);
  assert.deepEqual(bodies, ["from Bob", "from Alice"]);
  await alice.witness.until("delivered");
});

Deno.test("without a key, a caller cannot attach and is told what would help", {
  ...GRPC_TIMERS_OUTLIVE_CHANNELS,
}, async () => {
  await using bob = await open({ name: "Bob", targets: ["1"] });
  using channel = dial(parseTarget(`${bob.peer.port}`));
  const over = new AbortController();
  const receipts = only([introduction("Alice")], over.signal);
  await assert.rejects(
    channel.stream(CHAT, "Attach", receipts, { timeoutMs: PATIENCE_MS }).next(),
    { code: "UNAUTHENTICATED", message: /start both sides with --tls/ },
  );
  over.abort();
});

Deno.test("strangers that hold calls open without saying who they are keep no one from attaching", {
  ...GRPC_TIMERS_OUTLIVE_CHANNELS,
}, async () => {
  await using bob = await open({ name: "Bob", targets: ["Alice"], identity: BOB });
  const over = new AbortController();
  const strangers = Array.from(
    { length: 40 },
    () => dial(parseTarget(`${bob.peer.port}`), { own: EVE }),
  );
  const ends = strangers.flatMap((channel) =>
    Array.from(
      { length: 10 },
      () =>
        channel.stream(CHAT, "Attach", only([], over.signal), { timeoutMs: PATIENCE_MS }).next()
          .catch(({ code }) => code),
    )
  );
  // Those that are too many have to make room at once.
  assert.equal(await inTime(Promise.race(ends), "a refusal"), "INVALID_ARGUMENT");
  await using alice = await open({
    ...{ name: "Alice", targets: [`${bob.peer.port}`], identity: ALICE },
  });
  await alice.witness.until("welcome");
  await bob.peer.send("hello");
  await alice.witness.until("message");
  over.abort();
  for (const channel of strangers) channel[Symbol.dispose]();
  await Promise.all(ends);
});

Deno.test(
  "a caller that sends no more receipts sees its call end, and may attach again on its connection",
  {
    ...GRPC_TIMERS_OUTLIVE_CHANNELS,
  },
  async () => {
    await using bob = await open({ name: "Bob", targets: ["Eve"], identity: BOB });
    using channel = dial(parseTarget(`${bob.peer.port}`), { own: EVE });
    // More calls than one connection may have open.
    for (let i = 0; i < 12; i++) {
      const over = new AbortController();
      const receipts = only([introduction("Eve")], over.signal);
      const deliveries = channel.stream(CHAT, "Attach", receipts, { timeoutMs: PATIENCE_MS });
      assert.deepEqual((await deliveries.next()).value?.messages, []);
      over.abort();
      await inTime(
        (async () => {
          while (!(await deliveries.next()).done);
        })(),
        "the end of the call",
      );
    }
  },
);

/** What a peer that others are attached to may do wrong, and what its victim then reads. */
const BREACHES: [what: string, reason: RegExp, attach: () => AsyncGenerator<Delivery>][] = [
  [
    "empty deliveries without end",
    /^Eve has sent more than 100 empty deliveries within 10 s$/,
    async function* () {
      for (;;) yield { messages: [] };
    },
  ],
  [
    "text that is not valid UTF-8",
    /^Eve has sent a delivery that cannot be read$/,
    async function* () {
      yield { messages: [] };
      yield { messages: [fromEve("half a pair: \ud800")] };
    },
  ],
  [
    "a delivery of five megabytes",
    /^Eve has sent a delivery that is too large$/,
    async function* () {
      yield { messages: [] };
      yield { messages: [fromEve("x".repeat(5_000_000))] };
    },
  ],
  [
    "a message in another name",
    /^Eve has sent a message in another name$/,
    async function* () {
      yield { messages: [] };
      yield { messages: [toWire({ id: "", from: "Bob", body: "trust me", at: new Date() })] };
    },
  ],
  [
    "an error",
    /^Eve has ended its deliveries: 127\.0\.0\.1:\d+: no reason$/,
    async function* () {
      yield { messages: [] };
      throw new GreetError("FAILED_PRECONDITION", "no reason");
    },
  ],
];

function fromEve(body: string) {
  return toWire({ id: "", from: "Eve", body, at: new Date() });
}

for (const [what, expected, deliveries] of BREACHES) {
  Deno.test(
    `a peer that answers our attaching with ${what} loses the call, and the user sees why`,
    {
      ...GRPC_TIMERS_OUTLIVE_CHANNELS,
    },
    async () => {
      let attached = 0;
      const faulty = implement(CHAT, {
        GetInfo: () => fromEve(""),
        Meet: () => ({ verdict: "UNLISTED" }),
        async *Attach(_, { signal }) {
          attached++;
          for await (const delivery of deliveries()) {
            if (signal.aborted) return;
            yield delivery;
          }
          await aborted(signal);
        },
      });
      const tls = { own: EVE, isKnown: () => true };
      await using eve = await serve({ host: "127.0.0.1", port: 0, services: [faulty], tls });
      await using alice = await open({ name: "Alice", targets: [`${eve.port}`], identity: ALICE });
      const [{ reason }] = await alice.witness.until("waiting");
      assert.match(reason, expected);
      // She is not dialled again at once.
      assert.equal(attached, 1);
    },
  );
}

Deno.test("a caller that sends receipts for nothing loses its call, and is told why", {
  ...GRPC_TIMERS_OUTLIVE_CHANNELS,
}, async () => {
  await using bob = await open({ name: "Bob", targets: ["Eve"], identity: BOB });
  using channel = dial(parseTarget(`${bob.peer.port}`), { own: EVE });
  const attached = Promise.withResolvers<void>();
  async function* receipts(): AsyncGenerator<Receipt> {
    yield introduction("Eve");
    await attached.promise;
    yield* Array(10).fill({ introduction: null, status: 0, reason: "" });
  }
  const deliveries = channel.stream(CHAT, "Attach", receipts(), { timeoutMs: PATIENCE_MS });
  await deliveries.next();
  attached.resolve();
  await assert.rejects(
    async () => {
      for await (const _ of deliveries);
    },
    { code: "INVALID_ARGUMENT", message: /a receipt came without a delivery/ },
  );
});

Deno.test("why an attached peer takes no messages is said in its name, and not at any length", {
  ...GRPC_TIMERS_OUTLIVE_CHANNELS,
}, async () => {
  await using home = temporaryHome();
  using journal = Journal.open({ home: home.env.GREET_HOME, name: "Bob" });
  await using bob = await open({ name: "Bob", targets: ["Eve"], identity: BOB, journal });
  using channel = dial(parseTarget(`${bob.peer.port}`), { own: EVE });
  const over = new AbortController();
  const delivered = Promise.withResolvers<void>();
  async function* receipts(): AsyncGenerator<Receipt> {
    yield introduction("Eve");
    yield { introduction: null, status: 0, reason: "" };
    await delivered.promise;
    yield { introduction: null, status: 14, reason: "z".repeat(1_000_000) };
    await aborted(over.signal);
  }
  const deliveries = channel.stream(CHAT, "Attach", receipts(), { timeoutMs: PATIENCE_MS });
  await deliveries.next();
  await bob.peer.send("hello");
  await deliveries.next();
  delivered.resolve();
  const [{ error }] = await bob.witness.until("trouble");
  assert.match(error.message, /^Eve: z{1000}$/);
  over.abort();
});

Deno.test("a target that leads to an attached peer is given up", {
  ...GRPC_TIMERS_OUTLIVE_CHANNELS,
}, async () => {
  const [b] = freePorts();
  await using alice = await open({ name: "Alice", targets: ["Bob"], identity: ALICE });
  const bobs = { name: "Bob", port: Number(b), targets: [`${alice.peer.port}`], identity: BOB };
  await using bob = await open(bobs);
  await Promise.all([alice, bob].map(({ witness }) => witness.until("welcome")));
  alice.peer.add(b);
  const [{ error }] = await alice.witness.until("trouble");
  assert.match(error.message, /lead to the same peer, Bob/);
  assert.deepEqual(alice.peer.others.map(({ target }) => target), ["Bob"]);
});
