/** Announcements of peers that join and leave. */
import assert from "node:assert/strict";
import { GreetError } from "../../src/base/errors.ts";
import type { Presence } from "../../src/peer/presence.ts";
import { Roster, type RosterEvent } from "../../src/peer/roster.ts";
import { Pulse } from "../../src/base/timing.ts";
import { VirtualTime } from "../support/virtual_time.ts";
import { inTime } from "../support/waiting.ts";

const AWAY: Presence = { state: "away", error: new GreetError("UNAVAILABLE", "gone") };
const CONNECTING: Presence = { state: "connecting" };

function here(name: string): Presence {
  return { state: "here", name };
}

/** A roster, and its announcements. */
class Announced implements Disposable {
  readonly roster: Roster;
  readonly events: RosterEvent[] = [];
  readonly #announcements = new Pulse();

  constructor(...targets: string[]) {
    this.roster = new Roster((event) => {
      this.events.push(event);
      this.#announcements.beat();
    });
    for (const target of targets) this.roster.add(target);
  }

  async until(count: number): Promise<RosterEvent[]> {
    const wait = async () => {
      while (this.events.length < count) await this.#announcements.next;
    };
    await inTime(wait(), () => `${count} events in ${JSON.stringify(this.events)}`);
    return this.events;
  }

  [Symbol.dispose](): void {
    this.roster[Symbol.dispose]();
  }
}

function summaries(events: readonly RosterEvent[]): string[] {
  return events.map((event) => {
    switch (event.type) {
      case "waiting":
        return `waiting: ${event.reason}`;
      case "welcome":
        return `welcome ${event.names.join(" ")}`;
      case "joined":
        return `${event.name} ${event.back ? "back" : "joined"}`;
      case "left":
        return `${event.name} left`;
    }
  });
}

Deno.test("the next peer is welcomed as well after the first one was removed", async () => {
  using time = new VirtualTime();
  using announced = new Announced("b", "c", "d");
  announced.roster.change("b", here("Bob"));
  announced.roster.remove("b");
  await time.pass(1_000);
  announced.roster.change("c", here("Carol"));
  await time.pass(1_000);
  assert.deepEqual(summaries(announced.events), ["welcome Carol"]);
});

Deno.test("when all peers are here, they are welcomed together and at once", () => {
  using announced = new Announced("b", "c");
  announced.roster.change("c", here("Carol"));
  assert.deepEqual(announced.events, []);
  announced.roster.change("b", here("Bob"));
  assert.deepEqual(summaries(announced.events), ["welcome Bob Carol"]);
});

Deno.test("the welcome does not wait forever for peers that do not come", async () => {
  using announced = new Announced("b", "c");
  announced.roster.change("c", AWAY);
  announced.roster.change("b", here("Bob"));
  assert.deepEqual(summaries(await announced.until(2)), ["waiting: gone", "welcome Bob"]);
  announced.roster.change("c", here("Carol"));
  assert.deepEqual(summaries(announced.events).slice(2), ["Carol joined"]);
});

Deno.test("a link that flaps is not announced; a peer that stays away is", async () => {
  using announced = new Announced("b");
  const { roster } = announced;
  roster.change("b", here("Bob"));
  for (let i = 0; i < 100; i++) {
    roster.change("b", CONNECTING);
    roster.change("b", AWAY);
    roster.change("b", here("Bob"));
  }
  assert.deepEqual(summaries(announced.events), ["welcome Bob"]);
  const start = performance.now();
  roster.change("b", AWAY);
  assert.deepEqual(summaries(await announced.until(3)), [
    "welcome Bob",
    "Bob left",
    "waiting: gone",
  ]);
  assert(performance.now() - start > 900, "it had a second to return");
  roster.change("b", here("Bob"));
  assert.deepEqual(summaries(announced.events).slice(3), ["Bob back"]);
});

Deno.test("a reason is announced once, until it changes", () => {
  using announced = new Announced("b");
  const { roster } = announced;
  for (let i = 0; i < 3; i++) roster.change("b", AWAY);
  roster.change("b", { state: "away", error: new GreetError("UNAVAILABLE", "no route") });
  assert.deepEqual(summaries(announced.events), ["waiting: gone", "waiting: no route"]);
});

Deno.test("another peer at a target is announced at once, and so is the one that left", () => {
  using announced = new Announced("b");
  announced.roster.change("b", here("Bob"));
  announced.roster.change("b", AWAY);
  announced.roster.change("b", here("Carol"));
  assert.deepEqual(summaries(announced.events), ["welcome Bob", "Bob left", "Carol joined"]);
});

Deno.test("a peer that only moves to another target has not left", () => {
  using announced = new Announced("b", "c");
  const { roster } = announced;
  roster.change("b", here("Bob"));
  roster.change("c", here("Carol"));
  roster.change("b", AWAY);
  roster.change("c", here("Bob"));
  assert.deepEqual(summaries(announced.events), ["welcome Bob Carol", "Carol left"]);
  assert.deepEqual(roster.names, ["Bob"]);
});

Deno.test("a peer that has left is away for the latest reason, not for the first", async () => {
  using announced = new Announced("b");
  const { roster } = announced;
  roster.change("b", here("Bob"));
  roster.change("b", AWAY);
  roster.change("b", { state: "away", error: new GreetError("NOT_FOUND", "not registered") });
  const events = summaries(await announced.until(3));
  assert.deepEqual(events, ["welcome Bob", "Bob left", "waiting: not registered"]);
});
