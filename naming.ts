/**
 * Which naming service is meant, as users write it.
 *
 * {@link openNames} gives the same {@link Names} for the server of `greet names` and for
 * etcd; what is behind it is chosen by how the place is written.
 *
 * @module
 */
import { Etcd } from "./etcd.ts";
import type { EtcdOptions } from "./etcd_client.ts";
import { Names } from "./names.ts";
import { NamesServer } from "./names_client.ts";
import { parseTarget } from "./target.ts";

/** What some naming services want besides their place; plain data, so that a thread can be told. */
export type NamingOptions = EtcdOptions;

/**
 * Opens a naming service; nothing is sent before something is asked.
 *
 * @param place a port or any other target of a naming server, `tls://host:port` for one that speaks
 *   TLS; or an etcd: `etcd://host:port`, with more nodes after commas, and a prefix for all keys
 *   after a slash; `etcds://` for TLS
 * @throws {GreetError} `USAGE` where it is none
 */
export function openNames(place: string, options: NamingOptions = {}): Names {
  if (/^etcds?:\/\//.test(place)) return new Names(new Etcd(place, options));
  const target = parseTarget(place.replace(/^tls:\/\//, ""));
  const tls = place.startsWith("tls://") ? { trusted: options.trusted } : undefined;
  return new Names(new NamesServer(target, tls));
}
