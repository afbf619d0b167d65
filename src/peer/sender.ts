/**
 * The sending half of a peer: takes messages of our own, queues them for the other peers, and keeps
 * track of them until they are delivered, have failed or are cancelled.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { Pulse } from "../base/timing.ts";
import { absence, addresseeOf, type Contact, contactCalled } from "./contact.ts";
import type { EventFeed } from "./event_feed.ts";
import type { Addressee, Entry, Journal, Participants, Person, Waiting } from "./journal.ts";
import { checkLength, type Draft, type Message, newMessage } from "./messages.ts";
import { leftChat } from "./presence.ts";

/** What sending depends on. */
export interface SenderOptions {
  /** Our own name. */
  readonly name: string;
  /** Holds the messages. If it is not durable, they are delivered now or fail. */
  readonly journal: Journal;
  readonly contacts: readonly Contact[];
  readonly events: EventFeed;
  /** The keys that a peer of this name may have. */
  readonly keysOf: (name: string) => readonly string[];
  /** Everyone in this chat. */
  readonly participants: () => Participants;
}

/** Sends messages to all contacts. */
export class Sender {
  readonly #options: SenderOptions;
  /** Deliveries that callers of {@link Sender.send} wait for, by the id of the message. */
  readonly #deliveries = new Map<string, PromiseWithResolvers<void>>();
  /** A message no longer waits, or we have left. */
  readonly #progress = new Pulse();
  #lastStored: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(options: SenderOptions) {
    this.#options = options;
  }

  /**
   * Sends a message to all contacts, or to one of them.
   *
   * @returns when it is stored on disk or, without a durable journal, delivered
   * @throws {GreetError} `NOT_FOUND` if no contact has the name that it is for; otherwise, if it is
   *   neither stored nor delivered, what a `failed` event says as well
   */
  async send(draft: Draft): Promise<void> {
    const { name, journal, events } = this.#options;
    const contacts = this.#contactsFor(draft.to);
    const message = newMessage(name, draft);
    try {
      checkLength(message);
      if (journal.durable) await this.#queue(message, contacts);
      else await this.#deliverNow(message, contacts);
    } catch (error) {
      const failure = GreetError.from(error);
      const isReported = this.#deliveries.delete(message.id);
      if (!isReported) events.push({ type: "failed", message, waitingFor: [], error: failure });
      throw failure;
    }
  }

  /** The contacts that a message is for: all, or where the peer of this name is, was or must be. */
  #contactsFor(to: string | undefined): readonly Contact[] {
    const { contacts } = this.#options;
    if (to === undefined) return contacts;
    const contact = contactCalled(to, contacts);
    if (contact !== undefined) return [contact];
    throw new GreetError("NOT_FOUND", `no peer in this chat is called ${to}`);
  }

  async #queue(message: Message, contacts: readonly Contact[]): Promise<void> {
    const { journal, events } = this.#options;
    // A newcomer that arrives before the message is stored was not meant to get it.
    const intended = contacts.map(addresseeOf);
    const stored = journal.send(
      message,
      () =>
        contacts.map(addresseeOf).map((now, i) =>
          this.#isFor(intended[i], now) ? now : intended[i]
        ),
    );
    this.#lastStored = stored.catch(() => {});
    const { addressees } = await stored;
    events.push({ type: "queued", message, waitingFor: addressees });
    for (const { outbox } of this.#options.contacts) outbox.wake();
  }

  /** Delivers a message to those of its contacts that are there; it fails for the others. */
  async #deliverNow(message: Message, contacts: readonly Contact[]): Promise<void> {
    const { events } = this.#options;
    const intended = contacts.map(addresseeOf);
    await Promise.all(contacts.map(({ link }) => link.settled()));
    const here = contacts.filter(({ link: { peer } }, i) =>
      peer !== undefined && this.#isFor(intended[i], peer)
    );
    const absent = contacts.filter((contact) => !here.includes(contact));
    if (here.length === 0) throw absence(absent[0]);
    const delivery = Promise.withResolvers<void>();
    this.#deliveries.set(message.id, delivery);
    await this.#queue(message, here);
    const waitingFor = here.map(addresseeOf);
    for (const contact of absent) {
      const to = contact.last?.name ?? contact.link.address;
      events.push({ type: "failed", message, to, waitingFor, error: absence(contact) });
    }
    await delivery.promise;
    this.#deliveries.delete(message.id);
  }

  /** Whether a peer is the one that a message is addressed to. */
  #isFor({ name, fingerprint }: Addressee, peer: Partial<Person>): boolean {
    if (name === undefined) return true;
    if (name !== peer.name) return false;
    return fingerprint === undefined || fingerprint === peer.fingerprint ||
      this.#options.keysOf(name).includes(fingerprint);
  }

  /** Resolves when the last message is stored, or could not be. */
  async stored(): Promise<void> {
    await this.#lastStored;
  }

  /** Messages have reached a peer; resolves when our reader knows. */
  async delivered(entries: readonly Entry[], to: string): Promise<void> {
    const { journal, events } = this.#options;
    const addressees = journal.addresseesOf(entries.map(({ place }) => place));
    const reported = entries.map(({ place, message }) => {
      const waitingFor = addressees.get(place) ?? [];
      if (waitingFor.length === 0) this.#deliveries.get(message.id)?.resolve();
      return events.push({ type: "delivered", message, to, waitingFor });
    });
    events.recovered();
    this.#progress.beat();
    await Promise.all(reported);
  }

  /** A message will not reach a peer; resolves when our reader knows. */
  async failed({ place, message }: Entry, to: string, error: GreetError): Promise<void> {
    const { journal, events } = this.#options;
    const waitingFor = journal.addressees(place);
    this.#deliveries.get(message.id)?.reject(error);
    const reported = events.push({ type: "failed", message, to, waitingFor, error });
    this.#progress.beat();
    await reported;
  }

  /** Whether a message waits for someone in this chat. */
  get isWaiting(): boolean {
    const { journal, participants, keysOf } = this.#options;
    const all = participants();
    return journal.isWaitingFor(all, all.names.flatMap(keysOf));
  }

  /**
   * Resolves when no message waits for anyone in this chat.
   *
   * @throws {GreetError} `CANCELLED` if the sender is closed first
   */
  async drained(): Promise<void> {
    for (;;) {
      const progress = this.#progress.next;
      if (this.#closed) throw leftChat();
      if (!this.isWaiting) return;
      await progress;
    }
  }

  /** A peer is no longer in the chat, so nothing needs to wait for it. */
  contactsChanged(): void {
    this.#progress.beat();
  }

  /** The messages that wait to be delivered, including those for peers outside this chat. */
  queue(): Waiting[] {
    const { journal } = this.#options;
    return journal.durable ? journal.queue() : [];
  }

  /**
   * Cancels the deliveries of a message that still wait.
   *
   * @throws {GreetError} `FAILED` if none waits, or the message is in flight
   */
  cancel({ place, message }: Entry): void {
    const { journal, contacts, events } = this.#options;
    const waitingFor = journal.addressees(place);
    if (waitingFor.length === 0) {
      throw new GreetError("FAILED", "it is no longer waiting");
    }
    if (contacts.some(({ outbox }) => outbox.isInFlight(place))) {
      throw new GreetError("FAILED", "it is being delivered and cannot be cancelled");
    }
    journal.cancel(place);
    const deliveredTo = journal.deliveredTo(place);
    events.push({ type: "cancelled", message, waitingFor, deliveredTo });
    this.#progress.beat();
  }

  /** Rejects calls of {@link Sender.drained}. The journal may be closed from now on. */
  close(): void {
    this.#closed = true;
    this.#progress.beat();
  }
}
