/**
 * Names instead of addresses: who holds a name, and where they are to be reached.
 *
 * {@link Names} registers, looks up and watches, on whatever {@link NamingService}
 * is behind it: the server of `greet names`, or etcd. It is what makes both of them last:
 * when the service is lost, it is found again, and what was held is claimed again. Nobody who
 * has met needs it any more.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { isEndpoint } from "../net/address.ts";
import { isFingerprint, nameProblem } from "../base/text.ts";
import { pause } from "../base/timing.ts";

/** A name that is held. */
export interface NamedEntry {
  readonly name: string;
  /** `host:port` or `[v6]:port`. */
  readonly address: string;
  /** Whether others may hold it at other addresses. */
  readonly shared: boolean;
  /** Since when, by the service's clock, where it knows. */
  readonly since?: Date;
  /** `SHA256:…`, the fingerprint of the holder's key, where they have told it. */
  readonly fingerprint?: string;
}

/** Who wants to hold a name. */
export interface NameClaim {
  readonly name: string;
  /** Where they are to be reached: `host:port` or `[v6]:port`. */
  readonly address: string;
  /** Together with others: several servers of one service. */
  readonly shared?: boolean;
  /**
   * `SHA256:…`, the fingerprint of the holder's key: whoever calls them can compare it with the
   * certificate that they are shown. Only for a name that is not shared: servers are known by their
   * certificates.
   */
  readonly fingerprint?: string;
}

/**
 * What a watcher is told, in order.
 *
 * - `state`: this is all there is; what was known before is to be forgotten
 * - `held`: somebody holds a name, or holds it at another address or with another key
 * - `freed`: they do not, at this address and with this key
 * - `lost`: nothing is heard of the service. What is known may be out of date; what comes
 *   next goes on where it ended, or begins with a `state`
 */
export type NamesEvent =
  | { readonly type: "state"; readonly entries: readonly NamedEntry[] }
  | { readonly type: "held"; readonly entry: NamedEntry }
  | { readonly type: "freed"; readonly entry: NamedEntry }
  | { readonly type: "lost"; readonly error: GreetError };

/** How a claim stands: held, refused because somebody else has the name, or not heard of. */
export type ClaimStatus =
  | { readonly state: "held"; readonly since?: Date }
  | { readonly state: "refused" | "lost"; readonly error: GreetError };

/** What a {@link NamingService} tells of a watch: everything but that it was lost. */
export type WatchUpdate = Exclude<NamesEvent, { type: "lost" }>;

/** Who holds a name, as far as it is known. */
export interface Holders {
  readonly entries: readonly NamedEntry[];
  /** Why that may be out of date, if it may. */
  readonly error?: GreetError;
}

/** What keeps the names. Whatever it does fails with a {@link GreetError} when it is lost. */
export interface NamingService extends AsyncDisposable {
  /** What it is called in errors. */
  readonly address: string;
  /**
   * Holds a name until the signal is aborted or the name is lost.
   *
   * @param held called once, when the name is held
   * @throws {GreetError} `ALREADY_EXISTS` where somebody else holds the name
   */
  hold(claim: NameClaim, held: (since?: Date) => void, signal: AbortSignal): Promise<void>;
  /** What is held under a name, or under all, ordered by name. */
  list(name: string | undefined, options: { timeoutMs: number; signal?: AbortSignal }): Promise<
    NamedEntry[]
  >;
  /** A watch of one name, or of all. */
  watch(name: string | undefined): NamesWatch;
}

/** A watch that can be taken up again after it was lost. */
export interface NamesWatch {
  /** What happens from now on, or since it was last told. It begins with a `state` the first time. */
  run(signal: AbortSignal): AsyncIterable<WatchUpdate>;
}

/** The pauses before the service is tried again: the first, the longest, and how they grow. */
const RETRY = { firstMs: 100, maxMs: 2_000, factor: 1.6 };

