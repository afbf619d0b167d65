/** A link to a peer whose answers, silences and hang-ups a test decides. */
import assert from "node:assert/strict";
import { GreetError } from "../../src/base/errors.ts";
import { parseTarget } from "../../src/net/address.ts";
import { Attachment } from "../../src/peer/attachment.ts";
import { Link, type LinkOptions } from "../../src/peer/link.ts";
import { newMessage } from "../../src/peer/messages.ts";
import type { CallOptions, Connection } from "../../src/rpc/client.ts";
import { pause } from "../../src/base/timing.ts";
import { settle, VirtualTime } from "../support/virtual_time.ts";
import { PATIENCE_MS } from "../support/waiting.ts";

/** Answers a call, or throws. */
type Answer = (request: unknown) => unknown;

const BOB = { name: "Bob", fingerprint: undefined };

const LOST = new GreetError("UNAVAILABLE", "Bob: connection lost");
const LATE = new GreetError("DEADLINE_EXCEEDED", "Bob: no answer");
const REFUSED = new GreetError("PERMISSION_DENIED", "Bob: Bob is not chatting with Alice");

/** A peer that answers as a test says. */
class ScriptedPeer {
  readonly answers: Record<string, Answer> = {
    GetInfo: () => ({ sender: "Bob", instance: "" }),
    Meet: () => ({ verdict: "ACCEPTED" }),
    SendMessage: () => ({}),
    SendMessages: () => ({}),
    ping: () => {},
  };
  /** The connections to it, in the order in which they were dialled. */
  readonly connections: ScriptedConnection[] = [];

  /** The calls that it got, by name. */
  readonly calls: string[] = [];

  /** Hangs up the next connections on their first call. */
  hangUps = 0;

  /** How long connecting takes, in milliseconds. */
  connectMs = 0;

  dial(): Connection {
    const connection = new ScriptedConnection(this, this.hangUps-- > 0);
    this.connections.push(connection);
    return connection as unknown as Connection;
  }

  /** Leaves calls unanswered from now on. */
  fallSilent(...names: readonly string[]): void {
    for (const name of names) this.answers[name] = () => new Promise(() => {});
  }

  /** Breaks the current connection. */
  drop(): void {
    this.connections.at(-1)!.drop();
  }
}

class ScriptedConnection implements Disposable {
  readonly fingerprint = undefined;
  readonly #peer: ScriptedPeer;
  readonly #dropped = Promise.withResolvers<void>();
  readonly #lost = Promise.withResolvers<void>();
  #isOpen: boolean;

  constructor(peer: ScriptedPeer, isDropped: boolean) {
    this.#peer = peer;
    this.#isOpen = !isDropped;
  }

