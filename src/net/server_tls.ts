/**
 * The server side of TLS.
 *
 * A {@link TlsHandshaker} performs handshakes on accepted connections, and closes those that fail
 * or take too long. It reloads certificate files when they change, so a renewed certificate needs
 * no restart.
 *
 * @module
 */
import type net from "node:net";
import tls from "node:tls";
import {
  clientProblem,
  fromDer,
  inspectCertificate,
  type KeyPair,
  readKeyPair,
  readPem,
} from "./certificates.ts";
import { GreetError } from "../base/errors.ts";
import { type FileStamp, fileStamp } from "../base/file_stamp.ts";
import { RateLimit } from "../base/timing.ts";

/** The certificate of a server and the certificates that it requires of clients, as PEM files. */
export interface ServerTls {
  /** The path of the server's certificate, followed by its chain. */
  readonly cert: string;
  /** The path of the server's private key. */
  readonly key: string;
  /** The path of CA certificates; if set, clients need a certificate that one of them issued. */
  readonly clientCa?: string;
}

/** TLS among peers: both sides show a certificate, and its key identifies them. */
export interface PeerTls {
  /** Our own certificate and key. */
  readonly own: KeyPair;
  /** Whether a fingerprint belongs to a known peer; the resources of strangers are bounded. */
  readonly isKnown: (fingerprint: string) => boolean;
}

/** Receives the results of handshakes. */
export interface HandshakeHandlers {
  /**
   * Receives each connection that has completed its handshake and, among peers, a function that
   * tells whether the caller is still a stranger.
   */
  readonly onSecure: (socket: net.Socket, isStranger?: () => boolean) => void;
  /** Receives the reason of a failed handshake, if there is a known remedy. */
  readonly onRefused: (error: GreetError) => void;
  /** Receives the reason why changed certificate files cannot be used. */
  readonly onReloadError: (error: GreetError) => void;
}

/** Explains handshake errors of the runtime. */
const REFUSALS: readonly [pattern: RegExp, problem: string, hint: string][] = [
  [
    /wrong version number|http request/,
    "does not speak TLS, and this side does",
    "the other side needs --tls, or --cacert FILE",
  ],
  [
    /sent no certificates/,
    "shows no certificate, and this server requires one",
    "the other side needs --cert",
  ],
  [
    /alert: (CertificateUnknown|UnknownCA|BadCertificate)/,
    "does not trust this server's certificate",
    "the other side needs --cacert FILE",
  ],
  [
    /alert: CertificateExpired/,
    "says that this server's certificate has expired",
    "replace the certificate file; no restart is needed",
  ],
  [
    /Tls12NotOffered/,
    "speaks TLS 1.2, and this side requires 1.3",
    "the other side needs a newer TLS library",
  ],
];

/**
 * Explains why a handshake failed.
 *
 * @param message the runtime's message
 * @param code the runtime's code, if the client has shown a certificate that is not accepted
 * @param shown that certificate (DER)
 * @returns a problem, as a phrase that continues "a caller", and a hint; nothing if it is not known
 */
function whyRefused(message: string, code: unknown, shown?: Uint8Array): readonly string[] {
  if (code) {
    const [reason, hint] = whyUnaccepted(`${code}`, shown);
    return [`shows a certificate that is not accepted: ${reason}`, hint];
  }
  const [, ...refusal] = REFUSALS.find(([pattern]) => pattern.test(message)) ?? [];
  return refusal;
}

/** The code alone does not tell: it is the same for most reasons. */
function whyUnaccepted(code: string, shown: Uint8Array | undefined): [string, string] {
  const hint = "the other side needs one from a CA in --client-ca";
  if (shown === undefined) return [code, hint];
  const found = explained(shown);
  if (found !== undefined) return [`it ${found.problem}`, found.hint];
  const isOwn = code === "DEPTH_ZERO_SELF_SIGNED_CERT";
  return [isOwn ? "it is self-signed" : "it is from a CA not in --client-ca", hint];
}

function explained(shown: Uint8Array): ReturnType<typeof clientProblem> {
  try {
    return clientProblem(fromDer(shown));
  } catch {
    return { problem: "cannot be read", hint: "a new certificate is needed" };
  }
}

/** How long a handshake may take, in milliseconds. */
const HANDSHAKE_MS = 10_000;

/** How long a peer without a valid certificate may take to send something, in milliseconds. */
const FIRST_DATA_MS = 1_000;

/** How often certificate files are checked for changes, in milliseconds. */
const CHECK_MS = 1_000;

/**
 * Before 1.3, certificates are sent in the clear and would reveal which peers talk, and the runtime
 * gives a server no say in the choice of a cipher.
 */
const MIN_VERSION = "TLSv1.3";

/** Performs the server side of handshakes. */
export class TlsHandshaker {
  readonly #server: tls.Server;
  readonly #handlers: HandshakeHandlers;
  readonly #files: CertificateFiles | undefined;
  /** The certificates (DER) of clients whose handshake is not over. */
  readonly #shown = new WeakMap<tls.TLSSocket, Uint8Array>();

