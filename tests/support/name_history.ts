/**
 * What clients of a naming service saw, and whether one order of all claims, losses, lookups and
 * watched changes explains it. Each name is checked by itself.
 *
 * A lookup is a read. A watch is a state that was read once, then every change, none left out. A
 * claim whose answer was lost may have taken effect, and must then expire.
 *
 * @module
 */
import { check, type Model, type Operation, type Verdict } from "./linearizability.ts";

/** A time in which the service was dead or stopped, in milliseconds. */
export interface Outage {
  readonly kind: "kill" | "pause";
  readonly begin: number;
  /** When a process that was killed had ended, and when it was started again. */
  dead?: number;
  reborn?: number;
  end: number;
}

/** An entry as clients see it; the addresses of all claims differ. */
export interface SeenEntry {
  readonly name: string;
  readonly address: string;
  readonly shared: boolean;
}

/** A claim, from its first attempt until its holder gave it back or was killed. */
export interface SeenClaim extends SeenEntry {
  /** The process, or the connection. */
  readonly client: number;
  readonly begin: number;
  /** When its status became known, and each time it changed. */
  readonly changes: { readonly state: "held" | "lost" | "refused"; readonly at: number }[];
  /** When the holder gave the name back or was killed; without, it was refused for good. */
  over?: { readonly kind: "given back" | "killed"; readonly begin: number; readonly end: number };
}

/** A lookup of one name, or a list of all names. */
export interface SeenLookup {
  readonly name?: string;
  readonly begin: number;
  readonly end: number;
  readonly entries: readonly SeenEntry[];
}

/** An event of a watch. */
export type SeenEvent =
  & { readonly at: number }
  & (
    | { readonly type: "state"; readonly entries: readonly SeenEntry[] }
    | { readonly type: "held" | "freed"; readonly entry: SeenEntry }
    | { readonly type: "lost" }
  );

/** A watch of one name, or of all names. */
export interface SeenWatch {
  readonly name?: string;
  readonly begin: number;
  readonly events: SeenEvent[];
}

/** What a service promises about failures. */
export interface Promises {
  /** How long after the loss of its holder a name may be held, in milliseconds. */
  readonly leaseMs: number;
  /** Whether a service that was killed has forgotten everything. */
  readonly forgets: boolean;
  /** Whether a pause may end a claim that its holder then makes again, without saying so. */
  readonly losesSilently: boolean;
  /** Whether a claim replaces what the same client failed to give back. */
  readonly replaces: boolean;
}

/** Everything that was seen. All times are from one clock. */
export interface NameHistory {
  readonly promises: Promises;
  readonly outages: Outage[];
  readonly claims: SeenClaim[];
  readonly lookups: SeenLookup[];
  readonly watches: SeenWatch[];
}

/** A claim, identified by its address. */
interface Claimant {
  readonly who: string;
  readonly shared: boolean;
  /** What it replaces. */
  readonly own: readonly string[];
}

/** A claim that succeeded, until it was given back or lost. */
interface Hold extends Claimant {
  /** Later ones have higher numbers. */
  readonly session: number;
  /** When it must have ended. */
  readonly until: number;
}

/** What happens to one name. */
type NameAction =
  | (Hold & { readonly kind: "claim" | "claim again" })
  | (Claimant & { readonly kind: "refuse" })
  | { readonly kind: "free"; readonly session: number }
  /** The lease has ended, and the holder will claim the name again. */
  | { readonly kind: "expire"; readonly session: number }
  | { readonly kind: "forget" }
  | { readonly kind: "read"; readonly text: string }
  | { readonly kind: "attach" | "notice"; readonly watch: number; readonly item: number };

type NameOperation = Operation<NameAction>;

/** An event of a watch that says something about one name. */
interface WatchedItem {
  readonly begin: number;
  readonly end: number;
  readonly isState: boolean;
  readonly text: string;
}

interface NameState {
  readonly held: readonly Hold[];
  /** The sessions that have expired and may be claimed again. */
  readonly expired: readonly number[];
  /** How many items of each watch have been explained. */
  readonly watched: readonly number[];
}

/**
 * Checks the history of each name.
 *
 * @returns what is wrong; nothing if the history is linearizable
 */
