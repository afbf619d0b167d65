/**
 * The client of a naming server: `greet names`, or anything else that serves `greet.v1.Names`.
 *
 * One connection carries everything, with pings to notice a silent server. A claim keeps its secret
 * across connections, so a lost name comes back at once even if the server still thinks it is held.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { formatMoment } from "../base/local_time.ts";
import { checkCount, checkTime, STATE_MS } from "./naming_service.ts";
import type {
  NameClaim,
  NamedEntry,
  NamesWatch,
  NamingService,
  WatchUpdate,
} from "./naming_service.ts";
import { type Connection, dial } from "../rpc/client.ts";
import type { ClientTls } from "../rpc/credentials.ts";
import type { Network } from "../rpc/network.ts";
import { isEndpoint, type Target } from "../net/address.ts";
import { within } from "../base/timing.ts";
import { isFingerprint, nameProblem } from "../base/text.ts";
import { NAMES, type WireChanges, type WireEntry } from "../rpc/services.ts";

/** How long the server may take for its first answer. */
const ANSWER_TIMEOUT_MS = 5_000;

/** How long giving a name back may take; otherwise the name is free when the server notices. */
const GIVE_BACK_MS = 1_000;

/** A silent server is noticed within 5 s, as it notices silent clients. */
const KEEPALIVE = { everyMs: 2_500, timeoutMs: 2_000 };

/** The client of one naming server. Disposing of it closes the connection. */
export class NamesClient implements NamingService {
  readonly #target: Target;
  readonly #tls: ClientTls | undefined;
  readonly #connect: Network["dial"];
  readonly #secrets = new WeakMap<NameClaim, string>();
  #channel: Connection | undefined;

  /**
   * Connects with the first call.
   *
   * @param target the naming server
   * @param tls how to use TLS; without it, the connection is not encrypted
   * @param connect opens connections (default: over TCP)
   */
  constructor(target: Target, tls?: ClientTls, connect: Network["dial"] = dial) {
    this.#target = target;
    this.#tls = tls;
    this.#connect = connect;
  }

  get address(): string {
    return this.#target.address;
  }

