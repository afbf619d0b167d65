/**
 * How long to wait for one peer's answers, learned from how long earlier answers took.
 *
 * Most peers answer in milliseconds and get the shortest timeout that the caller allows, so that one
 * that has died is noticed soon. A peer that is far away or slow gets more time.
 *
 * @module
 */

/** The timeouts that a caller allows, in milliseconds. */
export interface TimeoutRange {
  readonly leastMs: number;
  readonly mostMs: number;
}

/** How many answers to remember: after this many quick ones, a slow one no longer counts. */
const REMEMBERED = 3;

/** An answer may take this many times as long as the slowest one that is remembered. */
const MARGIN = 2;

/** Timeouts that follow how fast a peer answers. */
export class AnswerTimeout {
  #recentMs: readonly number[] = [];
  #extension = 1;

  /** The quickest of the last answers, in milliseconds: about one round trip. */
  get quickestMs(): number {
    return Math.min(...this.#recentMs);
  }

  /** An answer came after that many milliseconds. */
  answered(tookMs: number): void {
    this.#recentMs = [tookMs, ...this.#recentMs].slice(0, REMEMBERED);
    this.#extension = 1;
  }

  /** No answer came in time. Until one comes, each expired timeout doubles the next. */
  expired(): void {
    this.#extension *= 2;
  }

  /** How long the next answer may take, in milliseconds; a whole number of seconds. */
  within({ leastMs, mostMs }: TimeoutRange): number {
    const neededMs = Math.max(leastMs * this.#extension, MARGIN * Math.max(0, ...this.#recentMs));
    return Math.min(Math.ceil(neededMs / 1_000) * 1_000, mostMs);
  }
}
