/**
 * Resolves a name to several servers, for gRPC's `round_robin`.
 *
 * grpc-js asks a resolver for the servers of a channel. {@link ServerList} is one that follows a
 * list of targets which changes over time, such as the holders of a name in a naming service.
 *
 * @module
 */
import "./deno_http2_workaround.ts";
import * as grpc from "@grpc/grpc-js";
import { GreetError } from "../base/errors.ts";
import type { Target } from "../net/address.ts";

type Endpoints = grpc.experimental.StatusOr<grpc.experimental.Endpoint[]>;
type Listener = grpc.experimental.ResolverListener;

/** The servers behind one channel. */
export class ServerList {
  static readonly #open = new Map<string, ServerList>();
  static #count = 0;
  readonly #id = `${ServerList.#count++}`;
  readonly #lists: AsyncIterator<readonly Target[]>;
  #latest: Endpoints | undefined;
  #listener: Listener | undefined;
  #isReading = false;

  /** @param lists all servers, again after each change; read when the channel connects */
  constructor(lists: AsyncIterable<readonly Target[]>) {
    this.#lists = lists[Symbol.asyncIterator]();
    ServerList.#open.set(this.#id, this);
  }

  /** The URI that makes a channel use these servers. */
  get uri(): string {
    return `${SCHEME}:${this.#id}`;
  }

  /** The servers that a URI stands for. */
  static of({ path }: grpc.experimental.GrpcUri): ServerList | undefined {
    return ServerList.#open.get(path);
  }

  /**
   * Reports the servers to a listener, now and after each change.
   *
   * gRPC asks again whenever it can reach none of them. The same list again would make it try all
   * of them at once, and ask again; so a listener that is already served gets no answer.
   */
  resolve(listener: Listener): void {
    if (this.#listener === listener) return;
    this.#listener = listener;
    if (this.#latest !== undefined) queueMicrotask(() => this.#report());
    if (!this.#isReading) void this.#read();
  }

  #report(): void {
    if (this.#latest !== undefined) this.#listener?.(this.#latest, {}, null, "");
  }

  async #read(): Promise<void> {
    this.#isReading = true;
    const { statusOrFromValue, statusOrFromError } = grpc.experimental;
    try {
      for (let next; !(next = await this.#lists.next()).done;) {
        const endpoints = next.value.flatMap(({ endpoint }) => endpoint ?? []);
        this.#latest = statusOrFromValue(endpoints.map((one) => ({ addresses: [one] })));
        this.#report();
      }
    } catch (error) {
      const { message: details } = GreetError.from(error);
      this.#latest = statusOrFromError({ code: grpc.status.UNAVAILABLE, details });
      this.#report();
    }
  }

  /** Stops reporting. */
  unlisten(): void {
    this.#listener = undefined;
  }

  /** Stops reading the list. */
  end(): void {
    this.unlisten();
    ServerList.#open.delete(this.#id);
    void this.#lists.return?.();
  }
}

const SCHEME = "servers";

grpc.experimental.registerResolver(
  SCHEME,
  class implements grpc.experimental.Resolver {
    readonly #servers: ServerList | undefined;
    readonly #listener: Listener;

    constructor(uri: grpc.experimental.GrpcUri, listener: Listener) {
      this.#servers = ServerList.of(uri);
      this.#listener = listener;
    }

    updateResolution(): void {
      this.#servers?.resolve(this.#listener);
    }

    destroy(): void {
      this.#servers?.unlisten();
    }

    static getDefaultAuthority(): string {
      return "localhost";
    }
  },
);
