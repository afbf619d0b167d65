/**
 * The home directory for the files of a command.
 *
 * @module
 */
import type { Arguments } from "./arguments.ts";
import { homeFolder, outsideProfile } from "../base/home.ts";
import type { Io } from "./io.ts";
import { warn } from "./reports.ts";

/**
 * Finds the home directory, and warns if other users may have access to it although nothing says so.
 *
 * @throws {GreetError} like {@link homeOption}
 */
export function homeOf(input: Arguments, io: Io): string {
  const home = homeOption(input, io);
  const profile = outsideProfile(home, environmentOf(io));
  if (profile !== undefined) {
    warn(`other users may be able to read and change ${home}; ${profile} is private`, io);
  }
  return home;
}

/**
 * Finds the home directory. An empty `--home` is refused, because it may come from a variable that
 * was never set: `greet forget` would delete from the usual journal.
 *
 * @throws {GreetError} `USAGE` if `--home` is empty; `FAILED` if the environment has none
 */
export function homeOption(input: Arguments, io: Io): string {
  const chosen = input.string("home");
  if (chosen === "") {
    throw input.usage("--home needs a folder", "leave --home out for the usual one, $GREET_HOME");
  }
  return homeFolder(chosen, environmentOf(io));
}

function environmentOf({ env }: Io) {
  return { os: Deno.build.os, env };
}
