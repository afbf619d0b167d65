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
  /** Whether the text says what the sender does, as in `waves`, and not what it says. */
  readonly isAction?: boolean;
  /** The only peer that it is for; missing if it is for everyone in the chat. */
  readonly to?: string;
  /** Whether the disk changed it after it was stored; its body is then empty. */
  readonly isDamaged?: boolean;
}

/** A message that is to be sent. */
export interface Draft {
  /** Any text of up to 4,000,000 bytes in UTF-8. */
  readonly text: string;
  /** Whether the text says what we do, as in `waves`, and not what we say (default: no). */
  readonly isAction?: boolean;
  /** The only peer that it is for (default: all). */
  readonly to?: string;
}

/** How long a message may be, in bytes of UTF-8: gRPC takes 4 MiB, its other fields included. */
export const MAX_BODY_BYTES = 4_000_000;

/** A message that takes longer than this to arrive is late, in milliseconds. */
export const LATE_MS = 60_000;

/** A message that is sent now. */
export function newMessage(from: string, { text, ...kind }: Draft): Message {
  const at = new Date();
  // Half a surrogate pair is not a character; encoding would turn it into U+FFFD anyway.
  const message = { id: messageId(at.getTime()), from, body: text.toWellFormed(), at };
  return { ...message, ...kindOf(kind) };
}

/** What sets a message apart from an ordinary one; nothing for an ordinary one. */
export function kindOf({ isAction, to }: Pick<Message, "isAction" | "to">) {
  return { ...(isAction && { isAction }), ...(to !== undefined && { to }) };
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
export function toWire({ id, from, body, at, isAction = false, to }: Message): ChatMessage {
  const ms = at.getTime();
  const seconds = Math.floor(ms / 1000);
  const timestamp = { seconds, nanos: (ms - seconds * 1000) * 1e6 };
  return { id, sender: from, body, timestamp, action: isAction, direct: to !== undefined };
}

/**
 * Converts a message from the wire.
 *
 * @param wire the message as it arrived
 * @param receiver our own name
 */
export function fromWire(wire: ChatMessage, receiver: string): Message {
  const { id, sender, body, timestamp, action, direct } = wire;
  const at = new Date(timestamp ? timestamp.seconds * 1000 + timestamp.nanos / 1e6 : NaN);
  return {
    ...{ id, from: sender, body },
    // The timestamp may be missing, or beyond what a Date can hold.
    at: Number.isNaN(at.getTime()) ? new Date() : at,
    ...kindOf({ isAction: action, to: direct ? receiver : undefined }),
  };
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
