/**
 * Finds out which tools this machine has, so that a test that needs one is skipped by name where it
 * is missing. Nothing here throws when a tool is absent.
 *
 * @module
 */
import { delimiter, join } from "node:path";

/** Whether the system is Linux: its `/proc`, its sockets, its errors. */
export const isLinux = Deno.build.os === "linux";

/** Whether the system has file modes, named pipes and a POSIX shell. */
export const isPosix = Deno.build.os !== "windows";

/** Whether the tests run as the superuser. */
export const isRoot = isPosix && Deno.uid() === 0;

/** A test that needs signals, which Windows does not have: there, every one of them kills. */
export function posixTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${name} (needs POSIX)`, ignore: !isPosix, fn });
}

/** Where Debian installs the source of Go packages. */
export const GO_PATH = "/usr/share/gocode";

/** What a command's file name may end with. */
const ENDINGS = isPosix ? [""] : [".exe", ".cmd", ".bat"];

/** Whether a command is in PATH. Does not run it. */
export function hasCommand(command: string): boolean {
  const folders = Deno.env.get("PATH")?.split(delimiter).filter((folder) => folder !== "") ?? [];
  return folders.some((folder) => ENDINGS.some((ending) => exists(join(folder, command + ending))));
}

/** Whether a file or folder exists. */
export function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Whether Go can build programs that use a package from Debian, such as `google.golang.org/grpc`. */
export function hasGoPackage(name: string): boolean {
  return hasCommand("go") && exists(join(GO_PATH, "src", name));
}

/** Runs a command to its end. Returns its output, or nothing if it is missing or fails. */
export async function outputOf(...[command, ...args]: string[]): Promise<string | undefined> {
  try {
    // Throws at once, not in the promise, when there is no such command.
    const run = new Deno.Command(command, { args, stdin: "null", stderr: "null" });
    const { success, stdout } = await run.output();
    return success ? new TextDecoder().decode(stdout) : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a command exists, may be run here, and succeeds. */
export async function works(...command: string[]): Promise<boolean> {
  return await outputOf(...command) !== undefined;
}

/** The Python that has some modules: Debian's, if another comes first in PATH and lacks them. */
export async function findPython(...modules: string[]): Promise<string | undefined> {
  const pythons = hasCommand("python3") ? ["python3", "/usr/bin/python3"] : ["python"];
  for (const python of pythons) {
    if (await works(python, "-c", `import ${modules.join(", ")}`)) return python;
  }
}
