/** When a peer is dialled again. */
import assert from "node:assert/strict";
import { DialSchedule } from "../../src/peer/dial_schedule.ts";
import { Breach } from "../../src/peer/presence.ts";
import { VirtualTime } from "../support/virtual_time.ts";

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

for (
  const [what, outcome] of [
    ["hangs up at once, again and again", { state: "here", name: "Bob" }],
    ["misbehaves", { state: "away", error: new Breach("Bob misbehaves") }],
  ] as const
) {
  Deno.test(`a peer that ${what} is not dialled sooner because it calls us, but because we leave`, async () => {
    using time = new VirtualTime();
    const schedule = new DialSchedule();
    let dials = 0;
    let isOver = false;
    const dialling = (async () => {
      for (; !isOver; dials++) {
        schedule.begin();
        await schedule.due(outcome);
      }
    })();
    for (let ms = 0; ms < 60_000; ms += 100) {
      schedule.next.request();
      await time.pass(100);
    }
    assert.ok(dials > 3 && dials < 25, `${dials}`);
    isOver = true;
    schedule.next.urge();
    await time.pass(100);
    await dialling;
  });
}
