/**
 * Bundles the program for `deno task compile`: a few small files start sooner than hundreds. Each
 * file that runs in a Worker is an entry of its own, because a Worker that loads a bundle of the whole
 * program would run the program again.
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** The program, and the files that start a Worker with themselves. */
export const ENTRIES = [
  "cli.ts",
  "src/greeter/client_threads.ts",
  "src/greeter/server_threads.ts",
] as const;

/**
 * How packages in the bundle get the runtime's own modules, and the same without `node:module`, which
 * can load other packages, too, and takes a tenth of the start for that. Nothing is loaded before the
 * first package asks.
 */
const REQUIRE =
  /import\{createRequire as (\w+)\} from "node:module";var (\w+)=\1\(import\.meta\.url\);/;
const BUILT_IN = "var $2=name=>process.getBuiltinModule(name);";

/**
 * Bundles the program.
 *
 * @param folder where to, which should be empty
 * @param signal ends it
 * @returns the path of the file to run
 * @throws {Error} if it cannot be bundled, with what Deno printed
 */
export async function bundle(folder: string, signal?: AbortSignal): Promise<string> {
  const options = ["--quiet", "--frozen", "--minify", "--code-splitting", "--outdir", folder];
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", ...options, ...ENTRIES],
    cwd: ROOT,
    signal,
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr).trimEnd());
  await useBuiltInModules(folder);
  return join(folder, "cli.js");
}

async function useBuiltInModules(folder: string): Promise<void> {
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (!isFile) continue;
    const path = join(folder, name);
    const code = await Deno.readTextFile(path);
    if (REQUIRE.test(code)) return await Deno.writeTextFile(path, code.replace(REQUIRE, BUILT_IN));
  }
  throw new Error("the bundle gets the runtime's modules in an unknown way");
}
