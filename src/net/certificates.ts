/**
 * Reads and checks certificates and private keys.
 *
 * Peers are identified by the {@link fingerprintOf | fingerprint} of their key, so a new
 * certificate for the same key is the same peer. No error message quotes a private key.
 *
 * @module
 */
import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { GreetError, systemReason } from "../base/errors.ts";
import { readSmallFile } from "../base/private_files.ts";

/** A certificate and its private key. */
export interface KeyPair {
  /** The certificate (PEM). */
  readonly cert: Uint8Array;
  /** The private key (PEM). */
  readonly key: Uint8Array;
}

/**
 * The host name in the certificates of peers. It never resolves (RFC 6761, section 6.4), but many
 * TLS libraries require one.
 */
export const PEER_HOST = "peer.greet.invalid";

/** How the contents of a PEM file begin (RFC 7468). */
const LABELS = {
  "certificate": /^-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----/m,
  "private key": /^-----BEGIN ([A-Z]+ )*PRIVATE KEY-----/m,
};

/**
 * Reads a PEM file of at most 1 MB.
 *
 * @param file the path of the file
 * @param what what the file should contain
 * @throws {GreetError} `FAILED` if it cannot be read or contains no such thing; it is not quoted
 */
export function readPem(file: string, what: keyof typeof LABELS): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = readSmallFile(file);
  } catch (cause) {
    const message = `the ${what} ${JSON.stringify(file)} cannot be read: ${systemReason(cause)}`;
    throw new GreetError("FAILED", message, { cause });
  }
  if (LABELS[what].test(new TextDecoder().decode(bytes))) return bytes;
  throw new GreetError("FAILED", `there is no ${what} in ${JSON.stringify(file)}`, {
    hint: `it must be PEM: text with a line from -----BEGIN to ${what.toUpperCase()}-----`,
  });
}

/** Names CA certificates to trust instead of the system's; all gRPC libraries obey it. */
const DEFAULT_ROOTS = "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH";

/**
 * Reads the CA certificates to verify servers with.
 *
 * @param file their path (PEM, at most 1 MB); if undefined, the one in the environment variable
 *   `GRPC_DEFAULT_SSL_ROOTS_FILE_PATH`
 * @returns undefined for those that the system trusts
 * @throws {GreetError} `FAILED` if the file cannot be read or is not PEM
 */
export function readTrusted(file?: string): Uint8Array | undefined {
  if (file !== undefined) return readPem(file, "certificate");
  const byDefault = Deno.env.get(DEFAULT_ROOTS);
  if (!byDefault) return undefined;
  try {
    return readPem(byDefault, "certificate");
  } catch (cause) {
    const { message } = GreetError.from(cause);
    const hint = "unset the variable to trust the CAs of the system";
    throw new GreetError("FAILED", `${DEFAULT_ROOTS}: ${message}`, { hint, cause });
  }
}

/**
 * Reads a certificate and its private key.
 *
 * @param cert the path of the certificate (PEM, at most 1 MB)
 * @param key the path of the private key (PEM, at most 1 MB)
 * @throws {GreetError} `FAILED` if one of them cannot be read, or they do not belong together
 *
 * @example
 * ```ts
 * import { newIdentity, readKeyPair } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * const folder = await Deno.makeTempDir();
 * const identity = await newIdentity("Alice");
 * await Deno.writeFile(`${folder}/cert.pem`, identity.cert);
 * await Deno.writeFile(`${folder}/key.pem`, identity.key);
 *
 * const pair = readKeyPair(`${folder}/cert.pem`, `${folder}/key.pem`);
 * assert.deepEqual(pair.cert, identity.cert);
 * assert.throws(() => readKeyPair(`${folder}/key.pem`, `${folder}/cert.pem`), { code: "FAILED" });
 * await Deno.remove(folder, { recursive: true });
 * ```
 */
export function readKeyPair(cert: string, key: string): KeyPair {
  const pair = { cert: readPem(cert, "certificate"), key: readPem(key, "private key") };
  refuseEncrypted(pair.key, key);
  let isPair: boolean;
  try {
    const privateKey = createPrivateKey(Buffer.from(pair.key));
    isPair = new X509Certificate(Buffer.from(pair.cert)).checkPrivateKey(privateKey);
  } catch {
    // No cause, because its message may quote the key.
    throw new GreetError("FAILED", `${cert} and ${key} are not a certificate and its private key`);
  }
  if (isPair) return pair;
  throw new GreetError("FAILED", `the private key in ${key} does not belong to ${cert}`);
}

/** Refuses a private key with a passphrase (RFC 5958, or the older RFC 1421). */
function refuseEncrypted(pem: Uint8Array, file: string): void {
  if (!/^(-----BEGIN ENCRYPTED |Proc-Type:.*ENCRYPTED)/m.test(new TextDecoder().decode(pem))) {
    return;
  }
  throw new GreetError("FAILED", `the private key in ${file} has a passphrase`, {
    hint: `write one without: openssl pkey -in ${file} -out FILE`,
  });
}

