/**
 * Detects newcomers: peers that answer at a target where another one was met before.
 *
 * The user may believe that the earlier peer is still there, so a newcomer is announced or, if an
 * announcement would come too late, refused.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { Meeting, Person } from "./journal.ts";
import { showableName } from "../base/text.ts";
import { RateLimit } from "../base/timing.ts";

/** A peer has answered at a target where another one, `previous`, was last met. */
export interface NewcomerEvent extends Person {
  /** What kind of event it is. */
  readonly type: "newcomer";
  /** The target. */
  readonly target: string;
  /** Another name or, under the same name, another key. */
  readonly previous: Person;
  /** Why the newcomer is refused; missing if it is admitted. */
  readonly error?: GreetError;
}

/** What to do with newcomers. */
export type NewcomerPolicy = "admit" | "refuse";

/** How to detect newcomers, and what to do with them. */
export interface NewcomersOptions {
  readonly policy: NewcomerPolicy;
  /** The keys that a peer of this name may have. */
  readonly keysOf: (name: string) => readonly string[];
  readonly announce: (event: NewcomerEvent) => void;
}

/** How often a refusal at the same target is announced, in milliseconds. */
const ANNOUNCEMENT_MS = 60_000;

/** How many newcomers are admitted at the same target in one run: new names cost nothing. */
const MAX_NEWCOMERS = 10;

/** Detects newcomers. */
export class Newcomers {
  readonly #options: NewcomersOptions;
  readonly #lastMet = new Map<string, Person>();
  /** Every peer that was met in this chat; they may move from target to target. */
  readonly #acquainted: Person[] = [];
  readonly #admitted = new Map<string, number>();
  readonly #announcements = new RateLimit<string>(ANNOUNCEMENT_MS);

  constructor(options: NewcomersOptions) {
    this.#options = options;
  }

  /** A peer was met at a target before this run, or before the target was added to the chat. */
  recall({ target, ...person }: Meeting): void {
    this.#lastMet.set(target, person);
    this.#acquainted.push(person);
  }

  /**
   * Makes sure that a peer may be at a target.
   *
   * @param expected the name that the user expects at this target, if any
   * @throws {GreetError} `FAILED_PRECONDITION` if newcomers are refused and no name is expected,
   *   `RESOURCE_EXHAUSTED` if too many were admitted at this target
   */
  check(target: string, person: Person, expected?: string): void {
    const previous = this.#previous(target, person);
    if (previous === undefined) return;
    if (this.#options.policy === "refuse" && expected === undefined) {
      throw this.#refuse(target, person, previous);
    }
    if ((this.#admitted.get(target) ?? 0) >= MAX_NEWCOMERS) {
      const message = `${target}: ${MAX_NEWCOMERS} peers have already replaced each other there`;
      throw new GreetError("RESOURCE_EXHAUSTED", message);
    }
  }

  /** Records that a peer was met at a target, and announces it if it is a newcomer. */
  meet(target: string, person: Person): void {
    const previous = this.#previous(target, person);
    this.#lastMet.set(target, person);
    if (!this.#isAcquainted(person)) this.#acquainted.push(person);
    if (previous === undefined) return;
    this.#admitted.set(target, (this.#admitted.get(target) ?? 0) + 1);
    this.#options.announce({ type: "newcomer", ...person, target, previous });
  }

  /** The peer that a newcomer replaces; nothing if it is not a newcomer. */
  #previous(target: string, person: Person): Person | undefined {
    return this.#isAcquainted(person) ? undefined : this.#lastMet.get(target);
  }

  #isAcquainted({ name, fingerprint }: Person): boolean {
    const keys = fingerprint === undefined ? [] : this.#options.keysOf(name);
    return this.#acquainted.some((other) =>
      other.name === name &&
      (other.fingerprint === undefined || other.fingerprint === fingerprint ||
        keys.includes(other.fingerprint))
    );
  }

  /** The message does not name the newcomer, which could try one name after another. */
  #refuse(target: string, person: Person, previous: Person): GreetError {
    const known = showableName(previous.name);
    const message = `${target}: not the peer that was last met there, ${known}`;
    const hint = `to talk to another peer there, put its name in front: NAME@${target}`;
    const error = new GreetError("FAILED_PRECONDITION", message, { hint });
    if (this.#announcements.isDue(target)) {
      this.#options.announce({ type: "newcomer", ...person, target, previous, error });
    }
    return error;
  }
}
