/**
 * Who holds which name, in memory, and who wants to know.
 *
 * Claims are made and given back; watchers get the present state and then every
 * change, each with a revision one higher than the one before. A watcher that
 * does not keep up costs no more than a bounded queue: it gets the whole state again.
 * There is no network here.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { isEndpoint } from "../net/address.ts";
import { isFingerprint, nameProblem } from "../base/text.ts";
import { pause } from "../base/timing.ts";
import type { NameChange, NameChanges, NameClaim, NameEntry } from "../rpc/services.ts";

/** How much of everything there may be. */
export const LIMITS = {
  /** Names that one connection holds. */
  namesOfOne: 1_000,
  /** Watches of one connection. */
  watchesOfOne: 1_000,
  /** Those of them that are of all names: each may hold on to all there was when it began. */
  watchesOfAllOfOne: 10,
  /** Addresses of one name: all of them fit into one answer. */
  addressesOfOne: 1_000,
  /** Names in all. */
  names: 100_000,
  /** Watches in all. */
  watches: 50_000,
  /** Characters in what a holder is known by: a UUID has 36. */
  holder: 128,
  /** Changes that wait for one watcher. */
  waiting: 1_000,
  /** Entries in one piece of a state. */
  changes: 500,
  /** Bytes in one page of a list, unless a single name takes more. */
  bytes: 200_000,
} as const;

/** A name that is held, for as long as it is not released. */
interface Hold {
  readonly entry: NameEntry;
  readonly holder: string;
  /** Whose it is, as {@link LIMITS} count. */
  readonly owner: string;
  /** Somebody who showed the same holder has taken it over. */
  readonly superseded: AbortController;
}

/** A name that was claimed: what to tell of it, and a way to give it back. */
export interface Held extends Disposable {
  readonly entry: NameEntry;
  /** Aborted when the same holder has claimed it again. */
  readonly superseded: AbortSignal;
}

