/**
 * Runs `deno compile` with the given arguments: `deno task compile`. If Deno's base runtime cannot be
 * downloaded, it says so in one sentence.
 *
 * @module
 */

const NEEDS_DOWNLOAD = "deno task compile has to download Deno's base runtime from dl.deno.land " +
  "once, and cannot reach it; without compiling, run: deno task greet";

/** The start of an error message; what comes before is progress. */
// deno-lint-ignore no-control-regex
const ERROR = /^(\x1b\[\d+m)*error/m;

const compiler = new Deno.Command(Deno.execPath(), {
  args: ["compile", ...Deno.args],
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
if (report !== "") console.error(/dl\.deno\.land/.test(report) ? NEEDS_DOWNLOAD : report.trimEnd());
Deno.exit(code);