export function wrongWith(history: NameHistory): string | undefined {
  for (const name of namesIn(history)) {
    const watches = history.watches.map((watch) => itemsOf(watch, name));
    const operations = [
      ...new ClaimsOfName(history, name).operations,
      ...lookupsOf(history, name),
      ...watches.flatMap(watchOperations),
    ];
    const verdict = check(modelOf(watches), operations);
    if (!verdict.isLinearizable) return explain(name, verdict, watches, history.outages);
  }
}

/** When nothing that was lost before some time can be held any more. */
export function expiryOf({ outages, promises }: NameHistory, since: number): number {
  // An outage may keep clients from giving names back, and leases begin anew after it.
  return outages.reduce(
    (until, { begin, end }) => begin <= until ? Math.max(until, end + promises.leaseMs) : until,
    since + promises.leaseMs,
  );
}

function namesIn({ claims }: NameHistory): string[] {
  return [...new Set(claims.map(({ name }) => name))];
}

function textOf(entries: readonly SeenEntry[]): string {
  return entries.map(({ address, shared }) => address + (shared ? "+" : "")).sort().join(" ");
}

function lookupsOf({ lookups }: NameHistory, name: string): NameOperation[] {
  return lookups.filter((lookup) => (lookup.name ?? name) === name).map(
    ({ begin, end, entries }) => {
      const text = textOf(entries.filter((entry) => entry.name === name));
      return { action: { kind: "read", text }, begin, end };
    },
  );
}

function itemsOf({ begin, events, name: watched = "" }: SeenWatch, name: string): WatchedItem[] {
  if (watched !== "" && watched !== name) return [];
  const items: WatchedItem[] = [];
  let since = begin;
  for (const event of events) {
    if (event.type === "lost") since = event.at;
    else if (event.type === "state") {
      const text = textOf(event.entries.filter((entry) => entry.name === name));
      items.push({ begin: since, end: event.at, isState: true, text });
    } else if (event.entry.name === name) {
      const text = `${event.type} ${textOf([event.entry])}`;
      items.push({ begin, end: event.at, isState: false, text });
    }
  }
  return items;
}

function watchOperations(items: readonly WatchedItem[], watch: number): NameOperation[] {
  return items.map(({ begin, end, isState }, item) => {
    return { action: { kind: isState ? "attach" : "notice", watch, item }, begin, end };
  });
}

/** How long an outage must last for a lease to end, at least. */
const LEASE_AT_RISK_MS = 1_000;

/** How long clients wait, at least, for the service to confirm that a name was given back. */
const CONFIRMED_MS = 1_000;

/** The operations that the claims of one name, and the loss of the service, stand for. */
class ClaimsOfName {
  readonly operations: NameOperation[] = [];
  readonly #history: NameHistory;
  #sessions = 0;

  constructor(history: NameHistory, name: string) {
    this.#history = history;
    for (const claim of history.claims) if (claim.name === name) this.#addClaim(claim);
    if (!history.promises.forgets) return;
    for (const { begin, dead } of history.outages) {
      if (dead !== undefined) this.#add({ action: { kind: "forget" }, begin, end: dead });
    }
  }

