/**
 * TLS options: checks them together, and decides what is encrypted.
 *
 * Traffic within this machine is plaintext unless TLS is asked for; all other traffic is encrypted
 * unless `--plaintext` is given. The options are named like grpcurl's. Contradictions are refused
 * before anything is opened.
 *
 * @module
 */
import type { Arguments } from "./arguments.ts";
import { GreetError } from "../base/errors.ts";
import type { ClientTls } from "../rpc/credentials.ts";
import type { ServerTls } from "../net/server_tls.ts";
import { isLocal, isLoopback, parseTarget, type Target } from "../net/address.ts";

/**
 * The certificate files of a server.
 *
 * @param host the address to listen on
 * @returns undefined for plaintext
 * @throws {GreetError} `USAGE` for options that contradict each other
 */
export function serverTls(input: Arguments, host: string): ServerTls | undefined {
  const [cert, key, clientCa] = ["cert", "key", "client-ca"].map((name) => input.string(name));
  checkPair(input);
  exclude(input, "plaintext", "cert");
  if (clientCa !== undefined && cert === undefined) {
    throw input.usage("--client-ca needs --cert", "add --cert and --key, those of the server");
  }
  if (cert !== undefined) return { cert, key: key!, clientCa };
  if (input.flag("plaintext") || isLoopback(host)) return undefined;
  const message = `other machines can reach ${host}, and connections would not be encrypted`;
  throw new GreetError("USAGE", message, { hint: "add --cert and --key, or --plaintext" });
}

/**
 * How a client uses TLS.
 *
 * @param target the server to call; undefined if only its name is known. In that case `--cacert` and
 *   `--cert` may be meant for the naming service, so they do not turn TLS on within this machine
 * @returns undefined for plaintext
 * @throws {GreetError} `USAGE` for options that contradict each other, `FAILED` for unusable files
 */
export async function clientTls(
  input: Arguments,
  target: Target | undefined,
): Promise<ClientTls | undefined> {
  checkPair(input);
  for (const option of ["tls", "insecure", "cacert", "cert"]) exclude(input, "plaintext", option);
  exclude(input, "insecure", "cacert");
  const turnsOn = ["tls", "insecure", ...target === undefined ? [] : ["cacert", "cert"]];
  const isTurnedOn = turnsOn.some((name) => input.flag(name));
  if (input.flag("plaintext")) return undefined;
  if (!isTurnedOn && target !== undefined && isLocal(target)) return undefined;
  const [cacert, cert, key] = ["cacert", "cert", "key"].map((name) => input.string(name));
  const { readKeyPair, readTrusted } = await import("../net/certificates.ts");
  const trusted = readTrusted(cacert);
  return {
    insecure: input.flag("insecure"),
    beyondLoopback: !isTurnedOn && target === undefined,
    ...trusted !== undefined && { trusted },
    ...cert !== undefined && { own: readKeyPair(cert, key!) },
  };
}

/**
 * Whether a chat is encrypted. It is encrypted as a whole or not at all.
 *
 * @param hosts the address to listen on, and the one that others should call
 * @param targets the peers' targets, as far as they are known
 * @returns whether it is encrypted, and whether it leaves this machine
 * @throws {GreetError} `USAGE` for options that contradict each other, or an invalid target
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
  if (input.flag("cert") && !input.flag("key")) {
    throw input.usage("--cert needs --key", "add --key FILE, the private key of the certificate");
  }
  if (input.flag("key") && !input.flag("cert")) {
    throw input.usage("--key needs --cert", "add --cert FILE, the certificate of the key");
  }
}

function exclude(input: Arguments, one: string, other: string): void {
  if (!input.flag(one) || !input.flag(other)) return;
  throw input.usage(`--${one} and --${other} cannot be combined`, "leave one of them out");
}

/** The warning about plaintext that leaves this machine. */
export const EXPOSED =
  "not encrypted: anyone on the network can read and change messages, and pose as anyone";
