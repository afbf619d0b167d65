/**
 * How much to send to one peer in a call, and how long to wait for the answer.
 *
 * Batches start small, double while the peer handles them fast, and halve when a call times out; the
 * timeout follows how long earlier calls took. So a peer that is slow with each message, or with a
 * single one, still makes progress.
 *
 * @module
 */
import { AnswerTimeout, type TimeoutRange } from "./answer_timeout.ts";

/** How many messages the first batch may have, and the largest. */
const BATCH = { first: 16, most: 256 };

/** A batch that keeps the peer busy for longer than this is large enough, in milliseconds. */
const BUSY_MS = 1_000;

/** How long a call may take, besides the time to transmit it. */
export const DELIVERY_TIMEOUT: TimeoutRange = { leastMs: 5_000, mostMs: 60_000 };

/** The slowest connection that is given time to transmit what it carries, in characters a second. */
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
   * @param roundTripMs how much of that was the way there and back, about
   */
  delivered(load: Load, tookMs: number, roundTripMs: number): void {
    this.#timeout.answered(Math.max(0, tookMs - transmissionMs(load)));
    const isFull = load.messages >= this.#batch;
    if (isFull && tookMs - roundTripMs <= BUSY_MS) {
      this.#batch = Math.min(this.#batch * 2, BATCH.most);
    }
  }

  /** A call timed out. A batch can be made smaller; a single message can only be given more time. */
  timedOut({ messages }: Load): void {
    if (messages > 1) this.#batch = Math.ceil(messages / 2);
    else this.#timeout.expired();
  }
}

function transmissionMs({ characters }: Load): number {
  return 1_000 * Math.floor(characters / SLOWEST_CHARACTERS_PER_S);
}
