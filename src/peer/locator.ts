/**
 * Where those are whom we chat with: at the place that was typed, or where a naming
 * service says.
 *
 * A naming service is asked only for those who are known by name, and only until they are
 * met: its news move links that have nobody at their other end, or that are called to another
 * place.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { Link, Place, Whereabouts } from "./link.ts";
import type { Names } from "../naming/names.ts";
import { type NamedEntry, notRegistered } from "../naming/naming_service.ts";
import { isLocal, isLoopback, isTarget, parseTarget, splitName } from "../net/address.ts";
import { parseName } from "../base/text.ts";

/** Another peer, as we were told of it. */
export interface Expected {
  /** What we call it by. */
  readonly address: string;
  readonly whereabouts: Whereabouts;
  /** Who it must be; where it is only known by where it is, it may be anybody. */
  readonly name?: string;
}

/** How far a chat reaches: what is not encrypted stays on this machine, unless that is asked for. */
export type Reach = "everywhere" | "this machine";

/**
 * Whom we are to chat with.
 *
 * @param targets ports, addresses, each of them with `NAME@` in front or without, and, where there is a naming service, names
 * @throws {GreetError} `USAGE` for a target or name that is none or out of reach, and for none at all
 */
export function expectedOf(
  targets: readonly string[],
  names: Names | undefined,
  reach: Reach,
): Expected[] {
  if (targets.length === 0) throw new GreetError("USAGE", "a chat needs somebody to chat with");
  const others = targets.map((text): Expected => {
    if (names === undefined || isTarget(text)) {
      const typed = splitName(text);
      const target = parseTarget(typed.target);
      if (!isWithin(reach, target)) throw outOfReach("USAGE", target.address);
      const name = typed.name === undefined ? undefined : parseName(typed.name);
      return { address: target.address, whereabouts: target, name };
    }
    const name = parseName(text);
    return { address: name, name, whereabouts: asking(name, names.address) };
  });
  const addresses = others.map(({ address }) => address);
  const twice = addresses.find((address, i) => addresses.indexOf(address) !== i);
  if (twice !== undefined) throw new GreetError("USAGE", `${twice} is given twice`);
  return others;
}

/**
 * How far a chat reaches.
 *
 * @param host where it listens
 * @param isFree whether it may leave this machine, because it is encrypted or that was asked for
 * @throws {GreetError} `USAGE` where it may not, and listens beyond this machine
 */
export function reachFrom(host: string, isFree: boolean): Reach {
  if (isFree) return "everywhere";
  if (isLoopback(host)) return "this machine";
  throw outOfReach("USAGE", host);
}

function isWithin(reach: Reach, place: Place): boolean {
  return reach === "everywhere" || isLocal(place);
}

function outOfReach(code: "USAGE" | "FAILED_PRECONDITION", where: string): GreetError {
  const message = `${where} is beyond this machine, and this chat is not encrypted`;
  return new GreetError(code, message, { hint: "encrypt it, --tls; or say --plaintext" });
}

/** Where somebody is, before the naming service has answered. */
function asking(name: string, address: string): GreetError {
  return new GreetError("NOT_FOUND", `asking ${address} where ${name} is`);
}

/**
 * Tells a link where somebody is, and again whenever that changes, until the signal is aborted.
 *
 * @param name who is to be found
 */
export async function followName(
  names: Names,
  name: string,
  link: Link,
  reach: Reach,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const { entries: [entry], error } of names.follow(name, signal)) {
      if (entry !== undefined) link.moveTo(placeOf(entry, reach));
      else link.moveTo(error ?? notRegistered(name, names.address));
    }
  } catch (error) {
    link.moveTo(GreetError.from(error));
  }
}

function placeOf({ address, fingerprint }: NamedEntry, reach: Reach): Whereabouts {
  const place: Place = { ...parseTarget(address), fingerprint };
  return isWithin(reach, place) ? place : outOfReach("FAILED_PRECONDITION", address);
}
