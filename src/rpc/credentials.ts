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
import "./deno_http2_workaround.ts";
import { isIP, type Socket } from "node:net";
import { checkServerIdentity, connect, type PeerCertificate } from "node:tls";
import * as grpc from "@grpc/grpc-js";
import { inspectCertificate, type KeyPair, PEER_HOST } from "../net/certificates.ts";
import { isLoopback } from "../net/address.ts";

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
const NO_NAME = "address.invalid";

/** How long a handshake may take. */
const HANDSHAKE_MS = 5_000;

/**
 * TLS to servers that a CA vouches for.
 *
 * @param hasName whether gRPC takes the name that the certificate must be for from the target; without
 *   one, the certificate of each server must be for the host that was dialled
 */
export function serverCredentials(tls: ClientTls, hasName: boolean): grpc.ChannelCredentials {
  const secure = hasName ? secureCredentials(tls) : new ByDialledHost(tls);
  return tls.beyondLoopback ? new BeyondLoopback(secure) : secure;
}

/** gRPC's own credentials; `host` is what the certificate must be for where gRPC knows no name. */
function secureCredentials({ trusted, own, insecure = false }: ClientTls, host?: string) {
  const buffer = (bytes?: Uint8Array) => bytes === undefined ? null : Buffer.from(bytes);
  return grpc.credentials.createSsl(buffer(trusted), buffer(own?.key), buffer(own?.cert), {
    rejectUnauthorized: !insecure,
    ...host !== undefined && {
      checkServerIdentity: (_: string, certificate: PeerCertificate) =>
        checkServerIdentity(host, certificate),
    },
  });
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

/** Why a connection is closed by the side that limits headers. */
export const REFUSED_HEADERS = "the other side sent headers that are malformed or too large";

/** Any credentials, with a limit to the headers on each connection before gRPC uses it. */
export class WithLimits extends Credentials {
  readonly #credentials: grpc.ChannelCredentials;
  readonly #limit: (socket: Socket) => boolean;

  /**
   * @param credentials what to connect with
   * @param limit gets each connection, and says whether gRPC may use it
   */
  constructor(credentials: grpc.ChannelCredentials, limit: (socket: Socket) => boolean) {
    super();
    this.#credentials = credentials;
    this.#limit = limit;
  }

  override _isSecure(): boolean {
    return this.#credentials._isSecure();
  }

  override _createSecureConnector(...args: ConnectorArguments): Connector {
    const connector = this.#credentials._createSecureConnector(...args);
    return {
      waitForReady: () => connector.waitForReady(),
      getCallCredentials: () => connector.getCallCredentials(),
      destroy: () => connector.destroy(),
      connect: async (socket) => {
        const connection = await connector.connect(socket);
        if (this.#limit(connection.socket as Socket)) return connection;
        throw new Error(REFUSED_HEADERS);
      },
    };
  }
}

/**
 * TLS where a target has no name, or stands for several servers: a certificate that is good for one of
 * them proves nothing about another.
 */
class ByDialledHost extends Credentials {
  readonly #tls: ClientTls;

  constructor(tls: ClientTls) {
    super();
    this.#tls = tls;
  }

  override _createSecureConnector(...args: ConnectorArguments): Connector {
    const [target, options, callCredentials] = args;
    const tls = this.#tls;
    return {
      ...grpc.credentials.createInsecure()._createSecureConnector(...args),
      connect(socket) {
        const host = dialledHost(socket);
        const name = isIP(host) === 0 ? host : NO_NAME;
        return secureCredentials(tls, host)._createSecureConnector(
          target,
          { ...options, "grpc.ssl_target_name_override": name },
          callCredentials,
        ).connect(socket);
      },
    };
  }
}

/**
 * The host that a socket was connected to, as it was dialled. The runtime keeps a name only for its own
 * error messages; should it stop to, the address is checked instead, and no certificate for a name passes.
 */
function dialledHost(socket: Socket): string {
  return (socket as { _host?: string })._host ?? socket.remoteAddress ?? "";
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
 * Nothing about a peer's certificate is verified but that it has the key, whatever the runtime calls it
 * when that fails.
 */
function plainly(error: Error): Error {
  if (!/certificate/.test(error.message) || /alert/.test(error.message)) return error;
  return new Error("the other side shows a certificate whose key it does not have", {
    cause: error,
  });
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

  async #connect(socket: Socket): ReturnType<Connector["connect"]> {
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
    secure.once("secureConnect", resolve).on("error", (error) => reject(plainly(error)));
    // Whoever made the call may have given up long ago, and nobody else would close this.
    const timer = setTimeout(() => secure.destroy(new Error("no handshake")), HANDSHAKE_MS);
    await promise.finally(() => clearTimeout(timer));
    const finding = inspectCertificate(secure.getPeerCertificate().raw);
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
