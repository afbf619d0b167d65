/**
 * One participant in a chat.
 *
 * A {@link Peer} listens, calls the other peers, and from then on sends and
 * receives. It knows no terminal: what happens comes out as an async iterable of
 * {@link PeerEvent}, which a screen, a pipe or a bot reads.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { HandoffQueue } from "../base/handoff_queue.ts";
import { type Expected, expectedOf, followName, type Reach, reachFrom } from "./locator.ts";
import type { Identity } from "../identity/identity.ts";
import { Inbox } from "./inbox.ts";
import {
  type Addressee,
  type Ending,
  type Entry,
  Journal,
  type Meeting,
  type Message,
  type Person,
  type Waiting,
} from "./journal.ts";
import { KnownPeers } from "../identity/known_peers.ts";
import { Link, type Place, type Presence } from "./link.ts";
import type { ClaimStatus, Names, Registration } from "../naming/names.ts";
import { type NewcomerEvent, type NewcomerPolicy, Newcomers } from "./newcomers.ts";
import { Outbox } from "./outbox.ts";
import { ChatService } from "./chat_service.ts";
import { Roster, type RosterEvent } from "./roster.ts";
import { formatEndpoint, LOOPBACK } from "../net/address.ts";
import { nameProblem, parseName } from "../base/text.ts";
import { within } from "../base/timing.ts";
import { type Seen, Trust, type TrustEvent } from "../identity/trust.ts";

/**
 * What happens to a peer, besides what {@link RosterEvent} says of who comes and goes, and
 * {@link TrustEvent} of who is who, and {@link NewcomerEvent} of who is where another peer was.
 *
 * - `message`: somebody said something; `late` where it took more than a minute or
 *   is from before this run, `taken` when it came
 * - `queued`: something of our own is safe and on its way to `waitingFor`
 * - `delivered`: it has arrived at `to`; `waitingFor` says who has not got it yet
 * - `failed`: it will not get to `to`, or, where that is missing, to anybody
 * - `cancelled`: it goes no further
 * - `trouble`: something does not work, and who is there notices nothing of it
 */
export type PeerEvent =
  | RosterEvent
  | TrustEvent
  | NewcomerEvent
  | {
    readonly type: "message";
    readonly message: Message;
    readonly late: boolean;
    readonly taken: Date;
  }
  | {
    readonly type: "queued";
    readonly message: Message;
    readonly waitingFor: readonly Addressee[];
  }
  | {
    readonly type: "delivered";
    readonly message: Message;
    readonly to: string;
    readonly waitingFor: readonly Addressee[];
  }
  | {
    readonly type: "failed";
    readonly message: Message;
    readonly to?: string;
    readonly waitingFor: readonly Addressee[];
    readonly error: GreetError;
  }
  | { readonly type: "cancelled"; readonly message: Message }
  | { readonly type: "trouble"; readonly error: GreetError };

/** Who we are and whom we chat with. */
export interface PeerOptions {
  /** Our own name; it is trimmed and normalized. */
  name: string;
  /**
   * The other peers, at least one: ports, `host:port` or any other targets; with
   * {@link PeerOptions.names}, also names. `NAME@` in front of a target says who must be there.
   */
  targets: readonly string[];
  /** The address to listen on (default `127.0.0.1`). */
  host?: string;
  /** The port to listen on, 0 for a free one (default 0). */
  port?: number;
  /**
   * What keeps what is said; it must be ours alone. Without one, what is said
   * to somebody who is away is not delivered.
   */
  journal?: Journal;
  /** Who knows where names are. We are registered there as well. */
  names?: Names;
  /** The host under which others reach us (default: the address that we listen on). */
  advertise?: string;
  /**
   * Proves who we are. With it everything is encrypted, and everybody has to prove who they are
   * (mutual TLS); without it nothing is, and all must be on this machine.
   */
  identity?: Identity;
  /** Who has which key (default: nobody is known, and who is met is forgotten in the end). */
  known?: KnownPeers;
  /**
   * What becomes of a peer that answers at a target where another one was met before (default:
   * `admit`). Where the target says who must be there, that peer is admitted either way. Messages
   * that wait for the other one still do.
   */
  newcomers?: NewcomerPolicy;
  /** Leaves this machine without an identity, so that anybody on the way can read and change all. */
  plaintext?: boolean;
}

