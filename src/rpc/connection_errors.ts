/**
 * Explains failed connections, in one short sentence instead of grpc-js's internal details.
 *
 * Advice to turn protection off is given only if the other side has proved that it speaks plaintext,
 * and never for peers, which are known by their keys.
 *
 * @module
 */
import { clientProblem, dateProblem, fromDer, fromPem } from "../net/certificates.ts";
import { certificateOf, protocolOf, speaksTls } from "../net/protocol_probe.ts";
import type { Target } from "../net/address.ts";
import { ENDED_AT_ONCE } from "./grpc_internals.ts";

/** How a connection is protected. */
export type Protection =
  /** Not at all. */
  | "plaintext"
  /** TLS to a server with a certificate from a CA. */
  | "tls"
  /** The same, with a client certificate as well. */
  | "mutual"
  /** TLS to a peer that is known by its key. */
  | "peer";

/** What was called, and how. */
export interface Attempt {
  readonly target: Target;
  readonly protection: Protection;
  /** Our own certificate (PEM), if a server was shown one. */
  readonly shown?: Uint8Array;
}

/** Why something failed and, if there is a remedy, what to do about it. */
export interface Reason {
  readonly reason: string;
  readonly hint?: string;
}

type Hints = Partial<Record<Protection, string>>;

const SHOW_CERTIFICATE = "show one with --cert and --key";
const TRUST_CA = "--cacert FILE names the CA certificate to trust";
const NOT_TRUSTED = "the certificate is not trusted";
const NOT_ACCEPTED = "the other side does not accept our certificate";
const NOT_ESTABLISHED = "the other side closed the connection before it was established";
const DROP_TLS = "turn TLS on over there, or off here: --plaintext";

/** Reasons for missing connections, by patterns in grpc-js's details. */
const UNCONNECTED: readonly [pattern: RegExp, reason: string, hints?: Hints][] = [
  [/ECONNREFUSED/, "connection refused"],
  [/Name resolution failed/, "host not found"],
  [/ENOENT/, "there is no such socket"],
  [/EACCES|EPERM|Requires \w+ access/, "permission denied"],
  [/EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL/, "no route to host"],
  [/ETIMEDOUT/, "connection timed out"],
  [
    /ERR_TLS_CERT_ALTNAME_INVALID|does not match certificate/,
    "the certificate is for another host",
  ],
  [/certificate has expired/, "the certificate has expired"],
  [
    /alert: CertificateRequired/,
    "the other side requires a certificate",
    { tls: SHOW_CERTIFICATE, mutual: SHOW_CERTIFICATE },
  ],
  [
    /alert: ProtocolVersion/,
    "the other side speaks another version of TLS; peers require 1.3",
    { peer: "a newer TLS library is needed over there" },
  ],
  [/alert: \w*Certificate|alert: UnknownCA/, NOT_ACCEPTED],
  [
    /certificate/,
    NOT_TRUSTED,
    { tls: TRUST_CA, mutual: TRUST_CA },
  ],
  [
    /wrong version number/i,
    "the other side does not speak TLS, and this side does",
    { tls: DROP_TLS, mutual: DROP_TLS, peer: "turn it on over there: --tls" },
  ],
  [/no handshake/, "the other side did not finish the TLS handshake"],
  [new RegExp(ENDED_AT_ONCE), NOT_ESTABLISHED],
];

/**
 * Reasons for broken connections, by patterns in the details of grpc-js or of the other side's gRPC
 * library. A server can write anything there, so these have no hints.
 */
const BROKEN: readonly [pattern: RegExp, reason: string][] = [
  [/Keepalive timeout/, "no sign of life"],
  [/^Stream refused by server$/, "the other side accepts no more calls on this connection"],
  [
    /RST_STREAM|Connection dropped|ECONNRESET|^(Call c|C)ancelled|^Channel closed|^Subchannel not ready/i,
    "connection lost",
  ],
  // From servers in C++, Python, Ruby, Go and Java that close connections of a certain age.
  [
    /^(enter idle|max_(age|idle)|connection_age|Socket closed|GOAWAY|Server shutdown|server_shutdown)/i,
    "connection lost",
  ],
  [/transport is closing|connection is draining/, "connection lost"],
];

