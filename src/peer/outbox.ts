/**
 * Delivers the messages for one peer over its link, in order.
 *
 * Only one call is in flight at a time, and a message that was not acknowledged is sent again before
 * any later one. The journal holds what cannot be delivered now.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { Entry, Journal, Person } from "./journal.ts";
import type { Link } from "./link.ts";
import { BackOff, Pulse, within } from "../base/timing.ts";

/** The pauses before a refused message is sent again. */
const RETRY = { firstMs: 1_000, maxMs: 5_000, factor: 2 };

const DAMAGED = "the message was damaged on the disk";

/** How to deliver. */
export interface OutboxOptions {
  readonly link: Link;
  /** Holds the messages. If it is not durable, messages that cannot be delivered fail. */
  readonly journal: Journal;
  /** Called after a delivery to a peer of this name; the next one waits for it. */
  readonly onDelivered: (entries: readonly Entry[], name: string) => Promise<void>;
  /** Called when a message cannot be delivered to a peer of this name; the next one waits for it. */
  readonly onFailed: (entry: Entry, name: string, error: GreetError) => Promise<void>;
  /** Called with the reason why messages wait although the peer is there. */
  readonly onTrouble: (error: GreetError) => void;
}

/** Delivers to one peer until it is disposed of. Its link must be closed first. */
export class Outbox implements AsyncDisposable {
  readonly #options: OutboxOptions;
  readonly #running: Promise<void>;
  readonly #backOff = new BackOff(RETRY);
  /** There may be something to deliver. */
  readonly #work = new Pulse();
  /** There is nothing left that could be delivered now. */
  readonly #idle = new Pulse();
  readonly #linkChanges = new Pulse();
  /** The peer that was there last. */
  #recipient: Person = { name: "" };
  #inFlight: readonly Entry[] = [];
  #trouble: GreetError | undefined;
  /** When the current or last delivery began, and a promise for its end. */
  #delivery = { began: Infinity, ended: Promise.withResolvers<void>() };
  #closed = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** Looks for something to deliver. */
  wake(): void {
    this.#work.beat();
  }

  /** The peer has come or gone. */
  linkChanged(): void {
    this.#trouble = undefined;
    this.#linkChanges.beat();
    this.wake();
  }

  /** Why messages wait although the peer is there; nothing if they do not. */
  get trouble(): GreetError | undefined {
    return this.#trouble;
  }

  /** Whether a message is being delivered at this moment. */
  isInFlight(place: number): boolean {
    return this.#inFlight.some((entry) => entry.place === place);
  }

  /** Resolves when a delivery that began by this time has ended, successfully or not. */
  async settled(by: Date): Promise<void> {
    if (this.#delivery.began <= by.getTime()) await this.#delivery.ended.promise;
  }

  /** Resolves when there is nothing left that could be delivered now. */
  idle(): Promise<void> {
    const idle = this.#idle.next;
    this.wake();
    return idle;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.linkChanged();
    await this.#running;
    this.#idle.beat();
  }

  get #isReachable(): boolean {
    const { link } = this.#options;
    return link.name !== undefined && !link.isClosed;
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      const work = this.#work.next;
      try {
        if (!await this.#deliverSome()) {
          this.#idle.beat();
          await work;
        }
        this.#backOff.reset();
      } catch (error) {
        if (!this.#isReachable) continue;
        this.#trouble = GreetError.from(error);
        this.#options.onTrouble(this.#trouble);
        await within(this.#backOff.next(), this.#linkChanges.next);
      }
    }
  }

  /** Delivers as much as fits into one call, and returns whether there was anything. */
  async #deliverSome(): Promise<boolean> {
    const { link, journal } = this.#options;
    this.#recipient = link.peer ?? this.#recipient;
    // What cannot be kept is delivered or fails now, whether the peer is there or not.
    if (!this.#isReachable && journal.durable) return false;
    const entries = journal.waitingFor(this.#recipient);
    if (entries.length === 0) return false;
    const [first] = entries;
    const intact = entries.slice(0, countIntact(entries));
    if (intact.length > 0) await this.#deliver(this.#recipient, intact.slice(0, link.batch));
    else await this.#fail(first, this.#recipient, new GreetError("DATA_LOSS", DAMAGED));
    return true;
  }

  async #deliver(to: Person, entries: readonly Entry[]): Promise<void> {
    const { link, journal, onDelivered } = this.#options;
    this.#inFlight = entries;
    const { ended } = this.#delivery = { began: Date.now(), ended: Promise.withResolvers() };
    try {
      const count = await link.deliver(to, entries.map(({ message }) => message));
      const delivered = entries.slice(0, count);
      this.#trouble = undefined;
      journal.endDelivery(to.name, delivered.map(({ place }) => place), "delivered");
      await onDelivered(delivered, to.name);
    } catch (cause) {
      const error = GreetError.from(cause);
      if (journal.durable && !isFinal(error)) throw error;
      await this.#fail(entries[0], to, error);
    } finally {
      this.#inFlight = [];
      ended.resolve();
    }
  }

  async #fail(entry: Entry, { name }: Person, error: GreetError): Promise<void> {
    const { journal, onFailed } = this.#options;
    journal.endDelivery(name, [entry.place], "failed");
    await onFailed(entry, name, error);
  }
}

/** How many messages there are before the first one that is damaged. */
function countIntact(entries: readonly Entry[]): number {
  const index = entries.findIndex(({ message }) => message.isDamaged);
  return index < 0 ? entries.length : index;
}

/** Whether a retry is pointless, because the message itself is refused. */
function isFinal({ code }: GreetError): boolean {
  return code === "RESOURCE_EXHAUSTED" || code === "INVALID_ARGUMENT" ||
    code === "OUT_OF_RANGE" || code === "UNIMPLEMENTED";
}