/**
 * Computes the fingerprint of a key as ssh writes it: `SHA256:` and the SHA-256 of the public key
 * (SubjectPublicKeyInfo, RFC 5280, section 4.1) in base64 without padding.
 *
 * @param certificate a certificate for the key; see {@link fromPem} and {@link fromDer}
 */
export function fingerprintOf({ publicKey }: X509Certificate): string {
  const key = publicKey.export({ type: "spki", format: "der" });
  return `SHA256:${createHash("sha256").update(key).digest("base64").replace(/=+$/, "")}`;
}

/**
 * Parses one of our own certificates.
 *
 * @param pem the contents of its file
 * @throws if it is not a certificate
 */
export function fromPem(pem: Uint8Array): X509Certificate {
  return new X509Certificate(Buffer.from(pem));
}

/**
 * Parses a certificate from a handshake. The runtime's parser guesses whether it gets DER or PEM,
 * so the DER is converted first: untrusted bytes must not be taken for PEM.
 *
 * @throws if it is not a certificate
 */
export function fromDer(der: Uint8Array): X509Certificate {
  return new X509Certificate(pemOf("CERTIFICATE", der));
}

/**
 * Encodes DER as PEM. Source: RFC 7468.
 *
 * @param label the type of the contents, such as `CERTIFICATE`
 */
export function pemOf(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der).toString("base64").replaceAll(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN ${label}-----\n${base64}\n-----END ${label}-----\n`;
}

/** The fingerprint of a certificate's key; or why the certificate must be refused, and a remedy. */
export type Inspection =
  | { readonly fingerprint: string }
  | { readonly problem: string; readonly hint: string };

/**
 * Inspects the certificate that a peer showed in a handshake, which has proved that the peer has
 * its key. No CA is required, but the certificate must be valid at this time.
 *
 * @param certificate the certificate (DER), if the peer showed one
 * @param now the current time
 * @returns the fingerprint of its key; or a problem, as a phrase that continues "the other side
 *   shows"
 */
export function inspectCertificate(
  certificate: Uint8Array | undefined,
  now = new Date(),
): Inspection {
  if (certificate === undefined) {
    return {
      problem: "no certificate",
      hint: "the other side needs a chat with --tls, or a certificate with --cert",
    };
  }
  const hint = "the other side needs a new certificate";
  try {
    const parsed = fromDer(certificate);
    const problem = dateProblem(parsed, now);
    return problem === undefined
      ? { fingerprint: fingerprintOf(parsed) }
      : { problem: `a certificate that ${problem}`, hint };
  } catch {
    return { problem: "a certificate that cannot be read", hint };
  }
}

/** Says why a certificate is not valid at a time, if it is not; continues "a certificate". */
export function dateProblem(
  { validFrom, validTo }: X509Certificate,
  now: Date,
): string | undefined {
  if (now < new Date(validFrom)) return "is not valid yet";
  return now > new Date(validTo) ? "has expired" : undefined;
}

/**
 * Explains why servers refuse a client's certificate, regardless of its issuer.
 *
 * @returns a phrase that continues "a certificate, which", and a remedy; if there is a reason
 */
export function clientProblem(
  certificate: X509Certificate,
): { problem: string; hint: string } | undefined {
  const dates = dateProblem(certificate, new Date());
  if (dates !== undefined) return { problem: dates, hint: "a new certificate is needed" };
  const der = certificate.raw;
  if (isVersion1(der)) {
    return {
      problem: "is X.509 v1",
      hint: "make it X.509 v3: give openssl x509 -req -extfile FILE, " +
        "a file with the line extendedKeyUsage=clientAuth",
    };
  }
  // The runtime does not report usages. As this only explains a refusal, looking for their
  // identifiers is enough.
  if (!der.includes(EXTENDED_KEY_USAGE) || der.includes(CLIENT_AUTH)) return undefined;
  return { problem: "is not for clients", hint: "its extendedKeyUsage must include clientAuth" };
}

/** Object identifiers in DER: 2.5.29.37 and 1.3.6.1.5.5.7.3.2 (RFC 5280, section 4.2.1.12). */
const EXTENDED_KEY_USAGE = Buffer.from([0x06, 3, 0x55, 0x1D, 0x25]);
const CLIENT_AUTH = Buffer.from([0x06, 8, 0x2B, 6, 1, 5, 5, 7, 3, 2]);

/** Whether a certificate (DER) lacks the field of its version (RFC 5280, section 4.1). */
function isVersion1(der: Uint8Array): boolean {
  /** Where the contents of the value at a place begin. */
  const contents = (at: number) => at + 2 + (der[at + 1] < 0x80 ? 0 : der[at + 1] & 0x7F);
  return der[contents(contents(0))] !== 0xA0;
}