/** How many seconds it may take by default to look up a name, and to list all. */
const LOOKUP_SECONDS = { one: 5, all: 30 };

/** How many entries a naming service may tell of: as many as the server of `greet names` keeps. */
export const MAX_ENTRIES = { ofOneName: 1_000, inAll: 100_000 };

/** How long it may take to tell a watcher all there is, in milliseconds. */
export const STATE_MS = 30_000;

/**
 * Makes sure that a naming service that tells of names without end is not listened to for ever.
 *
 * @param count how many entries it has told of
 * @param name of which name; of all where it is missing or empty
 * @param address what the service is called in errors
 * @throws {GreetError} `INTERNAL` where those are too many
 */
export function checkCount(count: number, name: string | undefined, address: string): void {
  const max = name ? MAX_ENTRIES.ofOneName : MAX_ENTRIES.inAll;
  if (count <= max) return;
  const what = name ? `addresses for ${name}` : "names";
  throw new GreetError("INTERNAL", `${address}: it has sent more than ${max} ${what}`);
}

/** Like {@link checkCount}, for the time that something with an end has taken. */
export function checkTime(deadlineMs: number, address: string): void {
  if (Date.now() <= deadlineMs) return;
  throw new GreetError("DEADLINE_EXCEEDED", `${address}: it has sent names and not come to an end`);
}

/** How to look something up. */
export interface LookupOptions {
  /** How many seconds it may take (default 5 for one name, 30 for all). */
  maxTime?: number;
  /** Gives up. */
  signal?: AbortSignal;
}

/** A name that was claimed. Disposing of it gives the name back. */
export interface Registration extends AsyncDisposable {
  readonly claim: NameClaim;
  /** How the claim stands now. */
  readonly standing: ClaimStatus;
}

/** Names, on one naming service. Disposing of it gives back all that was claimed. */
export class Names implements AsyncDisposable {
  readonly #service: NamingService;
  readonly #closed = new AbortController();
  readonly #claims = new Set<Claimed>();

  /** Use `openNames`. */
  constructor(service: NamingService) {
    this.#service = service;
  }

  /** Which naming service it is. */
  get address(): string {
    return this.#service.address;
  }

  /**
   * Claims a name, and keeps it until the registration is disposed of: when the naming service
   * is lost and found again, the name is claimed again.
   *
   * @param claim the name, and where its holder is to be reached
   * @param onChange gets how the claim stands, whenever that changes after this has returned
   * @returns when the name is held, or the service cannot be reached; it is tried on then
   * @throws {GreetError} `ALREADY_EXISTS` where somebody else holds it, `USAGE` for a bad name,
   *   address or fingerprint and for a fingerprint with a shared name
   */
  async register(
    claim: NameClaim,
    onChange: (standing: ClaimStatus) => void = () => {},
  ): Promise<Registration> {
    const problem = nameProblem(claim.name);
    if (problem !== undefined) throw new GreetError("USAGE", `the name ${problem}`);
    if (!isEndpoint(claim.address)) {
      throw new GreetError("USAGE", `${JSON.stringify(claim.address)} is not host:port`);
    }
    if (claim.fingerprint !== undefined) {
      if (!isFingerprint(claim.fingerprint)) {
        throw new GreetError("USAGE", `${JSON.stringify(claim.fingerprint)} is not SHA256:…`);
      }
      if (claim.shared) throw new GreetError("USAGE", "a name that is shared has no fingerprint");
    }
    const claimed = new Claimed(this.#service, claim, onChange, () => this.#claims.delete(claimed));
    this.#claims.add(claimed);
    const standing = await claimed.settled;
    if (standing.state === "refused") {
      await claimed[Symbol.asyncDispose]();
      throw standing.error;
    }
    return claimed;
  }

  /**
   * Who holds a name.
   *
   * @returns at least one; more where the name is shared
   * @throws {GreetError} `NOT_FOUND` where nobody does, `UNAVAILABLE` or `DEADLINE_EXCEEDED` where
   *   the service cannot be asked; an aborted signal throws its own reason
   */
  async lookup(name: string, options: LookupOptions = {}): Promise<NamedEntry[]> {
    const entries = await this.#list(name, options);
    if (entries.length === 0) throw nobody(name, this.address);
    return entries;
  }

  /** All names that are held, ordered. Errors are like those of {@link Names.lookup}. */
  async list(options: LookupOptions = {}): Promise<NamedEntry[]> {
    return await this.#list(undefined, options);
  }

  async #list(
    name: string | undefined,
    { maxTime = LOOKUP_SECONDS[name === undefined ? "all" : "one"], signal }: LookupOptions,
  ): Promise<NamedEntry[]> {
    try {
      return await this.#service.list(name, { timeoutMs: maxTime * 1_000, signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw explained(error, this.address);
    }
  }

