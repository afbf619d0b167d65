/**
 * An etcd cluster: whoever of its nodes answers is asked.
 *
 * {@link EtcdClient} speaks a part of etcd's own gRPC API over one connection, to the node that
 * answered last; a node that fails or is silent for a second is left for the next one. What
 * is asked must therefore be fit to be asked twice, for its answer may be what was lost.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { checkTime, isTransient, MAX_ENTRIES, STATE_MS } from "./names.ts";
import type { EtcdPlace } from "./service_url.ts";
import { type CallOptions, type Channel, dial, type DialOptions } from "../rpc/client.ts";
import type { Target } from "../net/address.ts";
import { aborted } from "../base/timing.ts";
import type { Calls, ServiceType, Unary } from "../rpc/services.ts";
import { ETCD_AUTH, ETCD_KV, ETCD_LEASE, ETCD_WATCH } from "./etcd_services.ts";
import type { EtcdKeyValue, EtcdRange, EtcdWatched } from "./etcd_services.ts";

/** What an etcd may want besides its place; plain data, so that a thread can be told. */
export interface EtcdOptions {
  /** Whom etcd knows us as. */
  readonly user?: string;
  readonly password?: string;
  /** Who vouches for etcd's certificate (PEM), where it is not somebody whom the system trusts. */
  readonly trusted?: Uint8Array;
}

/** How long a call may take, all attempts together. */
export interface Bound {
  /** In milliseconds; where it is missing, each node is asked twice. */
  readonly timeoutMs?: number;
  /** Gives the call up. */
  readonly signal?: AbortSignal;
}

/** How long one node may take to answer before the next is asked. */
const ATTEMPT_MS = 1_000;

/** How long a node may take to say that it watches. */
const WATCH_MS = 1_500;

/** A password is checked slowly, on purpose. */
const PASSWORD_MS = 3_000;

/** How many keys are read at once. */
const PAGE = 5_000;

/** How often each node is asked before it is given up. */
const ROUNDS = 2;

/** etcd hangs up on those who ask more often than every 5 s. Source: its `GRPCKeepAliveMinTime`. */
const KEEPALIVE = { everyMs: 6_000, timeoutMs: 1_500 };

/** A watch is told at once all that it has missed. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/** A node that has lost the others ends such calls, instead of staying silent with them. */
const HAS_LEADER = { hasleader: "true" };

/** A connection to whoever answers. Disposing of it closes it and fails the calls on it. */
export class EtcdClient implements Disposable {
  readonly #targets: readonly Target[];
  readonly #dialing: DialOptions;
  readonly #login: { name: string; password: string } | undefined;
  #token: Promise<string> | undefined;
  #turn = 0;
  #channel: Channel | undefined;

