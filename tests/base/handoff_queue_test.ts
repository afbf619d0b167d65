/** A queue whose writer knows when its reader is done. */
import assert from "node:assert/strict";
import { HandoffQueue } from "../../src/base/handoff_queue.ts";

Deno.test("a push resolves when the reader comes back for more, not before", async () => {
  const feed = new HandoffQueue<number>();
  const done: number[] = [];
  for (const n of [1, 2]) feed.push(n).then((read) => read && done.push(n));
  const reader = feed[Symbol.asyncIterator]();
  assert.equal((await reader.next()).value, 1);
  assert.deepEqual(done, []);
  assert.equal((await reader.next()).value, 2);
  assert.deepEqual(done, [1]);
  feed.end();
  assert.equal((await reader.next()).done, true);
  assert.deepEqual(done, [1, 2]);
});

Deno.test("who stops reading is done with what they have, and with nothing else", async () => {
  const feed = new HandoffQueue<number>();
  const pushes = [feed.push(1), feed.push(2)];
  for await (const _ of feed) break;
  assert.deepEqual(await Promise.all(pushes), [true, false]);
  assert.equal(await feed.push(3), false);
});

Deno.test("the end waits for nobody, and what came before it can still be read", async () => {
  const feed = new HandoffQueue<number>();
  const push = feed.push(1);
  feed.end();
  assert.equal(await push, false);
  const read: number[] = [];
  for await (const n of feed) read.push(n);
  assert.deepEqual(read, [1]);
});
