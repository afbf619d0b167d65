/** Callers on a virtual network: some cannot be called back, some call while we call them. */
import assert from "node:assert/strict";
import { newIdentity, Peer, type PeerEvent, type PeerOptions } from "../../mod.ts";
import { pause } from "../../src/base/timing.ts";
import { parseTarget } from "../../src/net/address.ts";
import { implement } from "../../src/rpc/service.ts";
import { type Acceptance, CHAT } from "../../src/rpc/services.ts";
import { VirtualNetwork } from "../support/virtual_network.ts";
import { settle, VirtualTime } from "../support/virtual_time.ts";

const [ALICE, BOB] = await Promise.all(["Alice", "Bob"].map(newIdentity));

/** How long the answer to a caller may take, in milliseconds. */
const MEETING_MS = 3_500;

/** Two computers, of which A cannot connect to B, on a clock of their own. */
function oneWay() {
  const time = new VirtualTime();
  const network = new VirtualNetwork(() => Promise.resolve());
  network.setPath("A", "B", "refused");
  const peers: { peer: Peer; read: Promise<void> }[] = [];
  const pass = async (ms: number) => {
    await settle();
    await time.pass(ms);
  };
  return {
    network,
    pass,
    /** Asks Alice, from another computer, whether she accepts a peer that listens on a port. */
    async meet(sender: string, port: number): Promise<Acceptance> {
      using caller = network.host("C").dial(parseTarget("1"), {});
      const introduction = { sender, port, instance: "" };
      const answer = caller.call(CHAT, "Meet", introduction, { timeoutMs: MEETING_MS });
      await pass(MEETING_MS - 1);
      return await answer;
    },
    /** Opens a peer, and returns its events. */
    async open(host: string, options: PeerOptions): Promise<readonly PeerEvent[]> {
      const peer = await Peer.openOn(network.host(host), options);
      const events: PeerEvent[] = [];
      const read = (async () => {
        for await (const event of peer.events) events.push(event);
      })();
      peers.push({ peer, read });
      return events;
    },
    async [Symbol.asyncDispose]() {
      using _ = time;
      const left = peers.map(({ peer }) => peer[Symbol.asyncDispose]());
      await pass(10_000);
      await Promise.all([...left, ...peers.map(({ read }) => read)]);
    },
  };
}

function troubles(events: readonly PeerEvent[]): string[] {
  return events.flatMap((event) => event.type === "trouble" ? [event.error.message] : []);
}

Deno.test("without keys, a caller that cannot be called back is reported once a minute", async () => {
  await using computers = oneWay();
  const alice = await computers.open("A", { name: "Alice", port: 1, targets: ["2"] });
  const counts: number[] = [];
  for (let seconds = 0; seconds < 150; seconds += 25) {
    assert.equal((await computers.meet("Bob", 2)).verdict, "UNREACHABLE");
    await computers.pass(25_000 - MEETING_MS);
    counts.push(troubles(alice).length);
  }
  assert.deepEqual(counts, [1, 1, 1, 2, 2, 2]);
  assert.equal(troubles(alice)[0], "Bob is calling, but cannot be called back at 127.0.0.1:2");
});

Deno.test("with keys, a caller that cannot be called back is welcomed, and nothing is wrong", async () => {
  await using computers = oneWay();
  // On one machine, a refusal would mean that nothing listens there.
  computers.network.setPath("A", "B", "silent");
  const bob = await computers.open("B", {
    ...{ name: "Bob", port: 2, targets: ["1"], identity: BOB },
  });
  const alice = await computers.open("A", {
    ...{ name: "Alice", port: 1, targets: ["2"], identity: ALICE },
  });
  await computers.pass(60_000);
  for (const events of [alice, bob]) {
    assert(events.some(({ type }) => type === "welcome"), JSON.stringify(events));
    assert.deepEqual(troubles(events), []);
  }
});

/** Listens as Bob on B, and answers the question whether he accepts someone. */
async function serveBob({ network }: ReturnType<typeof oneWay>, meet: () => Promise<Acceptance>) {
  await network.host("B").serve({
    ...{ host: "127.0.0.1", port: 2 },
    services: [implement(CHAT, {
      GetInfo: () => ({ sender: "Bob", body: "", id: "", timestamp: null }),
      Meet: meet,
    })],
  });
}

Deno.test("a caller that is only slow to reach is welcomed, and nothing is wrong", async () => {
  await using computers = oneWay();
  computers.network.setPath("A", "B", "silent");
  await serveBob(computers, () => Promise.resolve({ verdict: "ACCEPTED" }));
  const alice = await computers.open("A", { name: "Alice", port: 1, targets: ["2"] });
  assert.equal((await computers.meet("Bob", 2)).verdict, "UNREACHABLE");
  computers.network.setPath("A", "B", "open");
  await computers.pass(2_000);
  assert(alice.some(({ type }) => type === "welcome"), JSON.stringify(alice));
  assert.deepEqual(troubles(alice), []);
});

Deno.test("a stranger is announced, although a peer that was met takes long to accept us", async () => {
  await using computers = oneWay();
  computers.network.setPath("A", "B", "open");
  await serveBob(computers, () => new Promise(() => {}));
  const alice = await computers.open("A", { name: "Alice", port: 1, targets: ["2"] });
  assert.equal((await computers.meet("Mallory", 3)).verdict, "UNLISTED");
  assert(alice.some((event) => event.type === "caller" && event.name === "Mallory"));
});

Deno.test("a peer that asks whether we accept it accepts us, even if it had not reached us when we asked", async () => {
  await using computers = oneWay();
  computers.network.setPath("A", "B", "open");
  await serveBob(computers, async () => {
    await pause(2_000);
    return { verdict: "UNREACHABLE" };
  });
  const alice = await computers.open("A", { name: "Alice", port: 1, targets: ["2"] });
  assert.equal((await computers.meet("Bob", 2)).verdict, "ACCEPTED");
  assert.deepEqual(alice.map(({ type }) => type), ["welcome"]);
});
