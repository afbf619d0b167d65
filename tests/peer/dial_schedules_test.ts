/** Dialling under every schedule: two peers always find each other, and then leave each other alone. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { newIdentity } from "../../src/identity/identity.ts";
import { scheduleTest } from "../support/schedules.ts";
import { type CastMember, inChat, steps, type VirtualChat } from "../support/virtual_peers.ts";

const [alice, bob, carol] = await Promise.all(["Alice", "Bob", "Carol"].map(newIdentity));

/** How long a quiet chat is observed, in milliseconds. */
const QUIET_MS = 60_000;

/** A caller whose call is refused, because nothing listens yet, calls again after this time. */
const BACK_OFF_MS = 5_000;

/** The ways in which two peers can reach each other. */
const PAIRS: Record<string, readonly CastMember[]> = {
  "without keys": [
    { name: "Alice", port: 1, targets: ["2"], isDurable: false },
    { name: "Bob", port: 2, targets: ["1"], isDurable: false },
  ],
  "with keys": [
    { name: "Alice", port: 1, targets: ["2"], identity: alice, isDurable: false },
    { name: "Bob", port: 2, targets: ["Alice@1"], identity: bob, isDurable: false },
  ],
  "of which one has to call": [
    { name: "Alice", port: 1, targets: ["Bob"], identity: alice, isDurable: false },
    { name: "Bob", port: 2, targets: ["1"], identity: bob, isDurable: false },
  ],
};

/** Nothing is dialled and nothing is announced on a network on which nothing happens. */
async function assertQuiet(chat: VirtualChat, dials = 0): Promise<void> {
  const { network } = chat.simulation;
  const before = { dials: network.dials, log: chat.log };
  await chat.simulation.run(QUIET_MS);
  assert(
    network.dials - before.dials <= dials,
    `${network.dials - before.dials} dials for nothing`,
  );
  assert.equal(chat.log, before.log, "something is announced although nothing happens");
}

for (const [which, cast] of Object.entries(PAIRS)) {
  scheduleTest(
    `two peers ${which} always meet in the end, and dial no more`,
    steps,
    (simulation, steps) =>
      inChat(simulation, cast, async (chat) => {
        await chat.take(steps);
        await chat.heal(() => chat.isGathered);
        // Announcements are damped, and a superseded attachment may have to time out.
        await simulation.run(30_000);
        assert(chat.isGathered, "they do not stay together");
        await assertQuiet(chat);
      }),
    20,
  );

  scheduleTest(
    `two peers ${which} that start at the same time dial each other once, and soon meet`,
    fc.tuple(fc.nat({ max: 20 }), fc.boolean()),
    (simulation, [events, isReversed]) =>
      inChat(simulation, isReversed ? cast.toReversed() : cast, async (chat) => {
        const [first, second] = chat.participants;
        await first.start();
        await simulation.events(events);
        await second.start();
        const mayHaveToCallAgain = cast.some(({ targets }) => targets.includes("Bob"));
        const ms = mayHaveToCallAgain ? BACK_OFF_MS + 500 : 500;
        assert(await simulation.run(ms, () => chat.isGathered), `not within ${ms} ms`);
        await assertQuiet(chat);
        assert(simulation.network.dials <= 4, `${simulation.network.dials} dials`);
      }),
    20,
  );

  scheduleTest(
    `two peers ${which} meet again after an outage at any moment`,
    fc.tuple(fc.nat({ max: 40 }), fc.constantFrom(100, 6_000, 40_000)),
    (simulation, [events, ms]) =>
      inChat(simulation, cast, async (chat) => {
        for (const participant of chat.participants) await participant.start();
        await simulation.events(events);
        simulation.network.unplug("Alice", "Bob");
        await simulation.run(ms);
        await chat.heal(() => chat.isGathered);
      }),
    20,
  );
}

scheduleTest(
  "peers that each name only the next one never meet, and do not keep dialling",
  fc.tuple(steps, fc.boolean()),
  (simulation, [steps, hasKeys]) => {
    const identities = hasKeys ? [alice, bob, carol] : [];
    return inChat(simulation, [
      { name: "Alice", port: 1, targets: ["2"], identity: identities[0], isDurable: true },
      { name: "Bob", port: 2, targets: ["3"], identity: identities[1], isDurable: true },
      { name: "Carol", port: 3, targets: ["1"], identity: identities[2], isDurable: true },
    ], async (chat) => {
      await chat.take(steps);
      await chat.healed();
      await simulation.run(120_000);
      for (const participant of chat.participants) {
        const { log } = participant;
        assert(!log.some((line) => /welcome|joined/.test(line)), "a refused peer is announced");
        const hasShown = chat.participants.some((other) => participant.shownFrom(other).size > 0);
        assert(!hasShown, "a message of a peer is shown that we do not accept");
      }
      await assertQuiet(chat);
    });
  },
  15,
);
