/**
 * Follows the servers that share a name, as their naming service knows them.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { Holders, Names } from "../naming/names.ts";
import { parseTarget, type Target } from "../net/address.ts";

/** The most servers of one name that a client connects to. */
const MAX_SERVERS = 100;

/** The servers that share a name. */
export class NamedServers {
  readonly #names: Names;
  readonly #name: string;
  readonly #ended = new AbortController();
  #isFollowing = false;
  /** What the naming service said last. */
  #latest: Holders | undefined;

  constructor(names: Names, name: string) {
    this.#names = names;
    this.#name = name;
  }

  /**
   * Why a greeting could not find any server in time.
   *
   * @param maxTime the time it had, in seconds
   * @returns undefined if there are servers, or they are not followed yet
   */
  absence(maxTime: number): GreetError | undefined {
    if (!this.#isFollowing || this.#latest?.entries.length) return undefined;
    const { error } = this.#latest ?? {};
    const unknown = `${this.#name} could not be looked up within ${maxTime} s`;
    const message = error !== undefined
      ? `${unknown}: ${error.message}`
      : this.#latest === undefined
      ? unknown
      : `nothing is registered as ${this.#name} after ${maxTime} s`;
    return new GreetError("DEADLINE_EXCEEDED", message, { hint: error?.hint, cause: error });
  }

  /**
   * The addresses registered under the name, each time they change. If there are more than
   * {@link MAX_SERVERS}, a random choice, which keeps a server for as long as it is registered.
   */
  async *targets(): AsyncGenerator<Target[]> {
    this.#isFollowing = true;
    let chosen: string[] | undefined;
    for await (const holders of this.#names.follow(this.#name, this.#ended.signal)) {
      this.#latest = holders;
      const registered = holders.entries.map(({ address }) => address);
      const next = chooseServers(registered, chosen ?? []);
      if (next.join() === chosen?.join()) continue;
      chosen = next;
      yield chosen.map(parseTarget);
    }
  }

  /** Stops following. */
  end(): void {
    this.#ended.abort();
  }
}

function chooseServers(registered: readonly string[], previous: readonly string[]): string[] {
  if (registered.length <= MAX_SERVERS) return [...registered];
  const rest = new Set(registered);
  const kept = previous.filter((address) => rest.delete(address));
  // Random, or all clients would call the same hundred.
  const shuffled = [...rest].map((address) => ({ address, order: Math.random() }));
  shuffled.sort((a, b) => a.order - b.order);
  return [...kept, ...shuffled.map(({ address }) => address)].slice(0, MAX_SERVERS);
}
