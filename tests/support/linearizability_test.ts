/** The judge is judged: histories whose verdicts are known, and a search without any cleverness. */
import assert from "node:assert/strict";
import { check, type Model, type Operation } from "./linearizability.ts";
import { randomNumbers } from "./random.ts";

/** A register with one value, as in most papers. */
type Access = { readonly kind: "write" | "read"; readonly value: number };

const REGISTER: Model<number, Access> = {
  initial: 0,
  step: (state, { kind, value }) => kind === "write" ? value : state === value ? state : undefined,
  textOf: String,
  isRead: ({ kind }) => kind === "read",
};

type Access1 = Operation<Access>;

function write(value: number, begin: number, end: number, more: Partial<Access1> = {}): Access1 {
  return { action: { kind: "write", value }, begin, end, ...more };
}

function read(value: number, begin: number, end: number): Access1 {
  return { action: { kind: "read", value }, begin, end };
}

function verdictOf(...history: Access1[]): boolean {
  return check(REGISTER, history).isLinearizable;
}

Deno.test("concurrent operations may take effect in either order, others may not", () => {
  assert(verdictOf());
  assert(verdictOf(write(1, 0, 10), read(0, 1, 2), read(1, 3, 4)));
  assert(!verdictOf(write(1, 0, 10), read(1, 1, 2), read(0, 3, 4)));
  assert(!verdictOf(write(1, 0, 1), read(0, 2, 3)), "a stale read");
  assert(!verdictOf(write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)), "a lost write");
  assert(verdictOf(write(1, 0, 5), write(2, 0, 5), read(2, 6, 7)));
  assert(!verdictOf(write(1, 0, 5), write(2, 0, 5), read(2, 6, 7), read(1, 8, 9)));
});

Deno.test("an operation of unknown outcome takes effect at any later time, or never", () => {
  const unknown = write(1, 0, Infinity, { isOptional: true });
  assert(verdictOf(unknown, read(0, 1, 2)));
  assert(verdictOf(unknown, read(0, 1, 2), read(1, 8, 9)));
  assert(!verdictOf(unknown, read(1, 1, 2), read(0, 8, 9)));
  assert(!verdictOf(read(1, 1, 2), write(1, 3, Infinity, { isOptional: true })));
  // It may have been undone before a read that starts after its last chance.
  const bounded = write(1, 0, 5, { isOptional: true });
  assert(verdictOf(bounded, write(2, 1, 7), read(2, 6, 7)));
  assert(!verdictOf(bounded, read(0, 6, 7), read(1, 8, 9)));
});

Deno.test("an operation that requires another one comes after it, or not at all", () => {
  const claim = write(1, 0, 5, { isOptional: true });
  const expiry = write(0, 0, 7, { requires: claim });
  assert(verdictOf(claim, expiry, read(0, 8, 9)));
  assert(verdictOf(claim, expiry, read(1, 6, 7), read(0, 8, 9)));
  assert(!verdictOf(claim, expiry, read(1, 8, 9)), "it has not expired");
  assert(!verdictOf(claim, expiry, read(1, 2, 3), read(0, 4, 5), read(1, 5.5, 6)));
});

Deno.test("a verdict explains itself", () => {
  const operations = [write(1, 0, 1), read(1, 2, 3), read(0, 4, 5)];
  const { order, stuck } = check(REGISTER, operations);
  assert.deepEqual(order, operations.slice(0, 2));
  assert.deepEqual(stuck, operations.slice(2));
});

Deno.test("random histories get the same verdict as from a search that tries every order", () => {
  let linearizable = 0;
  const count = 4_000;
  for (let seed = 1; seed <= count; seed++) {
    const history = randomHistory(randomNumbers(seed));
    const expected = bruteForce(history);
    const message = `seed ${seed}: ${JSON.stringify(history)}`;
    assert.equal(check(REGISTER, history).isLinearizable, expected, message);
    if (expected) linearizable++;
  }
  assert(linearizable > count / 10 && linearizable < count * 9 / 10, `${linearizable}`);
});

function randomHistory(random: () => number): Access1[] {
  const upTo = (max: number) => Math.floor(random() * max);
  const history: Access1[] = [];
  for (let left = 2 + upTo(5); left > 0; left--) {
    const begin = upTo(12);
    const end = random() < 0.1 ? Infinity : begin + upTo(8);
    const isOptional = random() < 0.3;
    const requires = random() < 0.2 ? history[upTo(history.length)] : undefined;
    const make = random() < 0.5 ? read(upTo(3), begin, end) : write(upTo(3), begin, end);
    history.push({ ...make, isOptional, requires });
  }
  return history;
}

/** Tries every order of every choice of operations that may have taken effect. */
function bruteForce(history: readonly Access1[]): boolean {
  const explore = (done: readonly Access1[], value: number): boolean => {
    const left = history.filter((one) => !done.includes(one));
    const isActive = ({ requires }: Access1) => requires === undefined || done.includes(requires);
    if (left.every((one) => one.isOptional || !isActive(one))) return true;
    return left.filter(isActive).some((next) => {
      const after = REGISTER.step(value, next.action);
      return after !== undefined && hasMoments([...done, next]) && explore([...done, next], after);
    });
  };
  return explore([], 0);
}

/** Whether there are moments for operations in this order. */
function hasMoments(order: readonly Access1[]): boolean {
  let now = -Infinity;
  return order.every(({ begin, end }) => (now = Math.max(now, begin)) <= end);
}
