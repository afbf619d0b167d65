/**
 * Decides whether the peer that answers at a target is accepted: whether its name is valid, goes
 * with its key, is the expected one, and is not taken by another contact.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { nameProblem } from "../base/text.ts";
import type { KnownPeers } from "../identity/known_peers.ts";
import { type Seen, Trust } from "../identity/trust.ts";
import type { Contact } from "./contact.ts";
import type { EventFeed } from "./event_feed.ts";
import type { Meeting, Person } from "./journal.ts";
import type { ExpectedPeer } from "./locator.ts";
import { type NewcomerPolicy, Newcomers } from "./newcomers.ts";
import type { Answerer, Place } from "./presence.ts";

/** What decisions depend on. */
export interface GatekeeperOptions {
  /** Our own name. */
  readonly name: string;
  /** Identifies this run of ours to others. */
  readonly instance: string;
  /** Whether the chat is encrypted, so that peers have keys. */
  readonly isEncrypted: boolean;
  readonly known: KnownPeers;
  readonly policy: NewcomerPolicy;
  readonly contacts: readonly Contact[];
  readonly events: EventFeed;
}

/** A target leads to a peer that another target leads to as well. */
export class SamePeer extends GreetError {
  /** The peer. */
  readonly person: Person;

  constructor(person: Person, target: string, other: string) {
    const message = `${target} and ${other} lead to the same peer, ${person.name}`;
    super("ALREADY_EXISTS", message, { hint: "one of them is enough" });
    this.person = person;
  }
}

/** Accepts or refuses peers. */
export class Gatekeeper {
  /** Which name goes with which key. */
  readonly trust: Trust;
  readonly #newcomers: Newcomers;
  readonly #options: GatekeeperOptions;

  constructor(options: GatekeeperOptions) {
    const { name, known, events } = options;
    this.#options = options;
    this.trust = new Trust({
      name,
      known,
      announce: (event) => events.push(event),
      onTrouble: (error) => events.report(error),
    });
    this.#newcomers = new Newcomers({
      policy: options.policy,
      keysOf: (name) => this.keysOf(name),
      announce: (event) => events.push(event),
    });
  }

  /**
   * Prepares for a peer.
   *
   * @param meeting the peer that was last met at its target, unless another one is expected now
   */
  expect({ name }: ExpectedPeer, meeting: Meeting | undefined): void {
    if (name !== undefined) this.trust.acquaint(name);
    if (meeting === undefined) return;
    this.trust.acquaint(meeting.name);
    this.#newcomers.recall(meeting);
  }

  /** The keys with which a peer may receive what waits for this name; none without encryption. */
  keysOf(name: string): readonly string[] {
    return this.#options.isEncrypted ? this.trust.keysOf(name) : [];
  }

  /**
   * Makes sure that a peer may be at a place. Nothing is remembered.
   *
   * @throws {GreetError} if it may not; a {@link SamePeer} if another contact is this peer
   */
  check(peer: Answerer, place: Place, expected: ExpectedPeer): void {
    const problem = nameProblem(peer.name);
    if (problem !== undefined) throw wrongName(place, problem);
    // Before names are compared: a wrong key must not pass for a mere mix-up of targets.
    this.trust.check(peer.name, seenAt(place, peer.fingerprint));
    const mismatch = this.#mismatch(peer, expected);
    if (mismatch !== undefined) throw wrongName(place, mismatch);
    this.#newcomers.check(expected.address, personOf(peer), expected.name);
  }

  /**
   * Makes sure that a peer may be at a place, and remembers it.
   *
   * @throws {GreetError} as {@link Gatekeeper.check} does
   */
  admit(peer: Answerer, place: Place, expected: ExpectedPeer): void {
    this.check(peer, place, expected);
    this.trust.meet(peer.name, seenAt(place, peer.fingerprint));
    this.#newcomers.meet(expected.address, personOf(peer));
  }

  /** Why a peer of this name cannot be the one that is expected at a target. */
  #mismatch(peer: Answerer, { address, name: expected }: ExpectedPeer) {
    const { name } = peer;
    if (name === this.#options.name) {
      if (peer.instance === this.#options.instance) throw ourselves(address);
      return `is ${name}, the same as ours`;
    }
    if (name !== (expected ?? name)) return `is ${name}, not ${expected}`;
    const { contacts } = this.#options;
    const others = contacts.filter(({ link }) => link.address !== address);
    const namesake = others.find(({ link }) => link.name === name);
    if (namesake === undefined) return expected === undefined ? reserved(peer, others) : undefined;
    const at = namesake.link.address;
    const { last = peer } = contacts.find(({ link }) => link.address === address) ?? {};
    // If another peer was last met here, it may return, and must not be cut off.
    if (last.name === name && isSame(peer, namesake.link.met)) {
      throw new SamePeer(personOf(peer), address, at);
    }
    return `is ${name}, which is also the name of the peer at ${at}`;
  }
}

/** Without a key to prove it, a name that the user expects at one target is not accepted at another. */
function reserved({ name, fingerprint }: Answerer, others: readonly Contact[]) {
  if (fingerprint !== undefined) return undefined;
  const owner = others.find(({ expected }) => expected === name);
  return owner && `is ${name}, which is expected at ${owner.link.address}`;
}

/** Whether two answers under one name come from the same peer: the same key or, without, the same run. */
function isSame({ fingerprint, instance }: Answerer, other: Answerer | undefined): boolean {
  if (other === undefined || fingerprint !== other.fingerprint) return false;
  return fingerprint !== undefined || instance !== undefined && instance === other.instance;
}

function personOf({ name, fingerprint }: Answerer): Person {
  return { name, fingerprint };
}

function seenAt({ address: target, fingerprint: registered }: Place, fingerprint?: string): Seen {
  return { target, fingerprint, registered };
}

function ourselves(address: string): GreetError {
  return new GreetError("FAILED_PRECONDITION", `${address} is your own address`, {
    hint: "PEER is where another peer listens",
  });
}

function wrongName({ address }: Place, problem: string): GreetError {
  return new GreetError("FAILED_PRECONDITION", `${address}: the other side's name ${problem}`);
}
