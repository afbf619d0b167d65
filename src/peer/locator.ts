/**
 * Finds out where the other peers listen: at the target that the user typed, or where a naming
 * service has their name registered. The gatekeeper decides whether a peer found there is accepted.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { Link } from "./link.ts";
import { AwaitedCall, type Place, type Whereabouts } from "./presence.ts";
import type { Names } from "../naming/names.ts";
import { type NamedEntry, notRegistered } from "../naming/naming_service.ts";
import {
  isLocal,
  isLoopback,
  isOnlyName,
  isTarget,
  parseTarget,
  splitName,
} from "../net/address.ts";
import { parseName } from "../base/text.ts";

/** Another peer, as the user specified it. */
export interface ExpectedPeer {
  /** What identifies it to the user: its target, or its name in a naming service. */
  readonly address: string;
  readonly whereabouts: Whereabouts;
  /** The name that it must have; without one, any peer at the target will do. */
  readonly name?: string;
}

/** How far a chat may reach: without encryption it stays on this machine, unless told otherwise. */
export type Reach = "everywhere" | "this machine";

/**
 * Parses the targets that the user typed.
 *
 * @param targets ports and addresses, optionally with `NAME@` in front, and names: of peers that a
 *   naming service knows or, without one, that will call us and prove who they are
 * @throws {GreetError} `USAGE` if a target is invalid, out of reach or repeated, or if there is none
 */
export function locatePeers(
  targets: readonly string[],
  names: Names | undefined,
  reach: Reach,
  isEncrypted: boolean,
): ExpectedPeer[] {
  if (targets.length === 0) throw new GreetError("USAGE", "a chat needs at least one other peer");
  const others = targets.map((text): ExpectedPeer => {
    if (names === undefined && isEncrypted && isOnlyName(text)) {
      const name = parseName(text);
      return { address: name, name, whereabouts: new AwaitedCall(name) };
    }
    if (names === undefined || isTarget(text)) {
      const typed = splitName(text);
      const target = parseTarget(typed.target);
      if (!isWithin(reach, target)) throw outOfReach("USAGE", target.address);
      const name = typed.name === undefined ? undefined : parseName(typed.name);
      return { address: target.address, whereabouts: target, name };
    }
    const name = parseName(text);
    return { address: name, name, whereabouts: lookingUp(name, names.address) };
  });
  const addresses = others.map(({ address }) => address);
  const repeated = addresses.find((address, i) => addresses.indexOf(address) !== i);
  if (repeated !== undefined) throw new GreetError("USAGE", `${repeated} is given twice`);
  return others;
}

/**
 * How far a chat may reach.
 *
 * @param host the address that we listen on
 * @param mayLeave whether the chat may leave this machine: it is encrypted, or the user insists
 * @throws {GreetError} `USAGE` if it may not, but listens beyond this machine
 */
export function reachFrom(host: string, mayLeave: boolean): Reach {
  if (mayLeave) return "everywhere";
  if (isLoopback(host)) return "this machine";
  throw outOfReach("USAGE", host);
}

function isWithin(reach: Reach, place: Place): boolean {
  return reach === "everywhere" || isLocal(place);
}

function outOfReach(code: "USAGE" | "FAILED_PRECONDITION", where: string): GreetError {
  const message = `${where} is beyond this machine, and this chat is not encrypted`;
  return new GreetError(code, message, {
    hint: "encrypt it with --tls, or insist with --plaintext",
  });
}

/** The whereabouts of a name before the naming service has answered. */
function lookingUp(name: string, address: string): GreetError {
  return new GreetError("NOT_FOUND", `asking ${address} where ${name} is`);
}

/** Moves a link to where a name is registered, and whenever that changes, until aborted. */
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
