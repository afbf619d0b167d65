/**
 * Turns an executable of `deno compile` into a command that runs what it carries, and nothing else,
 * with the permissions and V8 flags that it names. This stands in for the executable where its base
 * runtime cannot be downloaded; only that runtime's own start remains untested.
 *
 *     deno run --allow-all tests/support/unpack.ts FOLDER    # prints the command's path
 *
 * @module
 */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { compile } from "../../release/compile.ts";
import { type Executable, type Metadata, readExecutable } from "./executable.ts";

/** Any executable will do in place of the base runtime, as long as it need not start. */
export const STAND_IN = "/bin/true";

/** Writes what an executable carries to a folder. Returns the path of the command that runs it. */
export async function unpack(executable: string, folder: string): Promise<string> {
  const content = await readExecutable(executable);
  assertOrdinary(content.metadata);
  const program = join(folder, "program");
  await writeFiles(content.files, program);
  await Deno.mkdir(join(folder, "cache"));
  const command = join(folder, "greet");
  await Deno.writeTextFile(command, script(content.metadata, folder), { mode: 0o755 });
  return command;
}

/** Throws if an executable asks for something that the command would not do. */
function assertOrdinary(metadata: Metadata): void {
  for (const name of ["location", "seed", "ca_stores", "ca_data", "log_level"]) {
    assert.equal(metadata[name], null, name);
  }
  assert.deepEqual([metadata.preload_modules, metadata.require_modules], [[], []]);
  assert.deepEqual(metadata.env_vars_from_env_file, {});
  assert.equal(metadata.workspace_resolver.import_map, null);
}

async function writeFiles(files: Executable["files"], folder: string): Promise<void> {
  for (const [path, contents] of files) {
    await Deno.mkdir(join(folder, dirname(path)), { recursive: true });
    await Deno.writeFile(join(folder, path), contents);
  }
}

/** A shell script that runs the program as the base runtime would. */
function script(metadata: Metadata, folder: string): string {
  const program = join(folder, "program");
  const variables = [`DENO_DIR=${join(folder, "cache")}`, "DENO_NO_UPDATE_CHECK=1"];
  const command = [
    ...[Deno.execPath(), "run", "--quiet", "--no-config", "--no-npm", "--no-remote", "--no-check"],
    ...[...flagsOf(metadata), join(program, metadata.entrypoint_key), ...metadata.argv],
  ];
  const words = (list: string[]) => list.map(quote).join(" ");
  return `#!/bin/sh\nexport ${words(variables)}\nexec ${words(command)} "$@"\n`;
}

/** The flags of `deno run` that mean what an executable's metadata says. */
export function flagsOf({ permissions, v8_flags: [, ...v8Flags] }: Metadata): string[] {
  const { prompt, ...lists } = permissions;
  const flags = Object.entries(lists).flatMap(([name, list]) => {
    if (list === null) return [];
    assert(Array.isArray(list), `${name} is no list`);
    const flag = `--${name.replace("_", "-")}`;
    return [list.length === 0 ? flag : `${flag}=${list.join(",")}`];
  });
  return [`--v8-flags=${v8Flags.join(",")}`, ...(prompt ? [] : ["--no-prompt"]), ...flags];
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

if (import.meta.main) {
  const [folder] = Deno.args;
  await Deno.mkdir(folder, { recursive: true });
  const executable = join(folder, "executable");
  await compile(executable, { standIn: STAND_IN });
  console.log(await unpack(executable, await Deno.realPath(folder)));
}
