/** Histories of names that no service may produce are noticed, and others are not. */
import assert from "node:assert/strict";
import {
  type NameHistory,
  type Promises,
  type SeenClaim,
  type SeenEvent,
  wrongWith,
} from "./name_history.ts";

const IN_MEMORY: Promises = { leaseMs: 5, forgets: true, losesSilently: false, replaces: false };
const STORED: Promises = { leaseMs: 5, forgets: false, losesSilently: true, replaces: true };

const [ONE, TWO] = ["127.0.0.1:1", "127.0.0.1:2"];

/** A claim that is held from one time on, and given back within another time. */
function claim(
  address: string,
  [begin, at]: [number, number],
  over?: [number, number],
  more: Partial<SeenClaim> = {},
): SeenClaim {
  const seen = { name: "Bob", address, shared: false, client: 0, begin };
  const changes = [{ state: "held" as const, at }];
  if (over === undefined) return { ...seen, changes, ...more };
  return {
    ...seen,
    changes,
    over: { kind: "given back", begin: over[0], end: over[1] },
    ...more,
  };
}

function entry(address: string, shared = false) {
  return { name: "Bob", address, shared };
}

/** A lookup that found some addresses. */
function lookup(begin: number, end: number, ...found: string[]) {
  return { name: "Bob", begin, end, entries: found.map((address) => entry(address)) };
}

function state(at: number, ...found: string[]): SeenEvent {
  return { at, type: "state", entries: found.map((address) => entry(address)) };
}

function watched(at: number, type: "held" | "freed", address: string): SeenEvent {
  return { at, type, entry: entry(address) };
}

function isPossible(history: Partial<NameHistory>): boolean {
  const nothing = { promises: IN_MEMORY, outages: [], claims: [], lookups: [], watches: [] };
  return wrongWith({ ...nothing, ...history }) === undefined;
}

Deno.test("a lookup sees a name from its claim until it is given back", () => {
  const claims = [claim(ONE, [0, 4], [10, 14])];
  const possible = [
    [lookup(5, 6, ONE)],
    [lookup(1, 2), lookup(2, 3, ONE)],
    [lookup(11, 12, ONE), lookup(12, 13)],
  ];
  for (const lookups of possible) assert(isPossible({ claims, lookups }));
  const impossible = [
    [lookup(5, 6)],
    [lookup(1, 2, ONE), lookup(2.5, 3)],
    [lookup(15, 16, ONE)],
    [lookup(5, 6, TWO)],
    [lookup(5, 6, ONE, TWO)],
  ];
  for (const lookups of impossible) assert(!isPossible({ claims, lookups }));
});

Deno.test("two holders at once are impossible, unless the name is shared", () => {
  const shared = { shared: true };
  assert(!isPossible({ claims: [claim(ONE, [0, 1], [9, 10]), claim(TWO, [2, 3], [5, 6])] }));
  assert(isPossible({ claims: [claim(ONE, [0, 1], [9, 10]), claim(TWO, [2, 12], [15, 16])] }));
  assert(
    isPossible({
      claims: [claim(ONE, [0, 1], [9, 10], shared), claim(TWO, [2, 3], [5, 6], shared)],
    }),
  );
  assert(
    !isPossible({ claims: [claim(ONE, [0, 1], [9, 10]), claim(TWO, [2, 3], [5, 6], shared)] }),
  );
});

Deno.test("a claim is refused only while someone else holds the name", () => {
  const refused = claim(TWO, [4, 5], undefined, { changes: [{ state: "refused", at: 5 }] });
  assert(isPossible({ claims: [claim(ONE, [0, 1], [9, 10]), refused] }));
  assert(!isPossible({ claims: [claim(ONE, [0, 1], [2, 3]), refused] }));
});

Deno.test("a service that was killed has forgotten everything, or nothing", () => {
  const claims = [claim(ONE, [0, 1], [60, 61])];
  const outages = [{ kind: "kill" as const, begin: 10, dead: 10.5, end: 20 }];
  const [before, after] = [lookup(30, 31, ONE), lookup(30, 31)];
  assert(isPossible({ claims, outages, lookups: [after] }));
  assert(!isPossible({ claims, outages, lookups: [before] }));
  assert(isPossible({ promises: STORED, claims, outages, lookups: [before] }));
  assert(!isPossible({ promises: STORED, claims, outages, lookups: [after] }));
  // A holder that was told of the loss may have claimed the name again.
  const changes = [["held", 1], ["lost", 11], ["held", 32]] as const;
  const again = claim(ONE, [0, 1], [60, 61], {
    changes: changes.map(([state, at]) => ({ state, at })),
  });
  assert(isPossible({ claims: [again], outages, lookups: [before, lookup(33, 34, ONE)] }));
  assert(!isPossible({ claims: [again], outages, lookups: [lookup(33, 34)] }));
});

Deno.test("a claim without an answer may have succeeded, and then expires", () => {
  const lost = claim(ONE, [0, 1], [3, 4], { changes: [{ state: "lost", at: 2 }] });
  assert(isPossible({ claims: [lost], lookups: [lookup(1, 2)] }));
  assert(isPossible({ claims: [lost], lookups: [lookup(6, 7, ONE), lookup(8, 9)] }));
  assert(!isPossible({ claims: [lost], lookups: [lookup(10, 11, ONE)] }), "it has not expired");
});

