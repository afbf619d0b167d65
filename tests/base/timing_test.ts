import assert from "node:assert/strict";
import process from "node:process";
import { BackOff, pause, Pulse, race, RateLimit, within } from "../../src/base/timing.ts";

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

Deno.test("a race ends as its first promise does, also if that has settled in an earlier race", async () => {
  const never = new Promise<never>(() => {});
  const first = Promise.withResolvers<string>();
  const second = Promise.withResolvers<string>();
  const races = [race([first.promise, never]), race([second.promise, first.promise])];
  first.resolve("first");
  assert.deepEqual(await Promise.all(races), ["first", "first"]);
  assert.equal(await race([never, first.promise]), "first");
  second.reject(new Error("second"));
  await assert.rejects(race([second.promise, never]), /second/);
  await assert.rejects(within(60_000, never, second.promise), /second/);
});

Deno.test("a race that ends in the turn in which another one begins leaves that one running", async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const never = new Promise<never>(() => {});
  const late: Promise<string>[] = [];
  const early = race([promise, never]);
  // These begin while the outcome is on its way from one turn to the next.
  promise.then(() => late.push(race([promise, never])));
  promise.then().then(() => late.push(race([promise, never])));
  resolve("done");
  assert.equal(await early, "done");
  await Promise.resolve();
  assert.deepEqual(await Promise.all(late), ["done", "done"]);
});