  #add(operation: NameOperation): void {
    this.operations.push(operation);
  }

  #addClaim(claim: SeenClaim): void {
    const { changes, over } = claim;
    for (const [index, { state, at }] of changes.entries()) {
      const since = this.#earliestAttempt(claim, index);
      if (changes[index - 1]?.state !== "held") this.#addUnanswered(claim, since, at, state);
      if (state === "held") this.#addHold(claim, since, at, changes[index + 1]?.at);
      if (state === "refused") {
        const action = { kind: "refuse" as const, ...this.#claimant(claim, at) };
        this.#add({ action, begin: since, end: at });
      }
    }
    const last = changes.at(-1);
    if (over === undefined || last?.state === "held") return;
    this.#addUnanswered(claim, this.#earliestAttempt(claim, changes.length), over.end, "lost");
  }

  /** When the attempts that led to a change began, at the earliest. */
  #earliestAttempt({ begin, changes, over }: SeenClaim, change: number): number {
    // What another process reports may be read so late that its next attempt has already succeeded.
    return over?.kind === "killed" ? begin : changes[change - 1]?.at ?? begin;
  }

  /** A hold that ends when its holder notices the loss, or when the claim is over. */
  #addHold(claim: SeenClaim, since: number, at: number, lostAt?: number): void {
    const { over } = claim;
    const [begin, until] = lostAt === undefined
      ? [over!.begin, this.#isConfirmed(over!) ? over!.end : this.#expiry(over!.end)]
      : [this.#earliestLoss(lostAt), this.#expiry(lostAt)];
    const hold = { ...this.#claimant(claim, at), session: ++this.#sessions, until };
    this.#add({ action: { kind: "claim", ...hold }, begin: since, end: at });
    this.#addEnd(hold, Math.max(begin, since));
    if (this.#history.promises.losesSilently) this.#addExpiries(hold, since);
  }

  #addEnd({ session, until }: Hold, begin: number): void {
    this.#add({ action: { kind: "free", session }, begin, end: until, isOptional: true });
  }

  #isConfirmed({ kind, begin, end }: SeenClaim["over"] & object): boolean {
    if (kind === "killed" || end - begin >= CONFIRMED_MS) return false;
    return this.#outages(begin, end).length === 0;
  }

  /** Attempts whose answers were lost: the last one, and each one whose effect was lost as well. */
  #addUnanswered(claim: SeenClaim, begin: number, until: number, state: string): void {
    if (this.#isDead(begin, until)) return;
    const risks = this.#outages(begin, until).filter((outage) =>
      outage.end - outage.begin > LEASE_AT_RISK_MS ||
      outage.dead !== undefined && this.#history.promises.forgets
    );
    // Once the name is held, what earlier attempts did is over.
    const [end, more] = state === "held"
      ? [until, 0]
      : [this.#expiry(until), state === "lost" ? 1 : 0];
    for (let count = risks.length + more; count > 0; count--) {
      const session = ++this.#sessions;
      const hold = { ...this.#claimant(claim, until), session, until: this.#expiry(until) };
      this.#add({ action: { kind: "claim", ...hold }, begin, end, isOptional: true });
      this.#addEnd(hold, begin);
    }
  }

  /** Leases that ended in a pause; the name is then claimed again, and the holder not told. */
  #addExpiries({ session, until, ...claimant }: Hold, since: number): void {
    for (const { kind, begin, end } of this.#outages(since, until)) {
      if (kind !== "pause") continue;
      const latest = Math.min(until, this.#expiry(end));
      const from = Math.max(begin, since);
      this.#add({
        action: { kind: "expire", session },
        begin: from,
        end: latest,
        isOptional: true,
      });
      const again = { kind: "claim again" as const, ...claimant, session, until };
      this.#add({ action: again, begin: from, end: latest, isOptional: true });
    }
  }

  #claimant({ name, address, shared, client }: SeenClaim, until: number): Claimant {
    const { claims, promises } = this.#history;
    const own = claims.filter((other) => other.client === client && other.name === name);
    const isReplaced = ({ shared, over }: SeenClaim) =>
      !shared && over !== undefined && over.begin <= until;
    const replaced = promises.replaces && !shared ? own.filter(isReplaced) : [];
    return { who: address, shared, own: replaced.map((other) => other.address) };
  }

  /** When a loss that a holder noticed may have happened, at the earliest. */
  #earliestLoss(at: number): number {
    const causes = this.#history.outages.filter((outage) => this.#expiry(outage.end) >= at);
    return Math.min(at - this.#history.promises.leaseMs, ...causes.map((one) => one.begin));
  }

  /** Whether there was no service at all. */
  #isDead(begin: number, end: number): boolean {
    return this.#history.outages.some(({ dead, reborn }) =>
      dead !== undefined && reborn !== undefined && begin > dead && end < reborn
    );
  }

  #outages(begin: number, end: number): Outage[] {
    return this.#history.outages.filter((outage) => outage.begin <= end && outage.end >= begin);
  }

  #expiry(since: number): number {
    return expiryOf(this.#history, since);
  }
}

function modelOf(watches: readonly WatchedItem[][]): Model<NameState, NameAction> {
  return {
    initial: { held: [], expired: [], watched: watches.map(() => 0) },
    step: (state, action) => stepOf(watches, state, action),
    textOf: ({ held, expired, watched }) =>
      `${held.map(({ session }) => session)} ${expired} ${watched}`,
    deadline: ({ held }) => Math.min(...held.map(({ until }) => until)),
    isRead: ({ kind }) => kind === "read" || kind === "refuse" || kind === "notice",
  };
}