Deno.test("the name of a killed holder is held until its lease ends, and no longer", () => {
  const killed = claim(ONE, [0, 1], [9, 10]);
  const claims = [{ ...killed, over: { ...killed.over!, kind: "killed" as const } }];
  assert(isPossible({ claims, lookups: [lookup(14, 14.5, ONE)] }));
  assert(!isPossible({ claims, lookups: [lookup(16, 17, ONE)] }));
  assert(!isPossible({ claims, lookups: [lookup(8, 8.5)] }), "it was free too early");
});

Deno.test("a watch reports the state once, then every change in order", () => {
  const claims = [claim(ONE, [1, 2], [3, 4]), claim(TWO, [5, 6], [7, 8])];
  const seen = [
    watched(2, "held", ONE),
    watched(4, "freed", ONE),
    watched(6, "held", TWO),
    watched(8, "freed", TWO),
  ];
  const isSeen = (...events: SeenEvent[]) =>
    isPossible({ claims, watches: [{ begin: 0, events }] });
  assert(isSeen(state(0.5), ...seen));
  assert(isSeen(state(0.5), ...seen.map((event) => ({ ...event, at: event.at + 10 }))), "late");
  assert(isSeen(state(2.5, ONE), ...seen.slice(1)));
  assert(isSeen(state(0.5), seen[0], { at: 2.5, type: "lost" }, state(5.5), ...seen.slice(2)));
  for (const index of [0, 1, 2]) {
    assert(!isSeen(state(0.5), ...seen.toSpliced(index, 1)), `without event ${index}`);
  }
  assert(!isSeen(state(0.5), seen[0], seen[0], ...seen.slice(1)), "the same twice");
  assert(!isSeen(state(0.5), watched(0.9, "held", ONE), ...seen.slice(1)), "too early");
  assert(!isSeen(state(0.5), ...seen.slice(2), ...seen.slice(0, 2)), "in another order");
  assert(!isSeen(state(0.5), ...seen, { at: 9, type: "lost" }, state(10, ONE)), "back in time");
});

Deno.test("a list of all names counts as a lookup of each", () => {
  const claims = [claim(ONE, [0, 1], [9, 10]), { ...claim(TWO, [0, 1], [9, 10]), name: "Carol" }];
  const list = (...entries: { name: string; address: string; shared: boolean }[]) =>
    isPossible({ claims, lookups: [{ begin: 2, end: 3, entries }] });
  assert(list(entry(ONE), { ...entry(TWO), name: "Carol" }));
  assert(!list(entry(ONE)));
});

Deno.test("a paused etcd may end a lease unnoticed; then the name is claimed again or lost", () => {
  const claims = [claim(ONE, [0, 1], [60, 61])];
  const outages = [{ kind: "pause" as const, begin: 10, end: 20 }];
  const lookups = [lookup(21, 22), lookup(23, 24, ONE)];
  assert(isPossible({ promises: STORED, claims, outages, lookups }));
  assert(!isPossible({ promises: STORED, claims, lookups }));
  assert(!isPossible({ claims, outages, lookups }), "greet names ends no claim unnoticed");
});

Deno.test("what a killed holder reported may have been read after its next attempt", () => {
  const outages = [{ kind: "kill" as const, begin: 10, dead: 10.5, end: 20 }];
  const changes = [["held", 1], ["lost", 30], ["held", 31]] as const;
  const own = claim(ONE, [0, 1], [60, 61], {
    changes: changes.map(([state, at]) => ({ state, at })),
  });
  const killed = { ...own, over: { ...own.over!, kind: "killed" as const } };
  const lookups = [lookup(21, 22), lookup(25, 26, ONE), lookup(32, 33, ONE)];
  assert(isPossible({ outages, lookups, claims: [killed] }));
  assert(
    !isPossible({ outages, lookups, claims: [own] }),
    "this process knows when it tried again",
  );
});

Deno.test("giving a name back is confirmed, unless it takes as long as clients wait", () => {
  const history = (leaseMs: number, end: number) => ({
    promises: { ...IN_MEMORY, leaseMs },
    claims: [claim(ONE, [0, 1], [10, end])],
    lookups: [lookup(end + 1, end + 2, ONE)],
  });
  assert(!isPossible(history(5, 900)));
  assert(isPossible(history(5, 1_100)), "it is free when the server notices");
  assert(!isPossible(history(0.5, 1_100)), "the lease has ended");
});

Deno.test("what is wrong is explained in at most 40 lines, the earliest contradiction first", () => {
  const claims = [claim(ONE, [1, 2], [3, 4])];
  const outages = [{ kind: "pause" as const, begin: 100, end: 200 }];
  const impossible = Array.from({ length: 50 }, (_, index) => watched(10 + index, "held", TWO));
  const events = [state(0.5), watched(2, "held", ONE), watched(4, "freed", ONE), ...impossible];
  const watches = [{ begin: 0, events }];
  const lines = wrongWith({ promises: IN_MEMORY, claims, outages, watches, lookups: [] })!
    .split("\n");
  assert(lines.length <= 40, `${lines.length} lines`);
  assert.match(lines[0], /Bob is not linearizable/);
  const stuck = lines.indexOf("what cannot follow, although it must:");
  assert.match(lines[stuck + 1], /^ {2}0\.0–10\.0: .* held 127\.0\.0\.1:2$/);
  assert.equal(lines.at(-1), "  100.0–200.0: pause");
});
