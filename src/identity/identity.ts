/**
 * Our own identity: a private key and a self-signed certificate.
 *
 * The key is the identity. It is created at its first use, stored in the home directory with access
 * for its owner only, and never leaves it; the certificate only carries the key in TLS handshakes,
 * and is created again if it is missing.
 *
 * @module
 */
import { createHash, createPrivateKey, createPublicKey } from "node:crypto";
import { dirname, join } from "node:path";
import {
  fingerprintOf,
  fromPem,
  type KeyPair,
  PEER_HOST,
  pemOf,
  readKeyPair,
} from "../net/certificates.ts";
import { createDurably } from "../base/durable_files.ts";
import { GreetError, systemReason } from "../base/errors.ts";
import { fileNameOf } from "../base/home.ts";
import {
  isShared,
  readSmallFile,
  requireOurs,
  requirePrivateFolder,
  statFile,
  UnusableFile,
} from "../base/private_files.ts";
import { shellWord } from "../base/shell_word.ts";

/** A name with its private key and certificate. */
export interface Identity extends KeyPair {
  /** The name that the key belongs to. */
  readonly name: string;
  /** The fingerprint of the key, by which peers remember it: `SHA256:…`, as ssh writes it. */
  readonly fingerprint: string;
}

/** An algorithm that every TLS library supports. Source: RFC 8446, section 9.1. */
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** The end of a certificate that does not expire. Source: RFC 5280, section 4.1.2.5. */
const NEVER = new Date("9999-12-31T23:59:59Z");

/** How much the clocks of two machines may differ, in milliseconds. */
const SKEW_MS = 24 * 3600 * 1000;

/**
 * Opens the identity of a name, and creates it if there is none yet.
 *
 * Folders are created with mode 0700, files with 0600.
 *
 * @param home the home directory; see {@link homeFolder}
 * @param name the name, which must be valid by {@link nameProblem}
 * @throws {GreetError} `FAILED` if the identity cannot be stored or read, is damaged, or other
 *   users can read or replace the key; the key is not quoted
 *
 * @example
 * ```ts
 * import { openIdentity } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * const home = await Deno.makeTempDir();
 * const { fingerprint } = await openIdentity(home, "Alice");
 * assert.equal((await openIdentity(home, "Alice")).fingerprint, fingerprint);
 * await Deno.remove(home, { recursive: true });
 * ```
 */
export async function openIdentity(home: string, name: string): Promise<Identity> {
  const path = join(folderIn(home), fileNameOf(name));
  const [key, cert] = [`${path}.key`, `${path}.pem`];
  try {
    for (const folder of [home, dirname(path)]) requirePrivateFolder(folder);
    if (!exists(key)) createFile(key, pemOf("PRIVATE KEY", await newKey()));
    if (isPrivate(key)) {
      if (!exists(cert)) createFile(cert, await certificateFor(readText(key), name));
      return identityOf(name, readKeyPair(cert, key));
    }
  } catch (cause) {
    throw unusable(name, key, cert, cause);
  }
  throw new GreetError("FAILED", `other users can read the private key ${key}`, {
    hint: `if you are sure that no one has read it: chmod 600 ${shellWord(key)}. ` +
      `Otherwise remove it and ${cert} to get a new key`,
  });
}

/**
 * Creates an identity that is not stored, and is lost when the process ends.
 *
 * @param name the name, which must be valid by {@link nameProblem}
 *
 * @example
 * ```ts
 * import { newIdentity, spokenCode } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * const { fingerprint } = await newIdentity("Alice");
 * assert.match(fingerprint, /^SHA256:[\w+/]{43}$/);
 * assert.match(spokenCode(fingerprint), /^\d{5}( \d{5}){5}$/);
 * ```
 */
export async function newIdentity(name: string): Promise<Identity> {
  const key = pemOf("PRIVATE KEY", await newKey());
  const bytes = (text: string) => new TextEncoder().encode(text);
  return identityOf(name, { key: bytes(key), cert: bytes(await certificateFor(key, name)) });
}

function identityOf(name: string, pair: KeyPair): Identity {
  return { name, ...pair, fingerprint: fingerprintOf(fromPem(pair.cert)) };
}

/**
 * Lists the stored identities, sorted by name.
 *
 * @throws {GreetError} `FAILED` if they cannot be read
 */
export function identitiesIn(home: string): Pick<Identity, "name" | "fingerprint">[] {
  const folder = folderIn(home);
  try {
    if (!exists(folder)) return [];
    return [...Deno.readDirSync(folder)]
      .filter(({ name }) => name.endsWith(".pem"))
      .map(({ name: file }) => {
        const certificate = fromPem(readSmallFile(join(folder, file)));
        const name = certificate.subject.replace(/^CN=/, "");
        return { name, fingerprint: fingerprintOf(certificate) };
      })
      .sort((a, b) => a.name < b.name ? -1 : 1);
  } catch (cause) {
    throw new GreetError("FAILED", `the identities in ${folder} cannot be read`, { cause });
  }
}

