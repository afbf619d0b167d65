/**
 * Whether a process needs no more at the end of a soak than in its second quarter. The first quarter
 * does not count: heaps and pools of threads grow to the size that the load needs.
 *
 * @module
 */
import { median } from "../../measure.ts";

/** What a process needs while it works. */
export interface Sample {
  readonly memoryMB: number;
  readonly files: number;
  readonly threads: number;
  /** How many connections to it have ended so far. */
  readonly ended: number;
}

/** What a process needs when nothing is left to do. */
export interface Rest {
  readonly files: number;
  readonly threads: number;
  readonly cpuPercent: number;
  /**
   * How often one of its threads wakes up, per second. A timer that was left behind shows here;
   * many of the same interval go off together, and show in the CPU time.
   */
  readonly wakeUps: number;
}

/**
 * By how much a process may exceed its second quarter. The runtime keeps up to 35 kB of each
 * connection that was lost, and 55 kB with TLS; docs/performance.md has the figures.
 */
export const TOLERANCE = {
  memoryMB: 30,
  lostMB: 0.05,
  lostTlsMB: 0.08,
  files: 0,
  threads: 2,
  cpuPercent: 1,
  wakeUps: 5,
};

/** The medians of each quarter, from samples taken at regular times. */
export function quarters(samples: readonly Sample[]): Sample[] {
  const at = (quarter: number) => Math.floor(samples.length * quarter / 4);
  return [0, 1, 2, 3].map((quarter) => {
    const part = samples.slice(at(quarter), Math.max(at(quarter + 1), at(quarter) + 1));
    const middle = (of: keyof Sample) => median(part.map((sample) => sample[of]));
    return {
      memoryMB: middle("memoryMB"),
      files: middle("files"),
      threads: middle("threads"),
      ended: middle("ended"),
    };
  });
}

/**
 * Compares the last quarter of a process with its second.
 *
 * @param samples those of the whole soak
 * @param rests one for the end of each quarter
 * @returns what has grown by how much beyond the tolerance; nothing if all is level
 */
export function growth(
  samples: readonly Sample[],
  rests: readonly Rest[],
  isSecure: boolean,
): Record<string, number> {
  const [, second, , last] = quarters(samples);
  const [, early, , late] = rests;
  const perLost = isSecure ? TOLERANCE.lostTlsMB : TOLERANCE.lostMB;
  const allowedMB = TOLERANCE.memoryMB + (last.ended - second.ended) * perLost;
  const excess = {
    "MB": last.memoryMB - second.memoryMB - allowedMB,
    "descriptors": late.files - early.files - TOLERANCE.files,
    "threads": late.threads - early.threads - TOLERANCE.threads,
    "% CPU at rest": late.cpuPercent - early.cpuPercent - TOLERANCE.cpuPercent,
    "wake-ups a second at rest": late.wakeUps - early.wakeUps - TOLERANCE.wakeUps,
  };
  return Object.fromEntries(Object.entries(excess).filter(([, by]) => by > 0));
}
