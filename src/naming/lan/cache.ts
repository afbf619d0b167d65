/**
 * What is known of the local network: the records of the names that are of interest, until they
 * expire. Does no I/O and reads no clock; times are in milliseconds on any steady clock.
 *
 * Everything comes from strangers, so numbers and lifetimes are limited. What is watched by name has
 * room even if a flood fills the rest.
 *
 * @module
 */
import { nameProblem } from "../../base/text.ts";
import { formatEndpoint, isEndpoint } from "../../net/address.ts";
import type { NamedEntry } from "../naming_service.ts";
import {
  dataOf,
  holderIn,
  instanceOf,
  type LanQuestion,
  type LanRecord,
  lowerCase,
  nameOf,
  SERVICE,
  TTL,
} from "./records.ts";

/** How many records are kept: of one name and type, and of these sets while all names are watched. */
const MAX = {
  instances: 2_000,
  addresses: 16,
  texts: 4,
  holders: 1_000,
  sets: 4_000,
  records: 8_000,
};

/** How often all holders of a shared name are asked for: packets get lost. */
const MAX_ASKED = 3;

/** A TXT record may have this many bytes. */
const MAX_TEXT_BYTES = 1_300;

/** No record is believed for longer than this, in seconds. */
const MAX_TTL = TTL.other;

/** How long a record is kept that was taken back or replaced: its holder may object. */
const LAST_MS = 1_000;

/** Records older than this are replaced by one with the cache-flush bit (RFC 6762, section 10.2). */
const FLUSH_AGE_MS = 1_000;

/** At which parts of its lifetime a record is asked for again (RFC 6762, section 5.2). */
const REFRESH_AT = [0.8, 0.85, 0.9, 0.95];

/** Where a record came from. */
export interface Origin {
  /** The address of its sender. */
  readonly address: string;
  /** Tells how near an address is; the lowest number is called. */
  readonly distance: (address: string) => number;
}

/** A record that is remembered. */
interface Remembered {
  readonly record: LanRecord;
  readonly data: string;
  readonly origin: Origin;
  learntAt: number;
  expiresAt: number;
  /** How often it was asked for again. */
  refreshes: number;
  /** Differs between records, so that not all are asked for at once. */
  readonly jitter: number;
}

/** The records of one name and type, by their data. */
type RecordSet = Map<string, Remembered>;

/** The records of the names that are watched. */
export class LanCache {
  readonly #sets = new Map<string, RecordSet>();
  /** How many SRV records have each target, in lower case. */
  readonly #hosts = new Map<string, number>();
  /** The addresses that were given out last, by holder. */
  readonly #chosen = new Map<string, string>();
  /** How many watch each instance. */
  readonly #watched = new Map<string, number>();
  #watchersOfAll = 0;
  /** How often all holders of an instance were asked for: who answers for it need not be alone. */
  readonly #asked = new Map<string, number>();
  #size = 0;
  #nextAt = Infinity;

  /**
   * Remembers records of a name, or of all names, until the returned function has been called.
   *
   * @param name the name; undefined for all
   */
  watch(name: string | undefined): () => void {
    const count = (by: number) => {
      if (name === undefined) return void (this.#watchersOfAll += by);
      const instance = lowerCase(instanceOf(name));
      const left = (this.#watched.get(instance) ?? 0) + by;
      if (left === 0) this.#watched.delete(instance);
      else this.#watched.set(instance, left);
    };
    count(1);
    return () => {
      count(-1);
      this.#forgetUnwatched();
    };
  }

  /** The hosts whose addresses are of interest, in lower case. */
  get hosts(): ReadonlyMap<string, unknown> {
    return this.#hosts;
  }

  /**
   * Learns from the records of one response.
   *
   * @returns whether anything has changed but lifetimes
   */
  learn(records: readonly LanRecord[], origin: Origin, now: number): boolean {
    const isAddress = ({ type }: LanRecord) => type === "A" || type === "AAAA";
    // Addresses are only of interest once their host is.
    const ordered = [...records.filter((one) => !isAddress(one)), ...records.filter(isAddress)];
    let hasChanged = false;
    for (const record of ordered) {
      if (!this.#isOfInterest(record)) continue;
      if (this.#learnOne(record, origin, now)) hasChanged = true;
    }
    return hasChanged;
  }

  #isOfInterest(record: LanRecord): boolean {
    const name = lowerCase(record.name);
    switch (record.type) {
      case "PTR":
        return this.#watchersOfAll > 0 && name === SERVICE && nameOf(record.data) !== undefined;
      case "SRV":
        return this.#isWatched(name) && /\.local$/i.test(record.data.target);
      case "TXT": {
        const bytes = record.data.reduce((sum, { length }) => sum + length, 0);
        return this.#isWatched(name) && bytes <= MAX_TEXT_BYTES;
      }
      default:
        return this.#hosts.has(name);
    }
  }

  #isWatched(instance: string): boolean {
    return this.#watched.has(instance) ||
      this.#watchersOfAll > 0 && nameOf(instance) !== undefined;
  }

  #learnOne(record: LanRecord, origin: Origin, now: number): boolean {
    const key = keyOf(record);
    const data = dataOf(record);
    const set = this.#sets.get(key);
    if (record.ttl === 0 && set?.has(data)) this.#expireSoon(set.get(data)!, now);
    if (record.ttl === 0) return false;
    if (record.flush && set !== undefined) this.#flush(set, data, now);
    const known = set?.get(data);
    if (known === undefined && !this.#hasRoom(record, set)) return false;
    const lifetimeMs = Math.min(record.ttl, MAX_TTL) * 1_000;
    this.#put(key, {
      record,
      data,
      origin: known?.origin ?? origin,
      learntAt: now,
      expiresAt: now + lifetimeMs,
      refreshes: 0,
      jitter: Math.random() * 0.02,
    });
    return known === undefined;
  }