/** Whether a connection attempt failed only because nothing listens at the target. */
export function isRefusal(details: string | undefined): boolean {
  return /ECONNREFUSED|ENOENT/.test(details ?? "");
}

/**
 * Explains why a call failed although it had a connection.
 *
 * @param details the details of its status, which may be the other side's own words
 * @returns the reason; the details themselves if they match no known pattern
 */
export function whyBroken(details: string): string {
  return BROKEN.find(([pattern]) => pattern.test(details))?.[1] ?? details;
}

/**
 * Explains why there is no connection.
 *
 * @param details grpc-js's details of the failed attempt
 * @param attempt what was called
 */
export async function whyUnconnected(details: string, attempt: Attempt): Promise<Reason> {
  const { target, protection, shown } = attempt;
  const reason = knownReason(details, protection) ??
    (protection === "plaintext" ? await whyNoHttp2(target) : await whyNoTls(target, protection));
  if (reason.reason === NOT_TRUSTED) return await whyNotValid(target) ?? reason;
  if (reason.reason !== NOT_ACCEPTED || shown === undefined) return reason;
  return whyNotAccepted(shown);
}

/** What is wrong with the dates of a server's certificate; the runtime reports most as an unknown CA. */
async function whyNotValid({ endpoint }: Target): Promise<Reason | undefined> {
  const certificate = endpoint && await certificateOf(endpoint);
  const problem = certificate && dateProblem(fromDer(certificate), new Date());
  return problem === undefined ? undefined : { reason: `the certificate ${problem}` };
}

function knownReason(details: string, protection: Protection): Reason | undefined {
  // Messages of `credentials.ts` are fit for users as they are.
  const [found] = /the other side (?:shows|sent) [^.]+/.exec(details) ?? [];
  if (found !== undefined) return { reason: found };
  const known = UNCONNECTED.find(([pattern]) => pattern.test(details));
  if (known !== undefined) return { reason: known[1], hint: known[2]?.[protection] };
  return /Channel closed/.test(details) ? { reason: "connection lost" } : undefined;
}

/** Why a server does not accept the certificate that it was shown; it does not say so itself. */
function whyNotAccepted(shown: Uint8Array): Reason {
  const found = clientProblem(fromPem(shown));
  return found === undefined
    ? { reason: NOT_ACCEPTED, hint: "the other side must trust the CA that issued it" }
    : { reason: `${NOT_ACCEPTED}, which ${found.problem}`, hint: found.hint };
}

/** Why a target accepts connections but does not continue with HTTP/2. */
async function whyNoHttp2({ endpoint }: Target): Promise<Reason> {
  switch (endpoint && await protocolOf(endpoint)) {
    case "tls":
      return {
        reason: "the other side speaks TLS, and this side does not",
        hint: "turn it on here: --tls, or --cacert FILE",
      };
    case "other":
      return { reason: "the other side does not speak gRPC" };
    default:
      return { reason: NOT_ESTABLISHED };
  }
}

/** Why a target accepts connections but does not continue with HTTP/2 over TLS. */
async function whyNoTls(
  { endpoint }: Target,
  protection: Exclude<Protection, "plaintext">,
): Promise<Reason> {
  if (endpoint === undefined || !await speaksTls(endpoint)) {
    return { reason: "the other side closed the connection during the TLS handshake" };
  }
  switch (protection) {
    case "tls":
      return {
        reason: "the other side does not speak gRPC, or requires a certificate",
        hint: SHOW_CERTIFICATE,
      };
    case "mutual":
      return { reason: NOT_ACCEPTED };
    case "peer":
      // Peers accept every key, and close connections when they are busy or about to end.
      return { reason: NOT_ESTABLISHED };
  }
}
