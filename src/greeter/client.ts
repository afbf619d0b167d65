/**
 * The call to a greeting service.
 *
 * {@link greet} makes it once; a {@link GreeterClient} makes many on the same connection, also to
 * those who serve under a name. It is apart from the service so that whoever only calls does not wait
 * for what it takes to answer.
 *
 * @module
 */
import type { Names } from "../naming/names.ts";
import { type Channel, dial, dialAll } from "../rpc/client.ts";
import type { ClientTls } from "../rpc/credentials.ts";
import { isTarget, parseTarget, type Target } from "../net/address.ts";
import { parseName } from "../base/text.ts";
import { GREETER } from "../rpc/services.ts";

/** How to greet. */
export interface GreetOptions {
  /** How many seconds it may take, the wait for the server included (default 10). */
  maxTime?: number;
  /** Wait for the server to come up, instead of failing. */
  wait?: boolean;
  /** Gives up. */
  signal?: AbortSignal;
  /** Who knows where names are: then whom to call may be a name. */
  names?: Names;
  /** Speaks TLS. */
  tls?: ClientTls;
}

/** How many seconds a greeting may take. */
const DEFAULT_MAX_TIME = 10;

/**
 * Greets a server once.
 *
 * @param target whom to call: a port, `host:port` or any other target, or, with
 *   {@link GreetOptions.names}, a name. Servers that share it are called in turn
 * @param name who is greeting
 * @returns the server's greeting, exactly as it was sent
 * @throws {GreetError} `USAGE` for a target that is none, else the call's gRPC status
 */
export async function greet(
  target: string,
  name: string,
  options: GreetOptions = {},
): Promise<string> {
  using client = new GreeterClient(target, options);
  return await client.greet(name);
}

/**
 * For who waits for a server: known within a fifth of a second after it is up.
 * It is the longest pause that decides, because pauses grow.
 */
const PROMPT = { firstMs: 100, maxMs: 250 };

/** A client that can greet the same server, or the servers under one name, many times. */
export class GreeterClient implements Disposable {
  readonly #channel: Channel;
  readonly #options: GreetOptions;
  /** Finds those who go by a name; there is nothing to find where the target is known. */
  readonly #find: (() => Promise<void>) | undefined;
  #found: Promise<void> | undefined;
  readonly #closed = new AbortController();

  /** Opens a channel; nothing is sent yet. */
  constructor(target: string, options: GreetOptions = {}) {
    const { names, wait, tls } = options;
    this.#options = options;
    if (names === undefined || isTarget(target)) {
      this.#channel = dial(parseTarget(target), { tls, ...wait && { backOff: PROMPT } });
    } else {
      this.#find = () => this.#lookUp(names, parseName(target));
      this.#channel = dialAll(target, servers(names, target, this.#closed.signal), {
        tls,
        backOff: PROMPT,
      });
    }
  }

  /** Who does not wait wants to know that nobody goes by the name, or that nobody can be asked. */
  async #lookUp(names: Names, name: string): Promise<void> {
    const { maxTime = DEFAULT_MAX_TIME, wait, signal } = this.#options;
    if (!wait) await names.lookup(name, { maxTime, signal });
    await this.#channel.connected({ timeoutMs: maxTime * 1000, wait, signal });
  }

  /** Like {@link greet}, on the connection that is there. */
  async greet(name: string): Promise<string> {
    const { maxTime = DEFAULT_MAX_TIME, wait, signal } = this.#options;
    const began = Date.now();
    await (this.#found ??= this.#find?.());
    const spentMs = this.#find === undefined ? 0 : Date.now() - began;
    const call = { timeoutMs: Math.max(1, maxTime * 1000 - spentMs), wait, signal };
    const { greeting } = await this.#channel.call(GREETER, "Greet", { name }, call);
    return greeting;
  }

  [Symbol.dispose](): void {
    this.#closed.abort();
    this.#channel[Symbol.dispose]();
  }
}

/** How many servers of one name a client is connected to; of more, it calls these only. */
const MAX_SERVERS = 100;

/**
 * Where those are who serve under a name, and again whenever that changes. Of more than
 * {@link MAX_SERVERS}, a choice at random, which stays the same for as long as they are there.
 */
async function* servers(
  names: Names,
  name: string,
  signal: AbortSignal,
): AsyncGenerator<Target[]> {
  let chosen: string[] | undefined;
  for await (const { entries } of names.follow(name, signal)) {
    const next = chooseServers(entries.map(({ address }) => address), chosen ?? []);
    if (next.join() === chosen?.join()) continue;
    chosen = next;
    yield chosen.map(parseTarget);
  }
}

function chooseServers(addresses: readonly string[], before: readonly string[]): string[] {
  if (addresses.length <= MAX_SERVERS) return [...addresses];
  const there = new Set(addresses);
  const kept = before.filter((address) => there.delete(address));
  // Not the first ones, or all clients would call the same hundred.
  const others = [...there].map((address) => ({ address, order: Math.random() }));
  others.sort((a, b) => a.order - b.order);
  return [...kept, ...others.map(({ address }) => address)].slice(0, MAX_SERVERS);
}