/** The names. */
export class Registry {
  readonly #holds = new Map<string, Set<Hold>>();
  readonly #watchers = new Map<string, Set<Watcher>>();
  readonly #counts = {
    names: new Map<string, number>(),
    watches: new Map<string, number>(),
    watchesOfAll: new Map<string, number>(),
  };
  /** The names that are held, in order. */
  readonly #sorted: string[] = [];
  /** All there was at a revision, shared by those who watch all names. */
  #snapshot: { revision: number; entries: readonly NameEntry[] } | undefined;
  readonly #paces = new Map<string, Pace>();
  readonly #onChange: (change: NameChange & { entry: NameEntry }) => void;
  #size = 0;
  #watches = 0;
  #revision = 0;

  /** @param onChange gets every change, when it is made */
  constructor(onChange: (change: NameChange & { entry: NameEntry }) => void = () => {}) {
    this.#onChange = onChange;
  }

  /** How many entries there are. */
  get size(): number {
    return this.#size;
  }

  /**
   * Holds a name until what is returned is disposed of.
   *
   * @param claim who wants to hold what; from somebody else
   * @param owner whose share of the limits it counts against
   * @throws {GreetError} `INVALID_ARGUMENT` for a bad name, address or fingerprint, for a `holder`
   *   that is too long and for a fingerprint with a shared name, `ALREADY_EXISTS` where somebody
   *   else holds the name, `RESOURCE_EXHAUSTED` where there are too many
   */
  claim({ name, address, shared, holder, fingerprint }: NameClaim, owner: string): Held {
    checkName(name);
    if (!isEndpoint(address)) {
      throw new GreetError("INVALID_ARGUMENT", "the address is not host:port or [v6]:port");
    }
    checkFingerprint(fingerprint, shared);
    if (holder.length > LIMITS.holder) {
      const message = `the holder is longer than ${LIMITS.holder} characters`;
      throw new GreetError("INVALID_ARGUMENT", message);
    }
    const former = this.#former(name, address, shared, holder);
    if (former === undefined) this.#checkRoom(name, owner);
    const sinceMs = former?.entry.sinceMs ?? Date.now();
    const superseded = new AbortController();
    const entry = { name, address, shared, sinceMs, fingerprint };
    const hold: Hold = { entry, holder, owner, superseded };
    if (former !== undefined) this.#remove(former);
    this.#add(hold);
    if (former === undefined || !isSame(former.entry, entry)) {
      // Not as before: at the former address, or with the former key, nobody is reached any more.
      if (former !== undefined) this.#changed("FREED", former.entry);
      this.#changed("HELD", entry);
    }
    former?.superseded.abort();
    return {
      entry,
      superseded: superseded.signal,
      [Symbol.dispose]: () => this.#release(hold),
    };
  }

  /** What the claim takes the place of: the same holder's earlier one. */
  #former(name: string, address: string, shared: boolean, holder: string): Hold | undefined {
    const holds = [...this.#holds.get(name) ?? []];
    const former = holds.find((hold) => holder !== "" && hold.holder === holder);
    const other = holds.find((hold) =>
      hold !== former && (!shared || !hold.entry.shared || hold.entry.address === address)
    );
    if (other === undefined) return former;
    const since = new Date(other.entry.sinceMs).toISOString().replace("T", " ").slice(0, 19);
    const what = shared && other.entry.shared ? `${name} at ${address}` : name;
    throw new GreetError("ALREADY_EXISTS", `somebody else has held ${what} since ${since} UTC`);
  }

  #checkRoom(name: string, owner: string): void {
    if ((this.#counts.names.get(owner) ?? 0) >= LIMITS.namesOfOne) {
      const message = `one connection may hold ${LIMITS.namesOfOne} names, and this one does`;
      throw new GreetError("RESOURCE_EXHAUSTED", message);
    }
    if ((this.#holds.get(name)?.size ?? 0) >= LIMITS.addressesOfOne) {
      const message = `${LIMITS.addressesOfOne} may share a name, and ${name} is shared by as many`;
      throw new GreetError("RESOURCE_EXHAUSTED", message);
    }
    if (this.#size >= LIMITS.names) {
      const message = `this server may keep ${LIMITS.names} names, and it does`;
      throw new GreetError("RESOURCE_EXHAUSTED", message);
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
    if (this.#remove(hold)) this.#changed("FREED", hold.entry);
  }

  #changed(kind: NameChange["kind"], entry: NameEntry): void {
    const change = { kind, entry, revision: ++this.#revision };
    for (const name of [entry.name, ""]) {
      for (const watcher of this.#watchers.get(name) ?? []) watcher.push(change);
    }
    this.#onChange(change);
  }

  /**
   * Who holds a name.
   *
   * @throws {GreetError} `INVALID_ARGUMENT` where it is none, `NOT_FOUND` where nobody does
   */
  lookup(name: string): NameEntry[] {
    checkName(name);
    const entries = this.#entries(name);
    if (entries.length === 0) throw new GreetError("NOT_FOUND", `nobody is registered as ${name}`);
    return entries;
  }

  #entries(name: string): NameEntry[] {
    return [...this.#holds.get(name) ?? []].map(({ entry }) => entry);
  }

  /** All there is, ordered by name. */
  #all(): readonly NameEntry[] {
    if (this.#snapshot?.revision !== this.#revision) {
      const entries = this.#sorted.flatMap((name) => this.#entries(name));
      this.#snapshot = { revision: this.#revision, entries };
    }
    return this.#snapshot.entries;
  }

  /**
   * As many names as fit into one answer, after one, ordered.
   *
   * @param after the last one of the answer before; empty for the first
   * @throws {GreetError} `INVALID_ARGUMENT` where it cannot be a name
   */
  list(after: string): { entries: NameEntry[]; nextPageToken: string } {
    if (after !== "" && nameProblem(after) !== undefined) {
      throw new GreetError("INVALID_ARGUMENT", "the page token is not from an answer of List");
    }
    const entries: NameEntry[] = [];
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
   * What happens to a name: the state, then changes, and the state again after too many of them
   * have waited to be read. It ends when the signal is aborted.
   *
   * @param name which one; all where it is empty
   * @param owner whose share of the limits it counts against
   * @throws {GreetError} `INVALID_ARGUMENT` for a bad name, `RESOURCE_EXHAUSTED` where there are too
   *   many watches
   */
  async *watch(name: string, owner: string, signal: AbortSignal): AsyncGenerator<NameChanges> {
    if (name !== "") checkName(name);
    this.#checkWatches(name, owner);
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
        const isOneOfMany = this.#counts.watches.get(owner)! > UNPACED;
        // What changes until it is this watcher's turn is told together.
        if (isOneOfMany) await pace.turn(signal);
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

  #checkWatches(name: string, owner: string): void {
    const exhausted = (message: string) => new GreetError("RESOURCE_EXHAUSTED", message);
    const { watches, watchesOfAll } = this.#counts;
    const { watchesOfOne, watchesOfAllOfOne } = LIMITS;
    if ((watches.get(owner) ?? 0) >= watchesOfOne) {
      throw exhausted(`one connection may watch ${watchesOfOne} times, and this one does`);
    }
    if (name === "" && (watchesOfAll.get(owner) ?? 0) >= watchesOfAllOfOne) {
      const message = `one connection may watch all names ${watchesOfAllOfOne} times`;
      throw exhausted(`${message}, and this one does`);
    }
    if (this.#watches >= LIMITS.watches) {
      throw exhausted(`this server may have ${LIMITS.watches} watches, and it does`);
    }
  }

  #countWatch(name: string, owner: string, by: 1 | -1): void {
    this.#watches += by;
    count(this.#counts.watches, owner, by);
    if (name === "") count(this.#counts.watchesOfAll, owner, by);
  }

  /** All there is now, in as many pieces as it takes; what changes meanwhile comes after them. */
  *#state(name: string): Generator<NameChanges> {
    const revision = this.#revision;
    const entries = name === "" ? this.#all() : this.#entries(name);
    for (let from = 0; from === 0 || from < entries.length; from += LIMITS.changes) {
      const piece = entries.slice(from, from + LIMITS.changes);
      yield {
        state: from === 0,
        more: from + LIMITS.changes < entries.length,
        revision,
        changes: piece.map((entry) => ({ kind: "HELD", entry, revision })),
      };
    }
  }
}

/** What has changed and was not read yet. */
class Watcher {
  /** Nothing where it has to begin with the state, the first time and after too many changes. */
  #changes: NameChange[] | undefined;
  #more = Promise.withResolvers<void>();

  push(change: NameChange): void {
    if (this.#changes === undefined) return;
    if (this.#changes.length < LIMITS.waiting) this.#changes.push(change);
    else this.#changes = undefined;
    this.wake();
  }

  get hasMore(): boolean {
    return this.#changes?.length !== 0;
  }

  take(): NameChange[] | "too many" {
    const taken = this.#changes;
    this.#changes = [];
    return taken ?? "too many";
  }

  /** Resolves when there is more to take. */
  get more(): Promise<void> {
    return this.#more.promise;
  }

  wake(): void {
    this.#more.resolve();
    this.#more = Promise.withResolvers();
  }
}

/** How many watches of one connection are told at once, whatever happens. */
const UNPACED = 10;

/** Where there are more: how many answers in a row their connection gets at once. */
const BURST = 100;

/** After that many, how many milliseconds apart the next ones are. */
const STEP_MS = 2;

/**
 * When the watches of one connection are told, so that a name that changes all the time costs not
 * much more when it is watched a thousand times.
 */
class Pace {
  #dueMs = 0;

  /** Resolves when one more answer is due, or the signal is aborted. */
  async turn(signal: AbortSignal): Promise<void> {
    const now = performance.now();
    this.#dueMs = Math.max(this.#dueMs, now - BURST * STEP_MS) + STEP_MS;
    if (this.#dueMs > now) await pause(this.#dueMs - now, signal);
  }
}

/** Where a name is in a list of names in order, or would be. */
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

function checkFingerprint(fingerprint: string, shared: boolean): void {
  if (fingerprint === "") return;
  if (!isFingerprint(fingerprint)) {
    throw new GreetError("INVALID_ARGUMENT", "the fingerprint is not SHA256:…");
  }
  if (shared) throw new GreetError("INVALID_ARGUMENT", "a name that is shared has no fingerprint");
}

/** Whether watchers would be told the same of two entries for one name, but for since when. */
function isSame(one: NameEntry, other: NameEntry): boolean {
  return one.address === other.address && one.shared === other.shared &&
    one.fingerprint === other.fingerprint;
}

/** At most how many bytes entries take in an answer. */
function sizeOf(entries: readonly NameEntry[]): number {
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
