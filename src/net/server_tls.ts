/**
 * TLS: the server's side of a handshake.
 *
 * {@link Handshakes} shows a certificate and asks for those that are wanted: of whoever a CA
 * vouches for, or, among peers, of everybody. Certificates in files are looked at again when
 * somebody connects, so that a renewed one is shown without a restart. Who does not finish the
 * handshake in time, or not as it should be, is sent away.
 *
 * @module
 */
import type net from "node:net";
import tls from "node:tls";
import { inspectCertificate, type KeyPair, readKeyPair, readPem } from "./certificates.ts";
import { GreetError } from "../base/errors.ts";

/** What a server shows and asks for: the names of PEM files. */
export interface ServerTls {
  /** The server's certificate, with those that lead to it. */
  readonly cert: string;
  readonly key: string;
  /** Whoever calls must have a certificate that one of these vouches for. */
  readonly clientCa?: string;
}

/** How peers speak TLS: everybody shows a certificate, and whose key it is for tells who they are. */
export interface PeersTls {
  /** What we show. */
  readonly own: KeyPair;
  /** Whether a key is that of somebody we know; what strangers may cost us is bounded. */
  readonly isKnown: (fingerprint: string) => boolean;
}

/** What there is to tell of handshakes. */
export interface HandshakeEvents {
  /**
   * Gets each connection that has finished its handshake and, among peers, a way to see whether
   * whoever is at its other end is a stranger still.
   */
  readonly onSecure: (socket: net.Socket, isStranger?: () => boolean) => void;
  /** Gets what was wrong with a handshake that failed, where it is known what has to change. */
  readonly onRefused: (error: GreetError) => void;
  /** Gets why files that have changed cannot be shown. */
  readonly onTrouble: (error: GreetError) => void;
}

/** What is wrong with the other side, by what the runtime says of a handshake. */
const REFUSALS: readonly [pattern: RegExp, what: string, hint: string][] = [
  [
    /wrong version number|http request/,
    "does not speak TLS, and this side does",
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
  [/Tls12NotOffered/, "speaks TLS 1.2, and peers speak 1.3", "over there: a newer TLS library"],
];

/** How long a handshake may take. */
const HANDSHAKE_MS = 10_000;

/** How long somebody who cannot stay may take to say something. */
const FIRST_WORDS_MS = 1_000;

/** How often the files are looked at, at most. */
const LOOK_AGAIN_MS = 1_000;

/** The server's side of handshakes. */
export class Handshakes {
  readonly #server: tls.Server;
  readonly #events: HandshakeEvents;
  readonly #files: Files | undefined;

  /** @throws {GreetError} `FAILED` where files cannot be shown from the beginning */
  constructor(tlsOptions: ServerTls | PeersTls, events: HandshakeEvents) {
    this.#events = events;
    const isAmongPeers = "own" in tlsOptions;
    this.#files = isAmongPeers ? undefined : new Files(tlsOptions);
    this.#server = tls.createServer(
      {
        ...isAmongPeers ? amongPeers(tlsOptions) : byFiles(tlsOptions),
        ALPNProtocols: ["h2"],
        handshakeTimeout: HANDSHAKE_MS,
      },
      isAmongPeers ? (socket) => this.#meet(socket, tlsOptions) : (socket) => {
        events.onSecure(socket);
      },
    );
    this.#server.on("tlsClientError", ({ message }, socket) => {
      socket.destroy();
      const [, what, hint] = REFUSALS.find(([pattern]) => pattern.test(message)) ?? [];
      // By now the runtime has forgotten where it was.
      if (what !== undefined) this.#refuse(`a caller ${what}`, hint);
    });
  }

  /** Begins a handshake on a connection that came in. */
  begin(socket: net.Socket): void {
    this.#files?.refresh(
      (context) => this.#server.setSecureContext(context),
      this.#events.onTrouble,
    );
    this.#server.emit("connection", socket);
  }

  /** The runtime has checked that the caller has the key; whose it is, is not its business. */
  #meet(socket: tls.TLSSocket, { isKnown }: PeersTls): void {
    const finding = inspectCertificate(socket.getPeerCertificate().raw);
    if ("fingerprint" in finding) {
      return this.#events.onSecure(socket, () => !isKnown(finding.fingerprint));
    }
    // Who only looks whether there is TLS goes without a word.
    const from = socket.remoteAddress;
    const timer = setTimeout(() => socket.destroy(), FIRST_WORDS_MS);
    socket.once("close", () => clearTimeout(timer));
    socket.once("data", () => {
      socket.destroy();
      this.#refuse(`somebody at ${from} shows ${finding.problem}`, finding.hint);
    });
  }

  #refuse(message: string, hint?: string): void {
    this.#events.onRefused(new GreetError("UNAUTHENTICATED", message, { hint }));
  }
}

function amongPeers({ own }: PeersTls): tls.TlsOptions {
  return {
    cert: Buffer.from(own.cert),
    key: Buffer.from(own.key),
    requestCert: true,
    // Nobody vouches for peers: each has made its own certificate.
    rejectUnauthorized: false,
    // Before 1.3, certificates, and so who talks to whom, can be read on the way.
    minVersion: "TLSv1.3",
  };
}

function byFiles(files: ServerTls): tls.TlsOptions {
  const mustShow = files.clientCa !== undefined;
  return { ...contextOf(files), requestCert: mustShow, rejectUnauthorized: mustShow };
}

function contextOf({ cert, key, clientCa }: ServerTls): tls.SecureContextOptions {
  const pair = readKeyPair(cert, key);
  return {
    cert: Buffer.from(pair.cert),
    key: Buffer.from(pair.key),
    ...clientCa && { ca: [Buffer.from(readPem(clientCa, "certificate"))] },
  };
}

/** Files that may be renewed. */
class Files {
  readonly #files: ServerTls;
  /** When those that are shown were written; and those that could not be. */
  #shown: string;
  #broken: string | undefined;
  #looked = Date.now();

  constructor(files: ServerTls) {
    this.#files = files;
    this.#shown = this.#written();
  }

  /** Looks at them, and shows them if they have changed. */
  refresh(
    show: (context: tls.SecureContextOptions) => void,
    onTrouble: (error: GreetError) => void,
  ): void {
    if (Date.now() - this.#looked < LOOK_AGAIN_MS) return;
    this.#looked = Date.now();
    const written = this.#written();
    if (written === this.#shown) return;
    try {
      show(contextOf(this.#files));
      this.#shown = written;
    } catch (error) {
      // The first time, it may be that one file is there and the other is still to come.
      if (this.#broken === written) {
        this.#shown = written;
        onTrouble(error as GreetError);
      }
      this.#broken = written;
    }
  }

  /** When they were written, as far as they are there. */
  #written(): string {
    const { cert, key, clientCa } = this.#files;
    return [cert, key, clientCa ?? cert].map((file) => {
      try {
        const { mtime, size, ino } = Deno.statSync(file);
        return `${mtime?.getTime()} ${size} ${ino}`;
      } catch {
        return "missing";
      }
    }).join();
  }
}
