/**
 * The rules for claims, which clients check before they send one and servers when they get one.
 *
 * @module
 */
import { isFingerprint, nameProblem, parseName } from "../base/text.ts";
import { GreetError } from "../base/errors.ts";
import { isEndpoint, isTarget } from "../net/address.ts";
import type { NameClaim } from "./naming_service.ts";

/**
 * Checks a name by which others are to call its holder. Unlike any other name, it must not look like
 * a port or an address, because callers give those in the same place.
 *
 * @returns what is wrong, as a phrase that continues "the name", or `undefined` if it is valid
 */
function callableNameProblem(name: string): string | undefined {
  const problem = nameProblem(name);
  if (problem !== undefined || !isTarget(name)) return problem;
  const what = /^\d+$/.test(name) ? "a port" : "an address";
  return `would be taken for ${what}`;
}

/**
 * Parses a name that our own user typed, by which others are to call.
 *
 * @throws {GreetError} `USAGE` if it is not valid, or looks like a port or an address
 */
export function parseOwnName(typed: string): string {
  const name = parseName(typed);
  const problem = callableNameProblem(name);
  if (problem === undefined) return name;
  throw new GreetError("USAGE", `the name ${JSON.stringify(typed)} ${problem}`, {
    hint:
      "others call it in place of an address: it cannot be a number, have a ':' or end like '@5'",
  });
}

/** What is wrong with a claim; nothing if it follows the rules. */
export function claimProblem(claim: NameClaim): string | undefined {
  const { name, address, shared = false, fingerprint } = claim;
  const problem = callableNameProblem(name);
  if (problem !== undefined) return `the name ${problem}`;
  if (!isEndpoint(address)) return "the address is not host:port or [v6]:port";
  if (fingerprint === undefined) return undefined;
  if (!isFingerprint(fingerprint)) return "the fingerprint is not SHA256:…";
  return shared ? "a shared name has no fingerprint" : undefined;
}
