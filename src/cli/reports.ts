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
export function reportError(
  { message, hint }: Pick<GreetError, "message" | "hint">,
  io: Io,
  context = "",
): void {
  io.stderr.line(`greet: error: ${context}${showable(message)}`);
  if (hint !== undefined) reportHint(hint, io);
}

/**
 * The hint of an error or, if nothing listens where it should, a question.
 *
 * Errors from threads are plain data, so a refused connection is known by its message.
 *
 * @param advice the question about a server
 */
export function hintFor(
  { message, hint }: Pick<GreetError, "message" | "hint">,
  advice?: string,
): string | undefined {
  if (hint !== undefined || !/: (connection refused|there is no such socket)$/.test(message)) {
    return hint;
  }
  const isNamingService = /\bthe naming service at /.test(message);
  return isNamingService ? "is it running? greet names starts a naming server" : advice;
}

/** Reports what the user can do. */
export function reportHint(hint: string, { stderr }: Io): void {
  stderr.line(`greet: hint: ${showable(hint)}`);
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

/**
 * Reports errors that no code catches, instead of the runtime, which would print a stack trace and
 * end the program. Ends when it is disposed of.
 */
export function reportUncaught(io: Io): Disposable {
  const report = (event: Event, error: unknown) => {
    event.preventDefault();
    reportError(GreetError.from(error), io, "unexpected: ");
  };
  const onError = (event: ErrorEvent) => report(event, event.error);
  const onRejection = (event: PromiseRejectionEvent) => report(event, event.reason);
  globalThis.addEventListener("error", onError);
  globalThis.addEventListener("unhandledrejection", onRejection);
  return {
    [Symbol.dispose]() {
      globalThis.removeEventListener("error", onError);
      globalThis.removeEventListener("unhandledrejection", onRejection);
    },
  };
}
