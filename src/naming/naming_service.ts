/**
 * The interface that every naming service implements, and the bounds on what it may send.
 *
 * A {@link NamingService} does one thing at a time, and fails when its connection is lost. `Names`
 * builds on it: it retries, claims again and continues watches.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";

/** A name that is held. */
export interface NamedEntry {
  /** The name: 1 to 64 visible characters, no `/`, `>` or brackets. */
  readonly name: string;
  /** Where the holder listens: `host:port` or `[v6]:port`. */
  readonly address: string;
  /** Whether others may hold the same name, at other addresses. */
  readonly shared: boolean;
  /** Since when it has been held, by the service's clock; missing if the service does not know. */
  readonly since?: Date;
  /** `SHA256:…`, the fingerprint of the holder's key, if the holder registered it. */
  readonly fingerprint?: string;
}

/** A claim to hold a name. */
export interface NameClaim {
  /** The name: 1 to 64 visible characters, no `/`, `>` or brackets; not a port or an address. */
  readonly name: string;
  /** Where the holder listens: `host:port` or `[v6]:port`. */
  readonly address: string;
  /** Whether others may hold the same name, at other addresses: for several servers of one service. */
  readonly shared?: boolean;
  /**
   * `SHA256:…`, the fingerprint of the holder's key, for callers to compare with the certificate that
   * the holder shows. A shared name has none: servers are identified by their certificates.
   */
  readonly fingerprint?: string;
}

/**
 * An event of a watch. Events arrive in order.
 *
 * - `state`: everything that is held now; replaces what was known before
 * - `held`: a name is held, or its address or key has changed
 * - `freed`: a name is no longer held at this address with this key
 * - `lost`: the service cannot be reached, so what is known may be out of date. The next event
 *   continues where the last one left off, or is a `state`
 */
export type NamesEvent =
  | { readonly type: "state"; readonly entries: readonly NamedEntry[] }
  | { readonly type: "held"; readonly entry: NamedEntry }
  | { readonly type: "freed"; readonly entry: NamedEntry }
  | { readonly type: "lost"; readonly error: GreetError };

/** An event of a watch that a {@link NamingService} itself reports. */
export type WatchUpdate = Exclude<NamesEvent, { type: "lost" }>;

/** A service that keeps names. Each method throws a {@link GreetError} if its connection is lost. */
export interface NamingService extends AsyncDisposable {
  /** The service's address, for error messages. */
  readonly address: string;
  /** Where names are registered, as a phrase, if that is not `at` and the address. */
  readonly where?: string;
  /**
   * Holds a name until the signal is aborted or the name is lost.
   *
   * @param held called once, when the name is held, with the time since when it has been
   * @throws {GreetError} `ALREADY_EXISTS` if someone else holds the name
   */
  hold(claim: NameClaim, held: (since?: Date) => void, signal: AbortSignal): Promise<void>;
  /** The entries of one name, none if it is not held; or of all names, ordered by name. */
  list(name: string | undefined, options: { timeoutMs: number; signal?: AbortSignal }): Promise<
    NamedEntry[]
  >;
  /** Watches one name, or all names. */
  watch(name: string | undefined): NamesWatch;
}

/** A watch, which can be continued after it was lost. */
export interface NamesWatch {
  /** Everything since the end of the last run. The first event of the first run is a `state`. */
  run(signal: AbortSignal): AsyncIterable<WatchUpdate>;
}

/** How many entries a naming service may send: as many as the server of `greet names` keeps. */
export const MAX_ENTRIES = { ofOneName: 1_000, inAll: 100_000 };

/** How long a naming service may take to send a state, in milliseconds. */
export const STATE_MS = 30_000;

/**
 * Checks how many entries a naming service has sent.
 *
 * @param name the name they are for; missing or empty for all names
 * @param address the service's address
 * @throws {GreetError} `INTERNAL` if there are too many
 */
export function checkCount(count: number, name: string | undefined, address: string): void {
  const max = name ? MAX_ENTRIES.ofOneName : MAX_ENTRIES.inAll;
  if (count <= max) return;
  const what = name ? `addresses for ${name}` : "names";
  throw new GreetError("INTERNAL", `${address}: it sent more than ${max} ${what}`);
}

/**
 * Checks how long a naming service has been sending entries.
 *
 * @param deadlineMs when it should have ended, in milliseconds since 1970
 * @throws {GreetError} `DEADLINE_EXCEEDED` after that
 */
export function checkTime(deadlineMs: number, address: string): void {
  if (Date.now() <= deadlineMs) return;
  throw new GreetError("DEADLINE_EXCEEDED", `${address}: it kept sending names for too long`);
}

/**
 * The error for a name that is not held.
 *
 * @param where where it is not, as a phrase such as `at 127.0.0.1:55500`
 */
export function notRegistered(name: string, where: string): GreetError {
  return new GreetError("NOT_FOUND", `${name} is not registered ${where}`);
}

/** Whether another attempt may succeed: the service cannot be reached, or is not ready. */
export function isTransient({ code }: Pick<GreetError, "code">): boolean {
  return code === "UNAVAILABLE" || code === "DEADLINE_EXCEEDED" || code === "CANCELLED" ||
    code === "ABORTED" || code === "INTERNAL" || code === "UNKNOWN";
}
