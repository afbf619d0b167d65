/** A queue that tells its producer when the consumer has finished with an item. */
import assert from "node:assert/strict";
import { HandoffQueue } from "../../src/base/handoff_queue.ts";

Deno.test("a push resolves when the consumer asks for the next item, not before", async () => {
  const queue = new HandoffQueue<number>();
  const consumed: number[] = [];
  for (const n of [1, 2]) queue.push(n).then((isConsumed) => isConsumed && consumed.push(n));
  const items = queue[Symbol.asyncIterator]();
  assert.equal((await items.next()).value, 1);
  assert.deepEqual(consumed, []);
  assert.equal((await items.next()).value, 2);
  assert.deepEqual(consumed, [1]);
  queue.end();
  assert.equal((await items.next()).done, true);
  assert.deepEqual(consumed, [1, 2]);
});

Deno.test("a consumer that stops has consumed its current item and no other", async () => {
  const queue = new HandoffQueue<number>();
  const pushes = [queue.push(1), queue.push(2)];
  for await (const _ of queue) break;
  assert.deepEqual(await Promise.all(pushes), [true, false]);
  assert.equal(await queue.push(3), false);
});

Deno.test("ending the queue does not wait, and earlier items can still be read", async () => {
  const queue = new HandoffQueue<number>();
  const push = queue.push(1);
  queue.end();
  assert.equal(await push, false);
  const read: number[] = [];
  for await (const n of queue) read.push(n);
  assert.deepEqual(read, [1]);
});

Deno.test("a batch has everything so far, and is consumed when the consumer asks for the next", async () => {
  const queue = new HandoffQueue<number>();
  const consumed: number[] = [];
  const push = (n: number) => queue.push(n).then((isConsumed) => isConsumed && consumed.push(n));
  push(1), push(2);
  const batches = queue.inBatches();
  assert.deepEqual((await batches.next()).value, [1, 2]);
  push(3);
  assert.deepEqual(consumed, []);
  assert.deepEqual((await batches.next()).value, [3]);
  assert.deepEqual(consumed, [1, 2]);
});

Deno.test("nothing of a batch that the consumer failed to handle is consumed", async () => {
  const queue = new HandoffQueue<number>();
  const pushes = [1, 2].map((n) => queue.push(n));
  const batches = queue.inBatches();
  await batches.next();
  pushes.push(queue.push(3));
  await batches.throw(new Error("the output is gone"));
  assert.deepEqual(await Promise.all(pushes), [false, false, false]);
});
