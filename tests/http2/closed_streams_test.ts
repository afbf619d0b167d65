/** A server keeps nothing of an answered request for V8's full collections, which are expensive. */
import assert from "node:assert/strict";
import config from "../../deno.json" with { type: "json" };
import { GreeterClient } from "../../src/greeter/client.ts";
import { parseTarget } from "../../src/net/address.ts";
import { Program } from "../support/program.ts";

/** Connections, and calls at a time on each. */
const LOAD = { connections: 4, calls: 25 };

/** How often each call is made: until V8 has compiled what is used most, and then to measure. */
const TIMES = { before: 100, measured: 150 };

/**
 * Between what becomes old of each request, 1.5 kB of those that are being answered, and what did
 * without `closed_streams.ts`, or with a WeakMap or a long-lived Map of calls: 8 kB.
 */
const MOST_KB = 4;

/** The command that serves and reports collections. */
function tracedServer(): string[] {
  const flags = config.tasks.greet.replace(/^.*?deno run /, "").split(" ");
  const traced = flags.map((flag) => flag.startsWith("--v8-flags=") ? `${flag},--trace-gc` : flag);
  return [Deno.execPath(), "run", ...traced, "serve", "0"];
}

async function greetOften(port: string, times: number): Promise<void> {
  await Promise.all(Array.from({ length: LOAD.connections }, async () => {
    using client = new GreeterClient({ target: parseTarget(port) });
    const greetInTurn = async () => {
      for (let i = 0; i < times; i++) await client.greet("Bob");
    };
    await Promise.all(Array.from({ length: LOAD.calls }, greetInTurn));
  }));
}

/** How many megabytes became old in the quick collections of a report. */
function megabytesGrownOld(report: string): number {
  const collections = report.matchAll(/(Scavenge|Mark-Compact) [\d.]+ \([\d.]+\) -> ([\d.]+) \(/g);
  let before: number | undefined;
  let sum = 0;
  for (const [, kind, after] of collections) {
    if (kind === "Scavenge" && before !== undefined) sum += Number(after) - before;
    before = Number(after);
  }
  assert(before !== undefined, "no collections are reported");
  return sum;
}

Deno.test("answered requests do not become old objects of a busy server", async () => {
  await using server = new Program(tracedServer());
  const [, port] = await server.out.until(/Server started, listening on (\d+)\n/);
  await greetOften(port, TIMES.before);
  const { length } = server.out.text;
  await greetOften(port, TIMES.measured);
  const requests = LOAD.connections * LOAD.calls * TIMES.measured;
  const kilobytes = megabytesGrownOld(server.out.text.slice(length)) * 1_024 / requests;
  assert(kilobytes < MOST_KB, `${kilobytes.toFixed(2)} kB of each request`);
});
