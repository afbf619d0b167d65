/**
 * Where the program keeps what it has to remember.
 *
 * One folder of the user's own, which a flag or `GREET_HOME` can move; without
 * either it is where the system keeps the state of programs. Nothing is read
 * or made here, {@link homeFolder} only says where.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { isAbsolute, join, resolve } from "node:path";
import { GreetError } from "./errors.ts";

/** What decides where home is. */
export interface Surroundings {
  /** The operating system, as `Deno.build.os` names it. */
  readonly os: typeof Deno.build.os;
  /** An environment variable. */
  env(name: string): string | undefined;
}

/**
 * The folder to keep things in.
 *
 * In this order: what was asked for, `GREET_HOME`, and the system's place for
 * it: `$XDG_STATE_HOME/greet` or `~/.local/state/greet`
 * ([XDG](https://specifications.freedesktop.org/basedir-spec/latest/)),
 * `~/Library/Application Support/greet` on macOS, `%LOCALAPPDATA%\greet` on Windows.
 *
 * @param asked what the user asked for, if anything
 * @param surroundings the system and its environment
 * @returns an absolute path; the folder may not exist
 * @throws {GreetError} `FAILED` where the environment names no home
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
export function homeFolder(asked: string | undefined, { os, env }: Surroundings): string {
  const chosen = asked || env("GREET_HOME");
  if (chosen) return resolve(chosen);
  const state = systemFolder(os, env);
  if (state !== undefined) return join(state, "greet");
  throw new GreetError("FAILED", "there is no home directory to keep things in", {
    hint: "name one with --home DIR or GREET_HOME; a chat on this machine needs none: --no-journal",
  });
}

function systemFolder(
  os: Surroundings["os"],
  env: Surroundings["env"],
): string | undefined {
  if (os === "windows") return env("LOCALAPPDATA") || undefined;
  const home = env("HOME");
  if (os === "darwin") return home ? join(home, "Library", "Application Support") : undefined;
  // A relative path is to be ignored, says the specification.
  const xdg = env("XDG_STATE_HOME");
  if (xdg && isAbsolute(xdg)) return xdg;
  return home ? join(home, ".local", "state") : undefined;
}

/**
 * What a file of one name's is called, without its extension. Names may differ in nothing but
 * case, or be long, or be what some systems do not take as file names; so a digest is what tells
 * them apart.
 */
export function fileNameOf(name: string): string {
  const legible = name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-").slice(0, 32);
  const digest = createHash("sha256").update(name).digest("hex").slice(0, 12);
  return `${legible}-${digest}`;
}
