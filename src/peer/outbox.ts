/**
 * What waits for one peer, delivered in order over its link.
 *
 * One call is under way at a time, which is what keeps the order: what
 * was not answered is sent again before anything that was said later. When many
 * messages wait, one call carries many. What cannot be delivered now waits in
 * the journal for the next time that the peer is there.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { Ending, Entry, Journal, Person } from "./journal.ts";
import type { Link } from "./link.ts";
import { within } from "../base/timing.ts";

/** The pauses before what was refused is tried again: the first, the longest, and how they grow. */
const RETRY = { firstMs: 1_000, maxMs: 5_000, factor: 2 };

/** How to deliver. */
export interface OutboxOptions {
  readonly link: Link;
  /** What holds the messages. Where it is not durable, nothing waits: what cannot be delivered fails. */
  readonly journal: Journal;
  /** Gets how deliveries ended; the next one waits for it. */
  readonly onEnd: (
    entries: readonly Entry[],
    name: string,
    ending: Ending,
    error?: GreetError,
  ) => Promise<void>;
  /** Gets why something waits although the peer is there. */
  readonly onTrouble: (error: GreetError) => void;
}

/** Delivers to one peer. Disposing of it ends that; the link must be closed before. */
export class Outbox implements AsyncDisposable {
  readonly #options: OutboxOptions;
  readonly #running: Promise<void>;
  /** Who was there last. */
  #recipient: Person = { name: "" };
  #underway: readonly Entry[] = [];
  /** When what is on its way set out, and when it is known whether it has arrived. */
  #delivery = { began: Infinity, ended: Promise.withResolvers<void>() };
  #woken = Promise.withResolvers<void>();
  #resters: (() => void)[] = [];
  #linkChanged = Promise.withResolvers<void>();
  #closed = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** There is something new to deliver. */
  wake(): void {
    this.#woken.resolve();
  }

  /** The peer has come, or gone. */
  linkChanged(): void {
    this.#linkChanged.resolve();
    this.#linkChanged = Promise.withResolvers();
    this.wake();
  }

  /** Whether a message is on its way at this moment. */
  isUnderway(place: number): boolean {
    return this.#underway.some((entry) => entry.place === place);
  }

  /** Resolves when what set out before that moment has arrived, or has not; at once where nothing did. */
  async settled(by: Date): Promise<void> {
    if (this.#delivery.began <= by.getTime()) await this.#delivery.ended.promise;
  }

  /** Resolves when there is nothing left that could be delivered now. */
  rested(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#resters.push(resolve);
    this.wake();
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.linkChanged();
    await this.#running;
    this.#letRest();
  }

  async #run(): Promise<void> {
    let pauseMs = RETRY.firstMs;
    const { link, journal } = this.#options;
    while (!this.#closed) {
      this.#woken = Promise.withResolvers();
      try {
        this.#recipient = link.peer ?? this.#recipient;
        const isReachable = link.name !== undefined || !journal.durable;
        const entries = isReachable ? journal.waitingFor(this.#recipient) : [];
        if (entries.length > 0) {
          await this.#deliver(this.#recipient, entries.slice(0, link.batch));
        } else {
          this.#letRest();
          await this.#woken.promise;
        }
        pauseMs = RETRY.firstMs;
      } catch (error) {
        if (this.#closed || link.name === undefined) continue;
        this.#options.onTrouble(GreetError.from(error));
        await within(pauseMs, this.#linkChanged.promise);
        pauseMs = Math.min(pauseMs * RETRY.factor, RETRY.maxMs);
      }
    }
  }

  #letRest(): void {
    for (const resolve of this.#resters.splice(0)) resolve();
  }

  async #deliver(to: Person, entries: readonly Entry[]): Promise<void> {
    const { link, journal, onEnd } = this.#options;
    const { name } = to;
    this.#underway = entries;
    const { ended } = this.#delivery = { began: Date.now(), ended: Promise.withResolvers() };
    try {
      const count = await link.deliver(to, entries.map(({ message }) => message));
      const delivered = entries.slice(0, count);
      journal.end(name, delivered.map(({ place }) => place), "delivered");
      await onEnd(delivered, name, "delivered");
    } catch (cause) {
      const error = GreetError.from(cause);
      if (journal.durable && !isFinal(error)) throw error;
      const [first] = entries;
      journal.end(name, [first.place], "failed");
      await onEnd([first], name, "failed", error);
    } finally {
      this.#underway = [];
      ended.resolve();
    }
  }
}

/** Whether trying again would be of no use: it is the message that is refused. */
function isFinal({ code }: GreetError): boolean {
  return code === "RESOURCE_EXHAUSTED" || code === "INVALID_ARGUMENT" ||
    code === "OUT_OF_RANGE" || code === "UNIMPLEMENTED";
}
