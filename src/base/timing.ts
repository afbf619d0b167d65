/**
 * Waiting with a bound, repeated events, growing pauses, and rate limits.
 *
 * @module
 */

/** The longest wait that a timer accepts, in milliseconds; about 25 days. */
const LONGEST_MS = 2 ** 31 - 1;

/** A time that timers accept without a warning, which they print for negative and infinite ones. */
function timerMs(ms: number): number {
  return Math.min(Math.max(ms, 0), LONGEST_MS);
}

/**
 * Pauses, leaving no timer or listener behind.
 *
 * @param ms how long, in milliseconds; negative is no time, `Infinity` about 25 days
 * @param signal ends the pause early
 */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = () => resolve();
  const timer = setTimeout(end, timerMs(ms));
  signal?.addEventListener("abort", end);
  await promise;
  clearTimeout(timer);
  signal?.removeEventListener("abort", end);
}

/** Resolves when a signal is aborted; at once if it already is. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true })
  );
}

/**
 * Waits for a promise, but no longer than a given time.
 *
 * @param ms the longest wait, in milliseconds
 * @returns when the promise is fulfilled or the time is up, whichever comes first
 * @throws what the promise is rejected with, if that comes first
 */
export async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<void>((resolve) => timer = setTimeout(resolve, timerMs(ms)));
  try {
    await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * An event that happens repeatedly, for those that wait for the next time.
 *
 * To miss nothing, take {@link Pulse.next} first, look at the state second, and then wait.
 */
export class Pulse {
  #next = Promise.withResolvers<void>();

  /** Resolves the next time that it happens. */
  get next(): Promise<void> {
    return this.#next.promise;
  }

  /** It happens now. */
  beat(): void {
    const { resolve } = this.#next;
    this.#next = Promise.withResolvers();
    resolve();
  }
}

/** Pauses between attempts: the first, the longest, and by how much each exceeds the one before. */
export interface BackOffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
  readonly factor: number;
}

/** Pauses that grow from attempt to attempt until one succeeds. */
export class BackOff {
  readonly #options: BackOffOptions;
  #nextMs: number;

  constructor(options: BackOffOptions) {
    this.#options = options;
    this.#nextMs = options.firstMs;
  }

  /** The next pause, in milliseconds; the one after it will be longer. */
  next(): number {
    const ms = this.#nextMs;
    this.#nextMs = Math.min(ms * this.#options.factor, this.#options.maxMs);
    return ms;
  }

  /** An attempt succeeded: the next pause is the first one again. */
  reset(): void {
    this.#nextMs = this.#options.firstMs;
  }
}

/** Lets each kind of event happen only so often. */
export class RateLimit<Kind> {
  readonly #everyMs: number;
  readonly #last = new Map<Kind, number>();

  /** @param everyMs how many milliseconds must pass before the same kind may happen again */
  constructor(everyMs: number) {
    this.#everyMs = everyMs;
  }

  /** Whether an event may happen now; if so, it counts as having happened. */
  isDue(kind: Kind): boolean {
    const now = performance.now();
    if (now - (this.#last.get(kind) ?? -Infinity) < this.#everyMs) return false;
    this.#last.set(kind, now);
    return true;
  }
}
