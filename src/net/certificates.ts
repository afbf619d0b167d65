/**
 * Certificates: what is in their files, whose they are, and what is wrong with them.
 *
 * A certificate is worth no more than the key that it is for. So whoever is known is known by the
 * {@link fingerprintOf | fingerprint} of that key, and may put it into another certificate. Nothing here
 * tells what is in a private key, whatever goes wrong.
 *
 * @module
 */
import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { GreetError } from "../base/errors.ts";
import { readSmallFile } from "../base/private_files.ts";

/** A certificate, and the key that it belongs to, both PEM. */
export interface KeyPair {
  readonly cert: Uint8Array;
  readonly key: Uint8Array;
}

/**
 * What peers' certificates are for: a host that is none (RFC 6761, section 6.4), because many a TLS
 * library insists on one.
 */
export const PEER_HOST = "peer.greet.invalid";

/**
 * Reads a PEM file of at most 1 MB.
 *
 * @param what what should be in it, such as "certificate"
 * @throws {GreetError} `FAILED` where it cannot be read or holds nothing of the kind; what is in
 *   it is not told
 */
export function readPem(file: string, what: string): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = readSmallFile(file);
  } catch (cause) {
    throw new GreetError("FAILED", `the ${what} ${JSON.stringify(file)} cannot be read`, { cause });
  }
  if (new TextDecoder().decode(bytes).includes("-----BEGIN ")) return bytes;
  throw new GreetError("FAILED", `there is no ${what} in ${JSON.stringify(file)}`, {
    hint: "it must be PEM: text that begins with -----BEGIN",
  });
}

/**
 * Reads a certificate and its key.
 *
 * @throws {GreetError} `FAILED` where one of them is none, or they do not belong together
 */
export function readKeyPair(cert: string, key: string): KeyPair {
  const pair = { cert: readPem(cert, "certificate"), key: readPem(key, "private key") };
  let isPair: boolean;
  try {
    const privateKey = createPrivateKey(Buffer.from(pair.key));
    isPair = new X509Certificate(Buffer.from(pair.cert)).checkPrivateKey(privateKey);
  } catch {
    // What the cause says may quote the key.
    throw new GreetError("FAILED", `${cert} and ${key} are no certificate and its private key`);
  }
  if (isPair) return pair;
  throw new GreetError("FAILED", `the private key in ${key} is not that of ${cert}`);
}

/**
 * What tells a key from every other: `SHA256:` and the SHA-256 of the public key
 * (SubjectPublicKeyInfo, RFC 5280, section 4.1), in base64 without padding, as ssh writes it.
 *
 * @param certificate a certificate for the key; see {@link fromPem} and {@link fromDer}
 */
export function fingerprintOf({ publicKey }: X509Certificate): string {
  const key = publicKey.export({ type: "spki", format: "der" });
  return `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
}

/**
 * Reads a certificate of our own.
 *
 * @param pem the text of its file
 * @throws where it is none
 */
export function fromPem(pem: Uint8Array): X509Certificate {
  return new X509Certificate(Buffer.from(pem));
}

/**
 * Reads a certificate that the other side showed in a handshake. The runtime's parser guesses whether it
 * gets DER or PEM, so DER is wrapped: bytes from others must have no second meaning.
 *
 * @throws where it is none
 */
export function fromDer(der: Uint8Array): X509Certificate {
  return new X509Certificate(pemOf("CERTIFICATE", der));
}

/**
 * DER as PEM text. Source: RFC 7468.
 *
 * @param label what it is, such as `CERTIFICATE`
 */
export function pemOf(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der).toString("base64").replaceAll(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN ${label}-----\n${base64}\n-----END ${label}-----\n`;
}

/** Whose certificate it is; or why it is to be refused, and what would have to change. */
export type Finding =
  | { readonly fingerprint: string }
  | { readonly problem: string; readonly hint: string };

/**
 * Looks at a certificate that somebody showed in a handshake, in which they have proved that the key
 * is theirs. Nobody has to vouch for it, but it must not say itself that it is not valid.
 *
 * @param certificate DER, or nothing where none was shown
 * @returns its key's fingerprint; or what is wrong, which goes on from "the other side shows"
 */
export function inspectCertificate(certificate: Uint8Array | undefined, now = new Date()): Finding {
  if (certificate === undefined) {
    return { problem: "no certificate", hint: "over there: a chat with --tls, or --cert" };
  }
  const hint = "over there: a new certificate";
  try {
    const found = fromDer(certificate);
    const { validFrom, validTo } = found;
    if (now < new Date(validFrom)) return { problem: "a certificate that is not valid yet", hint };
    if (now > new Date(validTo)) return { problem: "a certificate that has expired", hint };
    return { fingerprint: fingerprintOf(found) };
  } catch {
    return { problem: "a certificate that cannot be read", hint };
  }
}
