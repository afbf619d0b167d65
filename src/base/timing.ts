/**
 * Pauses, timeouts, repeated events, back-off and rate limits.
 *
 * @module
 */

/** The longest delay that a timer accepts, in milliseconds: about 25 days. */
const LONGEST_MS = 2 ** 31 - 1;

/** Clamps a delay to the range that timers accept without printing a warning. */
function timerMs(ms: number): number {
  return Math.min(Math.max(ms, 0), LONGEST_MS);
}

/**
 * Pauses. Leaves no timer or listener behind.
 *
 * @param ms how long, in milliseconds; negative counts as 0, `Infinity` as about 25 days
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

/**
 * Resolves when one of some signals is aborted, or at once if one already is. Leaves no listener
 * behind, which `AbortSignal.any` does: 2 kB for each call, for as long as one of the signals lives.
 */
export async function aborted(...signals: readonly AbortSignal[]): Promise<void> {
  if (signals.some((signal) => signal.aborted)) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = () => resolve();
  for (const signal of signals) signal.addEventListener("abort", end);
  await promise;
  for (const signal of signals) signal.removeEventListener("abort", end);
}

/** How the races that a promise is in end; kept until it settles, which is the only trace it bears. */
const races = new WeakMap<Promise<unknown>, Set<PromiseWithResolvers<unknown>>>();

/**
 * Waits for the first of some promises to settle. Unlike `Promise.race`, it leaves nothing behind on
 * the others, which grow by 300 bytes with each race that they outlive (nodejs/node#17469).
 *
 * @param promises the promises; some may live as long as the program, but none should be a race of
 *   those, which would never end
 * @returns the value of the first one
 * @throws the reason of the first one, if it is rejected
 * @example
 * ```ts
 * import { pause, race } from "./timing.ts";
 *
 * const never = new Promise<"never">(() => {});
 * for (let i = 0; i < 3; i++) await race([pause(1), never]);
 * ```
 */
export async function race<Promises extends readonly Promise<unknown>[]>(
  promises: Promises,
): Promise<Awaited<Promises[number]>> {
  const outcome = Promise.withResolvers<unknown>();
  for (const promise of promises) racesOf(promise).add(outcome);
  try {
    return await outcome.promise as Awaited<Promises[number]>;
  } finally {
    for (const promise of promises) races.get(promise)?.delete(outcome);
  }
}

function racesOf(promise: Promise<unknown>): Set<PromiseWithResolvers<unknown>> {
  let all = races.get(promise);
  if (all === undefined) {
    const waiting = all = new Set();
    races.set(promise, waiting);
    const settle = (end: (race: PromiseWithResolvers<unknown>) => void) => {
      races.delete(promise);
      waiting.forEach(end);
    };
    promise.then(
      (value) => settle(({ resolve }) => resolve(value)),
      (reason) => settle(({ reject }) => reject(reason)),
    );
  }
  return all;
}

/**
 * Waits for the first of some promises, like {@link race}, but not longer than the given time.
 *
 * @param ms the longest wait, in milliseconds
 * @returns when one is fulfilled or the time is up, whichever comes first
 * @throws the reason of the first one, if it is rejected in time
 */
export async function within(
  ms: number,
  ...promises: readonly Promise<unknown>[]
): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<void>((resolve) => timer = setTimeout(resolve, timerMs(ms)));
  try {
    await race([...promises, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * A repeated event that can be awaited.
 *
 * To avoid missing one, get {@link Pulse.next} first, check the state second, and then wait.
 */
export class Pulse {
  #next = Promise.withResolvers<void>();

  /** Resolves at the next {@link Pulse.beat}. */
  get next(): Promise<void> {
    return this.#next.promise;
  }

  /** Signals the event to all current waiters. */
  beat(): void {
    const { resolve } = this.#next;
    this.#next = Promise.withResolvers();
    resolve();
  }
}

/** The first and the longest pause, and the factor by which pauses grow. */
export interface BackOffOptions {
  readonly firstMs: number;
  readonly maxMs: number;
  readonly factor: number;
}

/** Pauses between attempts, which grow until an attempt succeeds. */
export class BackOff {
  readonly #options: BackOffOptions;
  #nextMs: number;

  constructor(options: BackOffOptions) {
    this.#options = options;
    this.#nextMs = options.firstMs;
  }

  /** Returns the next pause, in milliseconds, and lengthens the one after it. */
  next(): number {
    const ms = this.#nextMs;
    this.#nextMs = Math.min(ms * this.#options.factor, this.#options.maxMs);
    return ms;
  }

  /** Starts over with the first pause, after an attempt that succeeded. */
  reset(): void {
    this.#nextMs = this.#options.firstMs;
  }
}

/** Limits how often each kind of event may happen. */
export class RateLimit<Kind> {
  readonly #everyMs: number;
  readonly #last = new Map<Kind, number>();

  /** @param everyMs the shortest time between two events of the same kind, in milliseconds */
  constructor(everyMs: number) {
    this.#everyMs = everyMs;
  }

  /** Whether an event may happen now; if so, it is counted. */
  isDue(kind: Kind): boolean {
    const now = performance.now();
    if (now - (this.#last.get(kind) ?? -Infinity) < this.#everyMs) return false;
    this.#last.set(kind, now);
    return true;
  }
}
