/**
 * Checks the headers of requests before grpc-js gets them, where it does not follow the protocol.
 *
 * Source: grpc/grpc `doc/PROTOCOL-HTTP2.md`.
 *
 * @module
 */
import type http2 from "node:http2";
import "./deno_http2_workaround.ts";
import { status } from "@grpc/grpc-js";

/** The longest time that a timer takes, in milliseconds: almost 25 days. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The units of `grpc-timeout` that can exceed a timer, in milliseconds. */
const LONG_UNITS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000 };

/**
 * Answers a request that is not gRPC or has a malformed timeout. Removes a timeout that is too long
 * for a timer, which would otherwise expire at once.
 *
 * @returns whether the request was not answered
 */
export function checkRequest(
  stream: http2.ServerHttp2Stream,
  headers: http2.IncomingHttpHeaders,
): boolean {
  const refusal = refusalOf(headers);
  if (refusal !== undefined) stream.respond(refusal, { endStream: true });
  else if (isTooLong(headers["grpc-timeout"])) delete headers["grpc-timeout"];
  return refusal === undefined;
}

function refusalOf(headers: http2.IncomingHttpHeaders): http2.OutgoingHttpHeaders | undefined {
  const { "content-type": contentType, "grpc-timeout": timeout } = headers;
  if (headers[":method"] !== "POST") return { ":status": 405, allow: "POST" };
  if (!contentType?.startsWith("application/grpc")) return { ":status": 415 };
  if (timeout !== undefined && !/^\d{1,8}[HMSmun]$/.test(`${timeout}`)) {
    return {
      ":status": 200,
      "content-type": "application/grpc+proto",
      "grpc-status": status.INTERNAL,
      "grpc-message": "the grpc-timeout is malformed",
    };
  }
}

function isTooLong(timeout: string | string[] | undefined): boolean {
  const [, value, unit] = /^(\d+)([HMS])$/.exec(`${timeout}`) ?? [];
  return Number(value) * LONG_UNITS[unit] > MAX_TIMER_MS;
}
