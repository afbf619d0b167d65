/**
 * The client of the greeting service.
 *
 * {@link greet} makes one call; a {@link GreeterClient} makes many on the same connection, or to all
 * servers that share a name. The server is not imported, so that a client starts faster.
 *
 * @module
 */
import type { Names } from "../naming/names.ts";
import { type Channel, dial, dialAll } from "../rpc/client.ts";
import type { ClientTls } from "../rpc/credentials.ts";
import { parseTarget, type Target } from "../net/address.ts";
import { type Destination, parseDestination } from "./destination.ts";
import { GREETER } from "../rpc/services.ts";

/** How to greet. */
export interface GreetOptions {
  /** The longest a greeting may take, in seconds, the wait for the server included (default 10). */
  maxTime?: number;
  /** Waits for the server to come up, instead of failing. */
  wait?: boolean;
  /** Cancels the greeting. */
  signal?: AbortSignal;
  /** A naming service: the target may then be a name. */
  names?: Names;
  /** Uses TLS. */
  tls?: ClientTls;
}

/** The longest a greeting may take by default, in seconds. */
const DEFAULT_MAX_TIME = 10;

/**
 * Greets a server once.
 *
 * @param target a port, `host:port` or any other target; with {@link GreetOptions.names}, also a
 *   name. Servers that share a name are called in turn
 * @param name the name to be greeted by
 * @param options deadline, naming service and TLS
 * @returns the server's greeting, exactly as it was sent
 * @throws {GreetError} `USAGE` for an invalid target, else the gRPC status of the call
 *
 * @example
 * ```ts
 * import { greet, serveGreeter } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * await using server = await serveGreeter();
 * assert.equal(await greet(`${server.port}`, "Bob", { maxTime: 5 }), "Hello, Bob.");
 * ```
 */
export async function greet(
  target: string,
  name: string,
  options: GreetOptions = {},
): Promise<string> {
  using client = new GreeterClient(parseDestination(target, options.names), options);
  return await client.greet(name);
}

/**
 * The back-off of a client that waits for a server: it connects within a quarter of a second of
 * the server's start. Pauses grow, so the longest one decides.
 */
const PROMPT = { firstMs: 100, maxMs: 250 };

/** A client that can greet the same server, or the servers that share a name, many times. */
export class GreeterClient implements Disposable {
  readonly #channel: Channel;
  readonly #options: Omit<GreetOptions, "names">;
  /** Looks the name up and connects; undefined if the destination is one server. */
  readonly #find: (() => Promise<void>) | undefined;
  #found: Promise<void> | undefined;
  readonly #closed = new AbortController();

  /** Opens a channel; nothing is sent before the first greeting. */
  constructor(destination: Destination<Names>, options: Omit<GreetOptions, "names"> = {}) {
    const { wait, tls } = options;
    this.#options = options;
    if ("target" in destination) {
      this.#channel = dial(destination.target, { tls, ...wait && { backOff: PROMPT } });
      return;
    }
    const { name, service } = destination;
    this.#find = () => this.#connect(service, name);
    const servers = followServers(service, name, this.#closed.signal);
    this.#channel = dialAll(name, servers, { tls, backOff: PROMPT });
  }

  /** Without `wait`, fails at once if the name is not registered or the service does not answer. */
  async #connect(names: Names, name: string): Promise<void> {
    const { maxTime = DEFAULT_MAX_TIME, wait, signal } = this.#options;
    if (!wait) await names.lookup(name, { maxTime, signal });
    await this.#channel.connected({ timeoutMs: maxTime * 1000, wait, signal });
  }

  /** Like the function {@link greet}, on the open connection. */
  async greet(name: string): Promise<string> {
    const { maxTime = DEFAULT_MAX_TIME, wait, signal } = this.#options;
    const startMs = Date.now();
    await (this.#found ??= this.#find?.());
    const spentMs = this.#find === undefined ? 0 : Date.now() - startMs;
    const call = { timeoutMs: Math.max(1, maxTime * 1000 - spentMs), wait, signal };
    const { greeting } = await this.#channel.call(GREETER, "Greet", { name }, call);
    return greeting;
  }

  /** Closes the connection; calls in flight are cancelled. */
  [Symbol.dispose](): void {
    this.#closed.abort();
    this.#channel[Symbol.dispose]();
  }
}

/** The most servers of one name that a client connects to. */
const MAX_SERVERS = 100;

/**
 * The addresses registered under a name, each time they change. If there are more than
 * {@link MAX_SERVERS}, a random choice, which keeps a server for as long as it is registered.
 */
async function* followServers(
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

function chooseServers(registered: readonly string[], previous: readonly string[]): string[] {
  if (registered.length <= MAX_SERVERS) return [...registered];
  const rest = new Set(registered);
  const kept = previous.filter((address) => rest.delete(address));
  // Random, or all clients would call the same hundred.
  const shuffled = [...rest].map((address) => ({ address, order: Math.random() }));
  shuffled.sort((a, b) => a.order - b.order);
  return [...kept, ...shuffled.map(({ address }) => address)].slice(0, MAX_SERVERS);
}