  /**
   * What happens to a name, or to all: first the present state, then every change in order. It
   * ends when the signal is aborted, or with {@link Names}.
   *
   * @throws {GreetError} where watching is refused; that the service is lost is an event, which comes
   *   again only when the reason changes
   */
  async *watch(name?: string, signal?: AbortSignal): AsyncGenerator<NamesEvent> {
    const either = AbortSignal.any([this.#closed.signal, ...signal ? [signal] : []]);
    const watch = this.#service.watch(name);
    const retry = new Retry();
    let reason: string | undefined;
    while (!either.aborted) {
      try {
        for await (const event of watch.run(either)) {
          retry.succeeded();
          reason = undefined;
          yield event;
        }
      } catch (cause) {
        if (either.aborted) return;
        const error = explained(cause, this.address);
        if (!isTransient(error)) throw error;
        if (error.message !== reason) yield { type: "lost", error };
        reason = error.message;
      }
      await retry.pause(either);
    }
  }

  /**
   * Who holds a name, and again whenever that changes. It ends like {@link Names.watch}, and fails
   * like it.
   */
  async *follow(name: string, signal?: AbortSignal): AsyncGenerator<Holders> {
    let entries: readonly NamedEntry[] = [];
    for await (const event of this.watch(name, signal)) {
      entries = after(entries, event);
      checkCount(entries.length, name, this.address);
      yield event.type === "lost" ? { entries, error: event.error } : { entries };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    await Promise.all([...this.#claims].map((claimed) => claimed[Symbol.asyncDispose]()));
    await this.#service[Symbol.asyncDispose]();
  }
}

/** What is held, by name, as far as a watcher of all names was told. */
export class Known {
  readonly #entries = new Map<string, readonly NamedEntry[]>();
  #size = 0;

  /** What is held under a name. */
  of(name: string): readonly NamedEntry[] {
    return this.#entries.get(name) ?? [];
  }

  /** Everything. */
  all(): NamedEntry[] {
    return [...this.#entries.values()].flat();
  }

  get size(): number {
    return this.#size;
  }

  /** Takes note of what has happened. */
  apply(event: NamesEvent): void {
    if (event.type === "lost") return;
    if (event.type !== "state") return this.#set(event.entry.name, event);
    this.#entries.clear();
    this.#size = 0;
    const byName = Map.groupBy(event.entries, ({ name }) => name);
    for (const [name, entries] of byName) this.#set(name, { type: "state", entries });
  }

  #set(name: string, event: NamesEvent): void {
    const before = this.of(name);
    const now = after(before, event);
    this.#size += now.length - before.length;
    if (now.length === 0) this.#entries.delete(name);
    else this.#entries.set(name, now);
  }
}

/** What is held under one name after something has happened. */
function after(entries: readonly NamedEntry[], event: NamesEvent): readonly NamedEntry[] {
  switch (event.type) {
    case "state":
      return event.entries;
    case "held": {
      const { entry } = event;
      if (!entry.shared) return [entry];
      return [...entries.filter(({ address }) => address !== entry.address), entry];
    }
    case "freed":
      return entries.filter((entry) => !isSameHold(entry, event.entry));
    case "lost":
      return entries;
  }
}

/**
 * Whether it is the same that is held. Somebody with another key may be at the same address by the
 * time the end of a hold is told.
 */
export function isSameHold(one: NamedEntry, other: NamedEntry): boolean {
  return one.name === other.name && one.address === other.address &&
    one.fingerprint === other.fingerprint;
}

/** That nobody holds a name. */
export function nobody(name: string, address: string): GreetError {
  return new GreetError("NOT_FOUND", `nobody is registered as ${name} at ${address}`);
}

/** A claim that is made, and made again when it was lost. */
class Claimed implements Registration {
  readonly claim: NameClaim;
  /** How the first attempt ended. */
  readonly settled: Promise<ClaimStatus>;
  standing: ClaimStatus = { state: "lost", error: new GreetError("CANCELLED", "not claimed yet") };
  readonly #onChange: (standing: ClaimStatus) => void;
  readonly #onEnd: () => void;
  readonly #given = new AbortController();
  readonly #running: Promise<void>;
  #isSettled = false;

  constructor(
    service: NamingService,
    claim: NameClaim,
    onChange: (standing: ClaimStatus) => void,
    onEnd: () => void,
  ) {
    // A copy, so that it is this claim and no other, even where it is claimed twice.
    this.claim = { ...claim };
    this.#onChange = onChange;
    this.#onEnd = onEnd;
    const { promise, resolve } = Promise.withResolvers<ClaimStatus>();
    this.settled = promise;
    this.#running = this.#run(service, resolve);
  }

  async #run(service: NamingService, settle: (standing: ClaimStatus) => void): Promise<void> {
    const { signal } = this.#given;
    const retry = new Retry();
    const stand = (standing: ClaimStatus) => {
      this.standing = standing;
      settle(standing);
      if (this.#isSettled) this.#onChange(standing);
      this.#isSettled = true;
    };
    while (!signal.aborted) {
      try {
        await service.hold(this.claim, (since) => {
          retry.succeeded();
          stand({ state: "held", since });
        }, signal);
      } catch (cause) {
        if (signal.aborted) break;
        const error = explained(cause, service.address);
        const state = isTransient(error) ? "lost" : "refused";
        const isNews = this.standing.state !== state ||
          this.standing.error.message !== error.message;
        if (isNews || !this.#isSettled) stand({ state, error });
      }
      await retry.pause(signal);
    }
    settle(this.standing);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#given.abort();
    await this.#running;
    this.#onEnd();
  }
}

/** What went wrong with a naming service, so that it cannot be taken for something else's fault. */
function explained(cause: unknown, address: string): GreetError {
  const { code, message, hint } = GreetError.from(cause);
  if (code === "UNIMPLEMENTED") {
    return new GreetError(code, `there is no naming service at ${address}`, { cause });
  }
  const whose = isTransient({ code }) ? "the naming service at " : "";
  return new GreetError(code, whose + message, { hint });
}

/** Waits longer each time, until something succeeds. */
class Retry {
  #ms = RETRY.firstMs;

  succeeded(): void {
    this.#ms = RETRY.firstMs;
  }

  async pause(signal: AbortSignal): Promise<void> {
    // Those who lost the same service at the same moment are not to come back at the same moment.
    await pause(this.#ms * (0.5 + Math.random()), signal);
    this.#ms = Math.min(this.#ms * RETRY.factor, RETRY.maxMs);
  }
}

/** Whether trying again may help: it is the service that cannot be reached or is not ready. */
export function isTransient({ code }: Pick<GreetError, "code">): boolean {
  return code === "UNAVAILABLE" || code === "DEADLINE_EXCEEDED" || code === "CANCELLED" ||
    code === "ABORTED" || code === "INTERNAL" || code === "UNKNOWN";
}
