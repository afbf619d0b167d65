/**
 * gRPC's channel credentials for TLS: how we identify ourselves, and verify the other side.
 *
 * A server must have a certificate from a trusted CA for the host that was called
 * ({@link serverCredentials}); a peer must have the key that the channel saw first
 * ({@link PeerCredentials}). {@link BeyondLoopback} uses TLS only with other machines.
 *
 * @module
 */
import "./deno_http2_workaround.ts";
import type { Socket } from "node:net";
import { isIP } from "../net/ip.ts";
import {
  checkServerIdentity,
  connect,
  createSecureContext,
  type PeerCertificate,
  type SecureContext,
} from "node:tls";
import * as grpc from "@grpc/grpc-js";
import { GreetError } from "../base/errors.ts";
import { inspectCertificate, type KeyPair, PEER_HOST, readTrusted } from "../net/certificates.ts";
import { isLoopback } from "../net/address.ts";
import {
  type Connector,
  type ConnectorArguments,
  connectorOf,
  CustomCredentials,
  isSecure,
} from "./grpc_internals.ts";

/** How to use TLS with a server; plain data, so that it can be sent to a thread. */
export interface ClientTls {
  /**
   * CA certificates (PEM) to verify the server with (default: those in the file that
   * `GRPC_DEFAULT_SSL_ROOTS_FILE_PATH` names, or else those that the system trusts).
   */
  readonly trusted?: Uint8Array;
  /** Our own certificate and key, for servers that ask for one. */
  readonly own?: KeyPair;
  /** Skips certificate verification: protects against eavesdroppers only. */
  readonly insecure?: boolean;
  /** Uses TLS only with other machines; connections within this one are not encrypted. */
  readonly beyondLoopback?: boolean;
}

/** The server name to send for a bare address, which is not allowed there (RFC 6066, section 3). */
const NO_NAME = "address.invalid";

/** How long a handshake may take. */
const HANDSHAKE_MS = 5_000;

/**
 * TLS to servers with a certificate from a CA.
 *
 * @param hasName whether the target contains a host name, which gRPC checks the certificate against;
 *   otherwise, each server's certificate must be for the host that was dialled
 * @throws {GreetError} `FAILED` if the environment names unusable certificates or ciphers
 */
export function serverCredentials(tls: ClientTls, hasName: boolean): grpc.ChannelCredentials {
  const context = secureContext(tls);
  const secure = hasName
    ? secureCredentials(context, tls)
    : new ByDialledHost((host) => secureCredentials(context, tls, host));
  return tls.beyondLoopback ? new BeyondLoopback(secure) : secure;
}

const CIPHERS = "GRPC_SSL_CIPHER_SUITES";

/** Obeys the environment variables of gRPC, like gRPC's own credentials. */
function secureContext({ trusted = readTrusted(), own }: ClientTls): SecureContext {
  const buffer = (bytes?: Uint8Array) => bytes && Buffer.from(bytes);
  const ciphers = Deno.env.get(CIPHERS);
  try {
    return createSecureContext({
      ca: buffer(trusted),
      key: buffer(own?.key),
      cert: buffer(own?.cert),
      ciphers,
    });
  } catch (cause) {
    const isCipher = (cause as { code?: string }).code === "ERR_SSL_NO_CIPHER_MATCH";
    // The runtime's message about an invalid key may quote it.
    const message = isCipher
      ? `${CIPHERS}: no cipher suite is called ${JSON.stringify(ciphers)}`
      : "the certificates for TLS cannot be used";
    throw new GreetError("FAILED", message, { cause });
  }
}

/** gRPC's own credentials; `host` is checked against the certificate if gRPC knows no name. */
function secureCredentials(
  context: SecureContext,
  { insecure = false }: ClientTls,
  host?: string,
): grpc.ChannelCredentials {
  return grpc.credentials.createFromSecureContext(context, {
    rejectUnauthorized: !insecure,
    ...host !== undefined && {
      checkServerIdentity: (_: string, certificate: PeerCertificate) =>
        checkServerIdentity(host, certificate),
    },
  });
}

/** Why a connection was closed because of what arrived on it. */
export const REFUSED_HEADERS = "the other side sent malformed or excessive headers or data";

/** Other credentials, with a limit on the headers of each connection. */
export class WithLimits extends CustomCredentials {
  readonly #credentials: grpc.ChannelCredentials;
  readonly #limit: (socket: Socket) => boolean;

  /**
   * @param credentials the credentials to connect with
   * @param limit installs the limit on a connection, and returns whether gRPC may use it
   */
  constructor(credentials: grpc.ChannelCredentials, limit: (socket: Socket) => boolean) {
    super(isSecure(credentials));
    this.#credentials = credentials;
    this.#limit = limit;
  }

