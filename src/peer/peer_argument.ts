/**
 * The argument with which a `greet chat` command names a peer: a port, an address or a name.
 *
 * @module
 */
import { formatEndpoint, isTarget, LOOPBACK } from "../net/address.ts";

/** A peer that could be named. */
export interface Nameable {
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

/** A host that stands for every address of a machine, of which the other side needs one. */
const EVERY_ADDRESS = /^(0\.0\.0\.0|\[?::\]?)$/;

/** The argument that names a peer by its port or address. */
export function addressArgument({ host, port }: Omit<Nameable, "name">): string {
  if (host === LOOPBACK || host === "localhost") return `${port}`;
  return formatEndpoint(EVERY_ADDRESS.test(host) ? "HOST" : host, port);
}

/**
 * The argument that names a peer by its name, which a naming service knows; by its address if the
 * name has characters that are special in a shell. A stranger may have chosen the name.
 */
export function nameArgument(peer: Nameable): string {
  const { name } = peer;
  const isHarmless = /^[\p{L}\p{N}][\p{L}\p{M}\p{N}._ -]*$/u.test(name) && !isTarget(name);
  if (!isHarmless) return addressArgument(peer);
  return name.includes(" ") ? `"${name}"` : name;
}