/** Another peer, and what is known of it now. */
export interface Other {
  /** Where it should be, or its name, where a naming service knows where that is. */
  readonly target: string;
  /** Whether it is there, and who it is. */
  readonly presence: Presence;
  /** Who was last met there, or who it must be. */
  readonly lastName?: string;
}

/** How long a message may be, in bytes of UTF-8: gRPC takes 4 MiB, its other fields included. */
export const MAX_BODY_BYTES = 4_000_000;

/** How long a peer that we met and that never called us keeps us from leaving. */
const CALL_BACK_MS = 500;

/** How long what somebody says waits for the end of what is on its way to them. */
const OVERTAKEN_MS = 50;

/** How long calls that are being answered keep us from leaving. */
const LAST_ANSWERS_MS = 1_000;

/** How long our last words keep us from leaving. */
const LAST_WORDS_MS = 1_000;

/** The link to another peer, and what waits to go over it. */
interface Connection {
  readonly link: Link;
  readonly outbox: Outbox;
  /** Who it must be, if that is known. */
  readonly expected?: string;
  /** Who was last met there; if it must be someone, only that one. */
  last?: Person;
}

/**
 * One participant in a chat. Disposing of it leaves the chat: messages that are
 * on their way in are still taken, and then {@link Peer.events} ends.
 *
 * @example
 * ```ts
 * import { Peer } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * await using bob = await Peer.open({ name: "Bob", targets: ["1"] }); // nobody is on port 1
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
  readonly events: AsyncIterable<PeerEvent>;
  readonly #feed = new HandoffQueue<PeerEvent>();
  readonly #journal: Journal;
  readonly #inbox: Inbox;
  readonly #roster: Roster;
  readonly #trust: Trust;
  readonly #newcomers: Newcomers;
  readonly #identity: Identity | undefined;
  readonly #reception: ChatService;
  readonly #formerMeetings: readonly Meeting[];
  readonly #formerNames: readonly string[];
  readonly #resources = new AsyncDisposableStack();
  readonly #promises = new Map<string, PromiseWithResolvers<void>>();
  #connections: readonly Connection[] = [];
  /** When the last thing that we said is stored, or is not. */
  #lastSaid: Promise<unknown> = Promise.resolve();
  #someone = Promise.withResolvers<string>();
  #isAlone = true;
  #progress = Promise.withResolvers<void>();
  #trouble: string | undefined;
  #left: Promise<void> | undefined;
  #registration: Registration | undefined;
  readonly #leaving = new AbortController();
  #following: readonly Promise<void>[] = [];

  private constructor(
    name: string,
    others: readonly Expected[],
    { journal, identity, known = KnownPeers.inMemory(), newcomers = "admit" }: PeerOptions,
  ) {
    const targets = others.map(({ address }) => address);
    this.name = name;
    this.#identity = identity;
    this.events = this.#feed;
    this.#journal = journal ?? this.#resources.use(Journal.inMemory());
    // Where the user says who must be at a target, it does not matter who was there before.
    this.#formerMeetings = this.#journal.moveTo(targets).filter((meeting) =>
      others.some(({ address, name = meeting.name }) =>
        address === meeting.target && name === meeting.name
      )
    );
    this.#formerNames = [
      ...this.#formerMeetings.map(({ name }) => name),
      ...others.flatMap(({ name }) => name ?? []),
    ];
    this.#trust = new Trust({
      name,
      known,
      acquainted: this.#formerNames,
      announce: (event) => this.#feed.push(event),
      onTrouble: (error) => this.#report(error),
    });
    this.#newcomers = new Newcomers({
      meetings: this.#formerMeetings,
      policy: newcomers,
      keysOf: (name) => this.#keysOf(name),
      announce: (event) => this.#feed.push(event),
    });
    this.#roster = new Roster(targets, (event) => this.#announce(event));
    this.#reception = new ChatService({
      name,
      identity,
      trust: this.#trust,
      links: () => this.#connections.map(({ link }) => link),
      take: (messages) => this.#take(messages),
      onRefused: (error) => this.#feed.push({ type: "trouble", error }),
    });
    this.#inbox = new Inbox({
      journal: this.#journal,
      show: async ({ message, taken }, late) => {
        if (this.#journal.durable) await this.#letOursEnd(message.from, taken);
        return await this.#feed.push({ type: "message", message, late, taken });
      },
      onTrouble: (error) => this.#report(error),
    });
  }

  /**
   * Listens, then calls the other peers.
   *
   * @returns the peer, once it listens; whether the others are there, its events tell
   * @throws {GreetError} `USAGE` for a bad name or target, and for one that only an encrypted chat
   *   reaches, `FAILED` where the port cannot be had, `ALREADY_EXISTS` where somebody else is
   *   registered under our name
   */
  static async open(options: PeerOptions): Promise<Peer> {
    const { host = LOOPBACK, names } = options;
    const isFree = options.identity !== undefined || options.plaintext === true;
    const reach = reachFrom(host, isFree);
    const others = expectedOf(options.targets, names, reach);
    const peer = new Peer(parseName(options.name), others, options);
    try {
      // Listen first, call second: whichever peer comes last finds the other one listening.
      await peer.#reception.open(host, options.port ?? 0);
      if (names !== undefined) await peer.#register(names, options.advertise ?? host);
    } catch (error) {
      await peer.#reception.stop();
      await peer.#inbox[Symbol.asyncDispose]();
      await peer.#resources.disposeAsync();
      throw error;
    }
    peer.#connections = others.map((other) => peer.#connect(other));
    if (names !== undefined) peer.#follow(names, reach);
    return peer;
  }

  #connect({ address, whereabouts, name: expected }: Expected): Connection {
    const link: Link = new Link({
      address,
      whereabouts,
      port: this.port,
      own: this.#identity,
      check: (name, fingerprint, place) => {
        this.#check({ name, fingerprint }, place, address, expected);
      },
      admit: (name, fingerprint, place) => {
        this.#check({ name, fingerprint }, place, address, expected);
        this.#trust.meet(name, seenAt(place, fingerprint));
        this.#newcomers.meet(address, { name, fingerprint });
      },
      onChange: (presence) => this.#presenceChanged(address, presence),
    });
    const outbox = new Outbox({
      link,
      journal: this.#journal,
      onEnd: (...ended) => this.#ended(...ended),
      onTrouble: (error) => this.#report(error),
    });
    const last = this.#formerMeetings.find(({ target }) => target === address);
    return { link, outbox, expected, last };
  }

  async #register(names: Names, host: string): Promise<void> {
    const address = formatEndpoint(host, this.port);
    const changed = (standing: ClaimStatus) => {
      if (standing.state === "refused") this.#report(standing.error);
    };
    const claim = { name: this.name, address, fingerprint: this.#identity?.fingerprint };
    this.#registration = await names.register(claim, changed);
  }

  #follow(names: Names, reach: Reach): void {
    const { signal } = this.#leaving;
    this.#following = this.#connections.flatMap(({ link, expected }) =>
      // A peer with both a name and a target is called there, wherever the name is registered.
      expected === link.address ? followName(names, expected, link, reach, signal) : []
    );
  }

  // ---------------------------------------------------------------- who is there

  /** The port that we listen on. */
  get port(): number {
    return this.#reception.port;
  }

  /** The fingerprint of our own key; nothing where nothing is encrypted. */
  get fingerprint(): string | undefined {
    return this.#identity?.fingerprint;
  }

  /** The other peers. */
  get others(): Other[] {
    return this.#connections.map(({ link: { address, presence }, expected, last }) => ({
      target: address,
      presence,
      lastName: last?.name ?? expected,
    }));
  }

  /**
   * Waits for another peer.
   *
   * @returns the name of the first that came; at once where somebody is there
   */
  joined(): Promise<string> {
    return this.#someone.promise;
  }

  #presenceChanged(address: string, presence: Presence): void {
    const connection = this.#connections.find(({ link }) => link.address === address)!;
    if (presence.state === "here") {
      const { name, fingerprint } = presence;
      connection.last = { name, fingerprint };
      this.#remember(address, connection.last);
      this.#isAlone = false;
      this.#someone.resolve(presence.name);
    } else if (!this.#isAlone && this.#namesHere().length === 0) {
      this.#isAlone = true;
      this.#someone = Promise.withResolvers();
    }
    this.#roster.change(address, presence);
    connection.outbox.linkChanged();
  }

  #remember(address: string, person: Person): void {
    try {
      this.#journal.meet(address, person, this.#keysOf(person.name));
    } catch (error) {
      this.#report(error as GreetError);
    }
  }

  /** The keys with which a peer of that name may take what waits for it. */
  #keysOf(name: string): readonly string[] {
    return this.#identity === undefined ? [] : this.#trust.keysOf(name);
  }

  #namesHere(): string[] {
    return this.#connections.flatMap(({ link }) => link.name ?? []);
  }

  #check({ name, fingerprint }: Person, place: Place, address: string, expected?: string): void {
    const problem = nameProblem(name);
    if (problem !== undefined) throw wrongName(place, problem);
    // Before names are compared: a wrong key must not pass for a mere mix-up.
    this.#trust.check(name, seenAt(place, fingerprint));
    const mismatch = this.#whyNot(name, address, expected);
    if (mismatch !== undefined) throw wrongName(place, mismatch);
    this.#newcomers.check(address, { name, fingerprint }, expected);
  }

  /** Why somebody of that name cannot be who we chat with at a target. */
  #whyNot(name: string, address: string, expected = name): string | undefined {
    if (name === this.name) return `is ${name}, too`;
    if (name !== expected) return `is ${name}, and not ${expected}`;
    const namesake = this.#connections.find(({ link }) =>
      link.name === name && link.address !== address
    );
    return namesake && `is ${name}, and so is that at ${namesake.link.address}`;
  }

  #announce(event: RosterEvent): void {
    if (event.type === "welcome") this.#inbox.open();
    this.#feed.push(event);
  }

  // ---------------------------------------------------------------- saying

  /**
   * Says something to everybody. What is said in turn arrives in turn.
   *
   * @param text anything of up to {@link MAX_BODY_BYTES}
   * @returns when it is safe: on our own disk, or, without a journal, with everybody else,
   *   stored by them or handed to their readers. Events tell what becomes of it, and
   *   are to be read: deliveries wait for the reader
   * @throws {GreetError} where it is not; a `failed` event says the same
   */
  async send(text: string): Promise<void> {
    const at = new Date();
    // Half a surrogate pair is no character; on the wire it would become U+FFFD all the same.
    const body = text.toWellFormed();
    const message: Message = { id: messageId(at.getTime()), from: this.name, body, at };
    try {
      checkLength(body);
      if (this.#journal.durable) await this.#say(message, this.#connections);
      else await this.#sayNow(message);
    } catch (error) {
      const failure = GreetError.from(error);
      if (!this.#promises.delete(message.id)) {
        this.#feed.push({ type: "failed", message, waitingFor: [], error: failure });
      }
      throw failure;
    }
  }

  /** Who is to get what is said now: who is there, or was last met there, or must be. */
  #addresseeOf({ link, last, expected: name }: Connection): Addressee {
    if (last === undefined) return { target: link.address, name };
    // Without encryption no peer could show the key that it once had.
    const fingerprint = this.#identity && last.fingerprint;
    return { target: link.address, name: last.name, fingerprint };
  }

  /** Whether a peer is whom something was said to. */
  #isFor({ name, fingerprint }: Addressee, peer: Partial<Person>): boolean {
    if (name === undefined) return true;
    if (name !== peer.name) return false;
    return fingerprint === undefined || fingerprint === peer.fingerprint ||
      this.#keysOf(name).includes(fingerprint);
  }

  async #say(message: Message, connections: readonly Connection[]): Promise<void> {
    // Whom it is for is decided now: a newcomer that comes before it is stored gets nothing.
    const intended = connections.map((connection) => this.#addresseeOf(connection));
    const said = this.#journal.say(message, () =>
      connections.map((connection, i) => {
        const now = this.#addresseeOf(connection);
        return this.#isFor(intended[i], now) ? now : intended[i];
      }));
    this.#lastSaid = said.catch(() => {});
    const { addressees } = await said;
    this.#feed.push({ type: "queued", message, waitingFor: addressees });
    for (const { outbox } of connections) outbox.wake();
  }

  /** Without a journal what is said must be delivered now, to those who are there. */
  async #sayNow(message: Message): Promise<void> {
    const intended = this.#connections.map((connection) => this.#addresseeOf(connection));
    await Promise.all(this.#connections.map(({ link }) => link.settled()));
    const here = this.#connections.filter(({ link: { peer } }, i) =>
      peer !== undefined && this.#isFor(intended[i], peer)
    );
    const absent = this.#connections.filter((connection) => !here.includes(connection));
    if (here.length === 0) throw absence(absent[0]);
    const everybody = Promise.withResolvers<void>();
    this.#promises.set(message.id, everybody);
    await this.#say(message, here);
    const waitingFor = here.map((connection) => this.#addresseeOf(connection));
    for (const connection of absent) {
      const to = connection.last?.name ?? connection.link.address;
      this.#feed.push({ type: "failed", message, to, waitingFor, error: absence(connection) });
    }
    await everybody.promise;
    this.#promises.delete(message.id);
  }

  async #ended(
    entries: readonly Entry[],
    to: string,
    ending: Ending,
    error?: GreetError,
  ): Promise<void> {
    const taken = entries.map(({ place, message }) => {
      const waitingFor = this.#journal.addressees(place);
      const promise = this.#promises.get(message.id);
      if (ending === "failed") promise?.reject(error);
      else if (waitingFor.length === 0) promise?.resolve();
      return this.#feed.push(
        ending === "failed"
          ? { type: "failed", message, to, waitingFor, error: error! }
          : { type: "delivered", message, to, waitingFor },
      );
    });
    if (ending === "delivered") this.#trouble = undefined;
    this.#proceed();
    await Promise.all(taken);
  }

  #proceed(): void {
    this.#progress.resolve();
    this.#progress = Promise.withResolvers();
  }

  /** Whether something waits for those we chat with. */
  get isWaiting(): boolean {
    const company = this.#company();
    return this.#journal.isWaitingFor(company, company.names.flatMap((name) => this.#keysOf(name)));
  }

  /** Resolves when nothing waits any more for those we chat with. */
  async drained(): Promise<void> {
    while (this.isWaiting) await this.#progress.promise;
  }

  /** What waits to be delivered, whoever it is for. */
  queue(): Waiting[] {
    return this.#journal.durable ? this.#journal.queue() : [];
  }

  /**
   * Does not deliver a message to those who have not got it.
   *
   * @param entry the message, as {@link Peer.queue} gives it
   * @throws {GreetError} `FAILED` where everybody has it, or it is on its way at this moment
   */
  cancel({ place, message }: Entry): void {
    if (this.#journal.addressees(place).length === 0) {
      throw new GreetError("FAILED", "it does not wait any more");
    }
    if (this.#connections.some(({ outbox }) => outbox.isUnderway(place))) {
      throw new GreetError("FAILED", "it is on its way and cannot be taken back");
    }
    this.#journal.cancel(place);
    this.#feed.push({ type: "cancelled", message });
    this.#proceed();
  }

  // ---------------------------------------------------------------- what was said before

  /**
   * The last things that were said with those we chat with, in this run and before.
   *
   * @param limit how many
   */
  history(limit: number): Entry[] {
    return this.#journal.history(this.#company(), limit);
  }

  /**
   * The last things that we said to those we chat with, delivered or not, in this run and before.
   *
   * @param limit how many
   */
  said(limit: number): Entry[] {
    return this.#journal.said(this.#company(), limit);
  }

  #company() {
    const targets = this.#connections.map(({ link }) => link.address);
    return { targets, names: [...this.#formerNames, ...this.#roster.met] };
  }

  /**
   * An answer to us and what its sender said after it come over two connections. What we said
   * belongs in front of what was said when it was known.
   */
  async #letOursEnd(sender: string, taken: Date): Promise<void> {
    const connection = this.#connections.find(({ link }) => link.name === sender);
    if (connection !== undefined) await within(OVERTAKEN_MS, connection.outbox.settled(taken));
  }

  // ---------------------------------------------------------------- answering

  async #take(messages: readonly Message[]): Promise<void> {
    try {
      await this.#inbox.take(messages);
    } catch (error) {
      if ((error as GreetError).code === "FAILED") this.#report(error as GreetError);
      throw new GreetError("UNAVAILABLE", `${this.name} cannot keep messages now`);
    }
    this.#trouble = undefined;
  }

  /** Says once what does not work, until it works again. */
  #report(error: GreetError): void {
    if (error.message === this.#trouble) return;
    this.#trouble = error.message;
    this.#feed.push({ type: "trouble", error });
  }

  // ---------------------------------------------------------------- leaving

  [Symbol.asyncDispose](): Promise<void> {
    return this.#left ??= this.#leave();
  }

  async #leave(): Promise<void> {
    const outboxes = this.#connections.map(({ outbox }) => outbox);
    this.#leaving.abort();
    const unregistered = this.#registration?.[Symbol.asyncDispose]();
    await this.#lastSaid;
    await within(LAST_WORDS_MS, Promise.all(outboxes.map((outbox) => outbox.rested())));
    // Whom we met will call back at once. Left before that, we would never have been there.
    await within(CALL_BACK_MS, this.#reception.asked(this.#namesHere().length));
    this.#roster[Symbol.dispose]();
    await Promise.all(this.#connections.map(({ link }) => link[Symbol.asyncDispose]()));
    // In this order: once nothing more is acknowledged, what was is shown.
    await this.#reception.stop(LAST_ANSWERS_MS);
    await this.#inbox[Symbol.asyncDispose]();
    this.#feed.end();
    await Promise.all(outboxes.map((outbox) => outbox[Symbol.asyncDispose]()));
    await Promise.all([unregistered, ...this.#following]);
    await this.#resources.disposeAsync();
  }
}

function seenAt({ address: target, fingerprint: registered }: Place, fingerprint?: string): Seen {
  return { target, fingerprint, registered };
}

function wrongName({ address }: Place, problem: string): GreetError {
  return new GreetError("FAILED_PRECONDITION", `${address}: the other side's name ${problem}`);
}

/** Why something cannot be said to somebody who is away. */
function absence({ link: { presence }, last }: Connection): GreetError {
  if (presence.state === "connecting") return new GreetError("CANCELLED", "we left");
  if (presence.state === "here") return new GreetError("UNAVAILABLE", "someone else has come");
  if (last === undefined) return presence.error;
  const { code } = presence.error;
  return new GreetError(code, `${last.name} has left`, { cause: presence.error });
}

function checkLength(body: string): void {
  // Each UTF-16 unit takes up to three bytes; short texts need not be counted.
  if (body.length * 3 <= MAX_BODY_BYTES) return;
  const { length } = new TextEncoder().encode(body);
  if (length <= MAX_BODY_BYTES) return;
  const message = `the message has ${length} bytes; it may have ${MAX_BODY_BYTES}`;
  throw new GreetError("RESOURCE_EXHAUSTED", message);
}

/**
 * A UUIDv7: sorts by time. Source: RFC 9562, section 5.7.
 *
 * @param ms milliseconds since 1970
 */
function messageId(ms: number): string {
  const time = ms.toString(16).padStart(12, "0");
  // A random UUIDv4 has its 74 random bits and its variant where we need them.
  const random = crypto.randomUUID();
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(15)}`;
}
