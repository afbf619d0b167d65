/**
 * Turns the ups and downs of links into announcements of peers that join and leave.
 *
 * Announcements are damped: a peer that returns within a second has not left, and peers that arrive
 * within a second of the first are welcomed together.
 *
 * @module
 */
import type { Presence } from "./presence.ts";
import { isAbsent } from "../rpc/call_errors.ts";

/**
 * Peers that join and leave.
 *
 * - `waiting`: the peer at a target is away or does not accept us, and why; again when the reason
 *   changes
 * - `welcome`: the first peers are here; once
 * - `joined`: another peer is here; `back` if it was here before
 * - `left`: a peer has been gone for a second
 */
export type RosterEvent =
  | {
    readonly type: "waiting";
    readonly target: string;
    readonly reason: string;
    /** What can be done about it, if anything. */
    readonly hint: string | undefined;
    /** Whether it is the ordinary reason: nothing listens there (yet), or the name is not registered. */
    readonly absent: boolean;
    /** The name of the peer that is there, but does not accept us. */
    readonly refusedBy?: string;
  }
  | { readonly type: "welcome"; readonly names: readonly string[] }
  | { readonly type: "joined"; readonly name: string; readonly back: boolean }
  | { readonly type: "left"; readonly name: string };

/** How long a peer must be gone before it has left, and the welcome waits for more peers. */
const DAMPING_MS = 1_000;

type Absence = Extract<Presence, { state: "away" }>;

/** What is announced of one link. */
interface Member {
  readonly target: string;
  /** The peer that is here, announced or about to be. */
  name?: string;
  /** The announced reason why no peer is here. */
  reason?: string;
  /** Why the peer seems to be gone, according to the last change. */
  why?: Absence;
  /** The peer seems to be gone, which is announced when this timer ends. */
  leaving?: ReturnType<typeof setTimeout>;
}

/** Announces peers that join and leave, until it is disposed of. */
export class Roster implements Disposable {
  readonly #members = new Map<string, Member>();
  readonly #announce: (event: RosterEvent) => void;
  /** All peers that were ever announced. */
  readonly #met = new Set<string>();
  #welcoming: ReturnType<typeof setTimeout> | undefined;
  #welcomed = false;

  /** @param announce called with each announcement */
  constructor(announce: (event: RosterEvent) => void) {
    this.#announce = announce;
  }

  /** A peer is expected at a target. */
  add(target: string): void {
    this.#members.set(target, { target });
  }

  /** The peers that are here, in the order of the targets. */
  get names(): string[] {
    return [...this.#members.values()].flatMap(({ name }) => name ?? []);
  }

  /** The presence at a target has changed. */
  change(target: string, presence: Presence): void {
    const member = this.#members.get(target)!;
    if (presence.state === "here") this.#arrive(member, presence.name);
    if (presence.state === "away") this.#depart(member, presence);
  }

  /** No peer is expected at a target any longer. That is not announced. */
  remove(target: string): void {
    const { leaving } = this.#members.get(target)!;
    clearTimeout(leaving);
    this.#members.delete(target);
    if (!this.#welcomed && this.names.length === this.#members.size) this.#welcome();
  }

  #arrive(member: Member, name: string): void {
    member.reason = undefined;
    clearTimeout(member.leaving);
    member.leaving = undefined;
    if (member.name === name) return;
    if (member.name !== undefined) this.#leave(member);
    const former = [...this.#members.values()].find((other) => other.name === name);
    member.name = name;
    if (former === undefined) return this.#announceArrival(name);
    // The peer has only moved from one target to another.
    clearTimeout(former.leaving);
    former.name = former.leaving = undefined;
  }

  #announceArrival(name: string): void {
    if (this.#welcomed) {
      this.#announce({ type: "joined", name, back: this.#met.has(name) });
      this.#met.add(name);
    } else if (this.names.length === this.#members.size) {
      this.#welcome();
    } else {
      this.#welcoming ??= setTimeout(() => this.#welcome(), DAMPING_MS);
    }
  }

  #welcome(): void {
    clearTimeout(this.#welcoming);
    this.#welcoming = undefined;
    const { names } = this;
    if (names.length === 0) return;
    this.#welcomed = true;
    for (const name of names) this.#met.add(name);
    this.#announce({ type: "welcome", names });
  }

  #depart(member: Member, absence: Absence): void {
    if (member.name === undefined) return this.#explain(member, absence);
    member.why = absence;
    member.leaving ??= setTimeout(() => {
      this.#leave(member);
      this.#explain(member, member.why!);
    }, DAMPING_MS);
  }

  #leave(member: Member): void {
    const name = member.name!;
    member.name = member.leaving = undefined;
    if (this.#met.has(name)) this.#announce({ type: "left", name });
  }

  #explain(member: Member, { error, refusedBy }: Absence): void {
    if (error.message === member.reason) return;
    member.reason = error.message;
    const { target } = member;
    const { message: reason, hint } = error;
    const absent = isAbsent(error);
    this.#announce({ type: "waiting", target, reason, hint, absent, refusedBy: refusedBy?.name });
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#welcoming);
    for (const { leaving } of this.#members.values()) clearTimeout(leaving);
  }
}