function stepOf(
  watches: readonly WatchedItem[][],
  state: NameState,
  action: NameAction,
): NameState | undefined {
  const { held, expired, watched } = state;
  switch (action.kind) {
    case "claim": {
      const former = held.find(({ who }) => who === action.who);
      // Of several attempts, the one that was answered is the latest.
      if (isContested(held, action) || former && former.session >= action.session) return undefined;
      const others = held.filter(({ who }) => who !== action.who && !action.own.includes(who));
      const next = [...others, action].sort((a, b) => a.who < b.who ? -1 : 1);
      if (former !== undefined) return { held: next, expired, watched };
      return change(watches, state, next, `held ${seen([action])}`);
    }
    case "refuse":
      return isContested(held, action) ? state : undefined;
    case "claim again": {
      const { session } = action;
      if (!expired.includes(session)) return undefined;
      const left = { ...state, expired: expired.filter((one) => one !== session) };
      return stepOf(watches, left, { ...action, kind: "claim" });
    }
    case "expire": {
      const next = { ...state, expired: [...expired, action.session].sort((a, b) => a - b) };
      return stepOf(watches, next, { ...action, kind: "free" });
    }
    case "free": {
      const lost = held.find(({ session }) => action.session === session);
      if (lost === undefined) return undefined;
      const others = held.filter((one) => one !== lost);
      return change(watches, state, others, `freed ${seen([lost])}`);
    }
    case "forget": {
      const isDeaf = watched.every((count, watch) => !expectsChange(watches[watch], count));
      return isDeaf ? { held: [], expired, watched } : undefined;
    }
    case "read":
      return seen(held) === action.text ? state : undefined;
    case "notice":
      return watched[action.watch] > action.item ? state : undefined;
    case "attach": {
      const { watch, item } = action;
      if (watched[watch] !== item || watches[watch][item].text !== seen(held)) return undefined;
      return { ...state, watched: watched.with(watch, item + 1) };
    }
  }
}

function isContested(held: readonly Hold[], { who, shared, own }: Claimant): boolean {
  return held.some((other) =>
    other.who !== who && !own.includes(other.who) && !(shared && other.shared)
  );
}

/** What clients see of the state of a name. */
function seen(held: readonly Claimant[]): string {
  return textOf(held.map(({ who, shared }) => ({ name: "", address: who, shared })));
}

/** Whether a watch reports another change before it is interrupted or ends. */
function expectsChange(items: readonly WatchedItem[], count: number): boolean {
  return count > 0 && items[count]?.isState === false;
}

/** The state after a change, which each watch that goes on must report next. */
function change(
  watches: readonly WatchedItem[][],
  { watched, expired }: NameState,
  held: readonly Hold[],
  text: string,
): NameState | undefined {
  const isTold = watched.map((count, watch) => expectsChange(watches[watch], count));
  const isWrong = isTold.some((told, watch) =>
    told && watches[watch][watched[watch]].text !== text
  );
  if (isWrong) return undefined;
  return {
    held,
    expired,
    watched: watched.map((count, watch) => isTold[watch] ? count + 1 : count),
  };
}

/** How many operations to show before the one that cannot be explained, and how many after it. */
const SHOWN = 12;

function explain(
  name: string,
  { order, stuck }: Verdict<NameAction>,
  watches: readonly WatchedItem[][],
  outages: readonly Outage[],
): string {
  const lineOf = ({ action, begin, end, isOptional = false }: NameOperation) => {
    const text = "item" in action ? ` ${watches[action.watch][action.item].text}` : "";
    const perhaps = isOptional ? " perhaps" : "";
    return `  ${spanOf(begin, end)}${perhaps}: ${JSON.stringify(action)}${text}`;
  };
  // What ends first is what the search could not wait for.
  const first = stuck.toSorted((a, b) => a.end - b.end).slice(0, SHOWN);
  const more = stuck.length - first.length;
  return [
    `the history of ${name} is not linearizable. The longest explanation ends with:`,
    ...order.slice(-SHOWN).map(lineOf),
    "what cannot follow, although it must:",
    ...first.map(lineOf),
    ...more > 0 ? [`  and ${more} that may end later`] : [],
    "outages:",
    ...outages.map(({ kind, begin, end }) => `  ${spanOf(begin, end)}: ${kind}`),
  ].join("\n");
}

function spanOf(begin: number, end: number): string {
  return `${begin.toFixed(1)}–${end.toFixed(1)}`;
}
