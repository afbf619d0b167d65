/**
 * Watches names on the local network: asks for them, less and less often, and reports what changes.
 *
 * @module
 */
import { aborted, pause, race, within } from "../../base/timing.ts";
import type { NamedEntry, NamesWatch, WatchUpdate } from "../naming_service.ts";
import type { LanNode } from "./node.ts";
import { instanceOf, type LanQuestion, SERVICE } from "./records.ts";

/** How long the first answers may take, and those of others who share a name, in milliseconds. */
const ANSWER_MS = { first: 1_000, shared: 300 };

/** Pauses before a question is asked, and until it is asked again (RFC 6762, section 5.2). */
const ASK_MS = { leastDelay: 20, moreDelay: 100, first: 1_000, max: 3_600_000 };

/** How long changes are collected before they are reported; longer if it takes long to find them. */
const COLLECT = { leastMs: 20, factor: 10 };

/** How long a watch that found no network, or no multicast on it, waits for one, in milliseconds. */
const DEAF_MS = 5_000;

/** A name, or all names, as long as it is watched: asks for it, less and less often. */
export class Watched {
  readonly #node: LanNode;
  readonly #name: string | undefined;
  readonly #ended = new AbortController();
  readonly #signals: readonly AbortSignal[];
  readonly #forget: () => void;
  readonly #wake = () => this.#node.changed.beat();
  readonly #firstAskedAt: Promise<number>;

  constructor(node: LanNode, name: string | undefined, signal?: AbortSignal) {
    this.#node = node;
    this.#name = name;
    this.#signals = [this.#ended.signal, ...signal ? [signal] : []];
    signal?.addEventListener("abort", this.#wake);
    this.#forget = node.cache.watch(name);
    const first = Promise.withResolvers<number>();
    this.#firstAskedAt = first.promise;
    void this.#ask(first.resolve);
  }

  async #ask(asked: (at: number) => void): Promise<void> {
    const { signal } = this.#ended;
    const ended = aborted(signal);
    await pause(ASK_MS.leastDelay + Math.random() * ASK_MS.moreDelay, signal);
    while (!signal.aborted) {
      const again = race([this.#lost(signal), this.#node.networks.next]);
      let isOver = false;
      void again.then(() => isOver = true);
      for (let pauseMs = ASK_MS.first; !signal.aborted && !isOver;) {
        asked(performance.now());
        this.#node.ask(this.#questions());
        await within(pauseMs, again, ended);
        pauseMs = Math.min(pauseMs * 2, ASK_MS.max);
      }
    }
  }

  /** Resolves when a name that was known is no longer. */
  async #lost(signal: AbortSignal): Promise<void> {
    let wasKnown = false;
    for (;;) {
      const { next } = this.#node.changed;
      const isKnown = this.#name !== undefined && this.#node.cache.entries(this.#name).length > 0;
      if (wasKnown && !isKnown) return;
      wasKnown = isKnown;
      await next;
      if (signal.aborted) return;
    }
  }

  #questions(): LanQuestion[] {
    const { cache } = this.#node;
    if (this.#name === undefined) return [{ name: SERVICE, type: "PTR" }, ...cache.missing()];
    if (cache.entries(this.#name).length > 0) return cache.missing();
    const name = instanceOf(this.#name);
    return [{ name, type: "SRV" }, { name, type: "TXT" }];
  }

  /**
   * Waits until what there is has been heard of: a name, or everyone.
   *
   * @param ms how long to wait at most
   * @throws {GreetError} `UNAVAILABLE` if multicast does not work
   */
  async settle(ms = ANSWER_MS.first): Promise<void> {
    const { links, cache } = this.#node;
    if (links.length === 0) await this.#node.checkHearing(0);
    const askedAt = await this.#firstAskedAt;
    const deadline = askedAt + ms;
    for (let found = false; !found && !this.isOver;) {
      const change = this.change();
      const entries = this.#name === undefined ? [] : cache.entries(this.#name);
      found = entries.length > 0;
      if (entries.some(({ shared }) => shared)) await pause(ANSWER_MS.shared, this.#ended.signal);
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) break;
      if (!found) await within(leftMs, change);
    }
    if (!this.isOver) await this.#node.checkHearing(askedAt);
  }

  /** Resolves at the next change, or when the watch ends. */
  change(): Promise<void> {
    return this.#node.changed.next;
  }

  get isOver(): boolean {
    return this.#signals.some(({ aborted }) => aborted);
  }

  end(): void {
    this.#ended.abort();
    for (const signal of this.#signals) signal.removeEventListener("abort", this.#wake);
    this.#forget();
    this.#wake();
  }
}

/** A watch that can be continued. */
export class LanWatch implements NamesWatch {
  readonly #open: () => Promise<LanNode>;
  readonly #name: string | undefined;
  #wasDeaf = false;

  constructor(open: () => Promise<LanNode>, name: string | undefined) {
    this.#open = open;
    this.#name = name;
  }

  async *run(signal: AbortSignal): AsyncGenerator<WatchUpdate> {
    const node = await this.#open();
    if (this.#wasDeaf) {
      await race([pause(DEAF_MS, signal), node.networks.next]);
    }
    const watched = new Watched(node, this.#name, signal);
    try {
      this.#wasDeaf = true;
      await watched.settle();
      this.#wasDeaf = false;
      let known = node.cache.entries(this.#name);
      yield { type: "state", entries: known };
      while (!watched.isOver) {
        const change = watched.change();
        const began = performance.now();
        const entries = node.cache.entries(this.#name);
        const changes = changesBetween(known, entries);
        const spentMs = performance.now() - began;
        yield* changes;
        known = entries;
        await change;
        await pause(Math.max(COLLECT.leastMs, spentMs * COLLECT.factor), signal);
      }
    } finally {
      watched.end();
    }
  }
}

/** The changes from some entries to others. A name that one holder has is replaced, not freed. */
function changesBetween(
  before: readonly NamedEntry[],
  after: readonly NamedEntry[],
): WatchUpdate[] {
  const key = ({ name, address, shared, fingerprint }: NamedEntry) =>
    JSON.stringify([name, address, shared, fingerprint]);
  const [former, present] = [before, after].map((list) => new Set(list.map(key)));
  const exclusive = new Set(after.flatMap(({ name, shared }) => shared ? [] : [name]));
  return [
    ...before.filter((entry) => !present.has(key(entry)) && !exclusive.has(entry.name))
      .map((entry) => ({ type: "freed" as const, entry })),
    ...after.filter((entry) => !former.has(key(entry)))
      .map((entry) => ({ type: "held" as const, entry })),
  ];
}