  #dial(): Connection {
    return this.#channel ??= this.#connect(this.#target, {
      keepalive: KEEPALIVE,
      tls: this.#tls,
    });
  }

  /** Runs calls on the channel, and replaces the channel if its connection fails. */
  async *#using<T>(run: (channel: Connection) => AsyncIterable<T>): AsyncGenerator<T> {
    const channel = this.#dial();
    try {
      yield* run(channel);
    } catch (error) {
      const { code } = GreetError.from(error);
      const isLost = code === "UNAVAILABLE" || code === "DEADLINE_EXCEEDED";
      if (isLost && this.#channel === channel) this.#channel = undefined;
      if (isLost) channel[Symbol.dispose]();
      throw error;
    }
  }

  async hold(
    claim: NameClaim,
    held: (since?: Date) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { name, address, shared = false, fingerprint = "" } = claim;
    const request = { name, address, shared, holder: this.#secretOf(claim), fingerprint };
    const holding = this.#using((channel) =>
      channel.stream(NAMES, "Register", request, { timeoutMs: ANSWER_TIMEOUT_MS, signal })
    );
    let since: number | undefined;
    try {
      for await (const { sinceMs } of holding) held(new Date(since = sinceMs));
    } catch (error) {
      if (signal.aborted && since !== undefined) await this.#untilFreed(claim, since);
      throw GreetError.from(error).code === "ALREADY_EXISTS" ? inLocalTime(error) : error;
    }
  }

  /**
   * Waits until a name that was given back is free. The call that held it is cancelled, and the server
   * may get other calls before it notices.
   */
  async #untilFreed(claim: NameClaim, sinceMs: number): Promise<void> {
    const enough = new AbortController();
    try {
      await within(GIVE_BACK_MS, this.#freed(claim, sinceMs, enough.signal));
    } catch {
      // The connection is lost, and the name with it.
    } finally {
      enough.abort();
    }
  }

  async #freed({ name, address }: NameClaim, sinceMs: number, signal: AbortSignal): Promise<void> {
    const options = { timeoutMs: GIVE_BACK_MS, signal };
    let isHeld = false;
    for await (const answer of this.#dial().stream(NAMES, "Watch", { name }, options)) {
      if (answer.state) isHeld = false;
      for (const { kind, entry } of answer.changes) {
        const isOurs = entry?.address === address && entry.sinceMs === sinceMs;
        if (isOurs) isHeld = kind === "HELD";
      }
      if (!isHeld && !answer.more) return;
    }
  }

  /** Each claim has its own secret: two claims of one name must not take it from each other. */
  #secretOf(claim: NameClaim): string {
    const secret = this.#secrets.get(claim) ?? crypto.randomUUID();
    this.#secrets.set(claim, secret);
    return secret;
  }

  async list(
    name: string | undefined,
    { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<NamedEntry[]> {
    const channel = this.#dial();
    const call = { timeoutMs: Math.min(timeoutMs, ANSWER_TIMEOUT_MS), signal };
    const deadline = Date.now() + timeoutMs;
    const { address } = this;
    async function* pages() {
      for (let pageToken = "";;) {
        checkTime(deadline, address);
        const page = await channel.call(NAMES, "List", { pageToken }, call);
        yield page.entries;
        if ((pageToken = page.nextPageToken) === "") return;
      }
    }
    async function* one(name: string) {
      yield (await channel.call(NAMES, "Lookup", { name }, call)).entries;
    }
    const entries: NamedEntry[] = [];
    try {
      for await (const page of this.#using(() => name === undefined ? pages() : one(name))) {
        for (const entry of page) entries.push(...toEntry(entry, name));
        checkCount(entries.length, name, address);
      }
    } catch (error) {
      // A name that is not held has no entries.
      if (name === undefined || (error as GreetError).code !== "NOT_FOUND") throw error;
    }
    return entries;
  }

  watch(name = ""): NamesWatch {
    const options = (signal: AbortSignal) => ({ timeoutMs: ANSWER_TIMEOUT_MS, signal });
    return {
      run: (signal) =>
        updatesFrom(
          this.#using((channel) => channel.stream(NAMES, "Watch", { name }, options(signal))),
          name,
          this.address,
        ),
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#channel?.[Symbol.dispose]();
    return Promise.resolve();
  }
}

/** Servers say in UTC (ISO 8601) since when a name has been held; people read local time. */
function inLocalTime(error: unknown): GreetError {
  const { code, message } = GreetError.from(error);
  const local = message.replace(
    /\b\d{4}-\d\d-\d\dT[\d:.]+Z$/,
    (time) => formatMoment(new Date(time)),
  );
  return new GreetError(code, local, { cause: error });
}

/**
 * Converts answers to events, and joins the parts of a state.
 *
 * @param name the name that is watched; empty for all names
 * @param address the server's address, for error messages
 */
async function* updatesFrom(
  answers: AsyncIterable<WireChanges>,
  name: string,
  address: string,
): AsyncGenerator<WatchUpdate> {
  let state: NamedEntry[] | undefined;
  let deadline = 0;
  for await (const answer of answers) {
    if (answer.state) [state, deadline] = [[], Date.now() + STATE_MS];
    if (state === undefined) {
      for (const { kind, entry } of answer.changes) {
        for (const one of toEntry(entry, name)) {
          yield { type: kind === "HELD" ? "held" : "freed", entry: one };
        }
      }
      continue;
    }
    for (const { entry } of answer.changes) state.push(...toEntry(entry, name));
    checkCount(state.length, name, address);
    if (answer.more) {
      checkTime(deadline, address);
      continue;
    }
    yield { type: "state", entries: state };
    state = undefined;
  }
}

/**
 * Converts an entry from the wire. An entry that breaks the rules, or is for another name, is left
 * out: `greet names` would never send it.
 */
function toEntry(entry: WireEntry | null, wanted = ""): NamedEntry[] {
  if (entry === null || nameProblem(entry.name) !== undefined || !isEndpoint(entry.address)) {
    return [];
  }
  if (wanted !== "" && entry.name !== wanted) return [];
  const { name, address, shared, sinceMs, fingerprint } = entry;
  const held = { name, address, shared, ...isDate(sinceMs) && { since: new Date(sinceMs) } };
  if (fingerprint === "") return [held];
  return isFingerprint(fingerprint) ? [{ ...held, fingerprint }] : [];
}

/** Whether a time in milliseconds since 1970 is in a year with four digits. */
function isDate(ms: number): boolean {
  return ms >= 0 && ms < Date.UTC(10_000);
}
