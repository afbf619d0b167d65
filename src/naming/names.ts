/**
 * Names on a naming service: claims that last, lookups, and watches that continue.
 *
 * When the service behind {@link Names} is lost, it is tried again; then claims are renewed and
 * watches go on. What a single attempt does is up to the {@link NamingService}.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { BackOff, pause } from "../base/timing.ts";
import { claimProblem } from "./claim_rules.ts";
import { HeldNames } from "./held_names.ts";
import { checkCount, isTransient, notRegistered } from "./naming_service.ts";
import type { NameClaim, NamedEntry, NamesEvent, NamingService } from "./naming_service.ts";

/** The status of a claim: held, refused because someone else holds the name, or not known. */
export type ClaimStatus =
  | { readonly state: "held"; readonly since?: Date }
  | { readonly state: "refused" | "lost"; readonly error: GreetError };

/** The holders of a name, as far as they are known. */
export interface Holders {
  /** The entries of the name; none if it is not held. */
  readonly entries: readonly NamedEntry[];
  /** Why the entries may be out of date, if they may be. */
  readonly error?: GreetError;
}

/** The pauses before the service is tried again. */
const RETRY = { firstMs: 100, maxMs: 2_000, factor: 1.6 };

/** How many seconds it may take by default to look up a name, and to list all of them. */
const LOOKUP_SECONDS = { one: 5, all: 30 };

/** How to look something up. */
export interface LookupOptions {
  /** How many seconds it may take (default 5 for one name, 30 for all). */
  maxTime?: number;
  /** Cancels the lookup. */
  signal?: AbortSignal;
}

/** A claimed name. Disposing of it gives the name back. */
export interface Registration extends AsyncDisposable {
  /** The claim. */
  readonly claim: NameClaim;
  /** Its current status. */
  readonly status: ClaimStatus;
}

/**
 * The names on one naming service, opened by {@link openNames}. Disposing gives all claimed names
 * back and closes the connection.
 *
 * Losing the service is not an error for claims and watches: they continue once it is back.
 *
 * @example
 * ```ts
 * import { openNames, serveNames } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * await using server = await serveNames({ port: 0 });
 * await using names = openNames(`${server.port}`);
 *
 * const registration = await names.register({ name: "Bob", address: "127.0.0.1:55555" });
 * assert.equal(registration.status.state, "held");
 * assert.deepEqual((await names.list()).map(({ name }) => name), ["Bob"]);
 *
 * const seen: string[] = [];
 * for await (const event of names.watch("Bob")) {
 *   seen.push(event.type);
 *   if (event.type === "freed") break;
 *   await registration[Symbol.asyncDispose](); // gives the name back
 * }
 * assert.deepEqual(seen, ["state", "freed"]);
 * ```
 */
export class Names implements AsyncDisposable {
  readonly #service: NamingService;
  readonly #closed = new AbortController();
  readonly #claims = new Set<LastingClaim>();

  /**
   * For naming services of your own; {@link openNames} opens the ones that this package supports.
   *
   * @param service the naming service; disposed of together with the names
   */
  constructor(service: NamingService) {
    this.#service = service;
  }

  /** The address of the naming service, for error messages. */
  get address(): string {
    return this.#service.address;
  }

  /** Where names are registered, as a phrase such as `at 127.0.0.1:55500`. */
  get where(): string {
    return placeOf(this.#service);
  }

  /**
   * Claims a name, and keeps it until the registration is disposed of: when the naming service is
   * lost and comes back, the name is claimed again.
   *
   * @param claim the name, and where its holder listens
   * @param onChange gets each later change of the claim's status
   * @returns the registration, once the name is held. If the service cannot be reached, returns with
   *   the status `lost`, and keeps trying
   * @throws {GreetError} `ALREADY_EXISTS` if someone else holds the name; `USAGE` for a bad name,
   *   address or fingerprint, and for a shared name with a fingerprint
   *
   * @example
   * ```ts
   * import { GreetError, openNames, serveNames } from "@greet/greet";
   * import assert from "node:assert/strict";
   *
   * await using server = await serveNames({ port: 0 });
   * await using names = openNames(`${server.port}`);
   * await using _bob = await names.register({ name: "Bob", address: "127.0.0.1:55555" });
   * await assert.rejects(
   *   names.register({ name: "Bob", address: "127.0.0.1:55556" }),
   *   (error) => error instanceof GreetError && error.code === "ALREADY_EXISTS",
   * );
   * ```
   */
  async register(
    claim: NameClaim,
    onChange: (status: ClaimStatus) => void = () => {},
  ): Promise<Registration> {
    const problem = claimProblem(claim);
    if (problem !== undefined) throw new GreetError("USAGE", problem);
    const lasting = new LastingClaim(
      this.#service,
      claim,
      onChange,
      () => this.#claims.delete(lasting),
    );
    this.#claims.add(lasting);
    const status = await lasting.firstStatus;
    if (status.state === "refused") {
      await lasting[Symbol.asyncDispose]();
      throw status.error;
    }
    return lasting;
  }

  /**
   * Looks up the holders of a name.
   *
   * @param name the name
   * @returns at least one entry; more only if the name is shared
   * @throws {GreetError} `NOT_FOUND` if the name is not held; `UNAVAILABLE` or `DEADLINE_EXCEEDED` if
   *   the service cannot be reached; `INVALID_ARGUMENT` for a bad name. An aborted signal throws its
   *   own reason
   *
   * @example
   * ```ts
   * import { openNames, serveNames } from "@greet/greet";
   * import assert from "node:assert/strict";
   *
   * await using server = await serveNames({ port: 0 });
   * await using names = openNames(`${server.port}`);
   * await using _bob = await names.register({ name: "Bob", address: "127.0.0.1:55555" });
   * const [{ address }] = await names.lookup("Bob", { maxTime: 2 });
   * assert.equal(address, "127.0.0.1:55555");
   * ```
   */
  async lookup(name: string, options: LookupOptions = {}): Promise<NamedEntry[]> {
    const entries = await this.#list(name, options);
    if (entries.length === 0) throw notRegistered(name, this.where);
    return entries;
  }

  /**
   * Lists all names.
   *
   * @returns the entries, ordered by name
   * @throws {GreetError} `UNAVAILABLE` or `DEADLINE_EXCEEDED` if the service cannot be reached. An
   *   aborted signal throws its own reason
   */
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
      throw explained(error, this.#service);
    }
  }

