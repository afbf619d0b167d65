/**
 * Parses TARGET, once, into what a client calls.
 *
 * @module
 */
import { isTarget, parseTarget, type Target } from "../net/address.ts";
import { parseName } from "../base/text.ts";

/**
 * One server, or all servers that share a name. `Service` is the naming service that knows the
 * name: an open one, or plain data that a Worker can be sent.
 */
export type Destination<Service> =
  | { readonly target: Target }
  | { readonly name: string; readonly service: Service };

/**
 * Parses a target.
 *
 * @param text a port, `host:port` or any other target; with a naming service, also a name
 * @param service the naming service, if there is one
 * @throws {GreetError} `USAGE` if it is neither a target nor a name
 */
export function parseDestination<Service>(
  text: string,
  service: Service | undefined,
): Destination<Service> {
  if (service === undefined || isTarget(text)) return { target: parseTarget(text) };
  return { name: parseName(text), service };
}
