/**
 * The claims and watches of a naming server, in memory, without any network.
 *
 * Every change has a revision one higher than the one before. A watcher that is too slow costs no
 * more than a bounded queue: it gets the whole state again.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { nameProblem } from "../base/text.ts";
import { pause, Pulse } from "../base/timing.ts";
import { claimProblem } from "./claim_rules.ts";
import type { WireChange, WireChanges, WireClaim, WireEntry } from "../rpc/services.ts";

/** The limits of a registry. A connection that holds or watches names is their owner. */
export const LIMITS = {
  /** Names of one owner. */
  namesOfOne: 1_000,
  /** Watches of one owner. */
  watchesOfOne: 1_000,
  /** Watches of all names of one owner: each may keep the state of when it began in memory. */
  watchesOfAllOfOne: 10,
  /** Addresses of one name: they must fit into one answer. */
  addressesOfOne: 1_000,
  /** Names of all owners. */
  names: 12_000,
  /** Watches of all owners. */
  watches: 6_000,
  /** Characters in a claim's `holder`; a UUID has 36. */
  holder: 128,
  /** Changes that wait for one watcher. */
  waiting: 1_000,
  /** Entries in one part of a state. */
  changes: 500,
  /** Bytes in one page of a list, unless a single name takes more. */
  bytes: 200_000,
} as const;

/** A name that is held. */
interface Hold {
  readonly entry: WireEntry;
  readonly holder: string;
  readonly owner: string;
  /** Aborted when the same holder has claimed the name again. */
  readonly superseded: AbortController;
}

/** A successful claim. Disposing of it gives the name back. */
export interface GrantedClaim extends Disposable {
  readonly entry: WireEntry;
  /** Aborted when the same holder has claimed the name again. */
  readonly superseded: AbortSignal;
}

