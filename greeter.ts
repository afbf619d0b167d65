/**
 * The greeting service, and the call to it.
 *
 * {@link serveGreeter} answers `Greet` with `Hello, NAME.`; {@link greet} makes
 * that call. Who was greeted is reported to whoever runs the server; nothing
 * is printed here.
 *
 * @module
 */
import { GreetError, type PlainError } from "./errors.ts";
import type { Names } from "./names.ts";
import { type Channel, dial, dialAll } from "./rpc_client.ts";
import type { ClientTls } from "./rpc_credentials.ts";
import { health, implement, type IncomingCall, reflection } from "./rpc_server.ts";
import { serve, type Server } from "./rpc_server.ts";
import type { ServerTls } from "./secure.ts";
import { isTarget, LOOPBACK, parseTarget, type Target } from "./target.ts";
import { nameProblem, parseName } from "./text.ts";
import { GREETER } from "./wire.ts";

/** One request to a greeting server, after it was answered. */
export interface GreetRequest {
  /** When it came in. */
  readonly at: Date;
  /** The name in it, exactly as it was sent: text from somebody else. */
  readonly name: string;
  /** The caller's address, such as `127.0.0.1:41234`. */
  readonly from: string;
  /** Why it was refused, if it was. */
  readonly error?: PlainError;
}

/** How to serve greetings. */
export interface ServeGreeterOptions {
  /** The address to listen on (default `127.0.0.1`). */
  host?: string;
  /** The port to listen on, 0 for a free one (default 0). */
  port?: number;
  /**
   * Gets each request. The answer goes out once what it returns has settled, so
   * a log that cannot keep up slows the callers down instead of growing.
   */
  onRequest?: (request: GreetRequest) => void | Promise<void>;
  /** Gets what failed by mistake inside the server; by default it goes to the console. */
  onFault?: (error: unknown) => void;
  /** Speaks TLS, and nothing else. */
  tls?: ServerTls;
  /** Gets who could not finish a handshake, and what they have to change. */
  onRefused?: (error: GreetError) => void;
}

/**
 * Serves greetings, with health checking and reflection.
 *
 * @returns the running server; its `port` is the one that was chosen
 * @throws {GreetError} `FAILED` where the port, the host or the certificate cannot be had
 *
 * @example
 * ```ts
 * import { greet, serveGreeter } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * await using server = await serveGreeter();
 * assert.equal(await greet(`${server.port}`, "Bob"), "Hello, Bob.");
 * ```
 */
export async function serveGreeter(options: ServeGreeterOptions = {}): Promise<Server> {
  const { host = LOOPBACK, port = 0, onRequest, onFault, tls, onRefused } = options;
  const greeter = implement(GREETER, {
    async Greet({ name }, call) {
      const problem = nameProblem(name);
      const error = problem === undefined
        ? undefined
        : new GreetError("INVALID_ARGUMENT", `the name ${problem}`);
      await onRequest?.(record(name, call, error));
      if (error !== undefined) throw error;
      return { greeting: `Hello, ${name}.` };
    },
  });
  const services = [greeter, health([greeter])];
  return await serve({
    host,
    port,
    services: [...services, ...await reflection(services)],
    onFault,
    tls,
    onRefused,
    maxRequestBytes: MAX_REQUEST_BYTES,
  });
}

/** A name is short; what else there may be in a request is no business of ours, but has to fit. */
const MAX_REQUEST_BYTES = 64_000;

function record(name: string, { from }: IncomingCall, error?: GreetError): GreetRequest {
  return { at: new Date(), name, from, ...error && { error: error.toJSON() } };
}

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
export const DEFAULT_MAX_TIME = 10;

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

/** Where those are who serve under a name, and again whenever that changes. */
async function* servers(
  names: Names,
  name: string,
  signal: AbortSignal,
): AsyncGenerator<Target[]> {
  let known = "";
  for await (const { entries } of names.follow(name, signal)) {
    const addresses = entries.map(({ address }) => address);
    if (known === addresses.join()) continue;
    known = addresses.join();
    yield addresses.map(parseTarget);
  }
}
