/**
 * The naming server of `greet names`: a {@link Registry} behind gRPC.
 *
 * A name is held for as long as the call that registered it stays open, so there is
 * nothing to time out but connections: each is asked every few seconds whether it is
 * still there. Nothing is kept on disk; after a restart, the registrants come back.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { LIMITS, Registry } from "./registry.ts";
import { serve, type Server } from "../rpc/server.ts";
import { implement } from "../rpc/service.ts";
import { health, reflection } from "../rpc/standard_services.ts";
import type { ServerTls } from "../net/server_tls.ts";
import { LOOPBACK } from "../net/address.ts";
import { aborted } from "../base/timing.ts";
import { type NameChange, type NameEntry, NAMES } from "../rpc/services.ts";

/** The port of a naming server where none is given. */
export const NAMES_PORT = 55_500;

/**
 * How long a holder may be silent before the name is free, in milliseconds. A connection is asked
 * after a bit less than half of it, and has as long to answer.
 */
export const LEASE_MS = 5_000;
const KEEPALIVE = { everyMs: LEASE_MS / 2 - 100, timeoutMs: LEASE_MS / 2 - 100 };

/** What is asked is short, whoever asks. */
const MAX_REQUEST_BYTES = 64_000;

/** More than the registry lets one connection have open, so that it is the one to refuse them. */
const MAX_CALLS = 2 * (LIMITS.namesOfOne + LIMITS.watchesOfOne);

/** How many on all of them: each name is held by one. */
const MAX_OPEN_CALLS = 100_000;

/** What became of a name: held at an address, or freed. */
export interface NameNews {
  readonly at: Date;
  readonly kind: "held" | "freed";
  /** Text from somebody else. */
  readonly name: string;
  readonly address: string;
  /** `SHA256:…`, the fingerprint of the holder's key, where they have told it. */
  readonly fingerprint?: string;
}

/** How to serve names. */
export interface ServeNamesOptions {
  /** The address to listen on (default `127.0.0.1`). */
  host?: string;
  /** The port to listen on, 0 for a free one (default {@link NAMES_PORT}). */
  port?: number;
  /** Gets what becomes of names. */
  onChange?: (news: NameNews) => void;
  /** Gets what failed by mistake inside the server; by default it goes to the console. */
  onFault?: (error: unknown) => void;
  /** Speaks TLS, and nothing else. */
  tls?: ServerTls;
  /** Gets who could not finish a handshake, and what they have to change. */
  onRefused?: (error: GreetError) => void;
}

/**
 * Serves names, with health checking and reflection.
 *
 * @returns the running server; its `port` is the one that was chosen
 * @throws {GreetError} `FAILED` where the port, the host or the certificate cannot be had
 *
 * @example
 * ```ts
 * import { openNames, serveNames } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * await using server = await serveNames({ port: 0 });
 * await using names = openNames(`${server.port}`);
 * await using _registration = await names.register({ name: "Bob", address: "127.0.0.1:55555" });
 * assert.equal((await names.lookup("Bob"))[0].address, "127.0.0.1:55555");
 * ```
 */
export async function serveNames(options: ServeNamesOptions = {}): Promise<Server> {
  const { host = LOOPBACK, port = NAMES_PORT, onChange, onFault, tls, onRefused } = options;
  const registry = new Registry(onChange && ((change) => onChange(newsOf(change))));
  const names = implement(NAMES, {
    async *Register(claim, { from, signal }) {
      using held = registry.claim(claim, from);
      yield { sinceMs: held.entry.sinceMs };
      await aborted(AbortSignal.any([signal, held.superseded]));
      if (signal.aborted) return;
      throw new GreetError("ABORTED", `the same holder has registered ${claim.name} again`);
    },
    Lookup: ({ name }) => ({ entries: registry.lookup(name) }),
    Watch: ({ name }, { from, signal }) => registry.watch(name, from, signal),
    List: ({ pageToken }) => registry.list(pageToken),
  });
  const services = [names, health([names])];
  return await serve({
    host,
    port,
    services: [...services, ...await reflection(services)],
    onFault,
    keepalive: KEEPALIVE,
    tls,
    onRefused,
    maxRequestBytes: MAX_REQUEST_BYTES,
    maxCalls: MAX_CALLS,
    maxOpenCalls: MAX_OPEN_CALLS,
  });
}

function newsOf({ kind, entry }: NameChange & { entry: NameEntry }): NameNews {
  const { name, address, fingerprint } = entry;
  return {
    at: new Date(),
    kind: kind === "HELD" ? "held" : "freed",
    name,
    address,
    ...fingerprint !== "" && { fingerprint },
  };
}
