/**
 * Bundles the program, and runs `deno compile` with the given options: `deno task compile`. If what
 * that needs cannot be downloaded, it says so in one sentence.
 *
 * @module
 */
import { bundle } from "./bundle.ts";

const NEEDS_DOWNLOAD =
  "deno task compile has to download esbuild from npm and Deno's base runtime " +
  "from dl.deno.land once, and cannot reach them; without compiling, run: deno task greet";

/** The start of an error message; what comes before is progress. */
// deno-lint-ignore no-control-regex
const ERROR = /^(\x1b\[\d+m)*error/m;

/** Runs `deno compile`, and shows its progress. Returns its exit code and its error message. */
async function compile(options: readonly string[], entry: string): Promise<[number, string]> {
  const compiler = new Deno.Command(Deno.execPath(), {
    args: ["compile", "--no-config", ...options, entry],
    stderr: "piped",
  }).spawn();
  let report = "";
  for await (const text of compiler.stderr.pipeThrough(new TextDecoderStream())) {
    const start = report === "" ? text.search(ERROR) : 0;
    const progress = start === -1 ? text : text.slice(0, start);
    await Deno.stderr.write(new TextEncoder().encode(progress));
    report += text.slice(progress.length);
  }
  const { code } = await compiler.status;
  return [code, report.trimEnd()];
}

/** Bundles and compiles; returns the exit code. */
async function run(options: readonly string[]): Promise<number> {
  const folder = await Deno.makeTempDir({ prefix: "greet-bundle-" });
  try {
    const [code, report] = await compile(options, await bundle(folder));
    if (report !== "") explain(report);
    return code;
  } catch (error) {
    explain((error as Error).message);
    return 1;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function explain(report: string): void {
  console.error(/dl\.deno\.land|esbuild/.test(report) ? NEEDS_DOWNLOAD : report);
}

Deno.exit(await run(Deno.args));
