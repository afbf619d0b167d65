/**
 * Decides whether output has colors.
 *
 * @module
 */
import { type Arguments, quote } from "./arguments.ts";
import { GreetError } from "../base/errors.ts";
import type { Io } from "./io.ts";

/**
 * Whether to use color: `--color` decides, then the environment, then whether stdout is a terminal.
 *
 * @throws {GreetError} `USAGE` for an unknown value of `--color`
 */
export function useColor(input: Arguments, io: Io): boolean {
  const when = input.string("color") ?? "auto";
  if (when === "always") return true;
  if (when === "never") return false;
  if (when !== "auto") {
    throw new GreetError("USAGE", `--color takes auto, always or never, not ${quote(when)}`);
  }
  // https://no-color.org and https://force-color.org: set and not empty.
  if (io.env("NO_COLOR")) return false;
  if (io.env("FORCE_COLOR")) return true;
  return io.stdoutIsTerminal && io.env("TERM") !== "dumb";
}
