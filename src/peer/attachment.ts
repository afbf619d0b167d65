/**
 * A caller that is attached to us: messages reach it over the connection that it has dialled.
 *
 * One delivery is in flight at a time, and the next one waits for its receipt, so a caller that does
 * not read holds back the outbox. Whether the caller may attach is decided before.
 *
 * @module
 */
import { GreetError, STATUS_NAMES } from "../base/errors.ts";
import { Pulse, within } from "../base/timing.ts";
import type { Delivery, Receipt } from "../rpc/services.ts";
import { AnswerTimeout } from "./answer_timeout.ts";
import type { Carrier } from "./carrier.ts";
import { type Message, toWire } from "./messages.ts";
import type { Answerer } from "./presence.ts";

/**
 * After this much silence, the caller is asked whether it is still there. It is more than a peer
 * stays silent that asks the same of us, so usually nothing is sent.
 */
const SILENCE_MS = 6_000;

/** How long the caller may take to answer that; more if it is slow or far away. */
const ANSWER_TIMEOUT = { leastMs: 3_000, mostMs: 20_000 };

/** How much is shown of a caller's reason not to take messages, in UTF-16 units. */
const MAX_REASON = 1_000;

/** An open `Attach` call, from our side. */
export class Attachment implements Carrier {
  /** The peer that has called. */
  readonly caller: Answerer;
  readonly acceptsBatches = true;
  /** Deliveries that are not on their way yet. */
  readonly #queue: Delivery[] = [];
  /** Deliveries without a receipt, in order. */
  readonly #unanswered: PromiseWithResolvers<Receipt>[] = [];
  readonly #timeout = new AnswerTimeout();
  /** When the last delivery was sent. */
  #sentMs = 0;
  readonly #queued = new Pulse();
  readonly #signs = new Pulse();
  readonly #ended = Promise.withResolvers<void>();
  /** Why the caller's call ends, if it has done something wrong. */
  #breach: GreetError | undefined;
  #isOpen = true;
  #lastHeard = performance.now();

  /** Its first delivery is empty: it tells the caller that it is attached. */
  constructor(caller: Answerer) {
    this.caller = caller;
    this.#send({ messages: [] }).catch(() => {});
  }

  /** Whether messages may still reach the caller over it. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Resolves when it has ended. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** The caller has shown that it is there. */
  heard(): void {
    this.#lastHeard = performance.now();
    this.#signs.beat();
  }

  /**
   * Delivers messages in order. It takes as long as the caller takes and shows signs of life.
   *
   * @returns how many were delivered: all
   * @throws {GreetError} if none was, because the caller has refused them or is gone
   */
  async deliver(messages: readonly Message[]): Promise<number> {
    const { status, reason } = await this.#send({ messages: messages.map(toWire) });
    if (status === 0) return messages.length;
    const known = STATUS_NAMES[status];
    const code = known === undefined || known === "OK" ? "UNKNOWN" : known;
    const why = reason.slice(0, MAX_REASON).toWellFormed() || code;
    throw new GreetError(code, `${this.caller.name}: ${why}`);
  }

  /** Resolves when the attachment has ended, which it does when the caller has gone silent. */
  async watch(): Promise<void> {
    while (this.#isOpen) {
      const silenceMs = performance.now() - this.#lastHeard;
      await within(SILENCE_MS - silenceMs, this.ended);
      if (performance.now() - this.#lastHeard < SILENCE_MS) continue;
      if (this.#isOpen && !await this.#answers()) this.end();
    }
  }

  /** Whether the caller shows in time that it is there, in whatever way. */
  async #answers(): Promise<boolean> {
    const asked = performance.now();
    const sign = this.#signs.next;
    if (this.#unanswered.length === 0) this.#send({ messages: [] }).catch(() => {});
    await within(this.#timeout.within(ANSWER_TIMEOUT), sign, this.ended);
    return this.#lastHeard >= asked;
  }

  #send(delivery: Delivery): Promise<Receipt> {
    if (!this.#isOpen) return Promise.reject(this.#gone());
    const answer = Promise.withResolvers<Receipt>();
    this.#unanswered.push(answer);
    this.#queue.push(delivery);
    this.#queued.beat();
    return answer.promise;
  }

  /**
   * The deliveries to send to the caller, until the attachment ends.
   *
   * @throws {GreetError} `INVALID_ARGUMENT` if that is the caller's fault
   */
  async *deliveries(): AsyncGenerator<Delivery> {
    while (this.#isOpen) {
      const queued = this.#queued.next;
      const delivery = this.#queue.shift();
      if (delivery === undefined) {
        await queued;
      } else {
        this.#sentMs = performance.now();
        yield delivery;
      }
    }
    if (this.#breach !== undefined) throw this.#breach;
  }

  /** Reads the caller's receipts until there are no more, and ends. */
  async read(receipts: AsyncIterator<Receipt>): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await receipts.next();
        if (done) break;
        const answer = this.#unanswered.shift();
        if (answer === undefined) {
          if (!this.#isOpen) break;
          this.#breach = new GreetError("INVALID_ARGUMENT", "a receipt came without a delivery");
          break;
        }
        this.heard();
        this.#timeout.answered(this.#lastHeard - this.#sentMs);
        answer.resolve(value);
      }
    } catch {
      // The call was cancelled, or its connection broke.
    }
    this.end();
  }

  /** Ends it. What has no receipt is not delivered. */
  end(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#ended.resolve();
    this.#queued.beat();
    for (const { reject } of this.#unanswered.splice(0)) reject(this.#gone());
  }

  #gone(): GreetError {
    return new GreetError("UNAVAILABLE", `${this.caller.name} is no longer connected to us`);
  }
}
