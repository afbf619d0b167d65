/**
 * Decides whether a name and a key belong together.
 *
 * A new name is remembered with its key, and no other key is accepted for it from then on. A wrong
 * key is a {@link GreetError}; a name that looks like another one is only a warning, because both
 * may be legitimate.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { KnownPeers } from "./known_peers.ts";
import { RateLimit } from "../base/timing.ts";

/**
 * An event about the identity of a peer.
 *
 * - `met`: a new name is remembered with its key; `aliases` are other names of the same key
 * - `lookalike`: a new name looks like another one
 * - `impostor`: a peer claims a name without having the key that belongs to it
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
    /** The key that the peer has. */
    readonly fingerprint: string;
    /** The keys that belong to the name. */
    readonly known: readonly string[];
    readonly error: GreetError;
  };

/** Where a peer answered, and with which key. */
export interface Seen {
  /** The target that it answered at. */
  readonly target: string;
  /** The fingerprint of its key; `undefined` over plaintext. */
  readonly fingerprint: string | undefined;
  /** The fingerprint that a naming service has for its name, if any. */
  readonly registered?: string;
}

/** Options of {@link Trust}. */
export interface TrustOptions {
  /** Our own name. */
  readonly name: string;
  readonly known: KnownPeers;
  /** Receives events. */
  readonly announce: (event: TrustEvent) => void;
  /** Receives the reason why a new peer cannot be stored. */
  readonly onTrouble: (error: GreetError) => void;
}

/** How often impostors of the same name at the same target are announced, in milliseconds. */
const ALARM_MS = 60_000;

/** How many new names are accepted at the same target, because names and keys cost nothing. */
const MAX_NEW_NAMES = 10;

/** Checks and remembers the keys of peers. */
export class Trust {
  readonly #options: TrustOptions;
  /** The names that new ones are compared with, besides those of known peers. */
  readonly #names: Set<string>;
  /** The message of the last alarm for each target and name. */
  readonly #lastAlarms = new Map<string, string>();
  /** How many new names were accepted at each target. */
  readonly #newNames = new Map<string, number>();
  readonly #alarms = new RateLimit<string>(ALARM_MS);

  constructor(options: TrustOptions) {
    this.#options = options;
    this.#names = new Set([options.name]);
  }

  /** A peer of this name is expected, or was met before, with or without a key. */
  acquaint(name: string): void {
    this.#names.add(name);
  }

  /** Whether a key belongs to a known peer; `false` if the known peers cannot be read. */
  isKnown(fingerprint: string): boolean {
    try {
      return this.#options.known.namesOf(fingerprint).length > 0;
    } catch {
      return false;
    }
  }

  /**
   * Checks that a peer may use a name, without remembering anything.
   *
   * @throws {GreetError} `UNAUTHENTICATED` if its key is not the known or the registered one,
   *   `RESOURCE_EXHAUSTED` if its name is new and the target has used too many new names already,
   *   `FAILED` if the known peers cannot be read
   */
  check(name: string, { target, fingerprint, registered }: Seen): void {
    if (fingerprint === undefined) return;
    const claim = { name, target, fingerprint };
    if (this.isImpostor(name, fingerprint)) {
      const { file } = this.#options.known;
      const where = file === undefined ? "" : ` from ${file}`;
      throw this.#impostor({
        ...claim,
        known: this.#options.known.keysOf(name),
        hint: `if ${name} told you about a new key, remove the line with the old one${where}`,
      });
    }
    if (registered !== undefined && registered !== fingerprint) {
      throw this.#impostor({
        ...claim,
        known: [registered],
        hint: "that is the key that the naming service has: it or the peer is lying",
      });
    }
    const isNew = this.#options.known.keysOf(name).length === 0;
    if (isNew && (this.#newNames.get(target) ?? 0) >= MAX_NEW_NAMES) {
      const message = `${target}: the peer there has used ${MAX_NEW_NAMES} new names already`;
      throw new GreetError("RESOURCE_EXHAUSTED", message);
    }
  }

  /** The keys that are accepted for a name. */
  keysOf(name: string): readonly string[] {
    return this.#options.known.keysOf(name);
  }

  /** Whether a name is known, but with other keys. */
  isImpostor(name: string, fingerprint: string | undefined): boolean {
    const keys = fingerprint === undefined ? [] : this.#options.known.keysOf(name);
    return keys.length > 0 && !keys.includes(fingerprint!);
  }

  /** Creates the error for a wrong key, and announces it unless a similar one was announced. */
  #impostor(
    { hint, ...claim }: Omit<Extract<TrustEvent, { type: "impostor" }>, "type" | "error"> & {
      hint: string;
    },
  ): GreetError {
    const { name, target, fingerprint, known } = claim;
    const message = `${target}: the peer there claims to be ${name} but has the key ` +
      `${fingerprint}, not ${known.join(" or ")}`;
    const error = new GreetError("UNAUTHENTICATED", message, { hint });
    const claimant = `${target} ${name}`;
    const isNews = this.#lastAlarms.get(claimant) !== message;
    if (isNews && this.#alarms.isDue(claimant)) {
      this.#lastAlarms.set(claimant, message);
      this.#options.announce({ type: "impostor", ...claim, error });
    }
    return error;
  }

  /**
   * Checks that a peer may use a name, and remembers a new name with its key. This is one
   * synchronous step, so that of two keys that claim the same new name, one is refused.
   *
   * @throws {GreetError} as {@link Trust.check} does, and `UNAVAILABLE` if another process has
   *   locked the known peers
   */
  meet(name: string, seen: Seen): void {
    this.check(name, seen);
    const { known } = this.#options;
    const knownNames = known.peers.map(({ name }) => name);
    if (seen.fingerprint !== undefined) {
      this.#remember(name, seen.fingerprint, seen.target);
      // Another process may have bound the name a moment earlier.
      this.check(name, seen);
    }
    const others = [...this.#names, ...knownNames];
    if (!others.includes(name)) void this.#compare(name, others);
    this.#names.add(name);
  }

  /** Announces a name that looks like one that we know. It is not remembered: anyone may use it. */
  compare(name: string): void {
    const others = [...this.#names, ...this.#options.known.peers.map(({ name }) => name)];
    if (!others.includes(name)) void this.#compare(name, others);
  }

  /** Remembers a name with its key; does nothing for a known name. */
  #remember(name: string, fingerprint: string, target: string): void {
    const { known, announce, onTrouble } = this.#options;
    const aliases = known.namesOf(fingerprint);
    try {
      if (!known.remember({ name, fingerprint })) return;
    } catch (error) {
      if (!known.keysOf(name).includes(fingerprint)) throw error;
      onTrouble(error as GreetError);
    }
    this.#newNames.set(target, (this.#newNames.get(target) ?? 0) + 1);
    announce({ type: "met", name, fingerprint, aliases });
  }

  async #compare(name: string, others: readonly string[]): Promise<void> {
    // Imported only when needed: it has a table of 100 kB.
    const { lookalikeOf } = await import("./lookalikes.ts");
    const like = lookalikeOf(name, others);
    if (like !== undefined) this.#options.announce({ type: "lookalike", name, like });
  }
}
