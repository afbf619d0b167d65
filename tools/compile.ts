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

/** The signals that end the compilation, with their numbers. */
const SIGNALS: Partial<Record<Deno.Signal, number>> = Deno.build.os === "windows"
  ? { SIGINT: 2 }
  : { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };

/** A signal that is aborted by those of the system, with the exit code as its reason. */
function interruption(): AbortSignal {
  const stop = new AbortController();
  for (const [signal, number] of Object.entries(SIGNALS)) {
    Deno.addSignalListener(signal as Deno.Signal, () => stop.abort(128 + number));
  }
  return stop.signal;
}

/** Runs `deno compile`, and shows its progress. Returns its exit code and its error message. */
async function compile(
  options: readonly string[],
  entry: string,
  signal: AbortSignal,
): Promise<[number, string]> {
  const compiler = new Deno.Command(Deno.execPath(), {
    args: ["compile", "--no-config", ...options, entry],
    stderr: "piped",
    signal,
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

/** Bundles and compiles, unless it is interrupted; returns the exit code. */
async function run(options: readonly string[], signal: AbortSignal): Promise<number> {
  const folder = await Deno.makeTempDir({ prefix: "greet-bundle-" });
  try {
    const [code, report] = await compile(options, await bundle(folder, signal), signal);
    if (signal.aborted) return signal.reason;
    if (report !== "") explain(report);
    return code;
  } catch (error) {
    if (signal.aborted) return signal.reason;
    explain((error as Error).message);
    return 1;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function explain(report: string): void {
  console.error(/dl\.deno\.land|esbuild/.test(report) ? NEEDS_DOWNLOAD : report);
}

Deno.exit(await run(Deno.args, interruption()));