  /**
   * Watches one name, or all names: first the present state, then every change in order. Ends when
   * the signal is aborted or the names are disposed of.
   *
   * @param name the name to watch (default: all names)
   * @param signal ends the watch
   * @returns the events. Losing the service is one of them, repeated only if the reason changes
   * @throws {GreetError} if the service refuses the watch
   */
  async *watch(name?: string, signal?: AbortSignal): AsyncGenerator<NamesEvent> {
    const end = AbortSignal.any([this.#closed.signal, ...signal ? [signal] : []]);
    const watch = this.#service.watch(name);
    const backOff = new BackOff(RETRY);
    let reason: string | undefined;
    while (!end.aborted) {
      try {
        for await (const event of watch.run(end)) {
          backOff.reset();
          reason = undefined;
          yield event;
        }
      } catch (cause) {
        if (end.aborted) return;
        const error = explained(cause, this.#service);
        if (!isTransient(error)) throw error;
        if (error.message !== reason) yield { type: "lost", error };
        reason = error.message;
      }
      await pauseWithJitter(backOff, end);
    }
  }

  /**
   * Follows the holders of a name. Ends like {@link Names.watch}.
   *
   * @param name the name
   * @param signal ends it
   * @returns the holders, again after each change
   * @throws {GreetError} if the service refuses the watch, or sends too many entries
   */
  async *follow(name: string, signal?: AbortSignal): AsyncGenerator<Holders> {
    const held = new HeldNames();
    for await (const event of this.watch(name, signal)) {
      held.apply(event);
      const entries = held.of(name);
      checkCount(entries.length, name, this.address);
      yield event.type === "lost" ? { entries, error: event.error } : { entries };
    }
  }

  /** Gives all claimed names back, ends all watches, and closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    await Promise.all([...this.#claims].map((claim) => claim[Symbol.asyncDispose]()));
    await this.#service[Symbol.asyncDispose]();
  }
}

/** A claim that is made again whenever it was lost. */
class LastingClaim implements Registration {
  readonly claim: NameClaim;
  /** The status after the first attempt. */
  readonly firstStatus: Promise<ClaimStatus>;
  status: ClaimStatus = { state: "lost", error: new GreetError("CANCELLED", "not claimed yet") };
  readonly #service: NamingService;
  readonly #onChange: (status: ClaimStatus) => void;
  readonly #onEnd: () => void;
  readonly #first = Promise.withResolvers<ClaimStatus>();
  readonly #ended = new AbortController();
  readonly #running: Promise<void>;
  #hasStatus = false;

  constructor(
    service: NamingService,
    claim: NameClaim,
    onChange: (status: ClaimStatus) => void,
    onEnd: () => void,
  ) {
    this.#service = service;
    // A copy, so that services can tell two claims apart although they were made with one object.
    this.claim = { ...claim };
    this.#onChange = onChange;
    this.#onEnd = onEnd;
    this.firstStatus = this.#first.promise;
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    const { signal } = this.#ended;
    const backOff = new BackOff(RETRY);
    while (!signal.aborted) {
      try {
        await this.#service.hold(this.claim, (since) => {
          backOff.reset();
          this.#set({ state: "held", since });
        }, signal);
      } catch (cause) {
        if (signal.aborted) break;
        this.#fail(explained(cause, this.#service));
      }
      await pauseWithJitter(backOff, signal);
    }
    this.#first.resolve(this.status);
  }

  /** Reports a failed attempt, unless the one before failed in the same way. */
  #fail(error: GreetError): void {
    const state = isTransient(error) ? "lost" : "refused";
    const { status } = this;
    const isKnown = status.state === state && status.error.message === error.message;
    if (!isKnown || !this.#hasStatus) this.#set({ state, error });
  }

  #set(status: ClaimStatus): void {
    this.status = status;
    this.#first.resolve(status);
    if (this.#hasStatus) this.#onChange(status);
    this.#hasStatus = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await this.#running;
    this.#onEnd();
  }
}

/** Adds to an error that it is about the naming service, which its message may not reveal. */
function explained(cause: unknown, service: NamingService): GreetError {
  const { code, message, hint } = GreetError.from(cause);
  if (code === "UNIMPLEMENTED") {
    return new GreetError(code, `there is no naming service ${placeOf(service)}`, { cause });
  }
  const hasAddress = service.where === undefined;
  const prefix = hasAddress && isTransient({ code }) ? "the naming service at " : "";
  return new GreetError(code, prefix + message, { hint });
}

function placeOf({ address, where = `at ${address}` }: NamingService): string {
  return where;
}

/** Pauses, so that clients that lost the same service do not all come back at the same moment. */
async function pauseWithJitter(backOff: BackOff, signal: AbortSignal): Promise<void> {
  await pause(backOff.next() * (0.5 + Math.random()), signal);
}
