/** Waiting for the first peer. */
import assert from "node:assert/strict";
import { Attendance } from "../../src/peer/attendance.ts";

Deno.test("the first peer that came is returned for as long as it is here", async () => {
  const attendance = new Attendance();
  const first = attendance.first();
  attendance.enter("c", "Carol");
  attendance.enter("b", "Bob");
  assert.deepEqual([await first, await attendance.first()], ["Carol", "Carol"]);
  attendance.leave("c");
  assert.equal(await attendance.first(), "Bob");
  assert.equal(attendance.count, 1);
});

Deno.test("a closed attendance rejects earlier and later waits", async () => {
  const attendance = new Attendance();
  const waits = [attendance.first()];
  attendance.close();
  waits.push(attendance.first());
  for (const wait of waits) await assert.rejects(wait, { code: "CANCELLED" });
});
