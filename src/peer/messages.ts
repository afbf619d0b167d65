/**
 * Messages: how they are made, and how they are converted to and from `greet.v1.ChatMessage`.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { ChatMessage } from "../rpc/services.ts";

/** One message of a chat. */
export interface Message {
  /** Assigned by the sender; empty if the sender's program assigns none. */
  readonly id: string;
  /** The sender's name. */
  readonly from: string;
  /** The text exactly as it was sent: untrusted, unless it is our own. */
  readonly body: string;
  /** When it was sent, by the sender's clock. */
  readonly at: Date;
}

/** How long a message may be, in bytes of UTF-8: gRPC takes 4 MiB, its other fields included. */
export const MAX_BODY_BYTES = 4_000_000;

/** A message that takes longer than this to arrive is late, in milliseconds. */
export const LATE_MS = 60_000;

/** A message that is sent now. */
export function newMessage(from: string, text: string): Message {
  const at = new Date();
  // Half a surrogate pair is not a character; encoding would turn it into U+FFFD anyway.
  return { id: messageId(at.getTime()), from, body: text.toWellFormed(), at };
}

/**
 * Makes sure that a message is not too long to be delivered.
 *
 * @throws {GreetError} `RESOURCE_EXHAUSTED` if its body exceeds {@link MAX_BODY_BYTES}
 */
export function checkLength({ body }: Message): void {
  const problem = lengthProblem(body);
  if (problem !== undefined) throw new GreetError("RESOURCE_EXHAUSTED", problem);
}

/** Why a text is too long to be delivered, if it is. */
export function lengthProblem(text: string): string | undefined {
  // Each UTF-16 unit takes up to three bytes, so short texts need not be encoded.
  if (text.length * 3 <= MAX_BODY_BYTES) return undefined;
  const { length } = new TextEncoder().encode(text);
  if (length <= MAX_BODY_BYTES) return undefined;
  return `the message has ${length} bytes; the limit is ${MAX_BODY_BYTES}`;
}

/** Converts a message for the wire. */
export function toWire({ id, from, body, at }: Message): ChatMessage {
  const ms = at.getTime();
  const seconds = Math.floor(ms / 1000);
  return { id, sender: from, body, timestamp: { seconds, nanos: (ms - seconds * 1000) * 1e6 } };
}

/** Converts a message from the wire. */
export function fromWire({ id, sender, body, timestamp }: ChatMessage): Message {
  const at = new Date(timestamp ? timestamp.seconds * 1000 + timestamp.nanos / 1e6 : NaN);
  // The timestamp may be missing, or beyond what a Date can hold.
  return { id, from: sender, body, at: Number.isNaN(at.getTime()) ? new Date() : at };
}

/**
 * A UUIDv7, which sorts by time. Source: RFC 9562, section 5.7.
 *
 * @param ms milliseconds since 1970
 */
function messageId(ms: number): string {
  const time = ms.toString(16).padStart(12, "0");
  // A random UUIDv4 has its 74 random bits and its variant where a UUIDv7 needs them.
  const random = crypto.randomUUID();
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(15)}`;
}
