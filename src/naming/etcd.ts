/**
 * Uses an etcd cluster, which other programs may use too, as a naming service.
 *
 * A name is a key under a lease of this process, claimed in one transaction, so that exactly one
 * claimant wins. An interrupted watch continues at the same revision, on any node, and skips nothing.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { EtcdClient, type EtcdOptions } from "./etcd_client.ts";
import { after, encode, EtcdLayout, keyOf, newLeaseId, sinceOf, toValue } from "./etcd_keys.ts";
import { checkCount, isTransient } from "./naming_service.ts";
import type {
  NameClaim,
  NamedEntry,
  NamesWatch,
  NamingService,
  WatchUpdate,
} from "./naming_service.ts";
import { parseEtcdPlace } from "./service_url.ts";
import { formatMoment } from "../base/local_time.ts";
import { aborted, race, within } from "../base/timing.ts";
import {
  ETCD_KV,
  ETCD_LEASE,
  type EtcdKeyValue,
  type EtcdRange,
  type EtcdWatched,
} from "./etcd_services.ts";

/** How long a holder may be silent before its names are free. */
const LEASE_MS = 5_000;

/** How often a lease is kept alive, and how soon after a failure. */
const KEEP_MS = { regular: LEASE_MS / 3, again: 250 };

/** How late a lease may end: etcd checks leases twice a second, and then its nodes must agree. */
const OVERTIME_MS = 1_500;

/** How long giving a name back may take; otherwise the name is free when the lease ends. */
const GIVE_BACK_MS = 1_000;

/** A watch that fails sooner than this is continued only after a pause. */
const SHORT_MS = 1_000;

/** A naming service on etcd. Disposing of it closes the connection. */
export class Etcd implements NamingService {
  readonly address: string;
  readonly #client: EtcdClient;
  readonly #layout: EtcdLayout;
  /** The claims of this process, as keys without fingerprints. */
  readonly #claimed = new Set<string>();
  /** The current lease, if any name is held or being claimed. */
  #lease: Lease | undefined;
  /** All leases this process ever had: a key under one of them may be claimed again. */
  readonly #leases = new Set<string>();

  /**
   * Connects with the first call.
   *
   * @param place `etcd://host:port,…/prefix`, or `etcds://…` for TLS; port and prefix are optional
   * @throws {GreetError} `USAGE` if it is invalid
   */
  constructor(place: string, options: EtcdOptions = {}) {
    const { prefix, ...cluster } = parseEtcdPlace(place);
    this.address = place;
    this.#layout = new EtcdLayout(prefix);
    this.#client = new EtcdClient(cluster, options);
  }

  /**
   * Like {@link NamingService.hold}. If someone else holds the name, first waits as long as the
   * lease of a killed holder would last.
   *
   * @throws {GreetError} `ALREADY_EXISTS` also if this process itself has registered the name
   */
  async hold(claim: NameClaim, held: (since?: Date) => void, signal: AbortSignal): Promise<void> {
    const key = this.#layout.key(claim);
    const keyOfAll = this.#layout.key({ ...claim, fingerprint: undefined });
    if (this.#claimed.has(keyOfAll)) {
      throw new GreetError("ALREADY_EXISTS", `this process has registered ${claim.name} already`);
    }
    this.#claimed.add(keyOfAll);
    try {
      // A lease may end although it was kept alive, for example after the loss of a leader. The name
      // is then claimed again at once, which is not worth reporting.
      for (let report = held; !signal.aborted; report = () => {}) {
        await this.#holdOnce(claim, key, report, signal);
      }
    } finally {
      this.#claimed.delete(keyOfAll);
    }
  }

