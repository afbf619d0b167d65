/** A process returns the memory that its work has taken. */
import assert from "node:assert/strict";
import { GreeterClient } from "../../src/greeter/client.ts";
import { parseTarget } from "../../src/net/address.ts";
import { pause } from "../../src/base/timing.ts";
import { serving } from "../support/program.ts";
import { isLinux } from "../support/tools.ts";
import { inTime } from "../support/waiting.ts";

/** A process returns memory when it has been quiet for 30 s; then it takes less than a second. */
const RETURNED_MS = 120_000;

/** How often memory is read, in milliseconds: a process does not say that it has returned any. */
const READ_EVERY_MS = 100;

/** The resident memory of a process, in megabytes. */
async function memoryMB(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s*(\d+) kB/m.exec(status)![1]) * 1_024 / 1e6;
}

/** Waits until the resident memory of a process is below a limit. */
async function untilBelow(limitMB: number, pid: number): Promise<void> {
  let now = Infinity;
  let isOver = false;
  const falls = async () => {
    while (!isOver && (now = await memoryMB(pid)) >= limitMB) await pause(READ_EVERY_MS);
  };
  try {
    await inTime(falls(), () => `less than ${limitMB} MB; there are ${now}`, RETURNED_MS);
  } finally {
    isOver = true;
  }
}

/** Greets a server many times on some connections, with 100 calls in flight. */
async function greetOften(port: string, { connections }: { connections: number }): Promise<void> {
  await Promise.all(Array.from({ length: connections }, async () => {
    using client = new GreeterClient({ target: parseTarget(port) });
    const greetInTurn = async () => {
      for (let i = 0; i < 150; i++) await client.greet("Bob");
    };
    await Promise.all(Array.from({ length: 100 / connections }, greetInTurn));
  }));
}

/** A server that has grown under load returns memory when its callers pause. */
async function returnsMemory(options: string[]): Promise<void> {
  await using serve = await serving(options);
  const { port, server: { pid } } = serve;
  const before = await memoryMB(pid);
  await greetOften(port, { connections: 10 });
  const grown = await memoryMB(pid) - before;
  assert(grown > 40, `${grown} MB`);
  await untilBelow(before + grown * 0.7, pid);
}

Deno.test({
  name: "a server on one or several threads returns memory when callers pause (needs Linux)",
  ignore: !isLinux,
  fn: () => Promise.all([returnsMemory([]), returnsMemory(["--threads", "2"])]).then(() => {}),
});
