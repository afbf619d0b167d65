/**
 * Errors, hints and warnings on stderr, one line each.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { showable } from "../base/text.ts";
import { RateLimit } from "../base/timing.ts";
import type { Io } from "./io.ts";

/** Reports an error, and its hint if it has one. */
export function reportError({ message, hint }: GreetError, { stderr }: Io, context = ""): void {
  stderr.line(`greet: error: ${context}${showable(message)}`);
  if (hint !== undefined) stderr.line(`greet: hint: ${showable(hint)}`);
}

/** Reports something that is not an error, but that the user should know. */
export function warn(message: string, { stderr }: Io): void {
  stderr.line(`greet: warning: ${message}`);
}

/** The shortest time between two reports of the same kind, in milliseconds. */
const REPORT_INTERVAL_MS = 60_000;

/**
 * Reports errors that callers can cause at will: at most once a minute for each kind. Errors with
 * the same hint are of the same kind.
 */
export function reportSparingly(io: Io): (error: GreetError) => void {
  const limit = new RateLimit<string | undefined>(REPORT_INTERVAL_MS);
  return (error) => {
    if (limit.isDue(error.hint)) reportError(error, io);
  };
}

/** Reports unexpected failures inside a server. */
export function reportFault(io: Io): (error: unknown) => void {
  return (error) => reportError(GreetError.from(error), io);
}