  override connector(...args: ConnectorArguments): Connector {
    const connector = connectorOf(this.#credentials, ...args);
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
 * TLS to a target without a host name, or to several servers, where a certificate for one of them
 * proves nothing about another.
 */
class ByDialledHost extends CustomCredentials {
  readonly #credentialsFor: (host: string) => grpc.ChannelCredentials;

  /** @param credentialsFor makes the credentials for a host that was dialled */
  constructor(credentialsFor: (host: string) => grpc.ChannelCredentials) {
    super();
    this.#credentialsFor = credentialsFor;
  }

  override connector(...args: ConnectorArguments): Connector {
    const [target, options, callCredentials] = args;
    return {
      ...connectorOf(grpc.credentials.createInsecure(), ...args),
      connect: (socket) => {
        const host = dialledHost(socket);
        const name = isIP(host) === 0 ? host : NO_NAME;
        return connectorOf(
          this.#credentialsFor(host),
          target,
          { ...options, "grpc.ssl_target_name_override": name },
          callCredentials,
        ).connect(socket);
      },
    };
  }
}

/**
 * The host that a socket was connected to, as it was dialled. The runtime remembers a host name only
 * for its error messages. If it no longer did, the address would be checked instead, and certificates
 * for names would be refused.
 */
function dialledHost(socket: Socket): string {
  return (socket as { _host?: string })._host ?? socket.remoteAddress ?? "";
}

/** TLS with other machines, plaintext on this one. */
class BeyondLoopback extends CustomCredentials {
  readonly #secure: grpc.ChannelCredentials;
  readonly #plaintext = grpc.credentials.createInsecure();

  constructor(secure: grpc.ChannelCredentials) {
    super();
    this.#secure = secure;
  }

  override connector(...args: ConnectorArguments): Connector {
    const secure = connectorOf(this.#secure, ...args);
    const plaintext = connectorOf(this.#plaintext, ...args);
    return {
      ...plaintext,
      // A Unix socket has no address.
      connect: (socket) =>
        isLoopback(socket.remoteAddress ?? "localhost")
          ? plaintext.connect(socket)
          : secure.connect(socket),
    };
  }
}

/**
 * The only thing that a handshake with a peer verifies about its certificate is that the peer has the
 * key. The runtime has several messages for a failure of that.
 */
function simplified(error: Error): Error {
  if (!/certificate/.test(error.message) || /alert/.test(error.message)) return error;
  return new Error("the other side shows a certificate whose key it does not have", {
    cause: error,
  });
}

/**
 * TLS between peers, which make their own certificates. A channel connects only to the key that it
 * saw first; the caller must find out whose key that is.
 */
export class PeerCredentials extends CustomCredentials {
  readonly #own: KeyPair;
  #fingerprint: string | undefined;

  /** @param own our certificate and key */
  constructor(own: KeyPair) {
    super();
    this.#own = own;
  }

  /** The fingerprint of the other side's key; nothing before the first handshake. */
  get fingerprint(): string | undefined {
    return this.#fingerprint;
  }

  override connector(...args: ConnectorArguments): Connector {
    const plaintext = connectorOf(grpc.credentials.createInsecure(), ...args);
    return { ...plaintext, connect: (socket) => this.#connect(socket) };
  }

  async #connect(socket: Socket): ReturnType<Connector["connect"]> {
    const secure = connect({
      socket,
      cert: Buffer.from(this.#own.cert),
      key: Buffer.from(this.#own.key),
      // No CA signs a peer's certificate; its key is checked below, before anything is sent.
      rejectUnauthorized: false,
      minVersion: "TLSv1.3",
      ALPNProtocols: ["h2"],
      servername: PEER_HOST,
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    secure.once("secureConnect", resolve).on("error", (error) => reject(simplified(error)));
    // The call may have been cancelled by then, and nothing else would close the connection.
    const timer = setTimeout(() => secure.destroy(new Error("no handshake")), HANDSHAKE_MS);
    await promise.finally(() => clearTimeout(timer));
    const finding = inspectCertificate(secure.getPeerCertificate().raw);
    const problem = "problem" in finding ? finding.problem : this.#pin(finding.fingerprint);
    if (problem === undefined) return { socket: secure, secure: true };
    secure.destroy();
    throw new Error(`the other side shows ${problem}`);
  }

  /** Ties the channel to the first key it sees. */
  #pin(fingerprint: string): string | undefined {
    this.#fingerprint ??= fingerprint;
    return this.#fingerprint === fingerprint ? undefined : "a different key than a moment ago";
  }
}
