/**
 * The other peers in a chat, which may change while it runs: connects those that are added, follows
 * their names, and lets go of those that are removed or turn out to be another one.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { Identity } from "../identity/identity.ts";
import type { Names } from "../naming/names.ts";
import { isLocal, isLoopback } from "../net/address.ts";
import { OwnAddress } from "../net/own_address.ts";
import type { Network } from "../rpc/network.ts";
import type { Attendance } from "./attendance.ts";
import type { ChatService } from "./chat_service.ts";
import { type Contact, contactCalled } from "./contact.ts";
import type { EventFeed } from "./event_feed.ts";
import { type Gatekeeper, SamePeer } from "./gatekeeper.ts";
import type { Journal, Meeting, Participants } from "./journal.ts";
import { Link } from "./link.ts";
import { addressOf, type ExpectedPeer, followName, type Reach } from "./locator.ts";
import { Outbox } from "./outbox.ts";
import { addressArgument, nameArgument } from "./peer_argument.ts";
import type { Presence } from "./presence.ts";
import type { Reception } from "./reception.ts";
import type { Roster } from "./roster.ts";
import type { Sender } from "./sender.ts";

/** What the membership depends on. */
export interface MembershipOptions {
  /** Our own name. */
  readonly name: string;
  /** The host under which others reach us. */
  readonly host: string;
  /** Identifies this run of ours to others. */
  readonly instance: string;
  /** Our key and certificate, if the chat is encrypted. */
  readonly identity: Identity | undefined;
  /** Opens connections. */
  readonly dial: Network["dial"];
  /** The naming service that knows where names are. */
  readonly names: Names | undefined;
  /** How far the chat may reach. */
  readonly reach: Reach;
  readonly journal: Journal;
  /** Everyone in the chat: others only read it. */
  readonly contacts: Contact[];
  readonly events: EventFeed;
  readonly gatekeeper: Gatekeeper;
  readonly sender: Sender;
  readonly roster: Roster;
  readonly attendance: Attendance;
  readonly reception: Reception;
  readonly chatService: ChatService;
}

