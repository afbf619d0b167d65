/**
 * Determines the protocol of a server, to explain why a connection to it failed.
 *
 * A probe opens one or two connections of its own and sends only the opening bytes of a protocol.
 * It reports what the answer proves: a connection that is closed or reset proves nothing, because
 * anyone on the path can cause that.
 *
 * @module
 */
import net from "node:net";

/** The address of a server. */
interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** The protocol of a server; `unknown` if its behavior proves nothing. */
export type Protocol = "tls" | "http2" | "other" | "unknown";

/** How long a connection may take to answer, in milliseconds. */
const PROBE_TIMEOUT_MS = 1_000;

/**
 * The opening bytes of an HTTP/2 client: the preface and empty settings. Source: RFC 9113, section
 * 3.4.
 */
const HTTP2_OPENING = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/**
 * The type of a SETTINGS frame, which an HTTP/2 server sends first, and its offset in the frame.
 */
const SETTINGS = { offset: 3, type: 4 };

/** The first bytes of a TLS record that reports an error. Source: RFC 8446, section 5.1. */
const TLS_ALERT = [21, 3];

/**
 * Determines the protocol of a server that did not understand our HTTP/2.
 *
 * @param endpoint the address of the server
 */
export async function protocolOf(endpoint: Endpoint): Promise<Protocol> {
  const answer = await firstAnswer(endpoint);
  // A server that is only slow would report the second probe as a caller that speaks TLS.
  if (answer === "silence") return "unknown";
  if (answer === "end") return await speaksTls(endpoint) ? "tls" : "unknown";
  if (TLS_ALERT.every((byte, i) => answer[i] === byte)) return "tls";
  return answer[SETTINGS.offset] === SETTINGS.type ? "http2" : "other";
}

/**
 * Whether a server speaks TLS: it completes a handshake, or aborts it with an alert.
 *
 * @param endpoint the address of the server
 */
export async function speaksTls(endpoint: Endpoint): Promise<boolean> {
  const { connect } = await import("node:tls");
  const socket = connect({ ...endpoint, rejectUnauthorized: false, ALPNProtocols: ["h2"] });
  return await firstOf(socket, false, (resolve) => {
    socket.once("secureConnect", () => resolve(true));
    // Only servers that speak TLS send alerts, or certificates that can be refused.
    socket.once("error", ({ message }) => resolve(/alert|certificate/i.test(message)));
  });
}

/**
 * The certificate of a server, which proves nothing about who answers.
 *
 * @param endpoint the address of the server
 * @returns the certificate (DER); `undefined` if the server shows none in time
 */
export async function certificateOf(endpoint: Endpoint): Promise<Uint8Array | undefined> {
  const { connect } = await import("node:tls");
  const socket = connect({ ...endpoint, rejectUnauthorized: false, ALPNProtocols: ["h2"] });
  return await firstOf<Uint8Array | undefined>(socket, undefined, (resolve) => {
    socket.once("secureConnect", () => resolve(socket.getPeerCertificate().raw));
    socket.once("error", () => resolve(undefined));
  });
}

/** The first bytes of a server's answer to HTTP/2, or how it failed to answer. */
async function firstAnswer(endpoint: Endpoint): Promise<Uint8Array | "end" | "silence"> {
  const socket = net.connect(endpoint);
  return await firstOf<Uint8Array | "end" | "silence">(socket, "silence", (resolve) => {
    socket.once("connect", () => socket.write(HTTP2_OPENING));
    socket.once("data", resolve);
    socket.once("error", () => resolve("end"));
    socket.once("close", () => resolve("end"));
  });
}

/** The first result on a socket, or `otherwise` if it is closed or the time is up. */
async function firstOf<T>(
  socket: net.Socket,
  otherwise: T,
  listen: (resolve: (value: T) => void) => void,
): Promise<T> {
  const { promise, resolve } = Promise.withResolvers<T>();
  listen(resolve);
  socket.once("close", () => resolve(otherwise));
  socket.setTimeout(PROBE_TIMEOUT_MS, () => resolve(otherwise));
  try {
    return await promise;
  } finally {
    socket.on("error", () => {}).destroy();
  }
}
