/**
 * The program's home directory, where journals, keys and known peers are stored.
 *
 * This file only computes paths. Nothing is read or created here.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { posix, win32 } from "node:path";
import { GreetError } from "./errors.ts";

/** The operating system and its environment variables. */
export interface HomeEnvironment {
  /** The operating system, as in `Deno.build.os`. */
  readonly os: typeof Deno.build.os;
  /** Reads an environment variable. */
  env(name: string): string | undefined;
}

/**
 * Finds the home directory.
 *
 * It is the first of these that is set: the given folder, `GREET_HOME`, and the system's default.
 * The default is `$XDG_STATE_HOME/greet` or `~/.local/state/greet`
 * ([XDG](https://specifications.freedesktop.org/basedir-spec/latest/)),
 * `~/Library/Application Support/greet` on macOS and `%LOCALAPPDATA%\greet` on Windows.
 *
 * @param chosen the folder that the user asked for, if any
 * @param environment the operating system and its environment variables
 * @returns an absolute path; the folder may not exist yet
 * @throws {GreetError} `FAILED` if the environment has no home directory
 *
 * @example
 * ```ts
 * import { homeFolder } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * const env = (name: string) => ({ HOME: "/home/bob" })[name];
 * assert.equal(homeFolder(undefined, { os: "linux", env }), "/home/bob/.local/state/greet");
 * assert.equal(homeFolder("/srv/bob", { os: "linux", env }), "/srv/bob");
 * ```
 */
export function homeFolder(chosen: string | undefined, { os, env }: HomeEnvironment): string {
  const folder = chosen || env("GREET_HOME");
  const path = os === "windows" ? win32 : posix;
  if (folder) return path.resolve(folder);
  const state = stateFolder(os, env);
  if (state !== undefined) return path.join(state, "greet");
  throw new GreetError("FAILED", "there is no home directory to store journals and keys in", {
    hint: "set one with --home DIR or GREET_HOME; " +
      "a chat on this machine needs none with --no-journal",
  });
}

/** The folder where the system wants programs to store their state. */
function stateFolder(
  os: HomeEnvironment["os"],
  env: HomeEnvironment["env"],
): string | undefined {
  if (os === "windows") return env("LOCALAPPDATA") || undefined;
  const home = env("HOME");
  if (os === "darwin") return home ? posix.join(home, "Library", "Application Support") : undefined;
  // The specification requires relative paths to be ignored.
  const xdg = env("XDG_STATE_HOME");
  if (xdg && posix.isAbsolute(xdg)) return xdg;
  return home ? posix.join(home, ".local", "state") : undefined;
}

/**
 * Where other users may have access to a home directory on Windows. It has no file modes, and what
 * protects a folder there is inherited: the user's profile is private, other places usually are not.
 *
 * @param home the home directory
 * @param environment the operating system and its environment variables
 * @returns the user's profile if the home directory is outside it; nothing if it is inside, if that
 *   is unknown, and on other systems
 *
 * @example
 * ```ts
 * import { outsideProfile } from "./home.ts";
 * import assert from "node:assert/strict";
 *
 * const env = () => String.raw`C:\Users\bob\AppData\Local`;
 * assert.equal(outsideProfile(String.raw`D:\greet`, { os: "windows", env }), String.raw`C:\Users\bob`);
 * ```
 */
export function outsideProfile(home: string, { os, env }: HomeEnvironment): string | undefined {
  const local = env("LOCALAPPDATA");
  // A short name, such as `LONGNA~1`, can stand for any other.
  if (os !== "windows" || !local || /~\d/.test(home)) return undefined;
  const profile = win32.resolve(local, "..", "..");
  const way = win32.relative(profile, home);
  return win32.isAbsolute(way) || way.split("\\")[0] === ".." ? profile : undefined;
}

/**
 * The file name, without extension, for a peer's name.
 *
 * Names may differ only in case, be too long, or be invalid as file names, so a digest makes the
 * result unique.
 */
export function fileNameOf(name: string): string {
  const readable = name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").slice(0, 32);
  const digest = createHash("sha256").update(name).digest("hex").slice(0, 12);
  return `${readable}-${digest}`;
}
