/**
 * Finds out what a server speaks, to explain why a connection to it could not be established.
 *
 * A probe makes one or two connections of its own and sends nothing but the opening bytes of a
 * protocol. It reports only what the other side's answer proves: a connection that is merely closed
 * or reset proves nothing, because anyone on the path can cause that.
 *
 * @module
 */
import net from "node:net";

/** Where a server listens. */
interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** What a server has been seen to speak; `unknown` where its behavior proves nothing. */
export type Protocol = "tls" | "http2" | "other" | "unknown";

/** How long one connection may take to answer, in milliseconds. */
const PROBE_TIMEOUT_MS = 1_000;

/** What an HTTP/2 client opens with: the preface and empty settings. Source: RFC 9113, section 3.4. */
const HTTP2_OPENING = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/** The type of a SETTINGS frame, which an HTTP/2 server sends first, and where it is in the frame. */
const SETTINGS = { offset: 3, type: 4 };

/** The first bytes of a TLS record that reports an error. Source: RFC 8446, section 5.1. */
const TLS_ALERT = [21, 3];

/**
 * Tells what a server speaks that has not understood our HTTP/2.
 *
 * @param endpoint where it listens
 */
export async function protocolOf(endpoint: Endpoint): Promise<Protocol> {
  const answer = await firstAnswer(endpoint);
  if (answer === undefined) return await speaksTls(endpoint) ? "tls" : "unknown";
  if (TLS_ALERT.every((byte, i) => answer[i] === byte)) return "tls";
  return answer[SETTINGS.offset] === SETTINGS.type ? "http2" : "other";
}

/**
 * Tells whether a server speaks TLS: it completes a handshake, or objects to one in TLS's own terms.
 *
 * @param endpoint where it listens
 */
export async function speaksTls(endpoint: Endpoint): Promise<boolean> {
  const { connect } = await import("node:tls");
  const socket = connect({ ...endpoint, rejectUnauthorized: false, ALPNProtocols: ["h2"] });
  return await firstOf(socket, false, (resolve) => {
    socket.once("secureConnect", () => resolve(true));
    // Only a server that speaks TLS sends alerts, or certificates to object to.
    socket.once("error", ({ message }) => resolve(/alert|certificate/i.test(message)));
  });
}

/** The first bytes that a server answers to HTTP/2, if it answers at all. */
async function firstAnswer(endpoint: Endpoint): Promise<Uint8Array | undefined> {
  const socket = net.connect(endpoint);
  return await firstOf<Uint8Array | undefined>(socket, undefined, (resolve) => {
    socket.once("connect", () => socket.write(HTTP2_OPENING));
    socket.once("data", resolve);
    socket.once("error", () => resolve(undefined));
  });
}

/** What is resolved first on a socket; `otherwise` where it is closed or the time is up. */
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
