/**
 * Runs the benches, all or those that are named, and writes what they measured to a file:
 *
 *     deno task bench [PART...] [--json FILE]
 *
 * Exit code 1 says that something was lost, refused or died, 2 that this was not understood.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Report } from "./measure.ts";

type Part = (report: Report) => Promise<void>;

/** In the order in which they run. A part is loaded when it does. */
const PARTS: Readonly<Record<string, () => Promise<Part>>> = {
  start: async () => (await import("./start.ts")).benchStart,
  serve: async () => (await import("./serve.ts")).benchServe,
  chat: async () => (await import("./chat.ts")).benchChat,
  idle: async () => (await import("./idle.ts")).benchIdle,
  memory: async () => (await import("./memory.ts")).benchMemory,
  names: async () => (await import("./names.ts")).benchNames,
};

const RESULT = fileURLToPath(new URL("./result.json", import.meta.url));

/** Runs parts, and gives the exit code. One that breaks off does not keep the next from running. */
async function bench(parts: readonly string[], file: string): Promise<number> {
  const report = await Report.open();
  for (const part of parts) {
    try {
      const run = await PARTS[part]();
      await run(report);
    } catch (error) {
      console.error(error);
      report.expect(`${part} broke off (${(error as Error).message})`, 1, 0);
    }
  }
  return await report.close(file);
}

/** What was asked for: which parts, and where what they measure goes. */
function asked(args: string[]): { parts: string[]; file: string } {
  const { values, positionals } = parseArgs({
    args,
    options: { json: { type: "string", default: RESULT } },
    allowPositionals: true,
  });
  const all = Object.keys(PARTS);
  const unknown = positionals.find((part) => !all.includes(part));
  if (unknown !== undefined) {
    throw new Error(`There is no part "${unknown}"; there are ${all.join(", ")}.`);
  }
  const parts = all.filter((part) => positionals.length === 0 || positionals.includes(part));
  return { parts, file: values.json };
}

async function main(args: string[]): Promise<number> {
  let wanted: ReturnType<typeof asked>;
  try {
    wanted = asked(args);
  } catch (error) {
    console.error(`bench: ${(error as Error).message}`);
    return 2;
  }
  return await bench(wanted.parts, wanted.file);
}

Deno.exit(await main(Deno.args));
