/**
 * Measures the cost of being idle: for peers that wait or are connected, and for servers without calls.
 * All are idle in the same minute, since idle processes hardly affect each other. An empty program
 * beside them shows the share of the runtime.
 *
 * @module
 */
import { Bot } from "../tests/support/bot.ts";
import { hasLocalNetwork, LocalNetwork } from "../tests/support/local_network.ts";
import { freePorts } from "../tests/support/ports.ts";
import { Program, serving } from "../tests/support/program.ts";
import { pause } from "../src/base/timing.ts";
import { type Report, type Usage, usage } from "./measure.ts";
import { fromText } from "./rivals.ts";

const IDLE_MS = 60_000;

/**
 * How long a process is left alone before it is measured. Idle threads of the runtime end after 10 s,
 * which would remove their CPU time from the count.
 */
export const SETTLING_MS = 12_000;

/** A program that does nothing. Without the timer, it would exit. */
const EMPTY = "setInterval(() => {}, 3_600_000); console.log('nothing to do');";

/** An idle process. */
interface Idler {
  readonly what: string;
  readonly pid: number;
}

/** Measures all idle processes, in the same minute. */
export async function benchIdle(report: Report): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const idlers = [
    await empty(stack),
    await waiting(stack),
    ...await connected(stack),
    ...await connected(stack, "--tls"),
    ...await onLan(stack),
    await greeter(stack),
    await names(stack),
  ];
  await pause(SETTLING_MS);
  const before = await usages(idlers);
  await pause(IDLE_MS);
  const after = await usages(idlers);
  const columns = ["CPU, ms", "wake-ups", "memory, MB"];
  const table = report.table("a minute in which nothing happens", columns);
  for (const [i, { what }] of idlers.entries()) table.row(what, ...difference(before[i], after[i]));
  const died = after.filter((usage) => usage === undefined).length;
  report.expect("idle processes that died", died, 0);
}

/** Reads the usage of processes; undefined for one that has died. */
async function usages(idlers: readonly Idler[]): Promise<(Usage | undefined)[]> {
  return await Promise.all(idlers.map(({ pid }) => usage(pid).catch(() => undefined)));
}

/** The resources used between two readings, in the order of the columns. */
function difference(before?: Usage, after?: Usage): number[] {
  if (before === undefined || after === undefined) return [];
  return [after.cpuMs - before.cpuMs, after.wakeUps - before.wakeUps, after.memoryMB];
}

async function empty(stack: AsyncDisposableStack): Promise<Idler> {
  const program = stack.use(new Program(fromText(EMPTY)));
  await program.out.until("nothing to do");
  return { what: "the runtime alone", pid: program.pid };
}

/** A peer that waits for another. */
async function waiting(stack: AsyncDisposableStack): Promise<Idler> {
  const peer = stack.use(Program.greet(["chat", "Alice", ...freePorts()]));
  await peer.out.until("Waiting for other peer to connect...");
  return { what: "greet chat, waiting", pid: peer.pid };
}

/** Two peers that are connected and silent. */
async function connected(stack: AsyncDisposableStack, ...options: string[]): Promise<Idler[]> {
  const [a, b] = freePorts();
  const alice = stack.use(new Bot(["Alice", a, b, ...options]));
  const bob = stack.use(new Bot(["Bob", b, a, ...options]));
  await Promise.all([alice.until("welcome"), bob.until("welcome")]);
  return [alice, bob].map(({ program: { pid } }, i) => ({
    what: ["greet chat", ...options, `connected, ${i + 1} of 2`].join(" "),
    pid,
  }));
}

/** Two peers that have met on a local network, encrypted, and a third that waits for a fourth. */
async function onLan(stack: AsyncDisposableStack): Promise<Idler[]> {
  if (!hasLocalNetwork) return [];
  const machines = { A: ["10.9.0.1/24"], B: ["10.9.0.2/24"], C: ["10.9.0.3/24"] };
  const network = stack.use(await LocalNetwork.open(machines));
  const alice = network.chat("A", ["Alice", "Bob"]);
  const bob = network.chat("B", ["Bob", "Alice"]);
  const carol = network.chat("C", ["Carol", "Dave"]);
  await Promise.all([alice.until("welcome"), bob.until("welcome"), carol.until("listening")]);
  return [alice, bob, carol].map(({ program: { pid } }, i) => ({
    what: `greet chat --names lan, ${["connected, 1 of 2", "connected, 2 of 2", "waiting"][i]}`,
    pid,
  }));
}

async function greeter(stack: AsyncDisposableStack): Promise<Idler> {
  const { server } = stack.use(await serving());
  return { what: "greet serve", pid: server.pid };
}

async function names(stack: AsyncDisposableStack): Promise<Idler> {
  const server = stack.use(Program.greet(["names", "0"]));
  await server.out.until(/\d+\n/);
  return { what: "greet names", pid: server.pid };
}
