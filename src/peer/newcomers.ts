/**
 * Notices when a peer answers at a target where another one was met before.
 *
 * What was said to a target belongs to the peer that was last met there. So a newcomer is
 * announced or, where nobody would read that in time, refused.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { Meeting, Person } from "./journal.ts";
import { showableName } from "../base/text.ts";
import { RateLimit } from "../base/timing.ts";

/** A peer answers at a target where `previous` was last met. */
export interface NewcomerEvent extends Person {
  readonly type: "newcomer";
  readonly target: string;
  /** Another name or, under the same name, another key. */
  readonly previous: Person;
  /** Why the newcomer is refused; missing where it is admitted. */
  readonly error?: GreetError;
}

/** What to do about newcomers. */
export type NewcomerPolicy = "admit" | "refuse";

/** What is needed to notice newcomers. */
export interface NewcomersOptions {
  /** Who was last met at which target, before this run. */
  readonly meetings: readonly Meeting[];
  readonly policy: NewcomerPolicy;
  /** Gives the keys that a name may have. */
  readonly keysOf: (name: string) => readonly string[];
  readonly announce: (event: NewcomerEvent) => void;
}

/** How often newcomers that are refused at the same target are announced, in milliseconds. */
const ANNOUNCEMENT_MS = 60_000;

/** How many newcomers are admitted at the same target in one run: names are cheap. */
const MAX_NEWCOMERS = 10;

/** Notices newcomers. */
export class Newcomers {
  readonly #options: NewcomersOptions;
  readonly #lastMet: Map<string, Person>;
  /** Everyone met in this chat. They may change places. */
  readonly #acquainted: Person[];
  readonly #admitted = new Map<string, number>();
  readonly #announcements = new RateLimit<string>(ANNOUNCEMENT_MS);

  constructor(options: NewcomersOptions) {
    this.#options = options;
    this.#lastMet = new Map(options.meetings.map(({ target, ...person }) => [target, person]));
    this.#acquainted = [...this.#lastMet.values()];
  }

  /**
   * Makes sure that a peer may be at a target.
   *
   * @param expected the name that the user has given the peer at this target, if any
   * @throws {GreetError} `FAILED_PRECONDITION` where newcomers are refused, unless one was
   *   expected; `RESOURCE_EXHAUSTED` where too many were admitted at the target
   */
  check(target: string, person: Person, expected?: string): void {
    const previous = this.#previous(target, person);
    if (previous === undefined) return;
    if (this.#options.policy === "refuse" && expected === undefined) {
      throw this.#refuse(target, person, previous);
    }
    if ((this.#admitted.get(target) ?? 0) >= MAX_NEWCOMERS) {
      const message = `${target}: ${MAX_NEWCOMERS} peers have taken each other's place there`;
      throw new GreetError("RESOURCE_EXHAUSTED", message);
    }
  }

  /** From now on, this is the peer that was last met at the target. Announces a newcomer. */
  meet(target: string, person: Person): void {
    const previous = this.#previous(target, person);
    this.#lastMet.set(target, person);
    if (!this.#isAcquainted(person)) this.#acquainted.push(person);
    if (previous === undefined) return;
    this.#admitted.set(target, (this.#admitted.get(target) ?? 0) + 1);
    this.#options.announce({ type: "newcomer", ...person, target, previous });
  }

  /** Whom a newcomer replaces; nobody, if it is none. */
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

  /** The message does not name the newcomer, which could try one name after the other. */
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