  /** Lets all records of a set expire but one that has just come, and those that came with it. */
  #flush(set: RecordSet, data: string, now: number): void {
    for (const remembered of set.values()) {
      const isOld = remembered.learntAt < now - FLUSH_AGE_MS;
      if (remembered.data !== data && isOld) this.#expireSoon(remembered, now);
    }
  }

  #expireSoon(remembered: Remembered, now: number): void {
    remembered.expiresAt = Math.min(remembered.expiresAt, now + LAST_MS);
    remembered.refreshes = REFRESH_AT.length;
    this.#nextAt = Math.min(this.#nextAt, remembered.expiresAt);
  }

  #put(key: string, remembered: Remembered): void {
    const set: RecordSet = this.#sets.get(key) ?? new Map();
    if (!set.has(remembered.data)) this.#count(remembered, 1);
    set.set(remembered.data, remembered);
    this.#sets.set(key, set);
    this.#nextAt = Math.min(this.#nextAt, changesAt(remembered));
  }

  #count({ record }: Remembered, by: 1 | -1): void {
    this.#size += by;
    if (record.type !== "SRV") return;
    const host = lowerCase(record.data.target);
    const left = (this.#hosts.get(host) ?? 0) + by;
    if (left === 0) this.#hosts.delete(host);
    else this.#hosts.set(host, left);
  }

  #hasRoom(record: LanRecord, set: RecordSet | undefined): boolean {
    const size = set?.size ?? 0;
    const isFull = this.#size >= MAX.records || this.#sets.size >= MAX.sets;
    switch (record.type) {
      case "PTR":
        return size < MAX.instances && !isFull;
      case "SRV":
        return size < MAX.holders && (!isFull || this.#watched.has(lowerCase(record.name)));
      case "TXT":
        return size < MAX.texts && (!isFull || this.#watched.has(lowerCase(record.name)));
      default:
        return size < MAX.addresses && this.#size < 2 * MAX.records;
    }
  }

  /** Forgets what has expired. Returns whether anything has. */
  expire(now: number): boolean {
    return this.#remove(({ expiresAt }) => expiresAt <= now);
  }

  #forgetUnwatched(): void {
    const all = () => this.#watchersOfAll > 0;
    this.#remove(({ record }) => {
      if (record.type === "PTR") return !all();
      return record.type !== "A" && record.type !== "AAAA" &&
        !this.#isWatched(lowerCase(record.name));
    });
    this.#remove(({ record: { type, name } }) =>
      (type === "A" || type === "AAAA") && !this.#hosts.has(lowerCase(name))
    );
  }

  #remove(isOver: (remembered: Remembered) => boolean): boolean {
    const before = this.#size;
    for (const [key, set] of this.#sets) {
      for (const [data, remembered] of set) {
        if (!isOver(remembered)) continue;
        set.delete(data);
        this.#count(remembered, -1);
        if (remembered.record.type === "SRV") this.#chosen.delete(`${key} ${data}`);
      }
      if (set.size > 0) continue;
      this.#sets.delete(key);
      this.#asked.delete(key.replace(/^TXT /, ""));
    }
    return this.#size < before;
  }

  /** When the next record expires or has to be asked for again, or earlier. */
  get nextAt(): number {
    return this.#nextAt;
  }

  /** The questions for records that will soon expire, each once. */
  refreshes(now: number): LanQuestion[] {
    const due: LanQuestion[] = [];
    this.#nextAt = Infinity;
    for (const set of this.#sets.values()) {
      for (const remembered of set.values()) {
        if (refreshAt(remembered) <= now) {
          remembered.refreshes++;
          due.push({ name: remembered.record.name, type: remembered.record.type });
        }
        this.#nextAt = Math.min(this.#nextAt, changesAt(remembered));
      }
    }
    return unique(due);
  }

  /**
   * The questions about holders of whom not everything is known. Each holder of a shared name repeats
   * what another one said only if asked for it.
   */
  missing(): LanQuestion[] {
    const questions: LanQuestion[] = [];
    const ask = (name: string, type: LanQuestion["type"], isMissing: boolean) => {
      if (isMissing) questions.push({ name, type });
    };
    const isUnknown = (name: string, type: LanRecord["type"]) =>
      this.#set({ name, type }).size === 0;
    for (const { data: instance } of this.#ofType("PTR")) {
      ask(instance, "SRV", isUnknown(instance, "SRV"));
      ask(instance, "TXT", isUnknown(instance, "TXT"));
    }
    for (const { record, data } of this.#ofType("SRV")) {
      const host = data.replace(/:\d+$/, "");
      const isLost = isUnknown(host, "A") && isUnknown(host, "AAAA");
      ask(record.name, "TXT", isUnknown(record.name, "TXT"));
      ask(host, "A", isLost);
      ask(host, "AAAA", isLost);
    }
    for (const { record } of this.#ofType("TXT")) {
      const name = lowerCase(record.name);
      const isShared = holderIn(record.data as readonly Uint8Array[]).shared;
      const times = this.#asked.get(name) ?? 0;
      ask(name, "SRV", isShared && times < MAX_ASKED);
      if (isShared) this.#asked.set(name, times + 1);
    }
    return unique(questions);
  }

  /** The answers to a question that need not be sent to us: more than half of their life is left. */
  knownAnswers({ name, type }: LanQuestion, now: number): LanRecord[] {
    if (type === "ANY") return [];
    return [...this.#set({ name, type }).values()].flatMap(({ record, learntAt, expiresAt }) => {
      const leftMs = expiresAt - now;
      const isYoung = leftMs > (expiresAt - learntAt) / 2 && leftMs > LAST_MS;
      return isYoung ? [{ ...record, flush: false, ttl: Math.floor(leftMs / 1_000) }] : [];
    });
  }

  /**
   * The holders of a name, or of all names, ordered by name. An exclusive name has one: the first
   * that was heard of, until its records expire.
   */
  entries(name: string | undefined): NamedEntry[] {
    const instances = name === undefined
      ? [...this.#sets.keys()].filter((key) => key.startsWith("SRV "))
      : [keyOf({ name: instanceOf(name), type: "SRV" })];
    const entries = instances.flatMap((key) => this.#entriesOf(key))
      .filter((entry) => name === undefined || entry.name === name);
    const order = ({ name, address }: NamedEntry) => `${name}/${address}`;
    return entries.sort((a, b) => order(a) < order(b) ? -1 : 1);
  }

  #entriesOf(key: string): NamedEntry[] {
    const entries = [...this.#sets.get(key)?.values() ?? []].flatMap((holder) => {
      const { record, origin } = holder;
      const name = nameOf(record.name)!;
      const texts = [...this.#set({ name: record.name, type: "TXT" }).values()];
      // Where two claim a name, each has sent a TXT record of its own.
      const text = texts.findLast((one) => one.origin.address === origin.address) ?? texts.at(-1);
      const address = this.#addressOf(holder, key);
      if (text === undefined || address === undefined || nameProblem(name) !== undefined) return [];
      const { shared, fingerprint } = holderIn(text.record.data as readonly Uint8Array[]);
      return [{ name, address, shared, ...!shared && fingerprint && { fingerprint } }];
    });
    return entries.length > 1 && !entries.every(({ shared }) => shared) ? [entries[0]] : entries;
  }

  /** Where to call a holder: at the same address as long as it is valid, and at the nearest first. */
  #addressOf({ record, data, origin }: Remembered, key: string): string | undefined {
    const { target, port } = record.data as { target: string; port: number };
    const addresses = (["A", "AAAA"] as const)
      .flatMap((type) => [...this.#set({ name: target, type }).values()].map((one) => one.data))
      .filter((address) => origin.distance(address) < Infinity)
      .sort((a, b) => origin.distance(a) - origin.distance(b))
      .map((address) => formatEndpoint(address, port))
      .filter(isEndpoint);
    const holder = `${key} ${data}`;
    const former = this.#chosen.get(holder);
    const address = addresses.find((one) => one === former) ?? addresses[0];
    if (address !== undefined) this.#chosen.set(holder, address);
    return address;
  }

  #set(question: Pick<LanQuestion, "name" | "type">): RecordSet {
    return this.#sets.get(keyOf(question)) ?? new Map();
  }

  *#ofType(type: LanRecord["type"]): Generator<Remembered> {
    for (const [key, set] of this.#sets) if (key.startsWith(`${type} `)) yield* set.values();
  }
}

function keyOf({ name, type }: Pick<LanQuestion, "name" | "type">): string {
  return `${type} ${lowerCase(name)}`;
}

function unique(questions: readonly LanQuestion[]): LanQuestion[] {
  return [...new Map(questions.map((question) => [keyOf(question), question])).values()];
}

/** When a record has to be asked for again. */
function refreshAt({ learntAt, expiresAt, refreshes, jitter }: Remembered): number {
  const part = REFRESH_AT[refreshes];
  if (part === undefined) return Infinity;
  return learntAt + (part + jitter) * (expiresAt - learntAt);
}

function changesAt(remembered: Remembered): number {
  return Math.min(remembered.expiresAt, refreshAt(remembered));
}
