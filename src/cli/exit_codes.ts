/**
 * The program's exit codes.
 *
 * @module
 */
import { type ErrorCode, STATUS_NAMES, type StatusName } from "../base/errors.ts";

/**
 * The exit code for an error: 1 for a local failure, 2 for usage, 130 when interrupted before the
 * work was done, 64 + gRPC status when a call failed.
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
