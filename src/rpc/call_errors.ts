/**
 * Turns a failed call's gRPC status into a {@link GreetError}.
 *
 * This is the one place that does so. Why a connection could not be made, or broke, is explained in
 * `connection_errors.ts`.
 *
 * @module
 */
import "./deno_http2_workaround.ts";
import * as grpc from "@grpc/grpc-js";
import { GreetError, STATUS_NAMES } from "../base/errors.ts";
import {
  type Attempt,
  isRefusal,
  type Reason,
  whyBroken,
  whyUnconnected,
} from "./connection_errors.ts";

/** How the content type of an answer begins. Source: grpc/grpc `doc/PROTOCOL-HTTP2.md`. */
const GRPC_TYPE = "application/grpc";

/** A call that failed. */
export interface FailedCall {
  readonly error: grpc.ServiceError;
  /** What was called: the service and the method, such as `greet.v1.Greeter/Greet`. */
  readonly method: string;
  /** Whether the call had a connection: then the error may contain the server's own words. */
  readonly wasConnected: boolean;
  /** The content type of the answer, if its headers have arrived. */
  readonly contentType: string | undefined;
  /** Whether the call's own deadline has passed, of which the server may be the first to tell. */
  readonly isOverdue: boolean;
}

/**
 * The error that callers get for a failed call.
 *
 * @param attempt what was called
 * @param limitMs how long the call was allowed to take, in milliseconds
 */
export async function callError(
  { error: cause, method, wasConnected, contentType = GRPC_TYPE, isOverdue }: FailedCall,
  attempt: Attempt,
  limitMs: number,
): Promise<GreetError> {
  const status = STATUS_NAMES[cause.code] ?? "UNKNOWN";
  const at = (reason: string) => `${attempt.target.address}: ${reason}`;
  const details = cause.details ?? cause.message;
  if (status === "UNAVAILABLE" && !wasConnected) {
    const { reason, hint } = await whyUnconnected(details, attempt);
    return new GreetError(status, at(reason), { hint, cause: new Unconnected(details) });
  }
  if (!contentType.startsWith(GRPC_TYPE)) {
    // Such as the error page of a proxy. grpc-js would take it for a large message.
    const [type = "something else"] = /^[\w.+-]+\/[\w.+-]+/.exec(contentType) ?? [];
    return new GreetError("UNAVAILABLE", at(`the answer is ${type}, not gRPC`), { cause });
  }
  const code = status === "OK" ? "UNKNOWN" : status;
  const foreign = whyForeign(cause, method);
  if (foreign !== undefined) {
    return new GreetError(code, at(foreign.reason), { hint: foreign.hint, cause });
  }
  if (isDisconnect(cause)) {
    return new GreetError("UNAVAILABLE", at(whyBroken(details) || "UNAVAILABLE"), { cause });
  }
  if (status === "DEADLINE_EXCEEDED" && (isOverdue || !wasConnected)) {
    const missing = wasConnected ? "answer" : "connection";
    return new GreetError(status, at(`no ${missing} within ${limitMs / 1000} s`), { cause });
  }
  if (isUnreadable(cause)) {
    return new GreetError("INTERNAL", at("the answer cannot be read"), { cause });
  }
  return new GreetError(code, at(details || code), { cause });
}

/**
 * Whether an answer cannot be decompressed or decoded. If an answer is marked as compressed and the
 * call is not, or its encoding is unknown, grpc-js fails the call without a code.
 */
function isUnreadable({ code, details }: grpc.ServiceError): boolean {
  return code === undefined || code === grpc.status.INTERNAL &&
      /^(Response message parsing error|Failed to decompress)/.test(details);
}

/** How servers in JavaScript, Python, Go, Java and C++ say that they have no such method. */
const NO_SUCH_METHOD =
  /^(The server does not implement the method |Method not found|unknown (service|method) |$)/;

/** Why an answer shows that something else was reached than what was called. */
function whyForeign({ code, details }: grpc.ServiceError, method: string): Reason | undefined {
  const [, status] = /^Received HTTP status code (\d+)$/.exec(details) ?? [];
  if (status !== undefined) return { reason: `the answer is not gRPC, but HTTP status ${status}` };
  if (code !== grpc.status.UNIMPLEMENTED || !NO_SUCH_METHOD.test(details)) return undefined;
  const reason = `the other side speaks gRPC, but has no ${method}`;
  return { reason, hint: "is it the right port?" };
}

/** The reason for a missing connection, in grpc-js's words and never in a server's. */
class Unconnected extends Error {}

/** Whether a call failed only because nothing listens at its target, or no such name is registered. */
export function isAbsent({ code, cause }: GreetError): boolean {
  return code === "NOT_FOUND" || cause instanceof Unconnected && isRefusal(cause.message);
}

/**
 * Whether a call failed because its connection broke, for which grpc-js has three codes. Calls that
 * this side cancelled never get here.
 */
export function isDisconnect({ code, details }: grpc.ServiceError): boolean {
  return code === grpc.status.UNAVAILABLE || code === grpc.status.CANCELLED ||
    code === grpc.status.INTERNAL && /RST_STREAM/.test(details);
}
