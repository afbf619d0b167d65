/**
 * How chats grow: with the peers that one is connected to, with the messages that it carries, and with
 * the size of a mesh.
 *
 * @module
 */
import { Peer } from "../../mod.ts";
import { pause } from "../../src/base/timing.ts";
import { Bot } from "../../tests/support/bot.ts";
import { freePorts } from "../../tests/support/ports.ts";
import { Chatter, take } from "../chatter.ts";
import { SETTLING_MS } from "../idle.ts";
import { figuresInTurns, type Report, type Usage, usage } from "../measure.ts";
import { Mesh } from "../mesh.ts";
import { GrowthTable } from "./table.ts";

const LINKS = [1, 10, 100];
const IDLE_MS = 30_000;
/** Messages to all peers, of which the mean is taken. */
const SENT = 20;
const ROUNDS = 3;
const MESSAGES = [1_000, 10_000, 100_000];
const MESHES = [5, 10, 20];

// ---------------------------------------------------------------- links

/** Measures chats with more and more links: idle in the same half minute, then sending in turns. */
export async function growLinks(report: Report): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const hubs: Bot[] = [];
  for (const links of LINKS) hubs.push(await hub(stack, links));
  const met = await usages(hubs);
  await pause(SETTLING_MS);
  const before = await usages(hubs);
  await pause(IDLE_MS);
  const after = await usages(hubs);
  const sending = await figuresInTurns(
    ROUNDS,
    LINKS,
    (links) => send(hubs[LINKS.indexOf(links)], links),
  );

  const aMinute = (what: keyof Usage) =>
    after.map((usage, i) => (usage[what] - before[i][what]) * 60_000 / IDLE_MS);
  const perLink = (figures: readonly number[]) => figures.map((figure, i) => figure / LINKS[i]);
  const table = new GrowthTable(report, "a chat, by links", { amounts: LINKS, unit: "link" });
  table.rowWithFurther("until all have met, CPU in ms", met.map(({ cpuMs }) => cpuMs));
  table.rowWithFurther("idle for a minute, CPU in ms", aMinute("cpuMs"));
  table.row("  CPU a link in ms", perLink(aMinute("cpuMs")));
  table.row("  wake-ups a link", perLink(aMinute("wakeUps")));
  table.rowWithFurther("memory, MB", after.map(({ memoryMB }) => memoryMB));
  table.rowWithFurther("a message to all, CPU in ms", sending.map(({ cpuMs }) => cpuMs));
  const left = hubs.reduce((sum, bot) => sum + bot.all("left").length, 0);
  report.expect("peers that left", left, 0);
}

function usages(bots: readonly Bot[]): Promise<Usage[]> {
  return Promise.all(bots.map(({ program }) => usage(program.pid)));
}

/** A peer, as a process, that has met others, which run in this process. */
async function hub(stack: AsyncDisposableStack, links: number): Promise<Bot> {
  const [port] = freePorts(1);
  const ports: number[] = [];
  for (let i = 0; i < links; i++) {
    const peer = stack.use(await Peer.open({ name: `Leaf${i}`, port: 0, targets: [port] }));
    ports.push(peer.port);
    read(peer);
  }
  const bot = stack.use(new Bot(["Hub", port, ...ports.map(String)]));
  const hasMetAll = () => {
    const welcomed = bot.all("welcome").flatMap(({ peers }) => peers as string[]);
    return welcomed.length + bot.all("joined").length >= links || undefined;
  };
  await bot.program.out.waitFor(hasMetAll, () => `${links} peers`);
  return bot;
}

/** Sends messages to all peers, one after the other. Returns the mean of what one took. */
async function send(bot: Bot, links: number): Promise<{ cpuMs: number }> {
  const before = (await usage(bot.program.pid)).cpuMs;
  for (let i = 0; i < SENT; i++) {
    const delivered = bot.all("delivered").length;
    await bot.say(`${i}`);
    await bot.until("delivered", delivered + links);
  }
  return { cpuMs: ((await usage(bot.program.pid)).cpuMs - before) / SENT };
}

/** Reads the events of a peer, because it waits for that. */
async function read({ events }: Peer): Promise<void> {
  for await (const _ of events);
}

// ---------------------------------------------------------------- messages

/** Measures two chats, one of which sends more and more. */
export async function growBulk(report: Report): Promise<void> {
  const figures = await figuresInTurns(ROUNDS, MESSAGES, (count) => carry(report, count));
  const table = new GrowthTable(report, "a chat, by messages carried", {
    amounts: MESSAGES,
    unit: "1,000 messages",
    unitSize: 1_000,
  });
  table.row("messages/s, printed and reported", figures.map(({ perSecond }) => perSecond));
  for (const side of ["sender", "receiver"] as const) {
    table.rowWithFurther(
      `${side}, CPU in ms`,
      figures.map((all) => all[`${side}CpuMs`]),
    );
    const memory = figures.map((all) => all[`${side}MB`]);
    table.row(`${side}, memory, MB more`, memory);
  }
}

/** Sends messages to a peer that is there. */
async function carry(report: Report, count: number) {
  const [a, b] = freePorts();
  await using alice = new Chatter(["Alice", a, b]);
  await using bob = new Chatter(["Bob", b, a]);
  const sides = [alice, bob];
  await Promise.all(sides.map((side) => take(side, "welcome", 1)));
  const usages = () => Promise.all(sides.map(({ pid }) => usage(pid)));
  const before = await usages();
  const start = performance.now();
  const [delivered, received] = await Promise.all([
    take(alice, "delivered", count),
    take(bob, "message", count),
    alice.say(Array.from({ length: count }, (_, i) => `${i}`)),
  ]);
  const seconds = (performance.now() - start) / 1_000;
  const after = await usages();
  report.expect(`messages of ${count} not delivered`, count - delivered.length, 0);
  const wrong = received.filter(({ body }, i) => body !== `${i}`).length;
  report.expect(`messages of ${count} lost or out of order`, count - received.length + wrong, 0);
  const [sender, receiver] = after.map((usage, i) => ({
    cpuMs: usage.cpuMs - before[i].cpuMs,
    memoryMB: usage.memoryMB - before[i].memoryMB,
  }));
  return {
    perSecond: count / seconds,
    senderCpuMs: sender.cpuMs,
    senderMB: sender.memoryMB,
    receiverCpuMs: receiver.cpuMs,
    receiverMB: receiver.memoryMB,
  };
}

// ---------------------------------------------------------------- meshes

/** Measures how meshes of growing size meet. */
export async function growMeshes(report: Report): Promise<void> {
  const figures = await figuresInTurns(ROUNDS, MESHES, (size) => meet(report, size));
  const table = new GrowthTable(report, "a full mesh meets, by peers", {
    amounts: MESHES,
    unit: "link of a peer",
  });
  table.row("until all have met, ms", figures.map(({ metMs }) => metMs));
  const [cpuMs, memoryMB] = (["cpuMs", "memoryMB"] as const)
    .map((what) => figures.map((all) => all[what]));
  table.rowWithFurther("CPU a peer in ms", cpuMs);
  table.rowWithFurther("memory a peer, MB", memoryMB);
}

async function meet(report: Report, size: number) {
  await using mesh = new Mesh(size);
  report.expect(`peers that have not met all of ${size}`, size - await mesh.met(), 0);
  const metMs = performance.now() - mesh.start;
  const { cpuMs, memoryMB } = await mesh.usage();
  return { metMs, cpuMs, memoryMB };
}