  /** @throws {GreetError} `FAILED` if the certificate files cannot be used */
  constructor(tlsOptions: ServerTls | PeerTls, handlers: HandshakeHandlers) {
    this.#handlers = handlers;
    const isAmongPeers = "own" in tlsOptions;
    this.#files = isAmongPeers ? undefined : new CertificateFiles(tlsOptions);
    this.#server = tls.createServer(
      {
        ...isAmongPeers ? peerOptions(tlsOptions) : serverOptions(tlsOptions),
        ALPNProtocols: ["h2"],
        handshakeTimeout: HANDSHAKE_MS,
      },
      isAmongPeers ? (socket) => this.#identify(socket, tlsOptions) : (socket) => {
        handlers.onSecure(socket);
      },
    );
    this.#server.on("tlsClientError", ({ message }, socket) => {
      socket.destroy();
      const { authorizationError: code } = socket;
      const [problem, hint] = whyRefused(message, code, this.#shown.get(socket));
      // The runtime no longer knows the address of the socket.
      if (problem !== undefined) this.#refuse(`a caller ${problem}`, hint);
    });
  }

  /** Begins a handshake on an accepted connection. */
  begin(socket: net.Socket): void {
    this.#files?.reload(
      (context) => this.#server.setSecureContext(context),
      this.#handlers.onReloadError,
    );
    this.#server.emit("connection", socket);
    const secure = this.#files?.requiresCertificates ? tlsSocketOn(socket) : undefined;
    // By the time of its error, the certificate that was refused is gone.
    secure?.prependOnceListener("secure", () => {
      const { raw } = secure.getPeerCertificate();
      if (raw !== undefined) this.#shown.set(secure, raw);
    });
  }

  /** The handshake has proved that the caller has a key; this finds out which. */
  #identify(socket: tls.TLSSocket, { isKnown }: PeerTls): void {
    const inspection = inspectCertificate(socket.getPeerCertificate().raw);
    if ("fingerprint" in inspection) {
      return this.#handlers.onSecure(socket, () => !isKnown(inspection.fingerprint));
    }
    // A probe that only checks for TLS sends nothing, and is not reported.
    const from = socket.remoteAddress;
    const timer = setTimeout(() => socket.destroy(), FIRST_DATA_MS);
    socket.once("close", () => clearTimeout(timer));
    socket.once("data", () => {
      socket.destroy();
      this.#refuse(`a caller at ${from} shows ${inspection.problem}`, inspection.hint);
    });
  }

  #refuse(message: string, hint?: string): void {
    this.#handlers.onRefused(new GreetError("UNAUTHENTICATED", message, { hint }));
  }
}

/**
 * The TLS socket that the runtime has just put on a connection, which it does not give out before the
 * handshake is over. If it can no longer be found, refusals are explained less precisely.
 */
function tlsSocketOn(socket: net.Socket): tls.TLSSocket | undefined {
  const { _handle: handle } = socket as unknown as { _handle: Record<symbol, unknown> | null };
  return Object.getOwnPropertySymbols(handle ?? {}).map((symbol) => handle![symbol])
    .find((owner) => owner instanceof tls.TLSSocket);
}

function peerOptions({ own }: PeerTls): tls.TlsOptions {
  return {
    cert: Buffer.from(own.cert),
    key: Buffer.from(own.key),
    requestCert: true,
    // Peers make their own certificates, so there is no CA to verify them with.
    rejectUnauthorized: false,
    minVersion: MIN_VERSION,
  };
}

function serverOptions(files: ServerTls): tls.TlsOptions {
  const requiresCertificate = files.clientCa !== undefined;
  return {
    ...readContext(files),
    requestCert: requiresCertificate,
    rejectUnauthorized: requiresCertificate,
  };
}

function readContext({ cert, key, clientCa }: ServerTls): tls.SecureContextOptions {
  const pair = readKeyPair(cert, key);
  return {
    cert: Buffer.from(pair.cert),
    key: Buffer.from(pair.key),
    minVersion: MIN_VERSION,
    ...clientCa && { ca: [Buffer.from(readPem(clientCa, "certificate"))] },
  };
}

/** Certificate files that may change while the server runs. */
class CertificateFiles {
  readonly #files: ServerTls;
  /** The state of the files that was last loaded or reported as unusable. */
  #loaded: readonly FileStamp[];
  /** The state of the files at the last attempt that failed. */
  #failed: readonly FileStamp[] = [];
  readonly #checks = new RateLimit<"files">(CHECK_MS);

  constructor(files: ServerTls) {
    this.#files = files;
    this.#loaded = this.#stamps();
  }

  /** Whether clients need a certificate. */
  get requiresCertificates(): boolean {
    return this.#files.clientCa !== undefined;
  }

  /** Loads the files again if they may have changed. */
  reload(
    use: (context: tls.SecureContextOptions) => void,
    onError: (error: GreetError) => void,
  ): void {
    if (!this.#checks.isDue("files")) return;
    const stamps = this.#stamps();
    if (areSame(stamps, this.#loaded)) return;
    try {
      use(readContext(this.#files));
      this.#loaded = stamps;
    } catch (error) {
      // The files may be replaced one after the other: only a lasting failure is reported.
      if (areSame(stamps, this.#failed)) {
        this.#loaded = stamps;
        onError(error as GreetError);
      }
      this.#failed = stamps;
    }
  }

  #stamps(): FileStamp[] {
    const { cert, key, clientCa } = this.#files;
    return [cert, key, clientCa ?? cert].map((file) => {
      try {
        return fileStamp(Deno.statSync(file));
      } catch {
        return "missing";
      }
    });
  }
}

function areSame(a: readonly FileStamp[], b: readonly FileStamp[]): boolean {
  return a.length === b.length && a.every((stamp, i) => stamp === b[i]);
}
