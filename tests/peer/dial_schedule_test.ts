/** When a peer is dialled again. */
import assert from "node:assert/strict";
import { DialSchedule } from "../../src/peer/dial_schedule.ts";

Deno.test("a peer that hangs up at once, again and again, is dialled more and more slowly", async () => {
  const schedule = new DialSchedule();
  const gaps: number[] = [];
  for (let i = 0; i < 6; i++) {
    const began = performance.now();
    schedule.begin();
    await schedule.due({ state: "here", name: "Bob" });
    gaps.push(performance.now() - began);
  }
  assert.ok(gaps.at(-1)! > 1_000, `${gaps}`);
});
