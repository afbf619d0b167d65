/**
 * The naming server of `greet names`: a {@link Registry} behind gRPC.
 *
 * A name is held while the call that registered it stays open, so only connections can time out:
 * each is pinged every few seconds. Nothing is stored; after a restart, holders register again.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { LIMITS, Registry } from "./registry.ts";
import { NAMES_PORT } from "./service_url.ts";
import { serve, type Server } from "../rpc/server.ts";
import { implement, type Service } from "../rpc/service.ts";
import { health } from "../rpc/health.ts";
import type { ServerTls } from "../net/server_tls.ts";
import { LOOPBACK } from "../net/address.ts";
import { aborted } from "../base/timing.ts";
import { NAMES, type WireChange, type WireEntry } from "../rpc/services.ts";

/**
 * How long a holder may be silent before its names are free, in milliseconds. A connection is pinged
 * after a bit less than half of it, and has the same time to answer.
 */
export const LEASE_MS = 5_000;
const KEEPALIVE = { everyMs: LEASE_MS / 2 - 100, timeoutMs: LEASE_MS / 2 - 100 };

/** Requests are short. */
const MAX_REQUEST_BYTES = 64_000;

/** More than the registry allows one connection, so that the registry is the one to refuse. */
const MAX_CALLS = 2 * (LIMITS.namesOfOne + LIMITS.watchesOfOne);

/**
 * The limit for all connections together; a call takes up to 13 kB. It leaves room when there are as
 * many names, watches, health watches and reflection calls as allowed.
 */
const MAX_OPEN_CALLS = 22_000;

/** A change on a naming server. */
export interface NameNews {
  /** When it happened. */
  readonly at: Date;
  /** Whether the name is held now, or free. */
  readonly kind: "held" | "freed";
  /** The name, exactly as the holder sent it. */
  readonly name: string;
  /** The address, exactly as the holder sent it. */
  readonly address: string;
  /** `SHA256:…`, the fingerprint of the holder's key, if the holder registered it. */
  readonly fingerprint?: string;
}

/** How to run a naming server. */
export interface ServeNamesOptions {
  /** The address to listen on (default `127.0.0.1`). */
  host?: string;
  /** The port to listen on; 0 for a free one (default {@link NAMES_PORT}). */
  port?: number;
  /** Gets every change. */
  onChange?: (news: NameNews) => void;
  /** Gets unexpected errors inside the server (default: prints them to the console). */
  onFault?: (error: unknown) => void;
  /** Accepts only TLS connections. */
  tls?: ServerTls;
  /** Gets connections whose handshake failed, with a hint for the caller. */
  onRefused?: (error: GreetError) => void;
}

/**
 * Runs a naming server, with health checking and reflection.
 *
 * @param options where to listen, and what to report
 * @returns the running server, once it is listening; its `port` is the actual one. Disposing stops it
 * @throws {GreetError} `FAILED` if the host, the port or the certificate cannot be used
 *
 * @example
 * ```ts
 * import { openNames, serveNames } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * const log: string[] = [];
 * await using server = await serveNames({
 *   port: 0,
 *   onChange: ({ kind, name }) => void log.push(`${name} is ${kind}`),
 * });
 * {
 *   await using names = openNames(`${server.port}`);
 *   await names.register({ name: "Bob", address: "127.0.0.1:55555" });
 *   assert.equal((await names.lookup("Bob"))[0].address, "127.0.0.1:55555");
 * }
 * await server.stop();
 * assert.deepEqual(log, ["Bob is held", "Bob is freed"]);
 * ```
 */
export async function serveNames(options: ServeNamesOptions = {}): Promise<Server> {
  const { host = LOOPBACK, port = NAMES_PORT, onChange, onFault, tls, onRefused } = options;
  const registry = new Registry(onChange && ((change) => onChange(newsOf(change))));
  const names = namesService(registry);
  const { reflection } = await import("../rpc/reflection.ts");
  const services = [names, health([names])];
  return await serve({
    host,
    port,
    services: [...services, ...reflection(services)],
    onFault,
    keepalive: KEEPALIVE,
    tls,
    onRefused,
    maxRequestBytes: MAX_REQUEST_BYTES,
    maxCalls: MAX_CALLS,
    maxOpenCalls: MAX_OPEN_CALLS,
  });
}

/** Offers a registry to callers. */
export function namesService(registry: Registry): Service {
  return implement(NAMES, {
    async *Register(claim, { from, signal }) {
      using held = registry.claim(claim, from);
      yield { sinceMs: held.entry.sinceMs };
      await aborted(signal, held.superseded);
      if (signal.aborted) return;
      throw new GreetError("ABORTED", `the same holder has registered ${claim.name} again`);
    },
    Lookup: ({ name }) => ({ entries: registry.lookup(name) }),
    Watch: ({ name }, { from, signal }) => registry.watch(name, from, signal),
    List: ({ pageToken }) => registry.list(pageToken),
  });
}

function newsOf({ kind, entry }: WireChange & { entry: WireEntry }): NameNews {
  const { name, address, fingerprint } = entry;
  return {
    at: new Date(),
    kind: kind === "HELD" ? "held" : "freed",
    name,
    address,
    ...fingerprint !== "" && { fingerprint },
  };
}
