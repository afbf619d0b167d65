/**
 * Adapts the timeout of calls to one peer to how long its earlier answers took.
 *
 * Most peers answer in milliseconds and get the shortest timeout that the caller allows, so a dead
 * one is detected soon. A peer that is far away or slow gets more time.
 *
 * @module
 */

/** The timeouts that a caller allows, in milliseconds. */
export interface TimeoutRange {
  readonly leastMs: number;
  readonly mostMs: number;
}

/** How many answers to remember: after this many quick ones, a slow one no longer matters. */
const REMEMBERED = 3;

/** An answer may take this many times as long as the slowest remembered one. */
const MARGIN = 2;

/** Timeouts for one peer. */
export class AnswerTimeout {
  #recentMs: readonly number[] = [];
  #extension = 1;

  /** The quickest of the last answers, in milliseconds: about one round trip. */
  get quickestMs(): number {
    return Math.min(...this.#recentMs);
  }

  /** An answer arrived after this many milliseconds. */
  answered(tookMs: number): void {
    this.#recentMs = [tookMs, ...this.#recentMs].slice(0, REMEMBERED);
    this.#extension = 1;
  }

  /** A timeout expired. Until an answer arrives, each expired timeout doubles the next one. */
  expired(): void {
    this.#extension *= 2;
  }

  /** How long the next answer may take, in milliseconds; a whole number of seconds. */
  within({ leastMs, mostMs }: TimeoutRange): number {
    const neededMs = Math.max(leastMs * this.#extension, MARGIN * Math.max(0, ...this.#recentMs));
    return Math.min(Math.ceil(neededMs / 1_000) * 1_000, mostMs);
  }
}
