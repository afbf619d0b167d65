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
import type { Nameable } from "./peer_argument.ts";

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

/** What decides where peers may be. */
export interface Scope {
  /** The naming service that knows where names are. */
  readonly names: Names | undefined;
  readonly reach: Reach;
  readonly isEncrypted: boolean;
}

/**
 * Parses the targets that the user typed.
 *
 * @throws {GreetError} `USAGE` if {@link locatePeer} fails, one is repeated, or there is none
 */
export function locatePeers(targets: readonly string[], scope: Scope): ExpectedPeer[] {
  if (targets.length === 0) throw new GreetError("USAGE", "a chat needs at least one other peer");
  const others = targets.map((text) => locatePeer(text, scope));
  const addresses = others.map(({ address }) => address);
  const repeated = addresses.find((address, i) => addresses.indexOf(address) !== i);
  if (repeated !== undefined) throw new GreetError("USAGE", `${repeated} is given twice`);
  return others;
}

/**
 * Parses a target that the user typed.
 *
 * @param text a port or an address, optionally with `NAME@` in front, or a name: of a peer that the
 *   naming service knows or, without one, that will call us and prove who it is
 * @throws {GreetError} `USAGE` if it is invalid or out of reach
 */
export function locatePeer(text: string, { names, reach, isEncrypted }: Scope): ExpectedPeer {
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
}

/**
 * What identifies the peer that a target is for.
 *
 * @throws {GreetError} `USAGE` if it is an invalid port or address
 */
export function addressOf(text: string): string {
  return isTarget(text) ? parseTarget(splitName(text).target).address : text;
}

/**
 * Refuses a peer that has our own name or address.
 *
 * @throws {GreetError} `USAGE`
 */
export function refuseSelf({ address, name, whereabouts }: ExpectedPeer, us: Nameable): void {
  const endpoint = whereabouts instanceof GreetError ? undefined : whereabouts.endpoint;
  const isOurs = endpoint?.port === us.port &&
    (endpoint.host === us.host || isLoopback(endpoint.host));
  if (name !== us.name && !isOurs) return;
  const own = isOurs ? "address" : "name";
  throw new GreetError("USAGE", `${isOurs ? address : name} is your own ${own}`);
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
      else link.moveTo(error ?? notRegistered(name, names.where));
    }
  } catch (error) {
    link.moveTo(GreetError.from(error));
  }
}

function placeOf({ address, fingerprint }: NamedEntry, reach: Reach): Whereabouts {
  const place: Place = { ...parseTarget(address), fingerprint };
  return isWithin(reach, place) ? place : outOfReach("FAILED_PRECONDITION", address);
}
