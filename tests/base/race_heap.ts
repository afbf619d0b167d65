/**
 * Prints by how many bytes the heap has grown for each race that a promise has outlived. Needs
 * `--v8-flags=--expose-gc`.
 *
 * @module
 */
import { race, within } from "../../src/base/timing.ts";

declare const gc: () => void;

const RACES = 20_000;

const never = new Promise<void>(() => {});

async function run(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await race([Promise.resolve(), never]);
    await within(60_000, Promise.resolve(), never);
  }
}

function heapBytes(): number {
  gc();
  return Deno.memoryUsage().heapUsed;
}

await run(RACES);
const before = heapBytes();
await run(RACES);
console.log(Math.round((heapBytes() - before) / RACES));
