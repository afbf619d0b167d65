/**
 * TLS: certificates in files, and the server's side of a handshake.
 *
 * A certificate is looked at again when somebody connects, so that one that was renewed is shown
 * without a restart; one that is broken is not, and the former one stays. Who does not finish the
 * handshake in time, or not as it should be, is sent away.
 *
 * @module
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type net from "node:net";
import tls from "node:tls";
import { GreetError } from "./errors.ts";

/** A certificate, and the key that it belongs to, both PEM. */
export interface KeyPair {
  readonly cert: Uint8Array;
  readonly key: Uint8Array;
}

/** What a server shows and asks for: the names of PEM files. */
export interface ServerTls {
  /** The server's certificate, with those that lead to it. */
  readonly cert: string;
  readonly key: string;
  /** Whoever calls must have a certificate that one of these vouches for. */
  readonly clientCa?: string;
}

/** What there is to tell of handshakes. */
export interface HandshakeEvents {
  /** Gets each connection that has finished its handshake. */
  readonly onSecure: (socket: net.Socket) => void;
  /** Gets what was wrong with a handshake that failed, where it is known what has to change. */
  readonly onRefused: (error: GreetError) => void;
  /** Gets why files that have changed cannot be shown. */
  readonly onTrouble: (error: GreetError) => void;
}

/** What is wrong with the other side, by what the runtime says of a handshake. */
const REFUSALS: readonly [pattern: RegExp, what: string, hint: string][] = [
  [
    /wrong version number|http request/,
    "does not speak TLS, and this server does",
    "over there: --tls, or --cacert FILE",
  ],
  [/sent no certificates/, "shows no certificate, and this server wants one", "over there: --cert"],
  [
    /alert: (CertificateUnknown|UnknownCA|BadCertificate)/,
    "does not trust this server's certificate",
    "over there: --cacert FILE",
  ],
  [
    /alert: CertificateExpired/,
    "says that this server's certificate has expired",
    "put a new one into its file; nothing has to be started again",
  ],
];

/** How long a handshake may take. */
const HANDSHAKE_MS = 10_000;

/** How often the files are looked at, at most. */
const LOOK_AGAIN_MS = 1_000;

/**
 * Reads a PEM file.
 *
 * @param what what should be in it, such as "certificate"
 * @throws {GreetError} `FAILED` where it cannot be read or holds nothing of the kind; what is in
 *   it is not told
 */
export function readPem(file: string, what: string): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = Deno.readFileSync(file);
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

/** The server's side of handshakes. */
export class Handshakes {
  readonly #files: ServerTls;
  readonly #server: tls.Server;
  readonly #events: HandshakeEvents;
  /** When the files that are shown were written; and those that could not be. */
  #shown: string;
  #broken: string | undefined;
  #looked = Date.now();

  /**
   * @param files what to show
   * @throws {GreetError} `FAILED` where they cannot be shown from the beginning
   */
  constructor(files: ServerTls, events: HandshakeEvents) {
    this.#files = files;
    this.#events = events;
    this.#shown = writtenAt(files);
    const mustShow = files.clientCa !== undefined;
    const options = {
      ...contextOf(files),
      requestCert: mustShow,
      rejectUnauthorized: mustShow,
      ALPNProtocols: ["h2"],
      handshakeTimeout: HANDSHAKE_MS,
    };
    this.#server = tls.createServer(options, events.onSecure);
    this.#server.on("tlsClientError", ({ message }, socket) => {
      socket.destroy();
      const [, what, hint] = REFUSALS.find(([pattern]) => pattern.test(message)) ?? [];
      if (what === undefined) return;
      // By now the runtime has forgotten where it was.
      events.onRefused(new GreetError("UNAUTHENTICATED", `a caller ${what}`, { hint }));
    });
  }

  /** Begins a handshake on a connection that came in. */
  begin(socket: net.Socket): void {
    this.#refresh();
    this.#server.emit("connection", socket);
  }

  #refresh(): void {
    if (Date.now() - this.#looked < LOOK_AGAIN_MS) return;
    this.#looked = Date.now();
    const written = writtenAt(this.#files);
    if (written === this.#shown) return;
    try {
      this.#server.setSecureContext(contextOf(this.#files));
      this.#shown = written;
    } catch (error) {
      // The first time, it may be that one file is there and the other is still to come.
      if (this.#broken === written) {
        this.#shown = written;
        this.#events.onTrouble(error as GreetError);
      }
      this.#broken = written;
    }
  }
}

function contextOf({ cert, key, clientCa }: ServerTls): tls.SecureContextOptions {
  const pair = readKeyPair(cert, key);
  return {
    cert: Buffer.from(pair.cert),
    key: Buffer.from(pair.key),
    ...clientCa && { ca: [Buffer.from(readPem(clientCa, "certificate"))] },
  };
}

/** When the files were written, as far as they are there. */
function writtenAt({ cert, key, clientCa }: ServerTls): string {
  return [cert, key, clientCa ?? cert].map((file) => {
    try {
      const { mtime, size, ino } = Deno.statSync(file);
      return `${mtime?.getTime()} ${size} ${ino}`;
    } catch {
      return "missing";
    }
  }).join();
}
