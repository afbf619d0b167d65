/**
 * Decides when to dial a peer that is away: immediately when asked to, and otherwise after a pause
 * that depends on why the last dial failed.
 *
 * @module
 */
import { BackOff, pause, within } from "../base/timing.ts";
import { isAbsent } from "../rpc/call_errors.ts";
import { Breach, type Presence } from "./presence.ts";

/**
 * Pauses between dials while nothing listens there. Source: grpc/grpc
 * `doc/connection-backoff.md`, but slower: a peer that starts listening there will call us.
 */
const BACK_OFF = { firstMs: 5_000, maxMs: 30_000, factor: 1.6 };

/**
 * Pauses between dials while a peer is there that does not accept us, each after the connection to
 * it has dropped: it calls us when it accepts us. A peer whose deliveries have no end waits as long.
 */
const REFUSED = { firstMs: 5_000, maxMs: 300_000, factor: 2 };

/** The time from dial to dial after any other failure, because the recovery of a network triggers no call. */
const UNREACHABLE_EVERY_MS = 5_000;

/**
 * Pauses after connections that did not last, each after the one before: a peer that accepts us and
 * hangs up at once must not keep us busy.
 */
const SHORT_LIVED = { withinMs: 1_000, firstMs: 50, maxMs: 5_000, factor: 2 };

/** The minimum time between two dials. A flood of calls to us must not cause one to another peer. */
const MIN_GAP_MS = 50;

type Absence = Extract<Presence, { state: "away" }>;

/** Whether a peer is there, and one side does not want the other. */
function isUnwelcome({ error, refusedBy }: Absence): boolean {
  return refusedBy !== undefined || error instanceof Breach;
}

/**
 * How much of a pause calls of the peer do not shorten: a peer that makes each connection end soon could
 * keep us busy by calling as well.
 */
function heldAtLeastMs(outcome: Presence): number {
  if (outcome.state !== "away") return SHORT_LIVED.maxMs;
  return outcome.error instanceof Breach ? REFUSED.firstMs : 0;
}

/** One dial: ways to ask for it, and its outcome. */
export class Attempt {
  readonly #requested = Promise.withResolvers<void>();
  readonly #urged = Promise.withResolvers<void>();
  readonly #outcome = Promise.withResolvers<Presence>();

  /** Resolves when the attempt is requested. */
  get requested(): Promise<void> {
    return this.#requested.promise;
  }

  /** Resolves when the attempt is requested and nothing the peer did may delay it. */
  get urged(): Promise<void> {
    return this.#urged.promise;
  }

  /** Resolves when the attempt has ended. */
  get outcome(): Promise<Presence> {
    return this.#outcome.promise;
  }

  /** Asks for the attempt to begin, because the peer may be up, as soon as it deserves one. */
  request(): void {
    this.#requested.resolve();
  }

  /** Asks for the attempt to begin without further delay. */
  urge(): void {
    this.#requested.resolve();
    this.#urged.resolve();
  }

  /** Ends the attempt as another one will end. */
  follow({ outcome }: Attempt): void {
    this.#outcome.resolve(outcome);
  }

  /** Ends the attempt. */
  end(presence: Presence): void {
    this.#outcome.resolve(presence);
  }
}

/** The dials of one link, one after the other. */
export class DialSchedule {
  readonly #backOff = new BackOff(BACK_OFF);
  readonly #refusals = new BackOff(REFUSED);
  readonly #drops = new BackOff(SHORT_LIVED);
  #next = new Attempt();
  #began = 0;

  /** The attempt that begins after the present one. */
  get next(): Attempt {
    return this.#next;
  }

  /** Begins the next attempt. A knock from here on must trigger a new dial, not join this one. */
  begin(): Attempt {
    const attempt = this.#next;
    this.#next = new Attempt();
    this.#began = performance.now();
    return attempt;
  }

  /** A peer is there: knocks that came during the dial get its outcome after all. */
  answer(presence: Presence): void {
    const { next } = this;
    this.#next = new Attempt();
    next.end(presence);
  }

  /** Resolves when another attempt is requested. */
  async requested(): Promise<void> {
    await this.#next.requested;
    await this.#gap();
  }

  /**
   * Resolves when another attempt is due.
   *
   * @param outcome how the last attempt ended
   */
  async due(outcome: Presence): Promise<void> {
    if (outcome.state !== "away" || !isUnwelcome(outcome)) this.#refusals.reset();
    if (outcome.state !== "away" || !isAbsent(outcome.error)) this.#backOff.reset();
    const restMs = outcome.state === "away" ? this.#restMs(outcome) : this.#restAfterDropMs();
    const heldMs = Math.min(restMs, heldAtLeastMs(outcome));
    if (heldMs > 0) await within(heldMs, this.#next.urged);
    if (restMs > heldMs) await within(restMs - heldMs, this.#next.requested);
    await this.#gap();
  }

  #restMs(absence: Absence): number {
    if (isUnwelcome(absence)) return this.#refusals.next();
    if (isAbsent(absence.error)) return this.#backOff.next();
    return UNREACHABLE_EVERY_MS - this.#elapsedMs;
  }

  #restAfterDropMs(): number {
    if (this.#elapsedMs < SHORT_LIVED.withinMs) return this.#drops.next();
    this.#drops.reset();
    return 0;
  }

  async #gap(): Promise<void> {
    // Without a pause at all where none is due: a dropped connection is dialled again at once.
    const restMs = MIN_GAP_MS - this.#elapsedMs;
    if (restMs > 0) await pause(restMs);
  }

  get #elapsedMs(): number {
    return performance.now() - this.#began;
  }
}
