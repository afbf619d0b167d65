/** Announcements under every schedule of presences: they never contradict each other, or the truth. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { GreetError } from "../../src/base/errors.ts";
import type { Presence } from "../../src/peer/presence.ts";
import { Roster, type RosterEvent } from "../../src/peer/roster.ts";
import { scheduleTest } from "../support/schedules.ts";
import { AnnouncedPeers } from "../support/virtual_peers.ts";

/** How long a peer that has left is not announced, in milliseconds. */
const DAMPING_MS = 1_000;

const away = (reason: string, refusedBy?: string): Presence => ({
  state: "away",
  error: new GreetError("UNAVAILABLE", reason),
  refusedBy: refusedBy === undefined ? undefined : { name: refusedBy },
});

/** What may happen at one target. A link connects before a peer is here again. */
const presences: fc.Arbitrary<Presence> = fc.oneof(
  fc.constantFrom<Presence>(
    { state: "connecting" },
    away("nothing listens there"),
    away("no route"),
    away("it does not accept us", "Mallory"),
  ),
  fc.constantFrom("Bob", "Carol", "Dave").map((name): Presence => ({ state: "here", name })),
);

/** Presences, and the time between them in milliseconds. */
const changes = fc.array(
  fc.tuple(presences, fc.constantFrom(0, 0, 1, 400, 999, 1_001)),
  { maxLength: 12, size: "max" },
);

scheduleTest(
  "a roster announces each coming and going once, and in the end the truth",
  fc.array(changes, { minLength: 1, maxLength: 3 }),
  async (simulation, histories) => {
    const targets = histories.map((_, i) => `target ${i}`);
    const [announced, all] = [new AnnouncedPeers(), [] as RosterEvent[]];
    using roster = new Roster((event) => {
      all.push(event);
      if (event.type !== "waiting") announced.announce(event);
      assert(announced.here.size <= roster.names.length, "more peers are announced than are here");
    });
    for (const target of targets) roster.add(target);
    const now = new Map<string, Presence>();
    const isTaken = (target: string, presence: Presence) =>
      presence.state === "here" &&
      [...now].some(([other, one]) =>
        other !== target && one.state === "here" && one.name === presence.name
      );
    histories.forEach((history, i) =>
      simulation.sequence(
        history.map(([presence, ms]) => async () => {
          // The gatekeeper lets no name be at two targets.
          if (!isTaken(targets[i], presence)) {
            now.set(targets[i], presence);
            roster.change(targets[i], presence);
          }
          await simulation.pass(ms);
        }),
        targets[i],
      )
    );
    await simulation.run(60_000);
    const here = targets.map((target) => now.get(target))
      .flatMap((one) => one?.state === "here" ? one.name : []);
    const mayBe = targets.map((target) => now.get(target)).some((one) =>
      one?.state === "connecting"
    );
    // A link that connects is announced neither as here nor as gone.
    if (!mayBe) assert.deepEqual([...announced.here].sort(), here.sort());
    for (const name of here) assert(announced.here.has(name), `${name} is not announced`);
    const names = all.flatMap((event) =>
      "names" in event ? event.names : "name" in event ? event.name : []
    );
    assert(!names.includes("Mallory"), "a peer that does not accept us is announced");
  },
  1_000,
);

scheduleTest(
  "a peer that returns within a second has not left; one that stays away for longer has",
  fc.array(fc.tuple(fc.integer({ min: 1, max: 2_000 }), fc.boolean()), { maxLength: 20 }),
  async (simulation, absences) => {
    const events: string[] = [];
    using roster = new Roster(({ type }) => events.push(type));
    roster.add("target");
    roster.change("target", { state: "here", name: "Bob" });
    for (const [ms, isSeen] of absences) {
      if (isSeen) roster.change("target", { state: "connecting" });
      roster.change("target", away("gone"));
      await simulation.pass(ms);
      roster.change("target", { state: "here", name: "Bob" });
    }
    const expected = absences.filter(([ms]) => ms >= DAMPING_MS)
      .flatMap(() => ["left", "waiting", "joined"]);
    assert.deepEqual(events, ["welcome", ...expected]);
  },
  300,
);
