/**
 * Why a connection could not be made, in words.
 *
 * gRPC tells it in details that are meant for its own developers. They are
 * turned into one short reason here; where they say nothing, it is found
 * out whether the other side speaks TLS.
 *
 * @module
 */
import type { Target } from "./target.ts";

/** What is told of it. */
interface Reason {
  reason: string;
  hint?: string;
}

const LOST = "connection lost";

const REASONS: readonly [pattern: RegExp, reason: string, hint?: string][] = [
  [/ECONNREFUSED/, "connection refused"],
  [/Name resolution failed/, "host not found"],
  [/ENOENT/, "there is no such socket"],
  [/EACCES|EPERM/, "permission denied"],
  [/EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL/, "no route to host"],
  [/ETIMEDOUT/, "connection timed out"],
  [/ERR_TLS_CERT_ALTNAME_INVALID/, "the certificate is somebody else's"],
  [/certificate has expired/, "the certificate has expired"],
  [
    /alert: CertificateRequired/,
    "the other side wants to see a certificate",
    "show one with --cert and --key",
  ],
  [
    /alert: ProtocolVersion/,
    "the other side speaks another version of TLS, and peers speak 1.3",
    "a newer TLS library is needed over there",
  ],
  [/alert: \w*Certificate|alert: UnknownCA/, "the other side does not accept our certificate"],
  [
    /certificate/,
    "the certificate is not one that is trusted",
    "--cacert FILE says who vouches for it; --insecure does not look",
  ],
  [
    /wrong version number|WRONG_VERSION_NUMBER/i,
    "the other side does not speak TLS, and this side does",
    "turn it on over there, or off here: --plaintext",
  ],
  [/Keepalive timeout/, "no sign of life"],
  [/RST_STREAM|Connection dropped|ECONNRESET|Cancelled|Channel closed/i, LOST],
];

/** Whether there was nobody to send a call to, as far as gRPC's details tell. */
export function isUnconnected(details: string | undefined): boolean {
  return /(^|: )No connection established/.test(details ?? "");
}

/** Whether gRPC's details say only that nobody listens there, or not yet. */
export function isRefusal(details: string | undefined): boolean {
  return /ECONNREFUSED|ENOENT/.test(details ?? "");
}

/**
 * Why there is no connection.
 *
 * @param details what gRPC says
 * @param target whom was called
 * @param tls whether we spoke TLS, and whether we showed a certificate
 */
export async function whyUnavailable(
  details: string,
  target: Target,
  tls?: "secure" | "shown",
): Promise<Reason> {
  // What `rpc_credentials.ts` says of a certificate needs no other words.
  const [found] = /the other side shows [^.]+/.exec(details) ?? [];
  if (found !== undefined) return { reason: found };
  const [, reason, hint] = REASONS.find(([pattern]) => pattern.test(details)) ?? [];
  // A connection that is lost before it was one was not understood.
  const isLostAtOnce = isUnconnected(details) && reason === LOST;
  if (reason !== undefined && !isLostAtOnce) return { reason, hint };
  if (!isUnconnected(details)) return { reason: details || "UNAVAILABLE" };
  // Somebody accepts connections but does not speak our protocol.
  const isSecure = target.endpoint !== undefined && await speaksTls(target.endpoint);
  if (isSecure && tls === "shown") {
    return { reason: "the other side does not accept our certificate" };
  }
  if (isSecure && tls === undefined) {
    return {
      reason: "the other side speaks TLS, and this side does not",
      hint: "turn it off over there: --plaintext; or on here: --tls, or --cacert FILE",
    };
  }
  if (isSecure && tls === "secure") {
    return {
      reason: "the other side does not speak gRPC, or wants to see a certificate",
      hint: "show one with --cert and --key",
    };
  }
  if (!isSecure && tls !== undefined) {
    return {
      reason: "the other side does not speak TLS, and this side does",
      hint: "turn it on over there, or off here: --plaintext",
    };
  }
  return { reason: "the other side does not speak gRPC" };
}

/** How long a handshake may take that only serves to explain an error. */
const EXPLANATION_TIMEOUT_MS = 1000;

/** Whether there is TLS where our own protocol was not understood. */
async function speaksTls(endpoint: { host: string; port: number }): Promise<boolean> {
  const { connect } = await import("node:tls");
  const socket = connect({ ...endpoint, rejectUnauthorized: false, ALPNProtocols: ["h2"] });
  try {
    return await new Promise<boolean>((resolve) => {
      socket.setTimeout(EXPLANATION_TIMEOUT_MS, () => resolve(false));
      socket.once("secureConnect", () => resolve(true));
      // Only somebody who speaks TLS can be dissatisfied with a certificate.
      socket.once("error", ({ message }) => resolve(/alert|certificate/i.test(message)));
      socket.once("close", () => resolve(false));
    });
  } finally {
    socket.destroy();
  }
}
