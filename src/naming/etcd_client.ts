/**
 * A client for the parts of etcd's gRPC API that are needed here.
 *
 * {@link EtcdClient} uses one connection, to the node that answered last; after a failure or a second
 * of silence it tries the next node. Requests must therefore be idempotent: it may be only the answer
 * that was lost.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { checkTime, isTransient, MAX_ENTRIES, STATE_MS } from "./naming_service.ts";
import type { EtcdPlace } from "./service_url.ts";
import { type CallOptions, type Channel, dial, type DialOptions } from "../rpc/client.ts";
import type { Target } from "../net/address.ts";
import { aborted } from "../base/timing.ts";
import type { Calls, ServiceType, Unary } from "../rpc/services.ts";
import { ETCD_AUTH, ETCD_KV, ETCD_LEASE, ETCD_WATCH } from "./etcd_services.ts";
import type { EtcdKeyValue, EtcdRange, EtcdWatched } from "./etcd_services.ts";

/** Options for etcd; plain data, so that they can be sent to a thread. */
export interface EtcdOptions {
  /** The user to authenticate as. */
  readonly user?: string;
  /** The user's password. */
  readonly password?: string;
  /** CA certificates (PEM) to verify the service with (default: those that the system trusts). */
  readonly trusted?: Uint8Array;
}

/** Bounds on a call, including all attempts. */
export interface Bound {
  /** How long it may take, in milliseconds (default: until each node was tried twice). */
  readonly timeoutMs?: number;
  /** Cancels the call. */
  readonly signal?: AbortSignal;
}

/** How long one node may take to answer before the next one is tried. */
const ATTEMPT_MS = 1_000;

/** How long a node may take to confirm a watch. */
const WATCH_MS = 1_500;

/** How long a node may take to check a password, which is slow on purpose. */
const PASSWORD_MS = 3_000;

/** How many keys are read in one call. */
const PAGE = 5_000;

/** How often each node is tried. */
const ROUNDS = 2;

/** etcd closes connections with more than one ping in 5 s. Source: its `GRPCKeepAliveMinTime`. */
const KEEPALIVE = { everyMs: 6_000, timeoutMs: 1_500 };

/** A watch gets everything that it missed in one answer. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** With this header, a node that has lost the others ends a call instead of falling silent. */
const HAS_LEADER = { hasleader: "true" };

/** A client for one cluster. Disposing of it closes the connection and fails open calls. */
export class EtcdClient implements Disposable {
  readonly #targets: readonly Target[];
  readonly #dialing: DialOptions;
  readonly #login: { name: string; password: string } | undefined;
  #token: Promise<string> | undefined;
  #turn = 0;
  #channel: Channel | undefined;

  /** Connects with the first call. */
  constructor(
    { targets, isSecure }: Pick<EtcdPlace, "targets" | "isSecure">,
    { user, password = "", trusted }: EtcdOptions,
  ) {
    this.#targets = targets;
    const tls = isSecure ? { trusted } : undefined;
    this.#dialing = { keepalive: KEEPALIVE, maxAnswerBytes: MAX_ANSWER_BYTES, tls };
    this.#login = user === undefined ? undefined : { name: user, password };
  }

