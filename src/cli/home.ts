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
 * @throws {GreetError} `FAILED` if the environment has none
 */
export function homeOf(input: Arguments, io: Io): string {
  const environment = { os: Deno.build.os, env: io.env };
  const home = homeFolder(input.string("home"), environment);
  const profile = outsideProfile(home, environment);
  if (profile !== undefined) {
    warn(`other users may be able to read and change ${home}; ${profile} is private`, io);
  }
  return home;
}
