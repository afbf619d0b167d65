/**
 * A chat for programs: events out and messages in, one JSON object a line.
 *
 * `docs/json.md` and its schema describe the events. Input is a plain line, or an object with a
 * `body`. Values are exact; characters that a terminal could act on are escaped.
 *
 * @module
 */
import type { Span } from "../terminal/style.ts";
import { GreetError } from "../base/errors.ts";
import type { Message } from "../peer/journal.ts";
import { type Draft, kindOf } from "../peer/messages.ts";
import type { PeerEvent } from "../peer/peer.ts";
import { toJson } from "../base/text.ts";
import { labelsOf } from "./wording.ts";

/**
 * Formats an event as a line of JSON.
 *
 * @returns the line, in pieces; `undefined` for events that programs do not need
 */
export function toJsonLine(event: PeerEvent): Span[] | undefined {
  const object = toObject(event);
  return object && jsonSpans(object);
}

/** Up to this length, in UTF-16 code units, a body is escaped at once. */
const SHORT_BODY = 1_024;

/** An object as a line of JSON. Only the body of a message can be long, so only it is escaped in slices. */
export function jsonSpans(object: Record<string, unknown>): Span[] {
  if (String(object.body ?? "").length <= SHORT_BODY) return [verbatim(toJson(object))];
  const members = Object.entries(object).filter(([, value]) => value !== undefined);
  return members.flatMap(([key, value], i) => [
    verbatim(`${i === 0 ? "{" : ","}${toJson(key)}:`),
    ...(key === "body" ? quoted(String(value)) : [verbatim(toJson(value))]),
  ]).concat(verbatim("}"));
}

function verbatim(text: string): Span {
  return { text, look: "plain", escape: (slice) => slice };
}

function quoted(text: string): Span[] {
  const body: Span = { text, look: "plain", escape: (slice) => toJson(slice).slice(1, -1) };
  return [verbatim('"'), body, verbatim('"')];
}

/** Formats an error as a line of JSON. */
export function errorLine({ code, message, hint }: GreetError): string {
  return toJson({ type: "error", code, message, hint });
}

