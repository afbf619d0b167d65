/**
 * Runs peers on a virtual network in virtual time, one event after the other, in an order that
 * fast-check chooses.
 *
 * @module
 */
import fc from "fast-check";
import { propertyTest } from "./properties.ts";
import { settle, VirtualTime } from "./virtual_time.ts";
import { VirtualNetwork } from "./virtual_network.ts";

/** More events than any schedule needs. */
const MAX_EVENTS = 20_000;

/** A network and a clock under one scheduler. Disposing of it gives the real clock back. */
export class Simulation implements Disposable {
  readonly time = new VirtualTime();
  readonly network: VirtualNetwork;
  readonly #scheduler: fc.Scheduler;
  #events = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(scheduler: fc.Scheduler) {
    this.#scheduler = scheduler;
    this.network = new VirtualNetwork((what) => this.turn(what));
  }

  /** Resolves when it is the turn of an event. */
  turn(what: string): Promise<void> {
    return this.#scheduler.schedule(Promise.resolve(), what);
  }

  /** Something is wrong, which ends the test. */
  fail(error: unknown): void {
    this.#failure ??= { error };
  }

  /** Lets everything happen that needs neither time nor the network. */
  async settled(): Promise<void> {
    await settle();
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Lets some events of those that may happen now happen. */
  async events(count: number): Promise<void> {
    for (let i = 0; i < count && this.#scheduler.count() > 0; i++) {
      if (++this.#events > MAX_EVENTS) throw new Error(`more than ${MAX_EVENTS} events`);
      await this.#scheduler.waitNext(1);
      await this.settled();
    }
  }

  /** Schedules steps that happen one after the other; others may happen between them. */
  sequence(steps: readonly (() => Promise<unknown>)[], label: string): void {
    const items = steps.map((step, i) => ({
      builder: () => step().catch((error) => this.fail(error)),
      label: `${label} ${i + 1}`,
    }));
    this.#scheduler.scheduleSequence(items);
  }

  /** Lets time pass while nothing arrives that is in flight. */
  async pass(ms: number): Promise<void> {
    await this.time.pass(ms);
    await this.settled();
  }

  /**
   * Lets everything happen on a network that is faster than any timer.
   *
   * @param ms for how long
   * @param isDone ends it early
   * @returns whether it is done
   */
  async run(ms: number, isDone: () => boolean = () => false): Promise<boolean> {
    const endMs = this.time.nowMs + ms;
    await this.settled();
    for (;;) {
      while (this.#scheduler.count() > 0) await this.events(1);
      if (isDone()) return true;
      if (this.time.nowMs >= endMs) return false;
      await this.time.toNextTimer(endMs);
    }
  }

  [Symbol.dispose](): void {
    this.time[Symbol.dispose]();
  }
}

/** Tests that a check throws for no input and under no schedule. */
export function scheduleTest<T>(
  name: string,
  inputs: fc.Arbitrary<T>,
  check: (simulation: Simulation, input: T) => Promise<void>,
  runs: number,
): void {
  propertyTest(name, fc.tuple(fc.scheduler(), inputs), async ([scheduler, input]) => {
    using simulation = new Simulation(scheduler);
    await check(simulation, input);
  }, runs);
}
