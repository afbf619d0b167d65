/**
 * The error type of this program.
 *
 * Every failure that a user can cause or fix is a {@link GreetError}: a code, which decides the
 * exit code, a sentence that says what happened and, where it helps, a hint. Anything else that is
 * thrown is a bug.
 *
 * @module
 */
import { systemMessage } from "./system_errors.ts";

/**
 * gRPC's status codes; the index of each is its number on the wire.
 * Source: {@link https://grpc.io/docs/guides/status-codes/}.
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
 * The kind of a failure: the gRPC status of a call, or one of our own.
 *
 * - `USAGE`: an invalid argument or option.
 * - `FAILED`: a failure on this machine, such as a port that is in use.
 * - `INTERRUPTED`: stopped from outside before the work was done.
 */
export type ErrorCode = Exclude<StatusName, "OK"> | "USAGE" | "FAILED" | "INTERRUPTED";

/** A {@link GreetError} as plain data, for JSON and for messages between threads. */
export interface PlainError {
  /** The kind of failure. */
  readonly code: ErrorCode;
  /** One sentence, without a full stop, that says what happened. */
  readonly message: string;
  /** What the reader can do about it, if anything. */
  readonly hint?: string;
}

/**
 * An error with a message for the user.
 *
 * `message` and `hint` may contain text from the network: pass them through {@link showable} before
 * printing them.
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
  /** The kind of failure. */
  readonly code: ErrorCode;
  /** What the reader can do about it, if anything. */
  readonly hint?: string;

  /**
   * Creates an error.
   *
   * @param code the kind of failure
   * @param message one sentence, without a full stop, that says what happened
   * @param options a hint for the reader, and the error that caused this one
   */
  constructor(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = "GreetError";
    this.code = code;
    this.hint = options.hint;
  }

  /** The same error as plain data, without its cause. */
  toJSON(): PlainError {
    const { code, message, hint } = this;
    return hint === undefined ? { code, message } : { code, message, hint };
  }

  /** Restores an error from the result of {@link GreetError.toJSON}. */
  static fromJSON({ code, message, hint }: PlainError): GreetError {
    return new GreetError(code, message, { hint });
  }

  /** Returns a `GreetError` unchanged, and wraps anything else as `FAILED`, with its {@link systemReason}. */
  static from(error: unknown): GreetError {
    if (error instanceof GreetError) return error;
    return new GreetError("FAILED", systemReason(error), { cause: error });
  }
}

/**
 * The reason that the operating system or the sandbox gives for a failure.
 *
 * @returns a {@link systemMessage}, or the message of the error, without the error number, the path
 *   and the advice that the runtime appends to it; messages from elsewhere are returned unchanged
 */
export function systemReason(error: unknown): string {
  const known = systemMessage(error);
  if (known !== undefined) return known;
  const message = error instanceof Error ? error.message : String(error);
  const [, kind, what] = MISSING_PERMISSION.exec(message) ?? [];
  if (what !== undefined) {
    return `${kind === "all" ? "" : `${kind} `}access to ${what} is not allowed`;
  }
  return message.replace(/\.? \(os error.*/s, "");
}

/** The sandbox's words, which end with a flag of the runtime. */
const MISSING_PERMISSION = /^Requires (\w+) access to (.*), run again with/s;