  /** Nothing is sent before something is asked. */
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
   * Makes one call, which may be repeated.
   *
   * @throws {GreetError} with etcd's status; where no node answers, with the last one's failure. An
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
   * All keys of a range, as they are at one revision. Errors are like those of
   * {@link EtcdClient.call}.
   *
   * @param bound for each of the calls; all of them together may take as long, or
   *   {@link STATE_MS}
   * @throws {GreetError} `INTERNAL` where there are more than {@link MAX_ENTRIES}`.inAll`
   */
  async read(range: EtcdRange, bound: Bound): Promise<{ kvs: EtcdKeyValue[]; revision: string }> {
    const deadline = Date.now() + (bound.timeoutMs ?? STATE_MS);
    for (;;) {
      try {
        return await this.#readAll(range, bound, deadline);
      } catch (error) {
        // The revision was forgotten meanwhile.
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
        const message = `${this.#node}: it has sent more than ${MAX_ENTRIES.inAll} keys`;
        throw new GreetError("INTERNAL", message);
      }
      checkTime(deadline, this.#node);
      const key = new Uint8Array([...last.key, 0]);
      rest = { ...range, key, limit: PAGE, revision: rest.revision ?? revision };
    }
  }

  /**
   * Keeps a lease alive, once. Errors are like those of {@link EtcdClient.call}.
   *
   * @returns for how many seconds from now; 0 where it has ended
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
      throw new GreetError("UNAVAILABLE", `${this.#node}: etcd has not answered`);
    };
    return await this.#attempt(once, ATTEMPT_MS, bound);
  }

  /**
   * Watches keys.
   *
   * @param range which
   * @param startRevision the first change to be told of
   * @returns the changes, once a node watches. Where what was to be told is forgotten, they end with
   *   an answer whose `compactRevision` is not `"0"`; however else they end is an error
   */
  async watch(
    range: EtcdRange,
    startRevision: string,
    signal: AbortSignal,
  ): Promise<AsyncIterable<EtcdWatched>> {
    const request = { createRequest: { key: range.key, rangeEnd: range.rangeEnd, startRevision } };
    const open = async (channel: Channel, options: CallOptions) => {
      const answers = this.#answers(channel, request, options);
      // The first says only that there is a watch.
      await answers.next();
      return answers;
    };
    return await this.#attempt(open, WATCH_MS, { signal });
  }

  async *#answers(
    channel: Channel,
    request: { createRequest: EtcdRange & { startRevision: string } },
    { timeoutMs, signal, headers }: CallOptions,
  ): AsyncGenerator<EtcdWatched> {
    const ended = new AbortController();
    async function* requests() {
      yield request;
      // Some proxies take the end of the requests for the end of the watch.
      await aborted(ended.signal);
    }
    const options = { timeoutMs, signal, headers: { ...headers, ...HAS_LEADER } };
    try {
      for await (const answer of channel.stream(ETCD_WATCH, "Watch", requests(), options)) {
        const isForgotten = answer.compactRevision !== "0";
        if (answer.canceled && !isForgotten) throw this.#refusal(answer.cancelReason);
        yield answer;
        if (isForgotten) return;
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

  /** Tries one node after the other. */
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

  /** The next call goes to the next node, and what is under way to this one fails. */
  #leave(channel: Channel): void {
    if (this.#channel !== channel) return;
    this.#channel = undefined;
    this.#turn = (this.#turn + 1) % this.#targets.length;
    channel[Symbol.dispose]();
  }

  /** Does something in our user's name. A refusal may mean only that the token is too old. */
  async #authorized<T>(
    channel: Channel,
    run: (headers: Record<string, string>) => Promise<T>,
  ): Promise<T> {
    for (let isAgain = false;; isAgain = true) {
      const token = this.#token ??= this.#authenticate(channel);
      const value = await token;
      try {
        return await run(value === "" ? {} : { token: value });
      } catch (error) {
        const failure = GreetError.from(error);
        if (!isRefused(failure)) throw failure;
        if (isAgain || this.#login === undefined) throw this.#explained(failure);
        if (this.#token === token) this.#token = undefined;
      }
    }
  }

  /** @returns nothing where we have no password, or etcd wants none */
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
      const message = `etcd does not know the user ${this.#login.name} by this password`;
      throw new GreetError("UNAUTHENTICATED", `${this.#node}: ${message}`);
    }
  }

  #explained(refusal: GreetError): GreetError {
    if (!NO_USER.test(refusal.message)) return refusal;
    const hint = "set GREET_ETCD_USER and GREET_ETCD_PASSWORD";
    return new GreetError("UNAUTHENTICATED", `${this.#node}: etcd wants a user and a password`, {
      hint,
    });
  }

  /** Who is asked now, in errors. */
  get #node(): string {
    return this.#targets[this.#turn].address;
  }

  [Symbol.dispose](): void {
    this.#channel?.[Symbol.dispose]();
  }
}

/** What etcd says to those who show no token. */
const NO_USER = /user name is empty/;

/** Whether etcd does not let us do it, be it that it has forgotten who we are. */
function isRefused({ code, message }: GreetError): boolean {
  return code === "UNAUTHENTICATED" || code === "PERMISSION_DENIED" ||
    code === "INVALID_ARGUMENT" && (NO_USER.test(message) || /auth store is old/.test(message));
}
