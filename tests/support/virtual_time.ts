/**
 * Time that passes only when a test says so: timers, `performance.now()` and dates.
 *
 * @module
 */
import { setImmediate } from "node:timers";

/** How much virtual time has passed when a test begins, in milliseconds. */
const BEGIN_MS = 1_000;

/** The date when it began. */
const EPOCH_MS = Date.UTC(2026, 0, 1);

/** How many turns of the event loop it takes until everything that has happened has had its effects. */
const TURNS = 3;

interface Timer {
  readonly dueMs: number;
  readonly run: () => void;
}

/** Resolves when everything that needs neither time nor the network has happened. */
export async function settle(): Promise<void> {
  for (let i = 0; i < TURNS; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Replaces the clocks, timers and random numbers of this program until it is disposed of. */
export class VirtualTime implements Disposable {
  readonly #timers = new Map<number, Timer>();
  readonly #real = { setTimeout, clearTimeout, Date, now: performance.now, random: Math.random };
  #nowMs = BEGIN_MS;
  #lastTimer = 0;

  constructor() {
    const nowMs = () => Math.floor(EPOCH_MS + this.#nowMs);
    globalThis.Date = class extends Date {
      constructor(...args: readonly unknown[]) {
        super(...(args.length === 0 ? [nowMs()] : args) as [number]);
      }
      static override now = nowMs;
    } as DateConstructor;
    performance.now = () => this.#nowMs;
    Math.random = () => 0.5;
    globalThis.setTimeout = ((run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => {
      // Timers of one millisecond or less fire in the next turn, but never at once.
      const dueMs = this.#nowMs + Math.max(ms, 1);
      this.#timers.set(++this.#lastTimer, { dueMs, run: () => run(...args) });
      return this.#lastTimer;
    }) as unknown as typeof setTimeout;
    globalThis.clearTimeout = (id) => void this.#timers.delete(Number(id));
  }

  /** The time that has passed, in milliseconds. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** How many timers were started. */
  get timers(): number {
    return this.#lastTimer;
  }

  /** Lets time pass, and all timers run that are due then. */
  async pass(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    while (this.#nowMs < endMs) await this.toNextTimer(endMs);
  }

  /** Lets time pass until a timer is due, and runs it; but not beyond the given time. */
  async toNextTimer(endMs = Infinity): Promise<void> {
    const next = this.#next();
    if (next === undefined || next.dueMs > endMs) {
      this.#nowMs = Math.max(this.#nowMs, endMs);
      return;
    }
    this.#nowMs = Math.max(this.#nowMs, next.dueMs);
    this.#timers.delete(next.id);
    next.run();
    await settle();
  }

  #next(): Timer & { id: number } | undefined {
    let next: Timer & { id: number } | undefined;
    for (const [id, timer] of this.#timers) {
      if (next === undefined || timer.dueMs < next.dueMs) next = { id, ...timer };
    }
    return next;
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#real.setTimeout;
    globalThis.clearTimeout = this.#real.clearTimeout;
    globalThis.Date = this.#real.Date;
    performance.now = this.#real.now;
    Math.random = this.#real.random;
  }
}
