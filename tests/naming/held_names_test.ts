/** What a watcher knows: each event changes it, and a repeated state tells only what is new. */
import assert from "node:assert/strict";
import { HeldNames } from "../../src/naming/held_names.ts";
import type { NamedEntry, NamesEvent } from "../../src/naming/naming_service.ts";

function entry(name: string, port: number, shared = false): NamedEntry {
  return { name, address: `10.0.0.1:${port}`, shared };
}

const [BOB, CAROL] = [entry("Bob", 1), entry("Carol", 2)];
const [ONE, TWO] = [entry("web", 3, true), entry("web", 4, true)];

/** What is known after some events. */
function after(...events: NamesEvent[]): HeldNames {
  const held = new HeldNames();
  for (const event of events) held.apply(event);
  assert.equal(held.size, held.all().length);
  return held;
}

const state = (...entries: NamedEntry[]) => ({ type: "state", entries }) as const;
const held = (entry: NamedEntry) => ({ type: "held", entry }) as const;
const freed = (entry: NamedEntry) => ({ type: "freed", entry }) as const;

Deno.test("a state replaces everything that was known before", () => {
  const known = after(state(BOB, ONE, TWO), state(CAROL, TWO));
  assert.deepEqual(known.all(), [CAROL, TWO]);
  assert.deepEqual([known.of("Bob"), known.of("web")], [[], [TWO]]);
  assert.equal(after(state(BOB), state()).size, 0);
});

Deno.test("a shared name has all its holders, any other name the last one", () => {
  const moved = entry("Bob", 9);
  const known = after(state(BOB), held(ONE), held(TWO), held(ONE), held(moved));
  assert.deepEqual(known.of("web"), [TWO, ONE]);
  assert.deepEqual(known.of("Bob"), [moved]);
  assert.equal(known.size, 3);
});

Deno.test("a freed name is not known any more, and other holders of it are", () => {
  const known = after(state(BOB, ONE, TWO), freed(ONE), freed(BOB), freed(CAROL));
  assert.deepEqual(known.all(), [TWO]);
  assert.deepEqual(after(state(ONE), freed(ONE), held(BOB)).all(), [BOB]);
});

Deno.test("losing the service changes nothing", () => {
  const error = Object.assign(new Error("unreachable"), { code: "UNAVAILABLE" }) as never;
  assert.deepEqual(after(state(BOB), { type: "lost", error }).all(), [BOB]);
});

Deno.test("a state after a gap tells who has gone and who has come, in this order", () => {
  const known = after(state(BOB, ONE, TWO));
  assert.deepEqual(known.changesBy(state(TWO, CAROL, BOB)), [freed(ONE), held(CAROL)]);
  assert.deepEqual(known.changesBy(state(BOB, ONE, TWO)), []);
  const moved = entry("Bob", 9);
  assert.deepEqual(known.changesBy(state(moved, ONE, TWO)), [freed(BOB), held(moved)]);
  assert.deepEqual(known.changesBy(held(CAROL)), [held(CAROL)]);
  // Asking changes nothing.
  assert.deepEqual(known.all(), [BOB, ONE, TWO]);
});
