/** Compiles the program exactly as the task `compile` does, for any system and to any path. */
import { fileURLToPath } from "node:url";
import config from "../deno.json" with { type: "json" };

/** The repository's root, ending with a separator. */
export const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** What a compilation may differ in from the task. */
interface CompileOptions {
  /** The system to compile for, such as `aarch64-apple-darwin`; without it, this one. */
  readonly target?: string;
  /** Any executable to use in place of Deno's base runtime. The result does not start. */
  readonly standIn?: string;
}

/** Writes a binary to a path; for Windows, `.exe` is added. Returns what Deno printed. */
export async function compile(
  output: string,
  { target, standIn }: CompileOptions = {},
): Promise<string> {
  const [, task, options] = /^deno (.* tools\/compile\.ts) (.*)$/.exec(config.tasks.compile)!;
  const args = options.split(" ");
  args[args.indexOf("--output") + 1] = output;
  const { stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: [...task.split(" "), ...target === undefined ? [] : ["--target", target], ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1", ...standIn === undefined ? {} : { DENORT_BIN: standIn } },
  }).output();
  const printed = new TextDecoder().decode(stderr);
  if (!success) throw new Error(`deno compile fails:\n${printed}`);
  return printed;
}
