/**
 * The receiving half of a peer: stores incoming messages and reports them as events, after our own
 * messages that they may reply to.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { within } from "../base/timing.ts";
import type { Contact } from "./contact.ts";
import type { EventFeed } from "./event_feed.ts";
import { type Arrival, Inbox } from "./inbox.ts";
import type { Entry, Journal } from "./journal.ts";
import type { Message } from "./messages.ts";

/** How long a message waits for the delivery to its sender that is in flight, in milliseconds. */
const OVERTAKEN_MS = 50;

/** What receiving depends on. */
export interface ReceiverOptions {
  /** Our own name. */
  readonly name: string;
  readonly journal: Journal;
  readonly contacts: readonly Contact[];
  readonly events: EventFeed;
}

/** Receives messages. Disposing of it reports what is left, unless the reader stalls. */
export class Receiver implements AsyncDisposable {
  readonly #options: ReceiverOptions;
  readonly #inbox: Inbox;

  /** Reports at once the messages that an earlier run left over. */
  constructor(options: ReceiverOptions) {
    this.#options = options;
    this.#inbox = new Inbox({
      journal: options.journal,
      show: (entries) => this.#show(entries),
      onTrouble: (error) => options.events.report(error),
    });
  }

  /** Starts to report messages of this run as well. */
  open(): void {
    this.#inbox.open();
  }

  /**
   * Takes messages from other peers.
   *
   * @returns when they may be acknowledged
   * @throws {GreetError} `UNAVAILABLE` if they cannot be kept now
   */
  async take(messages: readonly Message[]): Promise<void> {
    const { name, events } = this.#options;
    try {
      await this.#inbox.take(messages);
    } catch (error) {
      if ((error as GreetError).code === "FAILED") events.report(error as GreetError);
      throw new GreetError("UNAVAILABLE", `${name} cannot keep messages now`);
    }
    events.recovered();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inbox[Symbol.asyncDispose]();
  }

  async *#show(entries: readonly Arrival[]): AsyncGenerator<boolean> {
    const { journal, events } = this.#options;
    if (journal.durable) await this.#letDeliveriesEnd(entries);
    yield* entries.map(({ message, taken, late }) =>
      events.push({ type: "message", message, late, taken })
    );
  }

  async #letDeliveriesEnd(entries: readonly Entry[]): Promise<void> {
    const lastTaken = new Map(entries.map(({ message, taken }) => [message.from, taken]));
    const ends = [...lastTaken].map(([from, taken]) => this.#letDeliveryEnd(from, taken));
    await Promise.all(ends);
  }

  /**
   * A reply may overtake the acknowledgement of the message that it replies to, because the two use
   * different connections. Our own message is to be reported first.
   */
  async #letDeliveryEnd(to: string, begunBy: Date): Promise<void> {
    const contact = this.#options.contacts.find(({ link }) => link.name === to);
    if (contact !== undefined) await within(OVERTAKEN_MS, contact.outbox.settled(begunBy));
  }
}
