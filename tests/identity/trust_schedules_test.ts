/** First meetings under every schedule: of two keys that claim one name, one wins and one gets nothing. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { GreetError } from "../../src/base/errors.ts";
import { type Identity, newIdentity } from "../../src/identity/identity.ts";
import { KnownPeers } from "../../src/identity/known_peers.ts";
import { Trust, type TrustEvent } from "../../src/identity/trust.ts";
import { parseTarget } from "../../src/net/address.ts";
import { toWire } from "../../src/peer/messages.ts";
import { CHAT } from "../../src/rpc/services.ts";
import { scheduleTest, type Simulation } from "../support/schedules.ts";
import { inChat, memoryFolder, steps } from "../support/virtual_peers.ts";

const [alice, ...bobs] = await Promise.all(["Alice", "Bob", "Bob", "Bob"].map(newIdentity));

/** How many messages are forged. */
const FORGERIES = 10;

/** Sends messages in Bob's name, with a key that may not be his and whether he is believed or not. */
async function forge(simulation: Simulation, own: Identity): Promise<void> {
  const { dial } = simulation.network.host("forger");
  for (let i = 1; i <= FORGERIES; i++) {
    await simulation.turn("the forger");
    using channel = dial(parseTarget("1"), { own });
    const message = { id: `forged ${i}`, from: "Bob", body: `9:${i}`, at: new Date() };
    await channel.call(CHAT, "SendMessage", toWire(message), { timeoutMs: 5_000 }).catch(() => {});
  }
}

scheduleTest(
  "of two peers that claim to be Bob, one is Bob, and the other one neither says nor hears anything",
  fc.tuple(steps, fc.boolean(), fc.nat({ max: 2 })),
  (simulation, [steps, areBothSent, forger]) =>
    inChat(simulation, [
      { name: "Alice", port: 1, targets: ["2", "3"], identity: alice, isDurable: true },
      { name: "Bob", port: 2, targets: ["1"], identity: bobs[0], isDurable: true },
      {
        name: "Bob",
        host: "impostor",
        port: 3,
        targets: areBothSent ? ["1"] : ["Alice"],
        identity: bobs[1],
        isDurable: true,
      },
    ], async (chat) => {
      const [alice, ...claimants] = chat.participants;
      void forge(simulation, bobs[forger]);
      await chat.take(steps);
      await chat.healed();
      await simulation.run(30_000);
      alice.say();
      for (const claimant of claimants) claimant.say();
      await simulation.run(10_000);
      const keys = alice.known.keysOf("Bob");
      assert.equal(keys.length, 1, `Bob has ${keys.length} keys`);
      const winner = bobs.findIndex(({ fingerprint }) => fingerprint === keys[0]);
      const [bob, impostor] = [claimants[winner], claimants[1 - winner]];
      if (forger !== winner) assert.deepEqual(alice.forged, [], "a forgery is believed");
      assert.equal(alice.shownFrom(impostor).size, 0, "the impostor is believed");
      assert.equal(impostor.shownFrom(alice).size, 0, "the impostor hears something");
      assert(alice.shownFrom(bob).isSupersetOf(bob.safe), "not all that Bob said is shown");
      assert(bob.shownFrom(alice).isSupersetOf(alice.safe), "not all is shown to Bob");
    }),
  20,
);

/** Meetings of processes: which process, which name, which key, at which target. */
const meetings = fc.array(
  fc.record({
    process: fc.nat({ max: 2 }),
    name: fc.constantFrom("Bob", "Carol"),
    key: fc.nat({ max: 2 }),
    registered: fc.option(fc.nat({ max: 2 }), { nil: undefined }),
  }),
  { maxLength: 12, size: "max" },
);

const KEYS = ["A", "B", "C"].map((letter) => `SHA256:${letter.repeat(42)}A`);

scheduleTest(
  "processes that share a file agree on the first key of each name",
  meetings,
  async (simulation, meetings) => {
    const home = await memoryFolder();
    try {
      const events: TrustEvent[] = [];
      const processes = Array.from({ length: 3 }, () =>
        new Trust({
          name: "Alice",
          known: KnownPeers.in(home),
          announce: (event) => events.push(event),
          onTrouble: (error) => simulation.fail(error),
        }));
      const bound = new Map<string, string>();
      processes.forEach((trust, process) =>
        simulation.sequence(
          meetings.filter((meeting) => meeting.process === process).map(
            ({ name, key, registered }) => async () => {
              const seen = {
                target: `${process}`,
                fingerprint: KEYS[key],
                registered: registered === undefined ? undefined : KEYS[registered],
              };
              const mayMeet = (bound.get(name) ?? KEYS[key]) === KEYS[key] &&
                (registered ?? key) === key;
              const isMet = succeeds(() => trust.meet(name, seen));
              assert.equal(isMet, mayMeet, `${process} meets ${name} with ${KEYS[key]}`);
              if (isMet) bound.set(name, KEYS[key]);
              await Promise.resolve();
            },
          ),
          `process ${process}`,
        )
      );
      await simulation.run(1_000);
      for (const trust of processes) {
        for (const name of ["Bob", "Carol"]) {
          const key = bound.get(name);
          assert.deepEqual(trust.keysOf(name), key === undefined ? [] : [key]);
        }
      }
      const met = events.filter(({ type }) => type === "met").map((event) => event.name).sort();
      assert.deepEqual(met, [...bound.keys()].sort(), "each name is announced once");
    } finally {
      await Deno.remove(home, { recursive: true });
    }
  },
  200,
);

function succeeds(run: () => void): boolean {
  try {
    run();
    return true;
  } catch (error) {
    assert(error instanceof GreetError && error.code === "UNAUTHENTICATED", `${error}`);
    return false;
  }
}
