/** Random numbers for tests: the same seed gives the same test again. */

/** Reproducible random numbers below 1. Source: mulberry32, public domain. */
export function randomNumbers(seed: number): () => number {
  return () => {
    seed = seed + 0x6D2B79F5 | 0;
    let t = Math.imul(seed ^ seed >>> 15, 1 | seed);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 2 ** 32;
  };
}
