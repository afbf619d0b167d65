/**
 * Admits calls to a server, or refuses them before any of the request is read.
 *
 * A handler decides too late about untrusted callers: by then their request has been decompressed
 * and decoded. Everything that grpc-js keeps private about incoming calls is accessed here.
 *
 * @module
 */
import * as grpc from "@grpc/grpc-js";
import type { TLSSocket } from "node:tls";
import { fingerprintOf, fromDer } from "../net/certificates.ts";
import { GreetError } from "../base/errors.ts";

/** Who makes a call. */
export interface Caller {
  /** The fingerprint of the key that the caller has proven to have. */
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
   * @param caller who makes it, where the connection tells
   * @throws {GreetError} with the status that the caller gets
   */
  readonly admit?: (name: string, caller: Caller | undefined) => Promise<void>;
  /** Turns an error into what the caller is told. */
  readonly toStatus: (error: unknown) => { code: grpc.status; details: string };
}

/** What is used of the HTTP/2 stream of a call. */
export interface Http2Stream {
  readonly id?: number;
  readonly closed: boolean;
  readonly session?: { readonly socket: TLSSocket };
  once(event: "close", listener: () => void): void;
}

/** What grpc-js keeps private about an incoming call. */
interface Internals {
  readonly stream: Http2Stream;
  /** The value of the header `grpc-encoding`. */
  readonly incomingEncoding: string;
}

/** grpc-js passes the headers of a call to its handler as the object that an interceptor gets. */
const calls = new WeakMap<grpc.Metadata, Internals>();

/** The interceptor through which all calls to a server go. */
export function admission({ admit, toStatus }: AdmissionOptions): grpc.ServerInterceptor {
  return ({ path }, call) => {
    const internals = call as unknown as Internals;
    const refuse = (error: unknown) => call.sendStatus(toStatus(error));
    return new grpc.ServerInterceptingCall(call, {
      start: (begin) =>
        begin({
          onReceiveMetadata(headers, next) {
            calls.set(headers, internals);
            if (internals.incomingEncoding !== "identity") return call.sendStatus(compressed());
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

/** By default grpc-js claims that it accepts compressed requests. */
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

/** Callers that have proven who they are, by connection. */
const callers = new WeakMap<object, Caller>();

/**
 * Who makes a call, where its connection tells. grpc-js itself tells only of callers whose
 * certificates a CA has signed.
 *
 * @param headers the headers of the call, as its handler gets them
 */
export function callerOf(headers: grpc.Metadata): Caller | undefined {
  const session = calls.get(headers)?.stream.session;
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

/**
 * The HTTP/2 stream of a call.
 *
 * @param headers the headers of the call, as its handler gets them
 */
export function streamOf(headers: grpc.Metadata): Http2Stream | undefined {
  return calls.get(headers)?.stream;
}
