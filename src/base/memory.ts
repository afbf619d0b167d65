/**
 * Returns memory to the system after work. V8 lets garbage grow to several times what is in use, and
 * keeps that memory while nothing happens; its own remedy, the memory reducer, wakes idle programs.
 *
 * @module
 */
import { pause } from "./timing.ts";

/** V8's function that collects garbage, which exists with `--expose-gc`. */
type Collect = (how: { readonly type: "major"; readonly flavor: "last-resort" }) => void;

/** Work has paused when the process takes less than this much CPU time in this much time. */
const PAUSE = { ms: 2_000, cpuMicros: 40_000 };

/** The heap may have this many bytes without being collected: a server that has just started takes half. */
const SMALL = 32 * 2 ** 20;

/** How much larger than what was last in use a heap has to be. */
const GROWN = 2;

/** Must stay reachable, or it would never call back. */
let collections: FinalizationRegistry<undefined> | undefined;

/**
 * Collects all garbage of this thread whenever work pauses and the heap has grown, from now on. That
 * takes 20 to 40 ms. Does nothing in a process without `--expose-gc`, such as one that uses `greet` as
 * a library.
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
  for (;;) {
    const before = process.cpuUsage();
    await pause(PAUSE.ms);
    const { user, system } = process.cpuUsage(before);
    if (user + system < PAUSE.cpuMicros) return;
  }
}
