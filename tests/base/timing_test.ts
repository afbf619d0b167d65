import assert from "node:assert/strict";
import process from "node:process";
import { pause, within } from "../../src/base/timing.ts";

Deno.test("delays of any length cause no warning from the runtime", async () => {
  const warnings: Error[] = [];
  const record = (warning: Error) => void warnings.push(warning);
  process.on("warning", record);
  for (const ms of [-Infinity, -1, 0]) {
    await pause(ms);
    await within(ms, new Promise(() => {}));
  }
  for (const ms of [2 ** 31, 1e12, Infinity]) {
    await pause(ms, AbortSignal.timeout(1));
    await within(ms, Promise.resolve());
  }
  await new Promise((resolve) => setTimeout(resolve));
  process.off("warning", record);
  assert.deepEqual(warnings, []);
});