/** The names that are held, and their watchers. */
export class Registry {
  readonly #holds = new Map<string, Set<Hold>>();
  readonly #watchers = new Map<string, Set<Watcher>>();
  readonly #counts = {
    names: new Map<string, number>(),
    watches: new Map<string, number>(),
    watchesOfAll: new Map<string, number>(),
  };
  /** The names that are held, sorted. */
  readonly #sorted: string[] = [];
  /** All entries at a revision, shared by all watches of all names. */
  #snapshot: { revision: number; entries: readonly WireEntry[] } | undefined;
  readonly #paces = new Map<string, Pace>();
  readonly #onChange: (change: WireChange & { entry: WireEntry }) => void;
  #size = 0;
  #watches = 0;
  #revision = 0;

  /** @param onChange gets every change when it happens */
  constructor(onChange: (change: WireChange & { entry: WireEntry }) => void = () => {}) {
    this.#onChange = onChange;
  }

  /** The number of entries. */
  get size(): number {
    return this.#size;
  }

  /**
   * Holds a name until the claim is disposed of.
   *
   * @param claim the claim, as it was received
   * @param owner the connection, for the limits
   * @throws {GreetError} `INVALID_ARGUMENT` for a claim that breaks the rules, `ALREADY_EXISTS` if
   *   someone else holds the name, `RESOURCE_EXHAUSTED` beyond a limit
   */
  claim({ name, address, shared, holder, fingerprint }: WireClaim, owner: string): GrantedClaim {
    const problem = claimProblem({ name, address, shared, fingerprint: fingerprint || undefined });
    if (problem !== undefined) throw new GreetError("INVALID_ARGUMENT", problem);
    if (holder.length > LIMITS.holder) {
      const message = `the holder is longer than ${LIMITS.holder} characters`;
      throw new GreetError("INVALID_ARGUMENT", message);
    }
    const former = this.#former(name, address, shared, holder);
    if (former === undefined) this.#checkNameLimits(name, owner);
    const sinceMs = former?.entry.sinceMs ?? Date.now();
    const superseded = new AbortController();
    const entry = { name, address, shared, sinceMs, fingerprint };
    const hold: Hold = { entry, holder, owner, superseded };
    if (former !== undefined) this.#remove(former);
    this.#add(hold);
    if (former === undefined || !isSame(former.entry, entry)) {
      if (former !== undefined) this.#report("FREED", former.entry);
      this.#report("HELD", entry);
    }
    former?.superseded.abort();
    return {
      entry,
      superseded: superseded.signal,
      [Symbol.dispose]: () => this.#release(hold),
    };
  }

  /**
   * The earlier claim by the same holder, which a new one replaces.
   *
   * @throws {GreetError} `ALREADY_EXISTS` if someone else holds the name
   */
  #former(name: string, address: string, shared: boolean, holder: string): Hold | undefined {
    const holds = [...this.#holds.get(name) ?? []];
    const former = holds.find((hold) => holder !== "" && hold.holder === holder);
    const other = holds.find((hold) =>
      hold !== former && (!shared || !hold.entry.shared || hold.entry.address === address)
    );
    if (other === undefined) return former;
    const since = new Date(other.entry.sinceMs).toISOString();
    const what = shared && other.entry.shared ? `${name} at ${address}` : name;
    throw new GreetError("ALREADY_EXISTS", `someone else has held ${what} since ${since}`);
  }

  #checkNameLimits(name: string, owner: string): void {
    const { namesOfOne, addressesOfOne, names } = LIMITS;
    if ((this.#counts.names.get(owner) ?? 0) >= namesOfOne) {
      throw exhausted(`this connection holds ${namesOfOne} names, which is the limit`);
    }
    if ((this.#holds.get(name)?.size ?? 0) >= addressesOfOne) {
      throw exhausted(`${name} has ${addressesOfOne} addresses, which is the limit`);
    }
    if (this.#size >= names) {
      throw exhausted(`this server keeps ${names} names, which is the limit`);
    }
  }

  #add(hold: Hold): void {
    const { name } = hold.entry;
    const holds = this.#holds.get(name);
    if (holds === undefined) {
      this.#holds.set(name, new Set([hold]));
      this.#sorted.splice(positionOf(name, this.#sorted), 0, name);
    } else holds.add(hold);
    this.#size++;
    count(this.#counts.names, hold.owner, 1);
  }

  #remove(hold: Hold): boolean {
    const { name } = hold.entry;
    const holds = this.#holds.get(name);
    if (!holds?.delete(hold)) return false;
    if (holds.size === 0) {
      this.#holds.delete(name);
      this.#sorted.splice(positionOf(name, this.#sorted), 1);
    }
    this.#size--;
    count(this.#counts.names, hold.owner, -1);
    return true;
  }

  #release(hold: Hold): void {
    if (this.#remove(hold)) this.#report("FREED", hold.entry);
  }

  #report(kind: WireChange["kind"], entry: WireEntry): void {
    const change = { kind, entry, revision: ++this.#revision };
    for (const name of [entry.name, ""]) {
      for (const watcher of this.#watchers.get(name) ?? []) watcher.push(change);
    }
    this.#onChange(change);
  }

  /**
   * The entries of a name.
   *
   * @throws {GreetError} `INVALID_ARGUMENT` for a bad name, `NOT_FOUND` if it is not held
   */
  lookup(name: string): WireEntry[] {
    checkName(name);
    const entries = this.#entries(name);
    if (entries.length === 0) throw new GreetError("NOT_FOUND", `${name} is not registered`);
    return entries;
  }

  #entries(name: string): WireEntry[] {
    return [...this.#holds.get(name) ?? []].map(({ entry }) => entry);
  }

  /** All entries, ordered by name. */
  #all(): readonly WireEntry[] {
    if (this.#snapshot?.revision !== this.#revision) {
      const entries = this.#sorted.flatMap((name) => this.#entries(name));
      this.#snapshot = { revision: this.#revision, entries };
    }
    return this.#snapshot.entries;
  }

  /**
   * One page of the list of all entries, ordered by name.
   *
   * @param after the last name of the previous page; empty for the first page
   * @throws {GreetError} `INVALID_ARGUMENT` if it cannot be a name
   */
  list(after: string): { entries: WireEntry[]; nextPageToken: string } {
    if (after !== "" && nameProblem(after) !== undefined) {
      throw new GreetError("INVALID_ARGUMENT", "the page token is not one that List has returned");
    }
    const entries: WireEntry[] = [];
    const first = positionOf(after, this.#sorted) + (this.#holds.has(after) ? 1 : 0);
    for (let i = first, bytes = 0; i < this.#sorted.length; i++) {
      const held = this.#entries(this.#sorted[i]);
      bytes += sizeOf(held);
      if (bytes > LIMITS.bytes && i > first) {
        return { entries, nextPageToken: this.#sorted[i - 1] };
      }
      entries.push(...held);
    }
    return { entries, nextPageToken: "" };
  }

  /**
   * Watches a name: first the state, then changes; the state again if too many changes have waited
   * to be read. Ends when the signal is aborted.
   *
   * @param name the name; empty for all names
   * @param owner the connection, for the limits
   * @throws {GreetError} `INVALID_ARGUMENT` for a bad name, `RESOURCE_EXHAUSTED` beyond a limit
   */
  async *watch(name: string, owner: string, signal: AbortSignal): AsyncGenerator<WireChanges> {
    if (name !== "") checkName(name);
    this.#checkWatchLimits(name, owner);
    const watcher = new Watcher();
    this.#countWatch(name, owner, 1);
    const pace = this.#paces.get(owner) ?? new Pace();
    this.#paces.set(owner, pace);
    const watchers = this.#watchers.get(name) ?? new Set();
    this.#watchers.set(name, watchers.add(watcher));
    signal.addEventListener("abort", () => watcher.wake(), { once: true });
    try {
      while (!signal.aborted) {
        if (!watcher.hasMore) {
          await watcher.more;
          continue;
        }
        const isPaced = this.#counts.watches.get(owner)! > UNPACED;
        // Changes that happen before this watcher's turn go into the same answer.
        if (isPaced) await pace.turn(signal);
        const changes = watcher.take();
        if (changes === "too many") yield* this.#state(name);
        else yield { state: false, more: false, revision: changes.at(-1)!.revision, changes };
      }
    } finally {
      this.#countWatch(name, owner, -1);
      if (!this.#counts.watches.has(owner)) this.#paces.delete(owner);
      watchers.delete(watcher);
      if (watchers.size === 0) this.#watchers.delete(name);
    }
  }

  #checkWatchLimits(name: string, owner: string): void {
    const { watches, watchesOfAll } = this.#counts;
    const { watchesOfOne, watchesOfAllOfOne } = LIMITS;
    if ((watches.get(owner) ?? 0) >= watchesOfOne) {
      throw exhausted(`this connection has ${watchesOfOne} watches, which is the limit`);
    }
    if (name === "" && (watchesOfAll.get(owner) ?? 0) >= watchesOfAllOfOne) {
      const message = `this connection has ${watchesOfAllOfOne} watches of all names`;
      throw exhausted(`${message}, which is the limit`);
    }
    if (this.#watches >= LIMITS.watches) {
      throw exhausted(`this server has ${LIMITS.watches} watches, which is the limit`);
    }
  }

  #countWatch(name: string, owner: string, by: 1 | -1): void {
    this.#watches += by;
    count(this.#counts.watches, owner, by);
    if (name === "") count(this.#counts.watchesOfAll, owner, by);
  }

  /** The state now, in parts; later changes follow in the watcher's queue. */
  *#state(name: string): Generator<WireChanges> {
    const revision = this.#revision;
    const entries = name === "" ? this.#all() : this.#entries(name);
    for (let from = 0; from === 0 || from < entries.length; from += LIMITS.changes) {
      const part = entries.slice(from, from + LIMITS.changes);
      yield {
        state: from === 0,
        more: from + LIMITS.changes < entries.length,
        revision,
        changes: part.map((entry) => ({ kind: "HELD", entry, revision })),
      };
    }
  }
}

/** The changes that one watcher has not read yet. */
class Watcher {
  /** Undefined if the state comes next: at the beginning, and after too many changes. */
  #changes: WireChange[] | undefined;
  readonly #pulse = new Pulse();

  push(change: WireChange): void {
    if (this.#changes === undefined) return;
    if (this.#changes.length < LIMITS.waiting) this.#changes.push(change);
    else this.#changes = undefined;
    this.wake();
  }

  get hasMore(): boolean {
    return this.#changes?.length !== 0;
  }

  take(): WireChange[] | "too many" {
    const taken = this.#changes;
    this.#changes = [];
    return taken ?? "too many";
  }

  /** Resolves when there is more to take, or {@link Watcher.wake} is called. */
  get more(): Promise<void> {
    return this.#pulse.next;
  }

  wake(): void {
    this.#pulse.beat();
  }
}

/** The number of watches on one connection up to which changes are sent at once. */
const UNPACED = 10;

/** Beyond that, how many answers the connection gets at once. */
const BURST = 100;

/** The pause between further answers, in milliseconds. */
const STEP_MS = 2;

/**
 * The pace of answers to the watches of one connection. Without it, a thousand watches of a name that
 * changes all the time would cost a thousand answers for each change.
 */
class Pace {
  #dueMs = 0;

  /** Resolves when the next answer is due, or the signal is aborted. */
  async turn(signal: AbortSignal): Promise<void> {
    const now = performance.now();
    this.#dueMs = Math.max(this.#dueMs, now - BURST * STEP_MS) + STEP_MS;
    if (this.#dueMs > now) await pause(this.#dueMs - now, signal);
  }
}

/** The index of a name in a sorted list, or where to insert it. */
function positionOf(name: string, sorted: readonly string[]): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < name) low = middle + 1;
    else high = middle;
  }
  return low;
}

function checkName(name: string): void {
  const problem = nameProblem(name);
  if (problem !== undefined) throw new GreetError("INVALID_ARGUMENT", `the name ${problem}`);
}

function exhausted(message: string): GreetError {
  return new GreetError("RESOURCE_EXHAUSTED", message);
}

/** Whether two entries of one name are the same to watchers. */
function isSame(one: WireEntry, other: WireEntry): boolean {
  return one.address === other.address && one.shared === other.shared &&
    one.fingerprint === other.fingerprint;
}

/** An upper bound for the bytes that entries take in an answer. */
function sizeOf(entries: readonly WireEntry[]): number {
  return entries.reduce(
    (sum, { name, address, fingerprint }) =>
      sum + 3 * name.length + address.length + fingerprint.length + 24,
    0,
  );
}

function count(counts: Map<string, number>, owner: string, by: 1 | -1): void {
  const now = (counts.get(owner) ?? 0) + by;
  if (now === 0) counts.delete(owner);
  else counts.set(owner, now);
}
