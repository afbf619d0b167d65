/**
 * Admits calls to a server, or refuses them before any of the request is read.
 *
 * A handler would decide too late about untrusted callers: by then their request has been
 * decompressed and decoded.
 *
 * @module
 */
import "./deno_http2_workaround.ts";
import * as grpc from "@grpc/grpc-js";
import { fingerprintOf, fromDer } from "../net/certificates.ts";
import { GreetError } from "../base/errors.ts";
import { encodingOf, passStream, refuseFlaggedMessages, streamBehind } from "./grpc_internals.ts";

/** An authenticated caller. */
export interface Caller {
  /** The fingerprint of the caller's key; the TLS handshake proved that the caller has it. */
  readonly fingerprint: string;
  /** The common name in the caller's certificate, which proves nothing. */
  readonly certifiedName: string;
}

/** How a server admits calls. */
export interface AdmissionOptions {
  /**
   * Refuses a call by throwing. Until it returns, flow control holds back the request.
   *
   * @param name the name of the call, such as `SendMessage`
   * @param caller the caller, if its connection is authenticated
   * @throws {GreetError} with the status for the caller
   */
  readonly admit?: (name: string, caller: Caller | undefined) => Promise<void>;
  /** Turns an error into the status for the caller. */
  readonly toStatus: (error: unknown) => { code: grpc.status; details: string };
}

/** The interceptor through which all calls to a server go. */
export function admission({ admit, toStatus }: AdmissionOptions): grpc.ServerInterceptor {
  return ({ path }, call) => {
    const refuse = (error: unknown) => call.sendStatus(toStatus(error));
    return new grpc.ServerInterceptingCall(call, {
      start: (begin) =>
        begin({
          onReceiveMetadata(headers, next) {
            passStream(call, headers);
            if (encodingOf(call) !== "identity") return call.sendStatus(compressed());
            refuseFlaggedMessages(call, FLAGGED);
            if (admit === undefined) return next(headers);
            const name = path.slice(path.lastIndexOf("/") + 1);
            admit(name, callerOf(headers)).then(() => next(headers), refuse);
          },
          onReceiveMessage(message, next) {
            if (message instanceof GreetError) refuse(message);
            else next(message);
          },
        }),
      sendMetadata(headers, next) {
        headers.set(ACCEPT_ENCODING, "identity");
        next(headers);
      },
    });
  };
}

/** By default, grpc-js claims that it accepts compressed requests. */
const ACCEPT_ENCODING = "grpc-accept-encoding";

/**
 * Four kilobytes decompress to four megabytes, so compressed requests are refused. Source:
 * grpc/grpc `doc/compression.md`.
 */
function compressed() {
  const metadata = new grpc.Metadata();
  metadata.set(ACCEPT_ENCODING, "identity");
  const details = "this server does not accept compressed requests";
  return { code: grpc.status.UNIMPLEMENTED, details, metadata };
}

/** Source: grpc/grpc `doc/compression.md`. */
const FLAGGED = {
  code: grpc.status.INTERNAL,
  details: "a message is marked as compressed, but the call has no compression",
};

/** Authenticated callers, by HTTP/2 session. */
const callers = new WeakMap<object, Caller>();

/**
 * The caller, if its connection is authenticated. grpc-js itself only reports certificates that a
 * CA has signed.
 *
 * @param headers the headers of the call, as its handler gets them
 */
export function callerOf(headers: grpc.Metadata): Caller | undefined {
  const session = streamBehind(headers)?.session;
  if (session === undefined) return undefined;
  const known = callers.get(session);
  if (known !== undefined) return known;
  const certificate = session.socket.getPeerCertificate?.();
  if (certificate?.raw === undefined) return undefined;
  const caller = {
    fingerprint: fingerprintOf(fromDer(certificate.raw)),
    certifiedName: `${certificate.subject?.CN ?? ""}`,
  };
  callers.set(session, caller);
  return caller;
}
