/**
 * TLS as users ask for it: what the options mean together.
 *
 * The words are those of grpcurl. What contradicts itself is refused before anything is
 * opened; what is in the files is read by `secure.ts`, which is loaded only when there are any.
 *
 * @module
 */
import type { Arguments } from "./arguments.ts";
import type { ClientTls } from "./rpc_client.ts";
import type { ServerTls } from "./secure.ts";

/**
 * What a server is to show and ask for.
 *
 * @returns nothing where it is not to speak TLS
 * @throws {GreetError} `USAGE` for what makes no sense
 */
export function serverTls(input: Arguments): ServerTls | undefined {
  const [cert, key, clientCa] = ["cert", "key", "client-ca"].map((name) => input.string(name));
  checkPair(input);
  if (clientCa !== undefined && cert === undefined) throw input.usage("--client-ca needs --cert");
  return cert === undefined ? undefined : { cert, key: key!, clientCa };
}

/**
 * How a client is to speak TLS.
 *
 * @param isName whether somebody is called by name; then what is given for the naming service is
 *   no reason to speak TLS to them
 * @returns nothing where it is not to
 * @throws {GreetError} `USAGE` for what makes no sense, `FAILED` for files that cannot be used
 */
export async function clientTls(input: Arguments, isName: boolean): Promise<ClientTls | undefined> {
  checkPair(input);
  for (const option of ["tls", "insecure", "cacert", "cert"]) exclude(input, "plaintext", option);
  exclude(input, "insecure", "cacert");
  const reasons = isName ? ["tls", "insecure"] : ["tls", "insecure", "cacert", "cert"];
  if (!reasons.some((name) => input.flag(name))) return undefined;
  const [cacert, cert, key] = ["cacert", "cert", "key"].map((name) => input.string(name));
  const { readKeyPair, readPem } = await import("./secure.ts");
  return {
    insecure: input.flag("insecure"),
    ...cacert !== undefined && { trusted: readPem(cacert, "certificate") },
    ...cert !== undefined && { own: readKeyPair(cert, key!) },
  };
}

function checkPair(input: Arguments): void {
  if (input.flag("cert") && !input.flag("key")) throw input.usage("--cert needs --key");
  if (input.flag("key") && !input.flag("cert")) throw input.usage("--key needs --cert");
}

function exclude(input: Arguments, one: string, other: string): void {
  if (!input.flag(one) || !input.flag(other)) return;
  throw input.usage(`--${one} and --${other} exclude each other`);
}
