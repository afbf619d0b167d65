/**
 * One participant in a chat: listens, calls the other peers, and sends and receives messages.
 *
 * A {@link Peer} knows nothing of terminals. Everything that happens is an event
 * ({@link PeerEvent}), which a screen, a pipe or a bot reads.
 *
 * @module
 */
import type { GreetError } from "../base/errors.ts";
import { parseName } from "../base/text.ts";
import { within } from "../base/timing.ts";
import type { Identity } from "../identity/identity.ts";
import { KnownPeers } from "../identity/known_peers.ts";
import type { ClaimStatus, Names, Registration } from "../naming/names.ts";
import { formatEndpoint, LOOPBACK } from "../net/address.ts";
import { GRPC, type Network } from "../rpc/network.ts";
import { Attendance } from "./attendance.ts";
import type { Caller } from "./callers.ts";
import { ChatService } from "./chat_service.ts";
import type { Contact } from "./contact.ts";
import { EventFeed, type PeerEvent, type PeerEvents } from "./event_feed.ts";
import { Gatekeeper } from "./gatekeeper.ts";
import { type Entry, Journal, type Waiting } from "./journal.ts";
import { locatePeer, locatePeers, reachFrom, refuseSelf, type Scope } from "./locator.ts";
import { Membership } from "./membership.ts";
import type { NewcomerPolicy } from "./newcomers.ts";
import type { Draft } from "./messages.ts";
import { addressArgument, nameArgument } from "./peer_argument.ts";
import { leftChat, type Presence } from "./presence.ts";
import { Receiver } from "./receiver.ts";
import { Reception } from "./reception.ts";
import { Roster, type RosterEvent } from "./roster.ts";
import { Sender } from "./sender.ts";

export type { PeerEvent, PeerEvents };

/** Who we are, and whom to chat with. */
export interface PeerOptions {
  /** Our own name; it is trimmed and normalized. */
  name: string;
  /**
   * The other peers, at least one: ports, `host:port` or any other targets; with
   * {@link PeerOptions.names}, also names. In an encrypted chat without a naming service, a name is a
   * peer that will call us, from wherever it is. `NAME@` in front of a target requires the peer there to
   * have that name.
   */
  targets: readonly string[];
  /** The address to listen on (default `127.0.0.1`). */
  host?: string;
  /** The port to listen on, 0 for a free one (default 0). */
  port?: number;
  /**
   * Keeps messages on disk; no other peer may use it. Without one, messages to peers that are away
   * fail.
   */
  journal?: Journal;
  /** The naming service that knows where names are. We are registered there as well. */
  names?: Names;
  /** The host under which others reach us (default: the address that we listen on). */
  advertise?: string;
  /**
   * Our key and certificate. With it, the chat is encrypted and all peers have to prove who they are
   * (mutual TLS). Without it, nothing is encrypted, and all peers must be on this machine.
   */
  identity?: Identity;
  /** The keys of known peers (default: none, and new ones are forgotten in the end). */
  known?: KnownPeers;
  /**
   * What to do with a peer that answers at a target where another one was met before (default:
   * `admit`). A peer with the name that the target requires is always admitted. Messages for the
   * earlier peer keep waiting for it.
   */
  newcomers?: NewcomerPolicy;
  /** Allows an unencrypted chat beyond this machine, where anyone on the way can read and change it. */
  plaintext?: boolean;
}

/** Another peer in the chat. */
export interface Other {
  /** The target it was specified with, or its name in a naming service. */
  readonly target: string;
  /** Whether it is there, and who it is. */
  readonly presence: Presence;
  /** The name that was last met there, or that is required. */
  readonly lastName?: string;
  /** Whether only its name is known, so that it has to call us. */
  readonly hasToCall?: boolean;
  /** Why messages wait although it is there. */
  readonly trouble?: GreetError;
}

/** How long leaving waits for peers that we have met to call us, in milliseconds. */
const CALL_BACK_MS = 500;

