/**
 * The rules for claims, which clients check before they send one and servers when they get one.
 *
 * @module
 */
import { isFingerprint, nameProblem } from "../base/text.ts";
import { isEndpoint } from "../net/address.ts";
import type { NameClaim } from "./naming_service.ts";

/** What is wrong with a claim; nothing if it follows the rules. */
export function claimProblem(claim: NameClaim): string | undefined {
  const { name, address, shared = false, fingerprint } = claim;
  const problem = nameProblem(name);
  if (problem !== undefined) return `the name ${problem}`;
  if (!isEndpoint(address)) return "the address is not host:port or [v6]:port";
  if (fingerprint === undefined) return undefined;
  if (!isFingerprint(fingerprint)) return "the fingerprint is not SHA256:…";
  return shared ? "a shared name has no fingerprint" : undefined;
}
