/**
 * Opens naming services.
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
import { parsePlace } from "./service_url.ts";

/** What some naming services want besides their place; plain data, so that a thread can be told. */
export interface NamingOptions extends EtcdOptions {
  /** Asks a naming server on another machine without TLS, where its place does not say `tls://`. */
  readonly plaintext?: boolean;
}

/** Which naming service to ask, as plain data. */
export interface Naming {
  /** As {@link openNames} takes it. */
  readonly place: string;
  readonly options?: NamingOptions;
}

/**
 * Opens a naming service; nothing is sent before something is asked.
 *
 * @param place a port or any other target of a naming server, with `tls://` in front of it for TLS,
 *   which is what other machines are asked with in any case, or `plaintext://`; or an etcd:
 *   `etcd://host:port`, with more nodes after commas, and a prefix for all keys after a slash;
 *   `etcds://` for TLS
 * @throws {GreetError} `USAGE` where it is none
 */
export function openNames(place: string, options: NamingOptions = {}): Names {
  const parsed = parsePlace(place, options.plaintext);
  if (parsed.kind === "etcd") return new Names(new Etcd(place, options));
  const { targets: [target], isSecure } = parsed;
  return new Names(new NamesServer(target, isSecure ? { trusted: options.trusted } : undefined));
}
