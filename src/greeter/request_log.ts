/**
 * Formats a greeting server's log: one line for each request, as text or JSON.
 *
 * @module
 */
import type { GreetRequest } from "./server.ts";
import { showable, toJson } from "../base/text.ts";

/** The format of a log. */
export type LogFormat = "text" | "json";

/** A line, without its line break, for a request that was answered or refused. */
export function logLine(request: GreetRequest, format: LogFormat): string {
  return format === "json" ? asJson(request) : asText(request);
}

function asText({ name, from, error }: GreetRequest): string {
  if (error === undefined) return `[Server] Received request from user named '${showable(name)}'`;
  return `[Server] Refused request from ${from}: ${showable(error.message)}`;
}

function asJson({ at, name, from, error }: GreetRequest): string {
  const status = error?.code ?? "OK";
  return toJson({ type: "request", at: at.toISOString(), name, from, status });
}
