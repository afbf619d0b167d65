import assert from "node:assert/strict";
import process from "node:process";
import { BackOff, pause, Pulse, RateLimit, within } from "../../src/base/timing.ts";

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

Deno.test("a pulse resolves each wait once, at the next beat", async () => {
  const pulse = new Pulse();
  const beats: number[] = [];
  pulse.next.then(() => beats.push(1));
  pulse.beat();
  pulse.next.then(() => beats.push(2));
  await pause(1);
  assert.deepEqual(beats, [1]);
  pulse.beat();
  await pause(1);
  assert.deepEqual(beats, [1, 2]);
});

Deno.test("a back-off grows up to its longest pause, and starts over after a reset", () => {
  const backOff = new BackOff({ firstMs: 10, maxMs: 35, factor: 2 });
  assert.deepEqual([backOff.next(), backOff.next(), backOff.next(), backOff.next()], [
    10,
    20,
    35,
    35,
  ]);
  backOff.reset();
  assert.equal(backOff.next(), 10);
});

Deno.test("a rate limit counts each kind of event on its own", () => {
  const limit = new RateLimit<string>(60_000);
  assert.deepEqual(["a", "a", "b", "b"].map((kind) => limit.isDue(kind)), [
    true,
    false,
    true,
    false,
  ]);
});
