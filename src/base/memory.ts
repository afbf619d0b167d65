/**
 * Returns memory to the system after work. V8 lets garbage grow to several times what is in use, and
 * keeps that memory while nothing happens; its own remedy, the memory reducer, wakes idle programs.
 *
 * @module
 */
import { pause } from "./timing.ts";

/** V8's function that collects garbage, which exists with `--expose-gc`. */
type Collect = (how: { readonly type: "major"; readonly flavor: "last-resort" }) => void;

/** A process is quiet when it takes less than this much CPU time in this much time. */
const QUIET = { ms: 5_000, cpuMicros: 50_000 };

/**
 * How often in a row it must be quiet: 30 s in all. V8 discards optimized code for objects of which
 * there are none left, so the next 10,000 calls of a server take twice as long.
 */
const QUIET_TIMES = 6;

/** The heap may have this many bytes without being collected: a server that has just started takes half. */
const SMALL = 32 * 2 ** 20;

/** How much larger than what was last in use a heap has to be. */
const GROWN = 2;

/** Must stay reachable, or it would never call back. */
let collections: FinalizationRegistry<undefined> | undefined;

/**
 * Collects all garbage of this thread whenever there has been little work for 30 seconds and the heap
 * has grown, from now on. That takes 20 to 40 ms. Does nothing in a process without `--expose-gc`,
 * such as one that uses `greet` as a library.
 *
 * An idle process is not woken: an object that nothing refers to tells when V8 has collected garbage,
 * and only then is the heap measured.
 */
export function returnMemoryAfterWork(): void {
  const { gc } = globalThis as { gc?: Collect };
  if (gc === undefined || collections !== undefined) return;
  let limit = SMALL;
  const awaitCollection = () => collections!.register({}, undefined);
  const onCollected = async () => {
    if (Deno.memoryUsage().heapTotal > limit) {
      await workPauses();
      gc({ type: "major", flavor: "last-resort" });
      limit = Math.max(SMALL, GROWN * Deno.memoryUsage().heapUsed);
    }
    awaitCollection();
  };
  collections = new FinalizationRegistry(onCollected);
  awaitCollection();
}

/** Resolves when the process, with all its threads, has had almost nothing to do for a while. */
async function workPauses(): Promise<void> {
  const { default: process } = await import("node:process");
  for (let times = 0; times < QUIET_TIMES;) {
    const before = process.cpuUsage();
    await pause(QUIET.ms);
    const { user, system } = process.cpuUsage(before);
    times = user + system < QUIET.cpuMicros ? times + 1 : 0;
  }
}
