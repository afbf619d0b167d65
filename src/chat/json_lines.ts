/**
 * A chat for programs: events out, messages in, one JSON object a line.
 *
 * What goes out is described in `docs/json.md` and by the schema beside it. What
 * comes in is a plain line, or an object with a `body`. Text is exact once it is parsed; what could
 * steer a terminal is escaped, as JSON can escape anything.
 *
 * @module
 */
import type { Span } from "../terminal/style.ts";
import { GreetError } from "../base/errors.ts";
import type { Addressee, Message } from "../peer/journal.ts";
import type { PeerEvent } from "../peer/peer.ts";
import { toJson } from "../base/text.ts";

/**
 * An event as a line of JSON.
 *
 * @returns the line, in pieces; `undefined` for what a program need not know
 */
export function toJsonLine(event: PeerEvent): Span[] | undefined {
  const object = toObject(event);
  return object && inPieces(object);
}

/** Only the body of a message is long, so that is escaped slice by slice. */
function inPieces(object: Record<string, unknown>): Span[] {
  const members = Object.entries(object).filter(([, value]) => value !== undefined);
  return members.flatMap(([key, value], i) => [
    exactly(`${i === 0 ? "{" : ","}${toJson(key)}:`),
    ...(key === "body" ? quoted(String(value)) : [exactly(toJson(value))]),
  ]).concat(exactly("}"));
}

function exactly(text: string): Span {
  return { text, look: "plain", safely: (slice) => slice };
}

function quoted(text: string): Span[] {
  const body: Span = { text, look: "plain", safely: (slice) => toJson(slice).slice(1, -1) };
  return [exactly('"'), body, exactly('"')];
}

/** An error as a line of JSON. */
export function errorLine({ code, message, hint }: GreetError): string {
  return toJson({ type: "error", code, message, hint });
}

function toObject(event: PeerEvent): Record<string, unknown> | undefined {
  switch (event.type) {
    case "waiting":
      // That nobody is there yet is not worth an event: somebody joins, or not.
      if (event.nobodyThere) return undefined;
      return { type: "error", code: "UNAVAILABLE", message: event.reason, hint: event.hint };
    case "welcome":
      return { type: "welcome", peers: event.names };
    case "joined":
      return { type: "joined", name: event.name, back: event.back };
    case "left":
      return { type: "left", name: event.name };
    case "message":
      return { type: "message", ...said(event.message), ...(event.late ? { late: true } : {}) };
    case "queued":
      return { type: "queued", ...said(event.message), waitingFor: labels(event.waitingFor) };
    case "delivered": {
      const { message: { id }, to, waitingFor } = event;
      return { type: "delivered", id, to, waitingFor: labels(waitingFor) };
    }
    case "failed": {
      const { message: { id }, to, error: { code, message, hint } } = event;
      return { type: "error", code, message, hint, id, to };
    }
    case "cancelled":
      return undefined;
    case "trouble":
      return { type: "error", ...event.error.toJSON() };
    case "met":
      return { type: "met", name: event.name, fingerprint: event.fingerprint };
    case "newcomer": {
      const { type, name, fingerprint, target, previous, error } = event;
      const refusal = error && { refused: true, message: error.message, hint: error.hint };
      return { type, name, fingerprint, target, previous, ...refusal };
    }
    case "lookalike":
      return { type: "lookalike", name: event.name, like: event.like };
    case "impostor": {
      const { type, name, fingerprint, known, error: { message, hint } } = event;
      return { type, name, fingerprint, known, message, hint };
    }
  }
}

function said({ id, from, body, at }: Message) {
  return { id, from, body, at: at.toISOString() };
}

function labels(addressees: readonly Addressee[]): string[] {
  return addressees.map(({ name, target }) => name ?? target);
}

/**
 * What a line asks to be said: an object with a `body`, or the line itself.
 *
 * @returns the body of the message
 * @throws {GreetError} `USAGE` where a line begins like an object and is none of ours
 *
 * @example
 * ```ts
 * import { parseJsonLine } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * assert.equal(parseJsonLine('{"body": "Hello,\\nBob!"}'), "Hello,\nBob!");
 * assert.equal(parseJsonLine("Hello, Bob!"), "Hello, Bob!");
 * assert.throws(() => parseJsonLine('{"body": 1}'), /"body" is not a string/);
 * ```
 */
export function parseJsonLine(line: string): string {
  if (!line.trimStart().startsWith("{")) return line;
  const { body } = parseObject(line);
  if (typeof body === "string") return body;
  throw new GreetError("USAGE", `the object's "body" is not a string`, {
    hint: `write {"body": "…"} or a plain line`,
  });
}

function parseObject(line: string): { body?: unknown } {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new GreetError("USAGE", "the line begins like an object but is not JSON", {
      hint: `write {"body": "…"} or a plain line`,
      cause,
    });
  }
}
