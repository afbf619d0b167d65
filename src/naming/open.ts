/**
 * Opens a naming service by its address: a naming server, etcd, or the local network.
 *
 * @module
 */
import { Etcd } from "./etcd.ts";
import type { EtcdOptions } from "./etcd_client.ts";
import { Lan } from "./lan.ts";
import { Names } from "./names.ts";
import { NamesClient } from "./names_client.ts";
import { parsePlace } from "./service_url.ts";

/** Options of naming services; plain data, so that they can be sent to a thread. */
export interface NamingOptions extends EtcdOptions {
  /** Calls a naming server on another machine without TLS, unless its address begins with `tls://`. */
  readonly plaintext?: boolean;
}

/** A naming service, as plain data. */
export interface Naming {
  /** Its address, as {@link openNames} takes it. */
  readonly place: string;
  /** Its options. */
  readonly options?: NamingOptions;
}

/**
 * Opens a naming service; connects with the first request.
 *
 * A naming server on another machine is called over TLS, one on this machine without it, unless the
 * address says otherwise. An etcd is called over TLS only with `etcds://`.
 *
 * @param place the address of the service. For a naming server: a port, `host:port` or any other
 *   target, optionally after `tls://` or `plaintext://`. For etcd: `etcd://host:port,…/prefix` or
 *   `etcds://…`, with one or more nodes; port (default 2379) and key prefix are optional. `lan` is
 *   the local network, which is asked by multicast
 * @param options credentials, trusted CAs, and whether to do without TLS
 * @returns the names on that service. Disposing gives back all names claimed there, and disconnects
 * @throws {GreetError} `USAGE` if the address is invalid
 *
 * @example
 * ```ts
 * import { GreetError, openNames, serveNames } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * await using server = await serveNames({ port: 0 });
 * await using names = openNames(`localhost:${server.port}`);
 * assert.deepEqual(await names.list(), []);
 *
 * await using etcd = openNames("etcd://10.0.0.1,10.0.0.2/team", { user: "ann", password: "secret" });
 * assert.equal(etcd.address, "etcd://10.0.0.1,10.0.0.2/team"); // nothing has been sent yet
 *
 * assert.throws(
 *   () => openNames("etcd://"),
 *   (error) => error instanceof GreetError && error.code === "USAGE",
 * );
 * ```
 */
export function openNames(place: string, options: NamingOptions = {}): Names {
  const parsed = parsePlace(place, options.plaintext);
  if (parsed.kind === "lan") return new Names(new Lan());
  if (parsed.kind === "etcd") return new Names(new Etcd(place, options));
  const { targets: [target], isSecure } = parsed;
  return new Names(new NamesClient(target, isSecure ? { trusted: options.trusted } : undefined));
}
