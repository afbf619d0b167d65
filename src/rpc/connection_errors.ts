/**
 * Explains failed connections and calls in plain words.
 *
 * grpc-js describes failures in details that are meant for its own developers; here they become one
 * short sentence. Advice to turn protection off is given only where the other side has proved that
 * it speaks plaintext, and never to peers, who know each other by their keys.
 *
 * @module
 */
import { protocolOf, speaksTls } from "../net/protocol_probe.ts";
import type { Target } from "../net/address.ts";

/** How a caller protects its connections. */
export type Protection =
  /** Not at all. */
  | "plaintext"
  /** TLS with a server that a CA vouches for. */
  | "tls"
  /** The same, and we show a certificate as well. */
  | "mutual"
  /** TLS with a peer that is known by its key. */
  | "peer";

/** Why something failed and, where the user can do something about it, what. */
export interface Reason {
  readonly reason: string;
  readonly hint?: string;
}

type Hints = Partial<Record<Protection, string>>;

const SHOW_ONE = "show one with --cert and --key";
const TRUST_ITS_CA = "--cacert FILE names the CA certificate to trust";
const NO_TLS = "turn TLS on over there, or off here: --plaintext";

/** Why there is no connection, by what grpc-js says of the attempt. */
const UNCONNECTED: readonly [pattern: RegExp, reason: string, hints?: Hints][] = [
  [/ECONNREFUSED/, "connection refused"],
  [/Name resolution failed/, "host not found"],
  [/ENOENT/, "there is no such socket"],
  [/EACCES|EPERM/, "permission denied"],
  [/EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL/, "no route to host"],
  [/ETIMEDOUT/, "connection timed out"],
  [
    /ERR_TLS_CERT_ALTNAME_INVALID|does not match certificate/,
    "the certificate is for another host",
  ],
  [/certificate has expired/, "the certificate has expired"],
  [
    /alert: CertificateRequired/,
    "the other side wants to see a certificate",
    { tls: SHOW_ONE, mutual: SHOW_ONE },
  ],
  [
    /alert: ProtocolVersion/,
    "the other side speaks another version of TLS, and peers speak 1.3",
    { peer: "a newer TLS library is needed over there" },
  ],
  [/alert: \w*Certificate|alert: UnknownCA/, "the other side does not accept our certificate"],
  [
    /certificate/,
    "the certificate is not one that is trusted",
    { tls: TRUST_ITS_CA, mutual: TRUST_ITS_CA },
  ],
  [
    /wrong version number/i,
    "the other side does not speak TLS, and this side does",
    { tls: NO_TLS, mutual: NO_TLS, peer: "turn it on over there: --tls" },
  ],
  [/no handshake/, "the other side did not finish the TLS handshake"],
];

/**
 * What ends calls on a connection that there was, by what grpc-js or the gRPC library of the other side
 * says of it. A server chooses its words itself, so nothing here gives advice.
 */
const BROKEN: readonly [pattern: RegExp, reason: string][] = [
  [/Keepalive timeout/, "no sign of life"],
  [/^Stream refused by server$/, "the other side takes no more calls on this connection"],
  [
    /RST_STREAM|Connection dropped|ECONNRESET|^(Call c|C)ancelled|^Channel closed|^Subchannel not ready/i,
    "connection lost",
  ],
  // From servers in C++, Python, Ruby, Go and Java that close connections of a certain age.
  [
    /^(enter idle|max_(age|idle)|connection_age|Socket closed|GOAWAY|Server shutdown|server_shutdown)/i,
    "connection lost",
  ],
  [/transport is closing|connection is draining|^Failed to start HTTP\/2/, "connection lost"],
];

/** Whether a connection attempt failed only because nothing listens at the target, or not yet. */
export function isRefusal(details: string | undefined): boolean {
  return /ECONNREFUSED|ENOENT/.test(details ?? "");
}

/**
 * Explains why a call failed on a connection that was there.
 *
 * @param details what gRPC says, perhaps in words of the other side
 * @returns the reason; the details themselves where they are the other side's own words
 */
export function whyBroken(details: string): string {
  return BROKEN.find(([pattern]) => pattern.test(details))?.[1] ?? details;
}

/**
 * Explains why there is no connection.
 *
 * @param details what grpc-js says of its attempt
 * @param target the target of the call
 * @param protection how we protect our connections
 */
export async function whyUnconnected(
  details: string,
  target: Target,
  protection: Protection,
): Promise<Reason> {
  // What `rpc_credentials.ts` says of a certificate needs no other words.
  const [found] = /the other side (?:shows|sent) [^.]+/.exec(details) ?? [];
  if (found !== undefined) return { reason: found };
  const known = UNCONNECTED.find(([pattern]) => pattern.test(details));
  if (known !== undefined) return { reason: known[1], hint: known[2]?.[protection] };
  if (/Channel closed/.test(details)) return { reason: "connection lost" };
  return protection === "plaintext"
    ? await whyNotUnderstood(target)
    : await whyNotSecured(target, protection);
}

/** Something accepts connections and does not go on with HTTP/2. */
async function whyNotUnderstood({ endpoint }: Target): Promise<Reason> {
  switch (endpoint && await protocolOf(endpoint)) {
    case "tls":
      return {
        reason: "the other side speaks TLS, and this side does not",
        hint: "turn it on here: --tls, or --cacert FILE",
      };
    case "other":
      return { reason: "the other side does not speak gRPC" };
    default:
      return { reason: "the other side closed the connection before it was established" };
  }
}

/** Something accepts connections, and TLS with it does not lead to HTTP/2. */
async function whyNotSecured(
  { endpoint }: Target,
  protection: Exclude<Protection, "plaintext">,
): Promise<Reason> {
  if (endpoint === undefined || !await speaksTls(endpoint)) {
    return { reason: "the other side closed the connection during the TLS handshake" };
  }
  return protection === "tls"
    ? {
      reason: "the other side does not speak gRPC, or wants to see a certificate",
      hint: SHOW_ONE,
    }
    : { reason: "the other side does not accept our certificate" };
}