/**
 * Shortens a fingerprint to a code that people can read to each other: six groups of five digits.
 * The code carries 99 bits, so an attacker must create 2^99 keys to find one with the same code.
 *
 * @param fingerprint the fingerprint of a key: `SHA256:…`
 *
 * @example
 * ```ts
 * import { spokenCode } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * const code = spokenCode("SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU");
 * assert.equal(code, "13597 87498 20519 83306 72459 16604");
 * ```
 */
export function spokenCode(fingerprint: string): string {
  const digest = createHash("sha256").update(`greet spoken code ${fingerprint}`).digest("hex");
  const digits = `${BigInt(`0x${digest}`) % 10n ** 30n}`.padStart(30, "0");
  return digits.match(/\d{5}/g)!.join(" ");
}

// ---------------------------------------------------------------- creating keys and certificates

async function newKey(): Promise<Uint8Array> {
  const { privateKey } = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  return new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey));
}

async function certificateFor(key: string, name: string): Promise<string> {
  // @peculiar/x509 requires this to be loaded first.
  await import("reflect-metadata");
  const {
    BasicConstraintsExtension,
    Name,
    SubjectAlternativeNameExtension,
    X509CertificateGenerator,
  } = await import("@peculiar/x509");
  const certificate = await X509CertificateGenerator.createSelfSigned({
    keys: await importKeys(key),
    signingAlgorithm: ALGORITHM,
    // Given as a string, quotes, backslashes and # would have a special meaning.
    name: new Name([{ CN: [{ utf8String: name }] }]),
    serialNumber: crypto.randomUUID().replaceAll("-", "").replace(/^./, "1"),
    notBefore: new Date(Date.now() - SKEW_MS),
    notAfter: NEVER,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new SubjectAlternativeNameExtension([{ type: "dns", value: PEER_HOST }]),
    ],
  });
  return certificate.toString("pem") + "\n";
}

async function importKeys(key: string): Promise<CryptoKeyPair> {
  const privateKey = createPrivateKey(key);
  const pkcs8 = privateKey.export({ type: "pkcs8", format: "der" });
  const spki = createPublicKey(key).export({ type: "spki", format: "der" });
  const { subtle } = crypto;
  return {
    privateKey: await subtle.importKey("pkcs8", new Uint8Array(pkcs8), ALGORITHM, false, ["sign"]),
    publicKey: await subtle.importKey("spki", new Uint8Array(spki), ALGORITHM, true, ["verify"]),
  };
}

// ---------------------------------------------------------------- storing them

function folderIn(home: string): string {
  return join(home, "identities");
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function createFile(path: string, text: string): void {
  Deno.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  createDurably(path, text);
}

/** Whether only we can read a key; otherwise it proves nothing. */
function isPrivate(key: string): boolean {
  const info = statFile(key);
  if (info === undefined) throw new UnusableFile(key, "it is a broken link");
  if (isShared(info)) return false;
  requireOurs(key, info);
  return true;
}

function readText(file: string): string {
  return new TextDecoder().decode(readSmallFile(file));
}

function unusable(name: string, key: string, cert: string, error: unknown): GreetError {
  const cause = (error as Error).cause as Error | undefined ?? error as Error;
  const cannotStore = `the identity of ${name} cannot be stored in`;
  const moveIt = "move it away, or choose another folder with --home DIR or GREET_HOME";
  if (cause instanceof UnusableFile) {
    const { path, message, hint = moveIt } = cause;
    return new GreetError("FAILED", `${cannotStore} ${path}: ${message}`, { hint });
  }
  const systemMessage = systemReason(cause);
  // Only messages of the system have a part that systemReason removes.
  if (systemMessage !== cause.message) {
    return new GreetError("FAILED", `${cannotStore} ${key}: ${systemMessage}`, {
      hint: "choose a folder that you can read and write with --home DIR or GREET_HOME",
    });
  }
  // The runtime's message about an invalid key may quote it.
  const reason = error instanceof GreetError ? error.message : "it is damaged";
  return new GreetError("FAILED", `the identity of ${name} in ${key} cannot be used: ${reason}`, {
    hint: exists(cert) && isKey(key)
      ? `restore it from a copy, or remove ${cert}, which is then made again for the existing key`
      : `restore it from a copy, or remove it and ${cert} to get a new key, ` +
        "which peers that know you will refuse at first",
  });
}

function isKey(file: string): boolean {
  try {
    createPrivateKey(readText(file));
    return true;
  } catch {
    return false;
  }
}
