/**
 * TLS as users ask for it: what the options mean together, and what holds without any.
 *
 * What stays on this machine is not encrypted unless that is asked for, everything else is unless
 * `--plaintext` says that it is not to be; the words are those of grpcurl. What contradicts itself is
 * refused before anything is opened; what is in the files is read by `certificates.ts`.
 *
 * @module
 */
import type { Arguments } from "./arguments.ts";
import { GreetError } from "../base/errors.ts";
import type { ClientTls } from "../rpc/credentials.ts";
import type { ServerTls } from "../net/server_tls.ts";
import { isLocal, isLoopback, parseTarget, type Target } from "../net/address.ts";

/**
 * What a server is to show and ask for.
 *
 * @param host where it listens
 * @returns nothing where it is not to speak TLS
 * @throws {GreetError} `USAGE` for what makes no sense
 */
export function serverTls(input: Arguments, host: string): ServerTls | undefined {
  const [cert, key, clientCa] = ["cert", "key", "client-ca"].map((name) => input.string(name));
  checkPair(input);
  exclude(input, "plaintext", "cert");
  if (clientCa !== undefined && cert === undefined) throw input.usage("--client-ca needs --cert");
  if (cert !== undefined) return { cert, key: key!, clientCa };
  if (input.flag("plaintext") || isLoopback(host)) return undefined;
  const message = `${host} is beyond this machine, and what is said there would not be encrypted`;
  throw new GreetError("USAGE", message, { hint: "give --cert and --key, or say --plaintext" });
}

/**
 * How a client is to speak TLS.
 *
 * @param target whom it calls; nothing where that is a name, of which nobody knows yet where it is.
 *   Then what is given for the naming service is no reason to speak TLS on this machine
 * @returns nothing where it is not to
 * @throws {GreetError} `USAGE` for what makes no sense, `FAILED` for files that cannot be used
 */
export async function clientTls(
  input: Arguments,
  target: Target | undefined,
): Promise<ClientTls | undefined> {
  checkPair(input);
  for (const option of ["tls", "insecure", "cacert", "cert"]) exclude(input, "plaintext", option);
  exclude(input, "insecure", "cacert");
  const reasons = ["tls", "insecure", ...target === undefined ? [] : ["cacert", "cert"]];
  const isAsked = reasons.some((name) => input.flag(name));
  if (input.flag("plaintext")) return undefined;
  if (!isAsked && target !== undefined && isLocal(target)) return undefined;
  const [cacert, cert, key] = ["cacert", "cert", "key"].map((name) => input.string(name));
  const { readKeyPair, readPem } = await import("../net/certificates.ts");
  return {
    insecure: input.flag("insecure"),
    beyondLoopback: !isAsked && target === undefined,
    ...cacert !== undefined && { trusted: readPem(cacert, "certificate") },
    ...cert !== undefined && { own: readKeyPair(cert, key!) },
  };
}

/**
 * Whether a chat is encrypted: all of it, or nothing.
 *
 * @param hosts where it listens, and where others are told to call
 * @param targets whom it calls, as far as that is known
 * @returns and whether it leaves this machine
 * @throws {GreetError} `USAGE` for what makes no sense
 */
export function chatTls(
  input: Arguments,
  hosts: readonly string[],
  targets: readonly string[],
): { isSecure: boolean; isBeyond: boolean } {
  exclude(input, "plaintext", "tls");
  const isBeyond = !hosts.every(isLoopback) ||
    !targets.every((target) => isLocal(parseTarget(target)));
  return { isSecure: input.flag("tls") || isBeyond && !input.flag("plaintext"), isBeyond };
}

function checkPair(input: Arguments): void {
  if (input.flag("cert") && !input.flag("key")) throw input.usage("--cert needs --key");
  if (input.flag("key") && !input.flag("cert")) throw input.usage("--key needs --cert");
}

function exclude(input: Arguments, one: string, other: string): void {
  if (!input.flag(one) || !input.flag(other)) return;
  throw input.usage(`--${one} and --${other} exclude each other`);
}

/** What is to be said where nothing is encrypted although it leaves this machine. */
export const EXPOSED =
  "not encrypted: whoever is on the network can read this, change it, and pose as anybody";
