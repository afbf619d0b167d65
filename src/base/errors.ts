/**
 * The one kind of error that this program speaks in.
 *
 * Whatever goes wrong becomes a {@link GreetError}: a code that decides the
 * exit code, one sentence that says what happened and, where there is
 * something to do about it, a hint. Everything else that is thrown is a bug.
 *
 * @module
 */

/**
 * The status codes of gRPC; each one's place in the list is its number on the
 * wire. Source: {@link https://grpc.io/docs/guides/status-codes/}.
 */
export const STATUS_NAMES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

/** The name of a gRPC status, such as `"UNAVAILABLE"`. */
export type StatusName = typeof STATUS_NAMES[number];

/**
 * What kind of failure it is: a call's gRPC status, or one of our own.
 *
 * - `USAGE`: the caller asked for something that makes no sense.
 * - `FAILED`: something on this side failed, such as a port that is in use.
 * - `INTERRUPTED`: stopped from outside before the work was done.
 */
export type ErrorCode = Exclude<StatusName, "OK"> | "USAGE" | "FAILED" | "INTERRUPTED";

/** A {@link GreetError} as plain data, for JSON and for messages between threads. */
export interface PlainError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
}

/**
 * An error that is meant to be read by a user.
 *
 * `message` and `hint` may hold text from the other side of the network; make
 * it showable before it reaches a terminal.
 *
 * @example
 * ```ts
 * import { GreetError } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * const error = new GreetError("USAGE", "70000 is not a port", { hint: "a port is 1 to 65535" });
 * assert.equal(error.code, "USAGE");
 * assert.equal(error.hint, "a port is 1 to 65535");
 * ```
 */
export class GreetError extends Error {
  /** What kind of failure it is. */
  readonly code: ErrorCode;
  /** What the reader can do about it, if anything. */
  readonly hint?: string;

  /**
   * @param code the kind of failure
   * @param message one sentence, without a full stop, that says what happened
   * @param options a hint for the reader, and the error behind this one
   */
  constructor(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = "GreetError";
    this.code = code;
    this.hint = options.hint;
  }

  /** The same error as plain data; the cause stays behind. */
  toJSON(): PlainError {
    const { code, message, hint } = this;
    return hint === undefined ? { code, message } : { code, message, hint };
  }

  /** The error that {@link GreetError.toJSON} made this of. */
  static fromJSON({ code, message, hint }: PlainError): GreetError {
    return new GreetError(code, message, { hint });
  }

  /** `error` itself where it is one of ours; anything unforeseen becomes `FAILED`. */
  static from(error: unknown): GreetError {
    if (error instanceof GreetError) return error;
    const message = error instanceof Error ? error.message : String(error);
    return new GreetError("FAILED", message, { cause: error });
  }
}

/** What the system says went wrong, without the number and the path that the runtime adds to it. */
export function systemReason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/ \(os error.*/s, "");
}