  /**
   * Makes one call, repeating it if a node fails.
   *
   * @throws {GreetError} with etcd's status; if no node answers, with the failure of the last one. An
   *   aborted signal throws its own reason
   */
  async call<C extends Calls, Name extends Unary<C> & string>(
    type: ServiceType<C>,
    name: Name,
    request: C[Name]["request"],
    bound: Bound = {},
  ): Promise<C[Name]["response"]> {
    return await this.#attempt(
      (channel, options) => channel.call(type, name, request, options),
      ATTEMPT_MS,
      bound,
    );
  }

  /**
   * Reads all keys of a range at one revision. Fails like {@link EtcdClient.call}.
   *
   * @param bound the bounds on each call and on all of them together (default: {@link STATE_MS})
   * @throws {GreetError} `INTERNAL` if there are more than {@link MAX_ENTRIES}`.inAll` keys
   */
  async read(range: EtcdRange, bound: Bound): Promise<{ kvs: EtcdKeyValue[]; revision: string }> {
    const deadline = Date.now() + (bound.timeoutMs ?? STATE_MS);
    for (;;) {
      try {
        return await this.#readAll(range, bound, deadline);
      } catch (error) {
        // The revision was compacted in the meantime.
        if (GreetError.from(error).code !== "OUT_OF_RANGE") throw error;
        checkTime(deadline, this.#node);
      }
    }
  }

  async #readAll(
    range: EtcdRange,
    bound: Bound,
    deadline: number,
  ): Promise<{ kvs: EtcdKeyValue[]; revision: string }> {
    const kvs: EtcdKeyValue[] = [];
    for (let rest = { ...range, limit: PAGE };;) {
      const page = await this.call(ETCD_KV, "Range", rest, bound);
      kvs.push(...page.kvs.slice(0, PAGE));
      const { revision } = page.header;
      const last = page.kvs.at(-1);
      if (!page.more || last === undefined) return { kvs, revision: rest.revision ?? revision };
      if (kvs.length > MAX_ENTRIES.inAll) {
        const message = `${this.#node}: it sent more than ${MAX_ENTRIES.inAll} keys`;
        throw new GreetError("INTERNAL", message);
      }
      checkTime(deadline, this.#node);
      const key = new Uint8Array([...last.key, 0]);
      rest = { ...range, key, limit: PAGE, revision: rest.revision ?? revision };
    }
  }

  /**
   * Keeps a lease alive, once. Fails like {@link EtcdClient.call}.
   *
   * @returns how many seconds the lease lasts from now on; 0 if it has ended
   */
  async keepAlive(ID: string, bound: Bound): Promise<number> {
    const once = async (channel: Channel, options: CallOptions) => {
      const headers = { ...options.headers, ...HAS_LEADER };
      const requests = async function* () {
        yield { ID };
      };
      const answers = channel.stream(ETCD_LEASE, "LeaseKeepAlive", requests(), {
        ...options,
        headers,
      });
      for await (const { TTL } of answers) return Number(TTL);
      throw new GreetError("UNAVAILABLE", `${this.#node}: etcd did not answer`);
    };
    return await this.#attempt(once, ATTEMPT_MS, bound);
  }

  /**
   * Watches keys.
   *
   * @param range the keys
   * @param startRevision the revision of the first change to report
   * @returns the changes, once a node has confirmed the watch. If the revision was compacted, they
   *   end with an answer whose `compactRevision` is not `"0"`; any other end is an error
   */
  async watch(
    range: EtcdRange,
    startRevision: string,
    signal: AbortSignal,
  ): Promise<AsyncIterable<EtcdWatched>> {
    const request = { createRequest: { key: range.key, rangeEnd: range.rangeEnd, startRevision } };
    const open = async (channel: Channel, options: CallOptions) => {
      const answers = this.#answers(channel, request, options);
      // The first answer only confirms the watch.
      await answers.next();
      return answers;
    };
    return await this.#attempt(open, WATCH_MS, { signal });
  }

  async *#answers(
    channel: Channel,
    request: { createRequest: EtcdRange & { startRevision: string } },
    { headers, ...bounds }: CallOptions,
  ): AsyncGenerator<EtcdWatched> {
    const ended = new AbortController();
    async function* requests() {
      yield request;
      // Some proxies would take the end of the requests for the end of the watch.
      await aborted(ended.signal);
    }
    const options = { ...bounds, headers: { ...headers, ...HAS_LEADER } };
    try {
      for await (const answer of channel.stream(ETCD_WATCH, "Watch", requests(), options)) {
        const isCompacted = answer.compactRevision !== "0";
        if (answer.canceled && !isCompacted) throw this.#refusal(answer.cancelReason);
        yield answer;
        if (isCompacted) return;
      }
      throw new GreetError("UNAVAILABLE", `${this.#node}: the watch ended`);
    } catch (error) {
      if (isTransient(GreetError.from(error))) this.#leave(channel);
      throw error;
    } finally {
      ended.abort();
    }
  }

  #refusal(reason: string): GreetError {
    const code = /permission denied/.test(reason) ? "PERMISSION_DENIED" : "UNAVAILABLE";
    return new GreetError(code, `${this.#node}: ${reason}`);
  }

  /** Tries one node after another. */
  async #attempt<T>(
    run: (channel: Channel, options: CallOptions) => Promise<T>,
    attemptMs: number,
    { timeoutMs = Infinity, signal }: Bound,
  ): Promise<T> {
    const deadline = Date.now() + timeoutMs;
    for (let attempts = ROUNDS * this.#targets.length;; attempts--) {
      const leftMs = Math.max(1, deadline - Date.now());
      const channel = this.#channel ??= dial(this.#targets[this.#turn], this.#dialing);
      try {
        return await this.#authorized(
          channel,
          (headers) =>
            run(channel, {
              timeoutMs: Math.min(attemptMs, timeoutMs / 2, leftMs),
              limitMs: Math.min(attemptMs, timeoutMs),
              signal,
              headers,
            }),
        );
      } catch (error) {
        signal?.throwIfAborted();
        const failure = GreetError.from(error);
        if (!isTransient(failure)) throw failure;
        this.#leave(channel);
        if (attempts <= 1 || Date.now() >= deadline) throw failure;
      }
    }
  }

  /** Sends the next call to the next node, and fails open calls to this one. */
  #leave(channel: Channel): void {
    if (this.#channel !== channel) return;
    this.#channel = undefined;
    this.#turn = (this.#turn + 1) % this.#targets.length;
    channel[Symbol.dispose]();
  }

  /** Makes a call with a token. A refusal may only mean that the token has expired. */
  async #authorized<T>(
    channel: Channel,
    run: (headers: Record<string, string>) => Promise<T>,
  ): Promise<T> {
    for (let isRepeated = false;; isRepeated = true) {
      const token = this.#token ??= this.#authenticate(channel);
      const value = await token;
      try {
        return await run(value === "" ? {} : { token: value });
      } catch (error) {
        const failure = GreetError.from(error);
        if (!isRefused(failure)) throw failure;
        if (isRepeated || this.#login === undefined) throw this.#explained(failure);
        if (this.#token === token) this.#token = undefined;
      }
    }
  }

  /** @returns a token; empty if there is no user, or etcd requires none */
  async #authenticate(channel: Channel): Promise<string> {
    if (this.#login === undefined) return "";
    try {
      const call = { timeoutMs: PASSWORD_MS };
      return (await channel.call(ETCD_AUTH, "Authenticate", this.#login, call)).token;
    } catch (error) {
      const { code } = GreetError.from(error);
      if (code === "FAILED_PRECONDITION") return "";
      this.#token = undefined;
      if (code !== "INVALID_ARGUMENT") throw error;
      const message = `etcd does not accept this password for the user ${this.#login.name}`;
      throw new GreetError("UNAUTHENTICATED", `${this.#node}: ${message}`);
    }
  }

  #explained(refusal: GreetError): GreetError {
    if (!NO_USER.test(refusal.message)) return refusal;
    const hint = "set GREET_ETCD_USER and GREET_ETCD_PASSWORD";
    return new GreetError("UNAUTHENTICATED", `${this.#node}: etcd requires a user and a password`, {
      hint,
    });
  }

  /** The current node, for error messages. */
  get #node(): string {
    return this.#targets[this.#turn].address;
  }

  [Symbol.dispose](): void {
    this.#channel?.[Symbol.dispose]();
  }
}

/** etcd's message for calls without a token. */
const NO_USER = /user name is empty/;

/** Whether etcd refused a call because of its token, or the lack of one. */
function isRefused({ code, message }: GreetError): boolean {
  return code === "UNAUTHENTICATED" || code === "PERMISSION_DENIED" ||
    code === "INVALID_ARGUMENT" && (NO_USER.test(message) || /auth store is old/.test(message));
}
