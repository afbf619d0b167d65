/**
 * Waiting, with a bound, and what is to happen seldom.
 *
 * @module
 */

/** The longest wait that a timer takes, in milliseconds; about 25 days. */
const LONGEST_MS = 2 ** 31 - 1;

/** A time that timers take without a warning: one that has passed is now, and infinity is far away. */
function waitOf(ms: number): number {
  return Math.min(Math.max(ms, 0), LONGEST_MS);
}

/** Resolves after that many milliseconds, or when the signal is aborted; nothing is left of it then. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = () => resolve();
  const timer = setTimeout(end, waitOf(ms));
  signal?.addEventListener("abort", end);
  await promise;
  clearTimeout(timer);
  signal?.removeEventListener("abort", end);
}

/** Resolves when a signal is aborted; at once where it is. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true })
  );
}

/**
 * Waits for a promise, but no longer than that many milliseconds.
 *
 * @returns when the promise was fulfilled or the time is up, whichever comes first
 */
export async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<void>((resolve) => timer = setTimeout(resolve, waitOf(ms)));
  try {
    await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** Lets the same happen seldom. */
export class Seldom<Key> {
  readonly #everyMs: number;
  readonly #last = new Map<Key, number>();

  /** @param everyMs how many milliseconds must have passed before the same may happen again */
  constructor(everyMs: number) {
    this.#everyMs = everyMs;
  }

  /** Whether something may happen now; then it counts as having happened. */
  isDue(what: Key): boolean {
    const now = performance.now();
    if (now - (this.#last.get(what) ?? -Infinity) < this.#everyMs) return false;
    this.#last.set(what, now);
    return true;
  }
}
