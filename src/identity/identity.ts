/**
 * Who we are, to be proved to others: a key pair and a certificate that we made ourselves.
 *
 * The key is the identity. It is made when it is first needed, kept in the home directory where
 * nobody but its owner can read it, and never leaves it; the certificate is what TLS needs to show
 * the key, and is made again where it is missing. People compare the {@link spokenCode}.
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
import { GreetError } from "../base/errors.ts";
import { fileNameOf } from "../base/home.ts";
import {
  isShared,
  readSmallFile,
  requireOurs,
  requirePrivateFolder,
  statFile,
  UnusableFile,
} from "../base/private_files.ts";

/** Somebody's key, the certificate that shows it, and how others know it. */
export interface Identity extends KeyPair {
  readonly name: string;
  /** What others remember of the key; see `fingerprintOf`. */
  readonly fingerprint: string;
}

/** What every TLS library speaks. Source: RFC 8446, section 9.1. */
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** That a certificate does not expire. Source: RFC 5280, section 4.1.2.5. */
const NEVER = new Date("9999-12-31T23:59:59Z");

/** How much the clocks of two machines may differ. */
const SKEW_MS = 24 * 3600 * 1000;

/**
 * The identity under which somebody is known; it is made where there is none yet.
 *
 * The folder is made with mode 0700, the files with 0600.
 *
 * @param home where things are kept
 * @param name whose it is
 * @throws {GreetError} `FAILED` where it cannot be kept or read, is damaged, or where other users
 *   can read the key or replace it. What is in the key is not told
 */
export async function openIdentity(home: string, name: string): Promise<Identity> {
  const path = join(folderIn(home), fileNameOf(name));
  const [key, cert] = [`${path}.key`, `${path}.pem`];
  try {
    for (const folder of [home, dirname(path)]) requirePrivateFolder(folder);
    if (!exists(key)) keep(key, pemOf("PRIVATE KEY", await newKey()));
    if (isPrivate(key)) {
      if (!exists(cert)) keep(cert, await certificateFor(readText(key), name));
      return identityOf(name, readKeyPair(cert, key));
    }
  } catch (cause) {
    throw unusable(name, key, cert, cause);
  }
  throw new GreetError("FAILED", `others can read the private key ${key}`, {
    hint: `if nobody has: chmod 600 ${key}. Otherwise remove it and ${cert}, for a new one`,
  });
}

/**
 * A new identity that is kept nowhere: it ends with the process.
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
 * The identities that were made, ordered by name.
 *
 * @throws {GreetError} `FAILED` where they cannot be read
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
 * A fingerprint for people to read to each other: six groups of five digits, which are 99 of its
 * bits. Somebody who wants another key with the same code has to make 2^99 of them.
 */
export function spokenCode(fingerprint: string): string {
  const digest = createHash("sha256").update(`greet spoken code ${fingerprint}`).digest("hex");
  const digits = `${BigInt(`0x${digest}`) % 10n ** 30n}`.padStart(30, "0");
  return digits.match(/\d{5}/g)!.join(" ");
}

// ---------------------------------------------------------------- making

async function newKey(): Promise<Uint8Array> {
  const { privateKey } = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  return new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey));
}

async function certificateFor(key: string, name: string): Promise<string> {
  // The library wants this to be loaded first.
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
    // Where it is a mere string, quotes, backslashes and # mean something to the library.
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

// ---------------------------------------------------------------- keeping

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

/**
 * Writes a file that is not there yet: all of it or nothing. Where another process was faster, its
 * file stays.
 */
function keep(path: string, text: string): void {
  Deno.mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${crypto.randomUUID()}`;
  try {
    Deno.writeTextFileSync(draft, text, { createNew: true, mode: 0o600 });
    Deno.linkSync(draft, path);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  } finally {
    if (exists(draft)) Deno.removeSync(draft);
  }
}

/** A key that others can read proves nothing. */
function isPrivate(key: string): boolean {
  const info = statFile(key);
  if (info === undefined) throw new UnusableFile(key, "it is a link that leads nowhere");
  if (isShared(info)) return false;
  requireOurs(key, info);
  return true;
}

function readText(file: string): string {
  return new TextDecoder().decode(readSmallFile(file));
}

function unusable(name: string, key: string, cert: string, error: unknown): GreetError {
  const cause = (error as Error).cause as Error | undefined ?? error as Error;
  const cannotKeep = `the identity of ${name} cannot be kept in`;
  const anotherHome = "move it away, or name another folder with --home DIR or GREET_HOME";
  if (cause instanceof UnusableFile) {
    const { path, message, hint = anotherHome } = cause;
    return new GreetError("FAILED", `${cannotKeep} ${path}: ${message}`, { hint });
  }
  const system = /^(.*?)(?: \(os error|, run again with)/s.exec(cause.message)?.[1];
  if (system !== undefined) {
    return new GreetError("FAILED", `${cannotKeep} ${key}: ${system}`, {
      hint: "it needs a folder to read and write in: --home DIR or GREET_HOME names another one",
    });
  }
  // What the runtime says of a key that is none may quote it.
  const reason = error instanceof GreetError ? error.message : "it is damaged";
  return new GreetError("FAILED", `the identity of ${name} in ${key} cannot be used: ${reason}`, {
    hint: exists(cert) && isKey(key)
      ? `put back a copy; or remove ${cert}, which is made again for the key that is there`
      : `put back a copy; or remove it and ${cert} for a new one, ` +
        "which those who know you will refuse at first",
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
