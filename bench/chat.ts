/**
 * What a chat costs: delivery with and without journals, and encrypted; a long queue, a growing mesh.
 *
 * The machine is never quiet, and its disk least of all, so look at the ratios: what is
 * compared takes turns in one run. `deno task bench`. Memory and CPU need Linux.
 *
 * @module
 */
import { type Identity, Journal, newIdentity, Peer, type PeerEvent } from "../mod.ts";
import { Bot, freePorts, temporaryHome } from "../tests/program.ts";

const ROUNDS = 3;
const MESSAGES = 500;
const QUEUE = 10_000;
const MESHES = [2, 5, 10, 20];
const IDLE_MS = 10_000;

function percentile(numbers: readonly number[], share: number): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length * share)];
}

function row(what: string, ...figures: (number | string)[]): void {
  const cells = figures.map((figure) =>
    typeof figure === "string" ? figure : figure.toFixed(figure < 10 ? 2 : 0)
  );
  console.log(what.padEnd(44) + cells.map((cell) => cell.padStart(12)).join(""));
}

/** Alice, here, so that nothing but the delivery is timed. Her events are read all the time. */
async function openAlice(
  port: string,
  target: string,
  { journal, identity }: { journal?: Journal; identity?: Identity },
) {
  const who = { name: "Alice", port: Number(port), targets: [target], journal, identity };
  const peer = await Peer.open(who);
  const delivered = new EventTarget();
  const read = (async () => {
    for await (const event of peer.events) report(event, delivered);
  })();
  return {
    peer,
    /** Says something and waits until it was delivered. */
    async say(body: string): Promise<void> {
      const done = new Promise((resolve) => delivered.addEventListener(body, resolve));
      await peer.send(body);
      await done;
    },
    async [Symbol.asyncDispose]() {
      await peer[Symbol.asyncDispose]();
      await read;
    },
  };
}

function report(event: PeerEvent, delivered: EventTarget): void {
  if (event.type === "delivered") delivered.dispatchEvent(new Event(event.message.body));
  if (event.type === "failed") throw event.error;
}

/** What is compared. */
const KINDS = {
  durable: { isDurable: true, isSecure: false },
  "no journal": { isDurable: false, isSecure: false },
  "with TLS": { isDurable: true, isSecure: true },
} as const;

/** How long each of some messages took, in milliseconds, from `send` to `delivered`. */
async function latencies({ isDurable, isSecure }: typeof KINDS[keyof typeof KINDS]) {
  const [a, b] = freePorts();
  await using home = temporaryHome();
  using journal = isDurable
    ? Journal.open({ home: home.env.GREET_HOME, name: "Alice" })
    : undefined;
  const identity = isSecure ? await newIdentity("Alice") : undefined;
  const options = [...isDurable ? [] : ["--no-journal"], ...isSecure ? ["--tls"] : []];
  await using bob = new Bot(["Bob", b, a, ...options]);
  await using alice = await openAlice(a, b, { journal, identity });
  await alice.peer.joined();
  const times: number[] = [];
  for (let i = -50; i < MESSAGES; i++) {
    const start = performance.now();
    await alice.say(`${i}`);
    if (i >= 0) times.push(performance.now() - start);
  }
  await bob.until("message", MESSAGES);
  return times;
}

async function benchLatency(): Promise<void> {
  row("send to delivered, ms", ...Object.keys(KINDS));
  const kinds = Object.values(KINDS).map((kind) => ({ kind, times: [] as number[] }));
  for (let round = 0; round < ROUNDS; round++) {
    for (const { kind, times } of kinds) times.push(...await latencies(kind));
  }
  for (const [name, share] of [["p50", 0.5], ["p99", 0.99]] as const) {
    const figures = kinds.map(({ times }) => percentile(times, share));
    row(`  ${name} of ${ROUNDS * MESSAGES}`, ...figures);
    row("    to durable", ...figures.map((figure) => figure / figures[0]));
  }
}

async function benchQueue(): Promise<void> {
  const [a, b] = freePorts();
  await using home = temporaryHome();
  using journal = Journal.open({ home: home.env.GREET_HOME, name: "Alice" });
  await using alice = await openAlice(a, b, { journal });
  const start = performance.now();
  await Promise.all(Array.from({ length: QUEUE }, (_, i) => alice.peer.send(`${i}`)));
  const queued = performance.now();
  await using bob = new Bot(["Bob", b, a]);
  await alice.peer.joined();
  const joined = performance.now();
  await alice.peer.drained();
  const delivered = performance.now();
  const messages = await bob.until("message", QUEUE, 60_000);
  const shown = performance.now();
  const lost = QUEUE - new Set(messages.map(({ body }) => body)).size;
  const perSecond = (from: number, to: number) => QUEUE / (to - from) * 1_000;
  row(`\n${QUEUE} messages to somebody absent`, "messages/s");
  row("  stored by the sender", perSecond(start, queued));
  row("  delivered when they come", perSecond(joined, delivered));
  row("  printed by the receiver", perSecond(joined, shown));
  row("  lost", `${lost}`);
}

/** Resident memory in MB, and CPU used so far in ms. */
async function usage(pid: number): Promise<{ memory: number; cpu: number }> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  const stat = (await Deno.readTextFile(`/proc/${pid}/stat`)).split(") ")[1].split(" ");
  return {
    memory: Number(/VmRSS:\s*(\d+)/.exec(status)![1]) / 1024,
    cpu: (Number(stat[11]) + Number(stat[12])) * 10,
  };
}

async function benchMesh(size: number): Promise<void> {
  const ports = freePorts(size);
  await using stack = new AsyncDisposableStack();
  const start = performance.now();
  const bots = ports.map((port, i) =>
    stack.use(new Bot([`Peer${i}`, port, ...ports.toSpliced(i, 1)]))
  );
  const isComplete = (bot: Bot) => {
    const [welcome] = bot.all("welcome");
    const count = ((welcome?.peers ?? []) as string[]).length + bot.all("joined").length;
    return count === size - 1 || undefined;
  };
  for (const bot of bots) {
    await bot.program.out.waitFor(() => isComplete(bot), () => "a full mesh", 60_000);
  }
  const metMs = performance.now() - start;
  const pids = bots.map(({ program }) => program.pid);
  const before = await Promise.all(pids.map(usage));
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  const after = await Promise.all(pids.map(usage));
  const mean = (numbers: number[]) => numbers.reduce((a, b) => a + b) / numbers.length;
  row(
    `  ${size} peers`,
    metMs,
    mean(before.map(({ cpu }) => cpu)),
    mean(after.map(({ memory }) => memory)),
    mean(after.map(({ cpu }, i) => (cpu - before[i].cpu) / IDLE_MS * 60_000)),
  );
}

await benchLatency();
await benchQueue();
if (Deno.build.os === "linux") {
  row("\na full mesh, per peer", "all met, ms", "CPU, ms", "memory, MB", "CPU/min, ms");
  for (const size of MESHES) await benchMesh(size);
}
