/**
 * Runs all benchmarks, or the named parts, and writes the results to a file:
 *
 *     deno task bench [PART...] [--json FILE]
 *
 * Exits with 1 if a call, message or process was lost during a benchmark, and with 2 on wrong usage.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Report } from "./measure.ts";

type Part = (report: Report) => Promise<void>;

/** The parts in the order in which they run; each is loaded when its turn comes. */
const PARTS: Readonly<Record<string, () => Promise<Part>>> = {
  start: async () => (await import("./start.ts")).benchStart,
  serve: async () => (await import("./serve.ts")).benchServe,
  chat: async () => (await import("./chat.ts")).benchChat,
  bulk: async () => (await import("./chat.ts")).benchBulk,
  mesh: async () => (await import("./chat.ts")).benchMesh,
  idle: async () => (await import("./idle.ts")).benchIdle,
  memory: async () => (await import("./memory.ts")).benchMemory,
  names: async () => (await import("./names.ts")).benchNames,
  growth: async () => (await import("./growth.ts")).benchGrowth,
};

const RESULT = fileURLToPath(new URL("./result.json", import.meta.url));

/** Runs parts and returns the exit code. A part that throws does not prevent the next one. */
async function bench(parts: readonly string[], file: string): Promise<number> {
  const report = await Report.open();
  for (const part of parts) {
    try {
      const run = await PARTS[part]();
      await run(report);
    } catch (error) {
      console.error(error);
      report.expect(`${part} threw (${(error as Error).message})`, 1, 0);
    }
  }
  return await report.close(file);
}

/** Parses the command line: the parts to run, and the file for the results. */
function parse(args: string[]): { parts: string[]; file: string } {
  const { values, positionals } = parseArgs({
    args,
    options: { json: { type: "string", default: RESULT } },
    allowPositionals: true,
  });
  const all = Object.keys(PARTS);
  const unknown = positionals.find((part) => !all.includes(part));
  if (unknown !== undefined) {
    throw new Error(`unknown part "${unknown}"; the parts are ${all.join(", ")}`);
  }
  const parts = all.filter((part) => positionals.length === 0 || positionals.includes(part));
  return { parts, file: values.json };
}

async function main(args: string[]): Promise<number> {
  let options: ReturnType<typeof parse>;
  try {
    options = parse(args);
  } catch (error) {
    console.error(`bench: ${(error as Error).message}`);
    return 2;
  }
  return await bench(options.parts, options.file);
}

Deno.exit(await main(Deno.args));