  /** Holds a name until it is given back, or etcd ends the lease. */
  async #holdOnce(
    claim: NameClaim,
    key: string,
    held: (since?: Date) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const lease = this.#useLease(key);
    const until = AbortSignal.any([signal, lease.ended]);
    try {
      await race([lease.granted, aborted(until)]);
      until.throwIfAborted();
      await this.#claim(claim, key, lease.id, until);
      held(sinceOf(lease.id));
      await aborted(until);
      until.throwIfAborted();
    } catch (error) {
      if (!signal.aborted && !lease.isOver) throw error;
    } finally {
      await this.#leaveLease(lease, key);
    }
  }

  #useLease(key: string): Lease {
    if (this.#lease === undefined || this.#lease.ended.aborted) {
      this.#lease = new Lease(this.#client);
      this.#leases.add(this.#lease.id);
    }
    this.#lease.keys.add(key);
    return this.#lease;
  }

  /** Gives a name back; with the last name, the lease as well. */
  async #leaveLease(lease: Lease, key: string): Promise<void> {
    lease.keys.delete(key);
    if (lease.keys.size === 0) return await lease.revoke();
    if (!lease.ended.aborted) await this.#remove(encode(key), lease.id);
  }

  async #remove(key: Uint8Array, lease: string): Promise<void> {
    const request = {
      compare: [{ key, target: "LEASE" as const, lease }],
      success: [{ requestDeleteRange: { key } }],
      failure: [],
    };
    await ignoreFailure(this.#client.call(ETCD_KV, "Txn", request, { timeoutMs: GIVE_BACK_MS }));
  }

  async #claim(claim: NameClaim, key: string, lease: string, signal: AbortSignal): Promise<void> {
    const contested = this.#layout.contested(claim);
    const put = { key: encode(key), value: toValue(claim.address), lease };
    const deadline = Date.now() + LEASE_MS + OVERTIME_MS;
    for (;;) {
      const other = await this.#put(contested, put, signal);
      if (other === undefined) return;
      const leftMs = deadline - Date.now();
      if (leftMs <= 0) throw this.#taken(claim.name, other.holder);
      await this.#untilFreed(contested, other.revision, leftMs, signal);
    }
  }

  /** Puts a key, unless someone else has a contested key, which is then returned. */
  async #put(
    contested: EtcdRange,
    put: { key: Uint8Array; value: Uint8Array; lease: string },
    signal: AbortSignal,
  ): Promise<{ holder: EtcdKeyValue; revision: string } | undefined> {
    for (;;) {
      const { succeeded, responses, header } = await this.#client.call(ETCD_KV, "Txn", {
        compare: [{ ...contested, target: "CREATE", createRevision: "0" }],
        success: [{ requestPut: put }],
        failure: [{ requestRange: contested }],
      }, { signal });
      if (succeeded) return undefined;
      const { kvs } = responses[0].responseRange!;
      const own = kvs.find((kv) => keyOf(kv) === keyOf(put) && this.#leases.has(kv.lease));
      if (own === undefined) return { holder: kvs[0], revision: header.revision };
      // It is our own: an answer was lost, or our former lease has not ended yet.
      const again = await this.#client.call(ETCD_KV, "Txn", {
        compare: [{ key: put.key, target: "MOD", modRevision: own.modRevision }],
        success: [{ requestPut: put }],
        failure: [],
      }, { signal });
      if (again.succeeded) return undefined;
    }
  }

  /** Waits until a key of a range is deleted, for at most some milliseconds. */
  async #untilFreed(
    range: EtcdRange,
    revision: string,
    ms: number,
    signal: AbortSignal,
  ): Promise<void> {
    const enough = new AbortController();
    const freed = async () => {
      const either = AbortSignal.any([signal, enough.signal]);
      const answers = await this.#client.watch(range, after(revision), either);
      for await (const { events, compactRevision } of answers) {
        if (compactRevision !== "0" || events.some(({ type }) => type === "DELETE")) return;
      }
    };
    try {
      await within(ms, freed());
    } finally {
      enough.abort();
    }
  }

  #taken(name: string, { lease }: EtcdKeyValue): GreetError {
    const since = sinceOf(lease);
    const what = since === undefined
      ? `holds ${name}`
      : `has held ${name} since ${formatMoment(since)}`;
    return new GreetError("ALREADY_EXISTS", `${this.address}: someone else ${what}`);
  }

  async list(
    name: string | undefined,
    bound: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<NamedEntry[]> {
    const { kvs } = await this.#client.read(this.#layout.range(name), bound);
    const entries = kvs.flatMap((kv) => this.#layout.entry(kv) ?? []);
    checkCount(entries.length, name, this.address);
    return entries.sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
  }

  watch(name?: string): NamesWatch {
    const check = (count: number) => checkCount(count, name, this.address);
    return new EtcdWatch(this.#client, this.#layout, this.#layout.range(name), check);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#client[Symbol.dispose]();
    return Promise.resolve();
  }
}

/** A lease that is kept alive until it is revoked or lost. */
class Lease {
  readonly id = newLeaseId();
  /** The keys that need it. */
  readonly keys = new Set<string>();
  /** Resolves when keys can be put under the lease. Does not reject: on failure, the lease ends. */
  readonly granted: Promise<void>;
  readonly #client: EtcdClient;
  readonly #ended = new AbortController();
  readonly #kept: Promise<void>;
  #isOver = false;

  constructor(client: EtcdClient) {
    this.#client = client;
    const sentAt = Date.now();
    this.granted = this.#grant();
    this.#kept = this.granted.then(() => this.#keep(sentAt + LEASE_MS));
  }

  /** Aborted when the lease has ended, or may have. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Whether etcd confirmed that it has ended. */
  get isOver(): boolean {
    return this.#isOver;
  }

  async #grant(): Promise<void> {
    const request = { TTL: LEASE_MS / 1000, ID: this.id };
    try {
      await this.#client.call(ETCD_LEASE, "LeaseGrant", request, { signal: this.ended });
    } catch (error) {
      // FAILED_PRECONDITION: the lease exists already, because an earlier answer was lost.
      if (GreetError.from(error).code !== "FAILED_PRECONDITION") this.#ended.abort(error);
    }
  }

  /** @param until when it ends unless it is kept alive, in milliseconds since 1970 */
  async #keep(until: number): Promise<void> {
    const ended = aborted(this.ended);
    let pauseMs = KEEP_MS.regular;
    for (;;) {
      await within(pauseMs, ended);
      if (this.ended.aborted) return;
      const sentAt = Date.now();
      try {
        const bound = { timeoutMs: Math.max(1, until - sentAt), signal: this.ended };
        this.#isOver = await this.#client.keepAlive(this.id, bound) === 0;
        if (this.#isOver) {
          return this.#ended.abort(new GreetError("ABORTED", "the lease has ended"));
        }
        until = sentAt + LEASE_MS;
        pauseMs = KEEP_MS.regular;
      } catch (error) {
        const isLost = Date.now() >= until || !isTransient(GreetError.from(error));
        if (isLost) return this.#ended.abort(error);
        pauseMs = Math.min(KEEP_MS.again, until - Date.now());
      }
    }
  }

  /** Frees all names under the lease. If etcd does not answer, they are free when the lease ends. */
  async revoke(): Promise<void> {
    const isLive = !this.ended.aborted;
    this.#ended.abort();
    await this.#kept;
    if (!isLive) return;
    const bound = { timeoutMs: GIVE_BACK_MS };
    await ignoreFailure(this.#client.call(ETCD_LEASE, "LeaseRevoke", { ID: this.id }, bound));
  }
}

/** Waits for an attempt whose failure does not matter. */
async function ignoreFailure(attempt: Promise<unknown>): Promise<void> {
  await Promise.allSettled([attempt]);
}

/** A watch that can be continued. */
class EtcdWatch implements NamesWatch {
  readonly #client: EtcdClient;
  readonly #layout: EtcdLayout;
  readonly #range: EtcdRange;
  readonly #checkCount: (count: number) => void;
  /** The entries, by key: etcd does not report the values of deleted keys. */
  #known = new Map<string, NamedEntry>();
  /** The first revision that was not reported yet; undefined if the state comes next. */
  #next: string | undefined;

  /** @param checkCount throws if there are too many entries */
  constructor(
    client: EtcdClient,
    layout: EtcdLayout,
    range: EtcdRange,
    checkCount: (count: number) => void,
  ) {
    this.#client = client;
    this.#layout = layout;
    this.#range = range;
    this.#checkCount = checkCount;
  }

  async *run(signal: AbortSignal): AsyncGenerator<WatchUpdate> {
    for (;;) {
      if (this.#next === undefined) {
        const { kvs, revision } = await this.#client.read(this.#range, { signal });
        this.#next = after(revision);
        yield this.#state(kvs);
      }
      const answers = await this.#client.watch(this.#range, this.#next, signal);
      const startedAt = Date.now();
      try {
        for await (const answer of answers) yield* this.#changes(answer);
      } catch (error) {
        const isShort = Date.now() - startedAt < SHORT_MS;
        if (isShort || !isTransient(GreetError.from(error))) throw error;
      }
    }
  }

  #state(kvs: readonly EtcdKeyValue[]): WatchUpdate {
    this.#known.clear();
    for (const kv of kvs) {
      const entry = this.#layout.entry(kv);
      if (entry !== undefined) this.#known.set(keyOf(kv), entry);
    }
    this.#check();
    return { type: "state", entries: [...this.#known.values()] };
  }

  /** If there are too many entries, forgets all of them: the next run begins with the state. */
  #check(): void {
    try {
      this.#checkCount(this.#known.size);
    } catch (error) {
      this.#known.clear();
      this.#next = undefined;
      throw error;
    }
  }

  *#changes({ events, compactRevision }: EtcdWatched): Generator<WatchUpdate> {
    if (compactRevision !== "0") this.#next = undefined;
    for (const { type, kv } of events) {
      this.#next = after(kv.modRevision);
      const key = keyOf(kv);
      const former = this.#known.get(key);
      const entry = type === "PUT" ? this.#layout.entry(kv) : undefined;
      if (entry !== undefined) this.#known.set(key, entry);
      else this.#known.delete(key);
      this.#check();
      // A holder with a new lease puts the same value again.
      if (entry !== undefined && entry.address !== former?.address) yield { type: "held", entry };
      if (entry === undefined && former !== undefined) yield { type: "freed", entry: former };
    }
  }
}