  async call(_: unknown, name: string, request: unknown, options: CallOptions) {
    const { timeoutMs, connectMs = timeoutMs, signal } = options;
    const isConnectedInTime = this.#peer.connectMs <= connectMs;
    this.#peer.calls.push(name);
    if (!this.#isOpen) throw LOST;
    const { promise: failed, reject } = Promise.withResolvers<never>();
    void this.#lost.promise.then(() => reject(LOST));
    signal?.addEventListener("abort", () => reject(signal.reason));
    const timer = setTimeout(() => reject(LATE), isConnectedInTime ? timeoutMs : connectMs);
    try {
      return await Promise.race([this.#peer.answers[name](request), failed]);
    } finally {
      clearTimeout(timer);
    }
  }

  ping(limits: CallOptions) {
    return this.call(undefined, "ping", undefined, limits);
  }

  async *stream(_: unknown, name: string) {
    yield await this.call(_, name, undefined, { timeoutMs: PATIENCE_MS });
  }

  dropped(): Promise<void> {
    return this.#dropped.promise;
  }

  drop(): void {
    this.#lost.resolve();
    this[Symbol.dispose]();
  }

  /** Calls that are open may still be answered. */
  [Symbol.dispose](): void {
    this.#isOpen = false;
    this.#dropped.resolve();
  }
}

/** A link to a peer, on a clock of its own, and the presences that it has reported. */
async function linkTo(peer: ScriptedPeer, own?: LinkOptions["own"]) {
  const time = new VirtualTime();
  const reported: string[] = [];
  const link = new Link({
    address: "127.0.0.1:2",
    whereabouts: parseTarget("2"),
    dial: () => peer.dial(),
    own,
    introduction: { sender: "Alice", port: 1, instance: "", argument: "1", isEncrypted: false },
    check: () => {},
    onMet: () => {},
    admit: () => {},
    take: () => Promise.resolve(),
    onChange: (presence) =>
      reported.push(presence.state === "away" ? presence.error.message : presence.state),
  });
  await settle();
  return {
    link,
    reported,
    /** How many timers were started. */
    get timers() {
      return time.timers;
    },
    /** Lets time pass, on the clock of this link. */
    async pass(ms: number): Promise<void> {
      await settle();
      await time.pass(ms);
    },
    async [Symbol.asyncDispose]() {
      using _ = time;
      const disposed = link[Symbol.asyncDispose]();
      await time.pass(100);
      await disposed;
    },
  };
}

const messages = (count: number) =>
  Array.from({ length: count }, (_, i) => newMessage("Alice", { text: `${i}` }));

Deno.test("a connection that a peer drops while its program ends is dialled once more at once", async () => {
  const peer = new ScriptedPeer();
  await using alice = await linkTo(peer);
  peer.hangUps = 1;
  peer.drop();
  await alice.pass(1_100);
  assert.deepEqual(alice.reported, ["here", "connecting", "here"]);
  assert.equal(peer.connections.length, 3);
});

Deno.test("a peer that hangs up twice is away", async () => {
  const peer = new ScriptedPeer();
  await using alice = await linkTo(peer);
  peer.hangUps = 2;
  peer.drop();
  await alice.pass(1_100);
  assert.deepEqual(alice.reported, ["here", "connecting", LOST.message]);
});

Deno.test("a peer that hangs up on the first call is away at once", async () => {
  const peer = new ScriptedPeer();
  peer.hangUps = 1;
  await using alice = await linkTo(peer);
  assert.deepEqual(alice.reported, [LOST.message]);
});

/** A peer that introduces itself 7 s after it was dialled. */
function slowPeer(connectMs: number): ScriptedPeer {
  const peer = new ScriptedPeer();
  peer.connectMs = connectMs;
  peer.answers.GetInfo = async () => {
    await pause(7_000);
    return { sender: "Bob", instance: "" };
  };
  return peer;
}

Deno.test("a peer that takes longer to connect than the first dial allows is met at a later one", async () => {
  const peer = slowPeer(6_000);
  await using alice = await linkTo(peer);
  await alice.pass(30_000);
  assert.deepEqual(alice.reported, [LATE.message, "here"]);
});

Deno.test("a peer that is connected, but busy, is met at the first dial", async () => {
  const peer = slowPeer(1_000);
  await using alice = await linkTo(peer);
  await alice.pass(8_000);
  assert.deepEqual(alice.reported, ["here"]);
  assert.equal(peer.connections.length, 1);
});

Deno.test("a peer that is connected and says nothing is away after 20 s", async () => {
  const peer = new ScriptedPeer();
  peer.fallSilent("GetInfo");
  await using alice = await linkTo(peer);
  await alice.pass(19_900);
  assert.deepEqual(alice.reported, []);
  await alice.pass(200);
  assert.deepEqual(alice.reported, [LATE.message]);
});

Deno.test("a delivery to a peer that is away fails for the reason why it is away", async () => {
  const peer = new ScriptedPeer();
  peer.hangUps = 1;
  await using alice = await linkTo(peer);
  await assert.rejects(alice.link.deliver(BOB, messages(1)), LOST);
  // What is known is not asked again.
  assert.equal((await alice.link.settled()).state, "away");
  assert.equal(peer.connections.length, 1);
});

Deno.test("a peer takes several messages in one call, until it says that it does not", async () => {
  const peer = new ScriptedPeer();
  await using alice = await linkTo(peer);
  assert.equal(alice.link.batch, 16);
  assert.equal(await alice.link.deliver(BOB, messages(16)), 16);
  assert.equal(alice.link.batch, 32);
  peer.answers.SendMessages = () => Promise.reject(new GreetError("UNIMPLEMENTED", "what?"));
  assert.equal(await alice.link.deliver(BOB, messages(32)), 1);
  assert.equal(alice.link.batch, 1);
});

Deno.test("a peer that takes messages is not asked whether it is there", async () => {
  const peer = new ScriptedPeer();
  await using alice = await linkTo(peer);
  const before = peer.calls.length;
  for (let i = 0; i < 5; i++) {
    await alice.pass(4_000);
    await alice.link.deliver(BOB, messages(1));
  }
  assert.deepEqual(peer.calls.slice(before), Array(5).fill("SendMessage"));
});

/** A peer that says that it takes pings. */
function pingablePeer(): ScriptedPeer {
  const peer = new ScriptedPeer();
  peer.answers.GetInfo = () => ({ sender: "Bob", instance: "", pings: true });
  return peer;
}

Deno.test("a silent peer is pinged if it says that it takes pings, and is otherwise called", async () => {
  for (
    const [peer, question] of [[pingablePeer(), "ping"], [new ScriptedPeer(), "GetInfo"]] as const
  ) {
    await using alice = await linkTo(peer);
    const before = peer.calls.length;
    await alice.pass(16_000);
    assert.deepEqual(peer.calls.slice(before), Array(3).fill(question));
    assert.deepEqual(alice.reported, ["here"]);
  }
});

Deno.test("a peer that no longer answers pings has left", async () => {
  const peer = pingablePeer();
  await using alice = await linkTo(peer);
  peer.fallSilent("ping", "GetInfo");
  await alice.pass(9_000);
  assert.deepEqual(alice.reported, ["here", LATE.message]);
});

Deno.test("a peer that answers pings, but no deliveries, is called", async () => {
  const peer = pingablePeer();
  await using alice = await linkTo(peer);
  peer.fallSilent("SendMessage", "GetInfo");
  const late = assert.rejects(alice.link.deliver(BOB, messages(1)), LATE);
  await alice.pass(9_000);
  await late;
  assert.deepEqual(alice.reported, ["here", LATE.message]);
});

Deno.test("a delivery that times out is tried again with half the messages, and the peer is asked at once", async () => {
  const peer = new ScriptedPeer();
  await using alice = await linkTo(peer);
  await alice.pass(4_000);
  peer.fallSilent("SendMessages");
  const late = assert.rejects(alice.link.deliver(BOB, messages(16)), LATE);
  // The peer is asked after 5 s of silence in any case.
  await alice.pass(2_000);
  const before = peer.calls.length;
  await alice.pass(3_000);
  await late;
  await alice.pass(100);
  assert.deepEqual(peer.calls.slice(before), ["GetInfo"]);
  assert.equal(alice.link.batch, 8);
  assert.deepEqual(alice.reported, ["here"]);
});

Deno.test("what is in flight to a peer that has fallen silent is not delivered, and no failure", async () => {
  const peer = new ScriptedPeer();
  await using alice = await linkTo(peer);
  await alice.pass(4_000);
  peer.fallSilent("GetInfo", "SendMessage");
  const count = alice.link.deliver(BOB, messages(1));
  await alice.pass(4_500);
  assert.deepEqual(alice.reported, ["here", LATE.message]);
  assert.equal(await count, 0);
});

Deno.test("a peer that refuses a message is asked at once whether it still accepts us", async () => {
  const peer = new ScriptedPeer();
  await using alice = await linkTo(peer);
  peer.answers.SendMessage = peer.answers.Meet = () => Promise.reject(REFUSED);
  await assert.rejects(alice.link.deliver(BOB, messages(1)), REFUSED);
  await alice.pass(100);
  assert.deepEqual(alice.reported, ["here", REFUSED.message]);
  assert.equal(alice.link.refusedBy?.name, "Bob");
});

Deno.test("without keys, a peer that has not reached us is not asked to use our connection", async () => {
  const peer = new ScriptedPeer();
  peer.answers.Meet = () => ({ verdict: "UNREACHABLE" });
  await using alice = await linkTo(peer);
  assert.match(alice.reported.join(), /^Bob is at .*, but has not reached your port 1 yet$/);
  assert.deepEqual(peer.calls, ["GetInfo", "Meet"]);
});

Deno.test("with keys, a peer that does not answer whether we may use our connection is dialled again", async () => {
  const peer = new ScriptedPeer();
  peer.answers.Meet = () => ({ verdict: "UNREACHABLE" });
  peer.answers.Attach = () => Promise.reject(LATE);
  await using alice = await linkTo(peer, { cert: new Uint8Array(), key: new Uint8Array() });
  assert.deepEqual(alice.reported, [LATE.message]);
  // A peer that has refused us would be waited for.
  assert.equal(alice.link.refusedBy, undefined);
  peer.answers.Meet = () => ({ verdict: "ACCEPTED" });
  await alice.pass(10_000);
  assert.deepEqual(alice.reported, [LATE.message, "here"]);
});

Deno.test("a peer that is found where it is already is not disturbed", async () => {
  const peer = new ScriptedPeer();
  await using alice = await linkTo(peer);
  alice.link.moveTo(parseTarget("2"));
  await alice.pass(1_000);
  assert.deepEqual(alice.reported, ["here"]);
  alice.link.moveTo(parseTarget("3"));
  await alice.pass(1_000);
  assert.deepEqual(alice.reported, ["here", "connecting", "here"]);
});

Deno.test("an attached caller gets messages at once, and is looked for when it is gone", async () => {
  const peer = new ScriptedPeer();
  peer.fallSilent("GetInfo");
  await using alice = await linkTo(peer);
  const attachment = new Attachment(BOB);
  const attached = alice.link.attach(attachment);
  await alice.pass(100);
  await attached;
  assert.equal(alice.link.met?.name, "Bob");
  const delivered = alice.link.deliver(BOB, messages(1));
  const deliveries = attachment.deliveries();
  assert.deepEqual((await deliveries.next()).value?.messages, []);
  assert.equal((await deliveries.next()).value?.messages.length, 1);
  const receipt = { introduction: null, status: 0, reason: "" };
  async function* receipts() {
    yield* [receipt, receipt];
  }
  await attachment.read(receipts());
  assert.equal(await delivered, 1);
  await settle();
  assert.deepEqual(alice.reported, ["here", "connecting"]);
  assert.equal(alice.link.presence.state, "connecting");
  assert.equal(peer.connections.length, 2);
});

Deno.test("calls with another key are no sign of life of an attached caller", async () => {
  const peer = new ScriptedPeer();
  peer.fallSilent("GetInfo");
  await using alice = await linkTo(peer);
  const attachment = new Attachment({ name: "Bob", fingerprint: "SHA256:Bob" });
  const attached = alice.link.attach(attachment);
  await alice.pass(100);
  await attached;
  for (const key of ["Bob", "Bob", "Eve", "Eve"]) {
    await alice.pass(4_000);
    alice.link.heard(`SHA256:${key}`);
    assert(attachment.isOpen);
  }
  await alice.pass(12_000);
  assert(!attachment.isOpen);
});

Deno.test("a link to a peer that is here sleeps", async () => {
  const peer = new ScriptedPeer();
  await using alice = await linkTo(peer);
  const before = alice.timers;
  await alice.pass(4_900);
  assert(alice.timers - before <= 2, `${alice.timers - before} timers`);
});

for (const question of ["GetInfo", "Meet"]) {
  Deno.test(`a link that closes while the peer is silent does not wait for its answer: ${question}`, async () => {
    const peer = new ScriptedPeer();
    peer.fallSilent(question);
    await using link = await linkTo(peer);
    await link.pass(0);
    assert.equal(peer.calls.at(-1), question);
    const closed = link.link[Symbol.asyncDispose]().then(() => "closed");
    await link.pass(100);
    assert.equal(await Promise.race([closed, settle().then(() => "waits")]), "closed");
  });
}