/** How long leaving waits for the calls that we are answering, in milliseconds. */
const LAST_ANSWERS_MS = 1_000;

/** How long leaving waits for our last messages to be delivered, in milliseconds. */
const LAST_MESSAGES_MS = 1_000;

/**
 * One participant in a chat. Disposing of it leaves the chat: messages that are already arriving
 * are still taken, and then {@link Peer.events} ends.
 *
 * @example
 * ```ts
 * import { Peer } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * await using bob = await Peer.open({ name: "Bob", targets: ["1"] }); // nothing listens on port 1
 * for await (const event of bob.events) {
 *   assert.equal(event.type, "waiting");
 *   break;
 * }
 * ```
 */
export class Peer implements AsyncDisposable {
  /** Our own name. */
  readonly name: string;
  /** What happens, in order. It can be read once, and should be: see {@link Peer.send}. */
  readonly events: PeerEvents;
  readonly #events = new EventFeed();
  readonly #resources = new AsyncDisposableStack();
  readonly #identity: Identity | undefined;
  readonly #scope: Scope;
  readonly #journal: Journal;
  readonly #membership: Membership;
  readonly #roster: Roster;
  readonly #sender: Sender;
  readonly #receiver: Receiver;
  readonly #reception: Reception;
  readonly #chatService: ChatService;
  /** The host under which others reach us. */
  readonly #host: string;
  /** Filled as soon as we listen. */
  readonly #contacts: Contact[] = [];
  readonly #attendance = new Attendance();
  #left: Promise<void> | undefined;
  #registration: Registration | undefined;