/** The other peers in a chat. */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #ownAddress: OwnAddress;
  /** Functions that stop following the names of contacts. */
  readonly #followed = new Map<Contact, () => Promise<void>>();
  /** The peers that were in this chat and no longer are. */
  readonly #former = { targets: new Set<string>(), names: new Set<string>() };
  /** Contacts whose connections are being closed. */
  readonly #endings = new Set<Promise<void>>();

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#ownAddress = new OwnAddress(options.host);
  }

  /**
   * Connects a peer. It gets what is sent from now on, and what waits for it already.
   *
   * @throws {GreetError} `ALREADY_EXISTS` if its target is in the chat; `FAILED` if the journal cannot
   *   be read
   */
  add(expected: ExpectedPeer): void {
    const { address } = expected;
    const { journal, contacts, gatekeeper, roster, reception } = this.#options;
    if (this.#at(address) !== undefined) {
      throw new GreetError("ALREADY_EXISTS", `${address} is in this chat already`);
    }
    const meeting = ifExpected(journal.lastMeeting(address), expected);
    gatekeeper.expect(expected, meeting);
    for (const name of [expected.name, meeting?.name]) {
      if (name !== undefined) reception.recall(name);
    }
    roster.add(address);
    const contact = this.#connect(expected, meeting);
    contacts.push(contact);
    this.#follow(contact);
  }

  /**
   * Lets go of a peer. What still waits for it stays in the journal, or fails without one.
   *
   * @param argument its name, or the argument that added it
   * @throws {GreetError} `NOT_FOUND` if it is not in the chat; `FAILED_PRECONDITION` if no other peer is,
   *   or if the argument is the name of one and the target of another
   */
  remove(argument: string): void {
    const { contacts, events, reception, chatService, sender } = this.#options;
    const contact = this.#meant(argument);
    if (contact === undefined) {
      throw new GreetError("NOT_FOUND", `no peer in this chat is called ${argument}`);
    }
    if (contacts.length === 1) {
      throw new GreetError("FAILED_PRECONDITION", "a chat needs at least one other peer", {
        hint: "add another one first, or leave",
      });
    }
    const { link, outbox, last, expected } = contact;
    const isAwaited = this.#isAwaited(contact);
    // It may count on us before it has accepted us.
    const peer = link.met ?? last;
    this.#drop(contact, () => outbox.idle());
    if (peer !== undefined) {
      reception.dismiss(peer);
      chatService.disconnect(peer);
    }
    sender.contactsChanged();
    events.push({ type: "removed", target: link.address, name: peer?.name ?? expected, isAwaited });
  }

  /** Whether messages wait for a peer, and keep waiting without it. */
  #isAwaited({ link, names }: Contact): boolean {
    const { journal, gatekeeper, events } = this.#options;
    const participant = { targets: [link.address], names: [...names] };
    const keys = participant.names.flatMap((name) => gatekeeper.keysOf(name));
    try {
      return journal.durable && journal.isWaitingFor(participant, keys);
    } catch (error) {
      events.report(error as GreetError);
      return false;
    }
  }

  /** The peers that are in the chat. */
  get participants(): Participants {
    const { contacts } = this.#options;
    return {
      targets: contacts.map(({ link }) => link.address),
      names: [...new Set(contacts.flatMap(({ names }) => [...names]))],
    };
  }

  /** The same and those that were in it before: what was said with them was said here. */
  get allParticipants(): Participants {
    const { targets, names } = this.participants;
    return {
      targets: [...this.#former.targets.union(new Set(targets))],
      names: [...this.#former.names.union(new Set(names))],
    };
  }

  /** Stops following names. */
  async stopFollowing(): Promise<void> {
    await Promise.all(this.#followed.values().map((stop) => stop()));
  }

  /** Resolves when all peers that were let go of are disconnected. */
  async ended(): Promise<void> {
    await Promise.all(this.#endings);
  }

  // ---------------------------------------------------------------- contacts

  #at(address: string | undefined): Contact | undefined {
    return this.#options.contacts.find(({ link }) => link.address === address);
  }

  /** The contact that an argument means. Peers choose their names, which may look like targets. */
  #meant(argument: string): Contact | undefined {
    const called = contactCalled(argument, this.#options.contacts);
    if (called === undefined) return this.#at(addressOf(argument));
    // A name like 99999 is no address.
    const { contacts } = this.#options;
    const there = contacts.find(({ link }) => link !== called.link && isAt(link, argument));
    if (there === undefined) return called;
    const message = `${argument} is the name of the peer at ${called.link.address}, ` +
      `but also stands for ${there.link.address}`;
    throw new GreetError("FAILED_PRECONDITION", message, { hint: "name the one that you mean" });
  }

  #connect(expected: ExpectedPeer, meeting: Meeting | undefined): Contact {
    const { identity, dial, gatekeeper, reception, chatService, journal, sender, events } =
      this.#options;
    const { address, whereabouts, name } = expected;
    const link: Link = new Link({
      address,
      whereabouts,
      dial,
      introduction: this.#introductionTo(expected),
      own: identity,
      check: (peer, place) => gatekeeper.check(peer, place, expected),
      admit: (peer, place) => gatekeeper.admit(peer, place, expected),
      onMet: () => reception.met(),
      take: (messages, from) => chatService.collect(messages, from),
      onChange: (presence) => this.#presenceChanged(address, presence),
    });
    const outbox = new Outbox({
      link,
      journal,
      onDelivered: (entries, to) => sender.delivered(entries, to),
      onFailed: (entry, to, error) => sender.failed(entry, to, error),
      onTrouble: (error) => events.report(error),
    });
    const names = new Set([name, meeting?.name].filter((name) => name !== undefined));
    // In an unencrypted chat no peer could prove the key that it once had.
    const last = meeting && { name: meeting.name, fingerprint: identity && meeting.fingerprint };
    return { link, outbox, expected: name, names, last };
  }

  /** A peer that we find by name, or that cannot call us, knows us by ours. */
  #introductionTo({ address, name, whereabouts }: ExpectedPeer) {
    const { name: sender, host, instance, identity, chatService: { port } } = this.#options;
    const us = { name: sender, host, port };
    const isEncrypted = identity !== undefined;
    const isFar = !(whereabouts instanceof GreetError || isLocal(whereabouts));
    const isUncallable = isFar && isLoopback(host) && isEncrypted;
    const argument = address === name || isUncallable ? nameArgument(us) : addressArgument(us);
    return { sender, port, instance, argument, isEncrypted };
  }

  #follow(contact: Contact): void {
    const { names, reach } = this.#options;
    const { link, expected } = contact;
    // A peer with both a name and a target is called there, wherever its name is registered.
    if (names === undefined || expected !== link.address) return;
    const end = new AbortController();
    const followed = followName(names, expected, link, reach, end.signal);
    this.#followed.set(contact, () => {
      end.abort();
      return followed;
    });
  }

  /** @param finish what is still to be done when the link is closed */
  #drop(contact: Contact, finish?: () => Promise<void>): void {
    const { contacts, roster, attendance } = this.#options;
    const { link, outbox, names } = contact;
    contacts.splice(contacts.indexOf(contact), 1);
    this.#former.targets.add(link.address);
    for (const name of names) this.#former.names.add(name);
    roster.remove(link.address);
    attendance.leave(link.address);
    const unfollowed = this.#followed.get(contact)?.();
    this.#followed.delete(contact);
    const ending = Promise.all([unfollowed, link[Symbol.asyncDispose]()])
      .then(finish)
      .then(() => outbox[Symbol.asyncDispose]());
    this.#endings.add(ending);
    void ending.then(() => this.#endings.delete(ending));
  }

  // ---------------------------------------------------------------- presence

  #presenceChanged(address: string, presence: Presence): void {
    const { roster, attendance, reception } = this.#options;
    const contact = this.#at(address);
    if (contact === undefined) return;
    if (presence.state === "away" && presence.error instanceof SamePeer) {
      return this.#merge(contact, presence.error);
    }
    if (presence.state === "here") {
      const { name, fingerprint } = presence;
      contact.last = { name, fingerprint };
      contact.names.add(name);
      this.#remember({ target: address, name, fingerprint });
      attendance.enter(address, name);
      reception.recall(name);
    } else {
      attendance.leave(address);
      this.#checkOwnAddress();
    }
    roster.change(address, presence);
    contact.outbox.linkChanged();
    reception.linkChanged(contact.link);
  }

  /** When this machine changes its network, connections are lost. */
  #checkOwnAddress(): void {
    const { host, events } = this.#options;
    if (!this.#ownAddress.isLost()) return;
    const message = `${host} is no longer an address of this machine: peers cannot call us there`;
    const hint = "start again with the new one: --host or --advertise";
    events.push({ type: "trouble", error: new GreetError("UNAVAILABLE", message, { hint }) });
  }

  /** Two contacts are one peer: the second one ends, and what waits for it is for the first. */
  #merge(contact: Contact, error: SamePeer): void {
    const { contacts, events } = this.#options;
    this.#remember({ target: contact.link.address, ...error.person });
    events.push({ type: "trouble", error });
    this.#drop(contact);
    for (const { outbox } of contacts) outbox.wake();
  }

  #remember({ target, ...person }: Meeting): void {
    const { journal, gatekeeper, events } = this.#options;
    try {
      journal.meet(target, person, gatekeeper.keysOf(person.name));
    } catch (error) {
      events.report(error as GreetError);
    }
  }
}

/** The last meeting at a target, unless the user now expects another name than was met there. */
function ifExpected(
  meeting: Meeting | undefined,
  { name }: ExpectedPeer,
): Meeting | undefined {
  return name === undefined || name === meeting?.name ? meeting : undefined;
}

/** Whether an argument stands for the target of a link, even if it is not valid on its own. */
function isAt({ address, endpoint }: Link, argument: string): boolean {
  return argument === address || argument === `${endpoint?.port}` && isLoopback(endpoint!.host);
}
