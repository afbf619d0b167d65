/**
 * What the program has of the world around it, and how it tells what went wrong.
 *
 * Errors and warnings go to stderr, as one line each and a hint where there is something to do;
 * {@link exitCode} says with which code the program ends.
 *
 * @module
 */
import { type ErrorCode, GreetError, STATUS_NAMES, type StatusName } from "../base/errors.ts";
import type { Output } from "../base/output.ts";
import { showable } from "../base/text.ts";
import { RateLimit } from "../base/timing.ts";

/** What the program has of the world around it. */
export interface Io {
  /** What the command exists to produce. */
  readonly stdout: Output;
  /** Progress and errors. */
  readonly stderr: Output;
  /** What comes in. */
  readonly stdin: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Whether somebody types what comes in. */
  readonly stdinIsTerminal: boolean;
  /** Whether somebody reads what goes out. */
  readonly stdoutIsTerminal: boolean;
  /** How wide the terminal is that stdout goes to; nothing where it is none. */
  columns(): number | undefined;
  /** An environment variable. */
  env(name: string): string | undefined;
  /** Aborted when the program is asked to stop. */
  readonly signal: AbortSignal;
}

/**
 * The exit code: 1 our own fault, 2 usage, 64 + gRPC status when a call failed, 130 interrupted before
 * the work was done.
 */
export function exitCode(code: ErrorCode): number {
  switch (code) {
    case "FAILED":
      return 1;
    case "USAGE":
      return 2;
    case "INTERRUPTED":
      return 130;
    default:
      return 64 + STATUS_NAMES.indexOf(code satisfies StatusName);
  }
}

/** Says what went wrong, and what can be done. */
export function reportError({ message, hint }: GreetError, { stderr }: Io, about = ""): void {
  stderr.line(`greet: error: ${about}${showable(message)}`);
  if (hint !== undefined) stderr.line(`greet: hint: ${showable(hint)}`);
}

/** Says something that is no error, and that somebody should know. */
export function warn(message: string, { stderr }: Io): void {
  stderr.line(`greet: warning: ${message}`);
}

/** How often an error of the same kind is told, in milliseconds. */
const SELDOM_MS = 60_000;

/** Reports what anybody can cause: each kind, told by its hint, at most once a minute. */
export function reportSeldom(io: Io): (error: GreetError) => void {
  const seldom = new RateLimit<string | undefined>(SELDOM_MS);
  return (error) => {
    if (seldom.isDue(error.hint)) reportError(error, io);
  };
}

/** Reports what a server did by mistake. */
export function reportFault(io: Io): (error: unknown) => void {
  return (error) => reportError(GreetError.from(error), io);
}
