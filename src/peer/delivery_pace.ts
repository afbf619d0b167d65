/**
 * Decides how much to send to one peer in a call, and how long to wait for the acknowledgement.
 *
 * Batches start small, double while the peer handles them fast, and halve when a call times out; the
 * timeout follows how long earlier calls took. So a slow peer still makes progress.
 *
 * @module
 */
import { AnswerTimeout, type TimeoutRange } from "./answer_timeout.ts";

/** How many messages the first batch may have, and the largest one. */
const BATCH = { first: 16, most: 256 };

/** A batch that keeps the peer busy for longer than this is large enough, in milliseconds. */
const BUSY_MS = 1_000;

/** How long a call may take, in addition to its transmission. */
export const DELIVERY_TIMEOUT: TimeoutRange = { leastMs: 5_000, mostMs: 60_000 };

/** The slowest connection that calls are given time for, in characters a second. */
const SLOWEST_CHARACTERS_PER_S = 50_000;

/** What one call carries. */
export interface Load {
  readonly messages: number;
  readonly characters: number;
}

/** The pace of deliveries to one peer. */
export class DeliveryPace {
  readonly #timeout = new AnswerTimeout();
  #batch = BATCH.first;

  /** How many messages the next call may carry. */
  get batch(): number {
    return this.#batch;
  }

  /** How long a call may take, in milliseconds. */
  timeoutMs(load: Load): number {
    return this.#timeout.within(DELIVERY_TIMEOUT) + transmissionMs(load);
  }

  /**
   * A call succeeded.
   *
   * @param load what it carried
   * @param tookMs how long it took
   * @param roundTripMs roughly how much of that was the round trip
   */
  delivered(load: Load, tookMs: number, roundTripMs: number): void {
    this.#timeout.answered(Math.max(0, tookMs - transmissionMs(load)));
    const isFull = load.messages >= this.#batch;
    if (isFull && tookMs - roundTripMs <= BUSY_MS) {
      this.#batch = Math.min(this.#batch * 2, BATCH.most);
    }
  }

  /** A call timed out: the next batch is smaller, or a single message gets more time. */
  timedOut({ messages }: Load): void {
    if (messages > 1) this.#batch = Math.ceil(messages / 2);
    else this.#timeout.expired();
  }
}

function transmissionMs({ characters }: Load): number {
  return 1_000 * Math.floor(characters / SLOWEST_CHARACTERS_PER_S);
}
