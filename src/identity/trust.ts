/**
 * Who is who: whether those who say a name have the key that goes with it.
 *
 * Whoever is met first under a name is remembered with their key; from then on nobody else is taken
 * for them. A key that does not fit is an {@link GreetError} and no mere warning; that a name
 * looks like another one is a warning, because there may be two people.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { KnownPeers } from "./known_peers.ts";
import { RateLimit } from "../base/timing.ts";

/**
 * What there is to tell of who is who.
 *
 * - `met`: somebody is new, and is remembered with their key; `aliases` are the other names under
 *   which the key is known
 * - `lookalike`: a name that is new looks like another one
 * - `impostor`: somebody says a name and has not the key that goes with it
 */
export type TrustEvent =
  | {
    readonly type: "met";
    readonly name: string;
    readonly fingerprint: string;
    readonly aliases: readonly string[];
  }
  | { readonly type: "lookalike"; readonly name: string; readonly like: string }
  | {
    readonly type: "impostor";
    readonly name: string;
    readonly target: string;
    /** The key that they have. */
    readonly fingerprint: string;
    /** The keys that they might have. */
    readonly known: readonly string[];
    readonly error: GreetError;
  };

/** Who answered at a place. */
export interface Seen {
  /** Where. */
  readonly target: string;
  /** The fingerprint of the key that they have; nothing where nothing is encrypted. */
  readonly fingerprint: string | undefined;
  /** The fingerprint that a naming service has for the name, if it has one. */
  readonly registered?: string;
}

/** What trust is made of. */
export interface TrustOptions {
  /** Our own name. */
  readonly name: string;
  readonly known: KnownPeers;
  /** Who was met before, with or without a key. */
  readonly acquainted: readonly string[];
  /** Gets what there is to tell. */
  readonly announce: (event: TrustEvent) => void;
  /** Gets why somebody cannot be remembered. */
  readonly onTrouble: (error: GreetError) => void;
}

/** How often there is an alarm about the same place and name: keys are cheap, and may be new each time. */
const ALARM_MS = 60_000;

/** How many people are met for the first time at the same place: names are cheap as well. */
const MOST_NEW = 10;

/** Who is who. */
export class Trust {
  readonly #options: TrustOptions;
  readonly #names: Set<string>;
  /** What was last said of whoever says a name at a target. */
  readonly #exposed = new Map<string, string>();
  /** How many people were met for the first time at a target. */
  readonly #new = new Map<string, number>();
  readonly #alarms = new RateLimit<string>(ALARM_MS);

  constructor(options: TrustOptions) {
    this.#options = options;
    this.#names = new Set([options.name, ...options.acquainted]);
  }

  /** Whether a key is that of somebody who was met. Where that cannot be read, it is nobody's. */
  isKnown(fingerprint: string): boolean {
    try {
      return this.#options.known.namesOf(fingerprint).length > 0;
    } catch {
      return false;
    }
  }

  /**
   * Makes sure that somebody may be who they say. Remembers nothing.
   *
   * @throws {GreetError} `UNAUTHENTICATED` where the key is not the one that is known or registered,
   *   `RESOURCE_EXHAUSTED` where somebody is new and too many others were before them at the same
   *   place, `FAILED` where it cannot be read who is known
   */
  check(name: string, { target, fingerprint, registered }: Seen): void {
    if (fingerprint === undefined) return;
    const found = { name, target, fingerprint };
    if (this.isImpostor(name, fingerprint)) {
      const { file } = this.#options.known;
      const where = file === undefined ? "" : ` from ${file}`;
      throw this.#impostor({
        ...found,
        known: this.#options.known.keysOf(name),
        hint: `if ${name} told you of a new key, remove the line with the old one${where}`,
      });
    }
    if (registered !== undefined && registered !== fingerprint) {
      throw this.#impostor({
        ...found,
        known: [registered],
        hint: "that is what the naming service says: one of the two does not tell the truth",
      });
    }
    const isNew = this.#options.known.keysOf(name).length === 0;
    if (isNew && (this.#new.get(target) ?? 0) >= MOST_NEW) {
      const message = `${target}: whoever is there has had ${MOST_NEW} new names already`;
      throw new GreetError("RESOURCE_EXHAUSTED", message);
    }
  }

  /** The keys that a peer of that name may have. */
  keysOf(name: string): readonly string[] {
    return this.#options.known.keysOf(name);
  }

  /** Whether somebody of that name is known, and by another key. */
  isImpostor(name: string, fingerprint: string | undefined): boolean {
    const keys = fingerprint === undefined ? [] : this.#options.known.keysOf(name);
    return keys.length > 0 && !keys.includes(fingerprint!);
  }

  /** The error that it is, which is announced once, and others like it seldom. */
  #impostor(
    { hint, ...found }: Omit<Extract<TrustEvent, { type: "impostor" }>, "type" | "error"> & {
      hint: string;
    },
  ): GreetError {
    const { name, target, fingerprint, known } = found;
    const message = `${target}: whoever is there says to be ${name} and has the key ` +
      `${fingerprint}; ${name} has ${known.join(" or ")}`;
    const error = new GreetError("UNAUTHENTICATED", message, { hint });
    const who = `${target} ${name}`;
    const isNews = this.#exposed.get(who) !== message;
    if (isNews && this.#alarms.isDue(who)) {
      this.#exposed.set(who, message);
      this.#options.announce({ type: "impostor", ...found, error });
    }
    return error;
  }

  /**
   * Takes a peer for the one it says it is: checks that, and remembers a new one. It is one
   * synchronous step, so that of two keys that claim the same new name, one is refused.
   *
   * @throws {GreetError} as {@link Trust.check} does, and `UNAVAILABLE` where another process keeps
   *   a new peer from being remembered
   */
  meet(name: string, seen: Seen): void {
    this.check(name, seen);
    const { known } = this.#options;
    const others = known.peers.map(({ name }) => name);
    const isKnown = others.includes(name);
    if (!isKnown && seen.fingerprint !== undefined) {
      this.#remember(name, seen.fingerprint, seen.target);
      // Another process may have met someone of that name a moment earlier.
      this.check(name, seen);
    }
    if (!isKnown && !this.#names.has(name)) void this.#compare(name, others);
    this.#names.add(name);
  }

  #remember(name: string, fingerprint: string, target: string): void {
    const { known, announce, onTrouble } = this.#options;
    const aliases = known.namesOf(fingerprint);
    try {
      if (!known.remember({ name, fingerprint })) return;
    } catch (error) {
      if (!known.keysOf(name).includes(fingerprint)) throw error;
      onTrouble(error as GreetError);
    }
    this.#new.set(target, (this.#new.get(target) ?? 0) + 1);
    announce({ type: "met", name, fingerprint, aliases });
  }

  async #compare(name: string, known: readonly string[]): Promise<void> {
    const others = [...this.#names, ...known];
    // A table of 100 kB, which is of no use before.
    const { lookalikeOf } = await import("./lookalikes.ts");
    const like = lookalikeOf(name, others);
    if (like !== undefined) this.#options.announce({ type: "lookalike", name, like });
  }
}