  private constructor(name: string, scope: Scope, options: PeerOptions, network: Network) {
    const { journal, identity, known = KnownPeers.inMemory(), newcomers = "admit" } = options;
    this.name = name;
    this.#scope = scope;
    this.#host = options.advertise ?? options.host ?? LOOPBACK;
    this.events = this.#events;
    this.#identity = identity;
    this.#journal = journal ?? this.#resources.use(Journal.inMemory());
    this.#journal.beginRun();
    // Identifies this run to other peers, which may reach us at several targets.
    const instance = crypto.randomUUID();
    const shared = { name, instance, contacts: this.#contacts, events: this.#events };
    const { isEncrypted } = scope;
    const gatekeeper = new Gatekeeper({ ...shared, isEncrypted, known, policy: newcomers });
    this.#sender = new Sender({
      ...shared,
      journal: this.#journal,
      keysOf: (name) => gatekeeper.keysOf(name),
      participants: () => this.#membership.participants,
    });
    this.#roster = new Roster((event) => this.#announce(event));
    this.#receiver = new Receiver({ ...shared, journal: this.#journal });
    const { trust } = gatekeeper;
    this.#reception = new Reception({
      ...shared,
      trust,
      argumentFor: options.names === undefined ? addressArgument : nameArgument,
      announce: (event) => this.#events.push(event),
      onUncallable: (error) => this.#events.push({ type: "trouble", error }),
    });
    this.#chatService = new ChatService({
      ...shared,
      identity,
      trust,
      serve: network.serve,
      reception: this.#reception,
      take: (messages) => this.#receiver.take(messages),
      onTrouble: (error) => this.#events.push({ type: "trouble", error }),
    });
    this.#membership = new Membership({
      ...shared,
      ...scope,
      host: this.#host,
      identity,
      dial: network.dial,
      gatekeeper,
      journal: this.#journal,
      sender: this.#sender,
      roster: this.#roster,
      attendance: this.#attendance,
      reception: this.#reception,
      chatService: this.#chatService,
    });
  }

  /**
   * Listens, then calls the other peers.
   *
   * @param options who we are, and whom to chat with
   * @returns the peer, as soon as it listens; its events tell whether the others are there
   * @throws {GreetError} `USAGE` for an invalid name or target, or one that only an encrypted chat
   *   may reach; `FAILED` if it cannot listen or the journal cannot be used; `ALREADY_EXISTS` if our
   *   name is registered already
   */
  static open(options: PeerOptions): Promise<Peer> {
    return Peer.openOn(GRPC, options);
  }

  /**
   * Does the same on any network.
   *
   * @internal
   */
  static async openOn(network: Network, options: PeerOptions): Promise<Peer> {
    const { host = LOOPBACK, names } = options;
    const isEncrypted = options.identity !== undefined;
    const reach = reachFrom(host, isEncrypted || options.plaintext === true);
    const scope = { names, reach, isEncrypted };
    const expected = locatePeers(options.targets, scope);
    const peer = new Peer(parseName(options.name), scope, options, network);
    try {
      // Listen first, call second: whichever peer comes up last finds the other one listening.
      await peer.#chatService.open(host, options.port ?? 0);
      if (names !== undefined) await peer.#register(names, options.advertise ?? host);
    } catch (error) {
      await peer.#chatService.stop();
      await peer.#receiver[Symbol.asyncDispose]();
      await peer.#resources.disposeAsync();
      throw error;
    }
    for (const other of expected) peer.#membership.add(other);
    return peer;
  }

  async #register(names: Names, host: string): Promise<void> {
    const address = formatEndpoint(host, this.port);
    const changed = (status: ClaimStatus) => {
      if (status.state === "refused") this.#events.report(status.error);
    };
    const claim = { name: this.name, address, fingerprint: this.fingerprint };
    this.#registration = await names.register(claim, changed);
  }

  // ---------------------------------------------------------------- presence

  /** The port that we listen on. */
  get port(): number {
    return this.#chatService.port;
  }

  /** The fingerprint of our own key; `undefined` if the chat is not encrypted. */
  get fingerprint(): string | undefined {
    return this.#identity?.fingerprint;
  }

  /** The other peers, in the order of {@link PeerOptions.targets}. */
  get others(): Other[] {
    return this.#contacts.map(({ link, outbox, expected, last }) => ({
      target: link.address,
      presence: link.presence,
      lastName: last?.name ?? expected,
      hasToCall: link.hasToCall,
      trouble: outbox.trouble,
    }));
  }

  /**
   * Waits until another peer is here.
   *
   * @returns its name; of several, that of the first one that came
   * @throws {GreetError} `CANCELLED` if this peer leaves first, or has left
   *
   * @example
   * ```ts
   * import { Peer } from "@greet/greet";
   * import assert from "node:assert/strict";
   *
   * await using alice = await Peer.open({ name: "Alice", targets: ["1"] }); // nothing listens there
   * const joined = alice.joined();
   * for await (const { type } of alice.events) if (type === "waiting") break;
   * await alice[Symbol.asyncDispose]();
   * await assert.rejects(joined, { code: "CANCELLED" });
   * ```
   */
  joined(): Promise<string> {
    return abandonable(this.#attendance.first());
  }

  /** The last callers that are not among our peers, a few at most. */
  get callers(): Caller[] {
    return this.#reception.callers;
  }

  /**
   * Adds a peer to the chat. It gets what is sent from now on, and what already waits for it. An
   * `added` event follows, and others tell whether it is there. It has to add us as well.
   *
   * @param target as in {@link PeerOptions.targets}
   * @throws {GreetError} `USAGE` if the target is invalid or our own, or one that only an encrypted
   *   chat may reach; `ALREADY_EXISTS` if it is in the chat; `FAILED` if the journal cannot be read;
   *   `CANCELLED` if we have left
   *
   * @example
   * ```ts
   * import { Peer } from "@greet/greet";
   * import assert from "node:assert/strict";
   *
   * await using alice = await Peer.open({ name: "Alice", targets: ["1"] }); // nothing listens there
   * alice.add("Bob@2");
   * assert.deepEqual(alice.others.map(({ target }) => target), ["127.0.0.1:1", "127.0.0.1:2"]);
   * for await (const event of alice.events) {
   *   if (event.type === "waiting" && event.target === "127.0.0.1:2") alice.remove("Bob");
   *   if (event.type === "removed") break;
   * }
   * assert.throws(() => alice.remove("Bob"), { code: "NOT_FOUND" });
   * ```
   */
  add(target: string): void {
    if (this.#left !== undefined) throw leftChat();
    const expected = locatePeer(target, this.#scope);
    refuseSelf(expected, { name: this.name, host: this.#host, port: this.port });
    this.#membership.add(expected);
    this.#events.push({ type: "added", target: expected.address });
  }

  /**
   * Removes a peer from the chat: nothing is sent to it or taken from it any longer. A `removed` event
   * follows. What still waits for it stays in the journal; without one, it fails.
   *
   * @param peer its name, or its target
   * @throws {GreetError} `NOT_FOUND` if it is not in the chat, `FAILED_PRECONDITION` if it is the only
   *   one in it
   */
  remove(peer: string): void {
    this.#membership.remove(peer);
  }

  #announce(event: RosterEvent): void {
    if (event.type === "welcome") this.#receiver.open();
    this.#events.push(event);
  }

  // ---------------------------------------------------------------- sending

  /**
   * Sends a message to all other peers, or to one of them. Messages arrive in the order in which they
   * were sent.
   *
   * @param message any text of up to 4,000,000 bytes in UTF-8, or a draft that says more about it
   * @returns when the message is safe: on our own disk or, without a journal, with all peers that are
   *   here, stored by them or taken by their readers. Events report its deliveries, which wait for
   *   the reader of {@link Peer.events}
   * @throws {GreetError} `NOT_FOUND` if it is for a name that no peer in this chat is known to have.
   *   `RESOURCE_EXHAUSTED` if the text is too long; `FAILED` if it cannot be stored; without a
   *   journal, the reason why it was not delivered; in these cases a `failed` event says the same
   *
   * @example
   * ```ts
   * import { Peer } from "@greet/greet";
   * import assert from "node:assert/strict";
   *
   * await using alice = await Peer.open({ name: "Alice", targets: ["Bob@1"] }); // Bob is away
   * const secret = { text: "for Bob alone", to: "Bob" };
   * await assert.rejects(alice.send(secret), { code: "UNAVAILABLE" }); // and there is no journal
   * await assert.rejects(alice.send({ ...secret, to: "Carol" }), { code: "NOT_FOUND" });
   * ```
   */
  send(message: string | Draft): Promise<void> {
    return this.#sender.send(typeof message === "string" ? { text: message } : message);
  }

  /** Resolves when every message that was sent so far is stored, or could not be. */
  stored(): Promise<void> {
    return this.#sender.stored();
  }

  /**
   * Resolves when every message that was sent so far is delivered or known to wait, and the reader
   * of {@link Peer.events} is done with the events that say so.
   */
  async settled(): Promise<void> {
    await this.stored();
    await Promise.all(this.#contacts.map(({ link }) => link.settled()));
    await Promise.all(this.#contacts.map(({ outbox }) => outbox.idle()));
    await this.#events.read();
  }

  /**
   * Whether a message waits for someone in this chat.
   *
   * @throws {GreetError} `FAILED` if the journal cannot be read, or was closed because we have left
   */
  get isWaiting(): boolean {
    return this.#sender.isWaiting;
  }

  /**
   * Waits until no message waits for anyone in this chat.
   *
   * @throws {GreetError} `CANCELLED` if this peer leaves first, or has left; `FAILED` if the journal
   *   cannot be read
   */
  drained(): Promise<void> {
    return abandonable(this.#sender.drained());
  }

  /**
   * The messages that wait to be delivered, including those for peers outside this chat.
   *
   * @returns up to 1,000 of them in the order in which they were sent; none without a journal
   * @throws {GreetError} `FAILED` if the journal cannot be read or is closed
   *
   * @example
   * ```ts
   * import { Journal, Peer } from "@greet/greet";
   * import assert from "node:assert/strict";
   *
   * const home = await Deno.makeTempDir();
   * {
   *   using journal = Journal.open({ home, name: "Alice" });
   *   await using alice = await Peer.open({ name: "Alice", targets: ["1"], journal });
   *   for await (const { type } of alice.events) if (type === "waiting") break;
   *   await alice.send("Hello?");
   *   const [entry] = alice.queue();
   *   assert.equal(entry.message.body, "Hello?");
   *   alice.cancel(entry);
   *   await alice.drained(); // nothing waits any longer
   *   assert.deepEqual(alice.said(1).map(({ message }) => message), [entry.message]);
   * }
   * await Deno.remove(home, { recursive: true });
   * ```
   */
  queue(): Waiting[] {
    return this.#sender.queue();
  }

  /**
   * Cancels the deliveries of a message that still wait.
   *
   * @param entry the message, as returned by {@link Peer.queue}
   * @throws {GreetError} `FAILED` if none waits, the message is being delivered at this moment, or
   *   the journal cannot be used
   */
  cancel(entry: Entry): void {
    this.#sender.cancel(entry);
  }

  // ---------------------------------------------------------------- history

  /**
   * The last messages from and to the other peers, from this run and earlier ones. Peers that were
   * removed in this run count as well.
   *
   * @param limit how many messages at most
   * @returns the messages in the order in which they were sent or arrived
   * @throws {GreetError} `FAILED` if the journal cannot be read or is closed
   */
  history(limit: number): Entry[] {
    return this.#journal.history(this.#membership.allParticipants, limit);
  }

  /**
   * The last messages from and to the other peers that contain a text, whatever the case of its
   * letters.
   *
   * @param text the text
   * @param limit how many messages at most
   * @returns the messages in the order in which they were sent or arrived
   * @throws {GreetError} `FAILED` if the journal cannot be read or is closed
   */
  find(text: string, limit: number): Promise<Entry[]> {
    return this.#journal.find(this.#membership.allParticipants, text, limit);
  }

  /**
   * The last messages that we sent to the other peers, delivered or not, from this run and earlier
   * ones.
   *
   * @param limit how many messages at most; fewer if they are long, about 4 million characters in all
   * @returns the messages in the order in which they were sent
   * @throws {GreetError} `FAILED` if the journal cannot be read or is closed
   */
  said(limit: number): Entry[] {
    return this.#journal.said(this.#membership.allParticipants, limit);
  }

  // ---------------------------------------------------------------- leaving

  /** Leaves the chat. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#left ??= this.#leave();
  }

  async #leave(): Promise<void> {
    const outboxes = this.#contacts.map(({ outbox }) => outbox);
    const unfollowed = this.#membership.stopFollowing();
    this.#attendance.close();
    const unregistered = this.#registration?.[Symbol.asyncDispose]();
    await this.#sender.stored();
    await within(LAST_MESSAGES_MS, Promise.all(outboxes.map((outbox) => outbox.idle())));
    // A peer that we have met calls us at once. If we left before, it would never notice us.
    await within(CALL_BACK_MS, this.#chatService.calledBack());
    this.#reception.close();
    this.#roster[Symbol.dispose]();
    await Promise.all(this.#contacts.map(({ link }) => link[Symbol.asyncDispose]()));
    // The receiver comes after the service, so that everything that was acknowledged is reported.
    await this.#chatService.stop(LAST_ANSWERS_MS);
    await this.#receiver[Symbol.asyncDispose]();
    this.#events.end();
    await Promise.all(outboxes.map((outbox) => outbox[Symbol.asyncDispose]()));
    await Promise.all([unregistered, unfollowed, this.#membership.ended()]);
    this.#sender.close();
    await this.#resources.disposeAsync();
  }
}

/** A promise whose rejection may go unnoticed: a caller that stopped waiting need not handle it. */
function abandonable<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}
