/**
 * Whom we call over TLS, and how we make sure that it is them: gRPC's channel credentials.
 *
 * A server is who a CA says it is, for the host that was called ({@link serverCredentials}); a peer
 * is who has the key that was seen first ({@link PeerCredentials}). Where only other machines
 * are to be called over TLS, it is the address that was reached which decides
 * ({@link BeyondLoopback}).
 *
 * @module
 */
import "./http2_guard.ts";
import type net from "node:net";
import { checkServerIdentity, connect, type PeerCertificate } from "node:tls";
import * as grpc from "@grpc/grpc-js";
import { examine, type KeyPair, PEER_HOST } from "./certificates.ts";
import { isLoopback } from "./target.ts";

/** How to speak TLS with a server; plain data, so that a thread can be told. */
export interface ClientTls {
  /** Who vouches for the other side (PEM); where it is missing, whom the system trusts. */
  readonly trusted?: Uint8Array;
  /** What we show, where the other side wants to know who we are. */
  readonly own?: KeyPair;
  /** Does not look who the other side is: against nobody but those who only listen. */
  readonly insecure?: boolean;
  /** Speaks it with other machines only; what does not leave this one is not encrypted. */
  readonly beyondLoopback?: boolean;
}

/** What is asked for where a target has no name: an address cannot be (RFC 6066, section 3). */
export const NO_NAME = "address.invalid";

/** How long a handshake may take. */
const HANDSHAKE_MS = 5_000;

/**
 * TLS to servers that somebody vouches for.
 *
 * @param hosts of which one the certificate must be for; where they are missing, it must be for the
 *   name that gRPC takes from the target
 */
export function serverCredentials(
  { trusted, own, insecure = false, beyondLoopback = false }: ClientTls,
  hosts: (() => readonly string[]) | undefined,
): grpc.ChannelCredentials {
  const buffer = (bytes?: Uint8Array) => bytes === undefined ? null : Buffer.from(bytes);
  const secure = grpc.credentials.createSsl(
    buffer(trusted),
    buffer(own?.key),
    buffer(own?.cert),
    {
      rejectUnauthorized: !insecure,
      ...hosts && {
        checkServerIdentity(_: string, certificate: PeerCertificate) {
          const problems = hosts().map((host) => checkServerIdentity(host, certificate));
          return problems.includes(undefined) ? undefined : problems[0];
        },
      },
    },
  );
  return beyondLoopback ? new BeyondLoopback(secure) : secure;
}

type Connector = ReturnType<grpc.ChannelCredentials["_createSecureConnector"]>;
type ConnectorArguments = Parameters<grpc.ChannelCredentials["_createSecureConnector"]>;

/** What all of ours have in common: they are not composed, and each is like no other. */
abstract class Credentials extends grpc.ChannelCredentials {
  override compose(): never {
    throw new TypeError("there are no call credentials here");
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: grpc.ChannelCredentials): boolean {
    return this === other;
  }
}

/** TLS with other machines, plaintext on this one. */
class BeyondLoopback extends Credentials {
  readonly #secure: grpc.ChannelCredentials;
  readonly #plaintext = grpc.credentials.createInsecure();

  constructor(secure: grpc.ChannelCredentials) {
    super();
    this.#secure = secure;
  }

  override _createSecureConnector(...args: ConnectorArguments): Connector {
    const secure = this.#secure._createSecureConnector(...args);
    const plaintext = this.#plaintext._createSecureConnector(...args);
    return {
      ...plaintext,
      // A socket of this machine's has no address at all.
      connect: (socket) =>
        isLoopback(socket.remoteAddress ?? "localhost")
          ? plaintext.connect(socket)
          : secure.connect(socket),
    };
  }
}

/**
 * TLS among peers: both show a certificate that they made themselves, and whoever was met on a channel
 * first is the only one that it connects to. Who that is, the caller must find out.
 */
export class PeerCredentials extends Credentials {
  readonly #own: KeyPair;
  #fingerprint: string | undefined;

  /** @param own what we show */
  constructor(own: KeyPair) {
    super();
    this.#own = own;
  }

  /** The fingerprint of the key that the other side has; nothing before it was met. */
  get fingerprint(): string | undefined {
    return this.#fingerprint;
  }

  override _createSecureConnector(...args: ConnectorArguments): Connector {
    const plaintext = grpc.credentials.createInsecure()._createSecureConnector(...args);
    return { ...plaintext, connect: (socket) => this.#connect(socket) };
  }

  async #connect(socket: net.Socket): ReturnType<Connector["connect"]> {
    const secure = connect({
      socket,
      cert: Buffer.from(this.#own.cert),
      key: Buffer.from(this.#own.key),
      // Nobody vouches for peers; their key is looked at below, before anything is sent.
      rejectUnauthorized: false,
      minVersion: "TLSv1.3",
      ALPNProtocols: ["h2"],
      servername: PEER_HOST,
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    secure.once("secureConnect", resolve).on("error", reject);
    // Whoever made the call may have given up long ago, and nobody else would close this.
    const timer = setTimeout(() => secure.destroy(new Error("no handshake")), HANDSHAKE_MS);
    await promise.finally(() => clearTimeout(timer));
    const finding = examine(secure.getPeerCertificate().raw);
    const problem = "problem" in finding ? finding.problem : this.#meet(finding.fingerprint);
    if (problem === undefined) return { socket: secure, secure: true };
    secure.destroy();
    throw new Error(`the other side shows ${problem}`);
  }

  #meet(fingerprint: string): string | undefined {
    this.#fingerprint ??= fingerprint;
    return this.#fingerprint === fingerprint ? undefined : "another key than a moment ago";
  }
}
