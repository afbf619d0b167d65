/**
 * The client of the greeting service.
 *
 * {@link greet} makes one call; a {@link GreeterClient} makes many on the same connection, or to all
 * servers that share a name. The server is not imported, so that a client starts faster.
 *
 * @module
 */
import type { GreetError } from "../base/errors.ts";
import type { Names } from "../naming/names.ts";
import { type CallOptions, type Channel, dial, dialAll } from "../rpc/client.ts";
import type { ClientTls } from "../rpc/credentials.ts";
import { type Destination, parseDestination } from "./destination.ts";
import { NamedServers } from "./named_servers.ts";
import { DEFAULT_MAX_TIME } from "./outcomes.ts";
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
  /** The servers, if the destination is a name. */
  readonly #servers: NamedServers | undefined;
  /** Looks the name up and connects; undefined if the destination is one server. */
  readonly #find: ((call: CallOptions) => Promise<void>) | undefined;
  #found: Promise<void> | undefined;

  /**
   * Opens a channel; nothing is sent before the first greeting.
   *
   * @throws {GreetError} `FAILED` if TLS cannot be used as it is set up
   */
  constructor(destination: Destination<Names>, options: Omit<GreetOptions, "names"> = {}) {
    const { wait, tls } = options;
    this.#options = options;
    if ("target" in destination) {
      this.#channel = dial(destination.target, { tls, ...wait && { backOff: PROMPT } });
      return;
    }
    const { name, service } = destination;
    this.#find = (call) => this.#connect(service, name, call);
    this.#servers = new NamedServers(service, name);
    this.#channel = dialAll(name, this.#servers.targets(), { tls, backOff: PROMPT });
  }

  /** Without `wait`, fails at once if the name is not registered or the service does not answer. */
  async #connect(names: Names, name: string, call: CallOptions): Promise<void> {
    const { maxTime, wait, signal } = this.#options;
    if (!wait) await names.lookup(name, { maxTime, signal });
    await this.#channel.connected(call);
  }

  /** Like the function {@link greet}, on the open connection. */
  async greet(name: string): Promise<string> {
    const { maxTime = DEFAULT_MAX_TIME, wait, signal } = this.#options;
    const [startMs, limitMs] = [Date.now(), maxTime * 1_000];
    const call = () => {
      const timeoutMs = Math.max(1, startMs + limitMs - Date.now());
      return { timeoutMs, limitMs, wait, signal };
    };
    try {
      await (this.#found ??= this.#find?.(call()));
      return (await this.#channel.call(GREETER, "Greet", { name }, call())).greeting;
    } catch (error) {
      const isLate = (error as GreetError).code === "DEADLINE_EXCEEDED";
      throw isLate && this.#servers?.absence(maxTime) || error;
    }
  }

  /** Closes the connection; calls in flight are cancelled. */
  [Symbol.dispose](): void {
    this.#servers?.end();
    this.#channel[Symbol.dispose]();
  }
}