function toObject(event: PeerEvent): Record<string, unknown> | undefined {
  switch (event.type) {
    case "waiting":
      // An absent peer is not an error.
      if (event.absent) return undefined;
      if (event.refusedBy !== undefined) {
        const { target, refusedBy: name, reason: message, hint } = event;
        return { type: "refused", name, target, message, hint };
      }
      return { type: "error", code: "UNAVAILABLE", message: event.reason, hint: event.hint };
    case "added":
      return { type: "added", target: event.target };
    case "removed": {
      const { target, name, isAwaited } = event;
      return { type: "removed", target, name, ...(isAwaited && { waiting: true }) };
    }
    case "welcome":
      return { type: "welcome", peers: event.names };
    case "joined":
      return { type: "joined", name: event.name, back: event.back };
    case "left":
      return { type: "left", name: event.name };
    case "message":
      return {
        type: "message",
        ...messageObject(event.message),
        ...(event.late ? { late: true } : {}),
      };
    case "queued":
      return {
        type: "queued",
        ...messageObject(event.message),
        waitingFor: labelsOf(event.waitingFor),
      };
    case "delivered": {
      const { message: { id }, to, waitingFor } = event;
      return { type: "delivered", id, to, waitingFor: labelsOf(waitingFor) };
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
    case "caller": {
      const { type, name, fingerprint, isKnown, from, argument } = event;
      return { type, name, fingerprint, known: isKnown, from, argument };
    }
    case "lookalike":
      return { type: "lookalike", name: event.name, like: event.like };
    case "impostor": {
      const { type, name, fingerprint, known, error: { message, hint } } = event;
      return { type, name, fingerprint, known, message, hint };
    }
  }
}

/** The fields of a message. */
export function messageObject({ id, from, body, at, isAction, to, isDamaged }: Message) {
  const kind = { ...(isAction && { action: true }), to, ...(isDamaged && { damaged: true }) };
  return { id, from, body, at: at.toISOString(), ...kind };
}

/** A peer that is to be in the chat from now on, or no longer. */
export type Change = { readonly add: string } | { readonly remove: string };

/**
 * Parses a line of input: an object with a `body`, `add` or `remove`, or plain text.
 *
 * @param line the line, without its line end
 * @returns the message to send, or the peer to add or to remove
 * @throws {GreetError} `USAGE` if the line begins with `{` but is not such an object, or a field is
 *   not what it should be
 *
 * @example
 * ```ts
 * import { parseJsonLine } from "./json_lines.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(parseJsonLine('{"body": "Hello,\\nBob!"}'), { text: "Hello,\nBob!" });
 * assert.deepEqual(parseJsonLine("Hello, Bob!"), { text: "Hello, Bob!" });
 * assert.deepEqual(parseJsonLine('{"body": "hi", "to": "Bob"}'), { text: "hi", to: "Bob" });
 * assert.deepEqual(parseJsonLine('{"add": "55557"}'), { add: "55557" });
 * assert.throws(() => parseJsonLine('{"body": 1}'), /"body" is not a string/);
 * ```
 */
export function parseJsonLine(line: string): Draft | Change {
  if (!line.trimStart().startsWith("{")) return { text: line };
  const object = anyObject(line);
  return changeIn(object) ?? draftIn(object);
}

function changeIn(object: Record<string, unknown>): Change | undefined {
  const { add, remove, ...others } = object;
  const peer = add ?? remove;
  if (peer === undefined || Object.hasOwn(object, "body")) return undefined;
  const field = add === undefined ? "remove" : "add";
  if (typeof peer !== "string") throw notA(field, "string", `{"${field}": "Bob"}`);
  if (add !== undefined && remove !== undefined || Object.keys(others).length > 0) {
    const hint = `write {"${field}": ${JSON.stringify(peer)}}`;
    throw new GreetError("USAGE", `"${field}" stands alone in its object`, { hint });
  }
  return add === undefined ? { remove: peer } : { add: peer };
}

function draftIn(object: Record<string, unknown>): Draft {
  requireBody(object);
  const { body, action, to } = object;
  if (typeof body !== "string") throw notA("body", "string", `{"body": "…"} or a plain line`);
  if (action !== undefined && typeof action !== "boolean") {
    throw notA("action", "boolean", `{"body": "waves", "action": true}`);
  }
  // Without a valid name, the message must not go to everyone.
  if (to !== undefined && typeof to !== "string") {
    throw notA("to", "string", `{"body": "…", "to": "Bob"}`);
  }
  return { text: body, ...kindOf({ isAction: action, to }) };
}

function notA(field: string, type: string, example: string): GreetError {
  return new GreetError("USAGE", `"${field}" is not a ${type}`, { hint: `write ${example}` });
}

function requireBody(object: Record<string, unknown>): void {
  if (Object.hasOwn(object, "body")) return;
  throw new GreetError("USAGE", `the object has no "body"`, { hint: bodyHint(object) });
}

/** How long a body may be, in UTF-16 code units, to be repeated in a hint. */
const MAX_REPEATED = 40;

function bodyHint(object: Record<string, unknown>): string {
  const isText = (value: unknown) => typeof value === "string" && value.length <= MAX_REPEATED;
  // A name is no text: it would be said to everyone. Nor are the other fields of our own events.
  const { to: _to, from: _from, type: _type, at: _at, id: _id, ...others } = object;
  const text = Object.values(others).find(isText);
  if (text === undefined) return `write {"body": "…"} or a plain line`;
  return `did you mean {"body": ${JSON.stringify(text)}}?`;
}

/** A text that begins with `{` is an object, if it is valid. */
function anyObject(line: string): Record<string, unknown> {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new GreetError("USAGE", "the line begins with { but is not valid JSON", {
      hint: `write {"body": "…"} or a plain line`,
      cause,
    });
  }
}
