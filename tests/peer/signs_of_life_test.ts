/** A silent connection costs few questions, and yet a peer that is gone is noticed in time. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { newIdentity } from "../../src/identity/identity.ts";
import { Peer, type PeerOptions } from "../../src/peer/peer.ts";
import type { Network } from "../../src/rpc/network.ts";
import { scheduleTest, type Simulation } from "../support/schedules.ts";

const [alice, bob] = await Promise.all(["Alice", "Bob"].map(newIdentity));

/** How long a peer may be gone before that is noticed, in milliseconds. */
const NOTICED_MS = 10_000;

/** Whether the chat is encrypted, and how long it is silent, in milliseconds. */
const silences = fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 70_000 }));

/** Two peers that have met. */
async function pair(simulation: Simulation, isEncrypted: boolean) {
  await using stack = new AsyncDisposableStack();
  const questions = { calls: 0, pings: 0 };
  const open = async (options: PeerOptions) => {
    const network = simulation.network.host(options.name);
    const counting: Network = { ...network, dial };
    function dial(...where: Parameters<Network["dial"]>) {
      const channel = network.dial(...where);
      const call = channel.call.bind(channel);
      channel.call = (service, name, ...rest) => {
        if (name === "GetInfo") questions.calls++;
        return call(service, name, ...rest);
      };
      const ping = channel.ping.bind(channel);
      channel.ping = (options) => {
        questions.pings++;
        return ping(options);
      };
      return channel;
    }
    return stack.use(await Peer.openOn(counting, options));
  };
  const keys = (identity: typeof alice) => isEncrypted ? { identity } : {};
  const peers = [
    await open({ name: "Alice", port: 1, targets: ["2"], ...keys(alice) }),
    await open({ name: "Bob", port: 2, targets: ["1"], ...keys(bob) }),
  ];
  const isHere = ({ others: [{ presence }] }: Peer) => presence.state === "here";
  await simulation.run(5_000, () => peers.every(isHere));
  assert(peers.every(isHere), "they have not met");
  const owned = stack.move();
  return {
    here: () => peers.filter(isHere).map(({ name }) => name),
    questions: () => ({ ...questions }),
    async [Symbol.asyncDispose]() {
      const left = owned.disposeAsync();
      let isOver = false;
      left.then(() => isOver = true);
      await simulation.run(60_000, () => isOver);
      await left;
    },
  };
}

scheduleTest(
  "of two silent peers only one asks, and the other now and then",
  silences,
  async (simulation, [isEncrypted, ms]) => {
    await using chat = await pair(simulation, isEncrypted);
    await simulation.run(ms);
    const before = chat.questions();
    await simulation.run(60_000);
    const pings = chat.questions().pings - before.pings;
    // One of them 12 times, the other twice.
    assert(pings >= 12 && pings <= 15, `${pings} pings in a minute`);
    assert.equal(chat.questions().calls, before.calls, "calls cost more than pings");
    assert.deepEqual(chat.here(), ["Alice", "Bob"]);
  },
  20,
);

scheduleTest(
  "both sides notice within ten seconds that the cable was pulled",
  silences,
  async (simulation, [isEncrypted, ms]) => {
    await using chat = await pair(simulation, isEncrypted);
    await simulation.run(ms);
    simulation.network.unplug("Alice", "Bob");
    await simulation.run(NOTICED_MS);
    assert.deepEqual(chat.here(), []);
    simulation.network.heal();
  },
  20,
);
