/**
 * A naming service that is the server of `greet names`, or anything else that serves `Names`.
 *
 * One connection carries everything, and is asked every few seconds whether the
 * server is still there. A claim's secret stays the same across connections, so that a name
 * which the server has not noticed to be free is ours again at once.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { checkCount, checkTime, nobody, STATE_MS } from "./names.ts";
import type { NameClaim, NamedEntry, NamesWatch, NamingService, WatchUpdate } from "./names.ts";
import { type Channel, dial } from "../rpc/client.ts";
import type { ClientTls } from "../rpc/credentials.ts";
import { isEndpoint, type Target } from "../net/address.ts";
import { isFingerprint, nameProblem } from "../base/text.ts";
import { type NameChanges, type NameEntry, NAMES } from "../rpc/services.ts";

/** How long the server may take for its first answer. */
const ANSWER_TIMEOUT_MS = 5_000;

/** A server that has been stopped is noticed within 5 s, as it notices us. */
const KEEPALIVE = { everyMs: 2_500, timeoutMs: 2_000 };

/** The naming server at a target. Disposing of it closes the connection. */
export class NamesServer implements NamingService {
  readonly #target: Target;
  readonly #tls: ClientTls | undefined;
  readonly #holders = new WeakMap<NameClaim, string>();
  #channel: Channel | undefined;

  /** Nothing is sent before something is asked. */
  constructor(target: Target, tls?: ClientTls) {
    this.#target = target;
    this.#tls = tls;
  }

  get address(): string {
    return this.#target.address;
  }

  /** A channel whose connection failed has closed itself. */
  #dial(): Channel {
    return this.#channel ??= dial(this.#target, { keepalive: KEEPALIVE, tls: this.#tls });
  }

  /** Does something on the channel there is, and gives the channel up where it fails. */
  async *#using<T>(run: (channel: Channel) => AsyncIterable<T>): AsyncGenerator<T> {
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
    const request = { name, address, shared, holder: this.#holderOf(claim), fingerprint };
    const holding = this.#using((channel) =>
      channel.stream(NAMES, "Register", request, { timeoutMs: ANSWER_TIMEOUT_MS, signal })
    );
    for await (const { sinceMs } of holding) held(new Date(sinceMs));
  }

  /** Each claim has a secret of its own: two claims of one name are not to take it from each other. */
  #holderOf(claim: NameClaim): string {
    const holder = this.#holders.get(claim) ?? crypto.randomUUID();
    this.#holders.set(claim, holder);
    return holder;
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
      if (name === undefined || (error as GreetError).code !== "NOT_FOUND") throw error;
      throw nobody(name, this.address);
    }
    return entries;
  }

  watch(name = ""): NamesWatch {
    const options = (signal: AbortSignal) => ({ timeoutMs: ANSWER_TIMEOUT_MS, signal });
    return {
      run: (signal) =>
        told(
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

/**
 * Answers as events; the pieces of a state are put together.
 *
 * @param name which name was asked for; all where it is empty
 * @param address what the server is called in errors
 */
async function* told(
  answers: AsyncIterable<NameChanges>,
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
 * An entry that came over the wire; none where it breaks the rules, or is not what was asked for,
 * which no server of ours would send.
 */
function toEntry(entry: NameEntry | null, wanted = ""): NamedEntry[] {
  if (entry === null || nameProblem(entry.name) !== undefined || !isEndpoint(entry.address)) {
    return [];
  }
  if (wanted !== "" && entry.name !== wanted) return [];
  const { name, address, shared, sinceMs, fingerprint } = entry;
  const held = { name, address, shared, ...isDate(sinceMs) && { since: new Date(sinceMs) } };
  if (fingerprint === "") return [held];
  return isFingerprint(fingerprint) ? [{ ...held, fingerprint }] : [];
}

/** Whether a number of milliseconds since 1970 is in a year that has four digits. */
function isDate(ms: number): boolean {
  return ms >= 0 && ms < Date.UTC(10_000);
}
