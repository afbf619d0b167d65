/**
 * Measures chats: the latency of one message, with journals, without, and encrypted; the throughput of
 * many; and meshes of growing size. Alice runs in this process, so that only delivery is timed. Her
 * receiver and all peers of a mesh are processes.
 *
 * @module
 */
import { Journal, newIdentity, Peer } from "../mod.ts";
import type { ChatEvent } from "../tests/support/bot.ts";
import { temporaryHome } from "../tests/support/home.ts";
import { freePorts } from "../tests/support/ports.ts";
import { pause } from "../src/base/timing.ts";
import { Chatter, take } from "./chatter.ts";
import { SETTLING_MS } from "./idle.ts";
import { median, percentile, type Report } from "./measure.ts";
import { meetBare, Mesh } from "./mesh.ts";
import { temporaryFolder } from "./rivals.ts";

const ROUNDS = 3;
const WARM_UP = 50;
const MESSAGES = 500;
const MANY = 20_000;
/** The goal for messages a second, delivered and printed. */
const GOAL = 12_000;

/** Messages sent before waiting until they are stored, as in `greet chat`. */
const IN_FLIGHT = 256;

const MESHES = [2, 5, 10, 20, 50];
/** The number of peers in a mesh that send a message. */
const SPEAKERS = 5;
/** Includes several keepalives, which go out every 5 s. */
const IDLE_MS = 20_000;

const english = (count: number) => count.toLocaleString("en");

// ---------------------------------------------------------------- two peers

/** The kinds of chat that are compared. */
const KINDS = {
  durable: { isDurable: true, isSecure: false },
  "no journal": { isDurable: false, isSecure: false },
  "with TLS": { isDurable: true, isSecure: true },
} as const;

type Kind = typeof KINDS[keyof typeof KINDS];

/** Opens Alice in this process. Her events must be read continuously, because delivery waits for it. */
async function openAlice([port, target]: string[], { isDurable, isSecure }: Kind) {
  await using stack = new AsyncDisposableStack();
  const name = "Alice";
  const { env: { GREET_HOME: home } } = stack.use(temporaryHome());
  const journal = isDurable ? stack.use(Journal.open({ home, name })) : undefined;
  const identity = isSecure ? await newIdentity(name) : undefined;
  const options = { name, port: Number(port), targets: [target], journal, identity };
  const peer = stack.use(await Peer.open(options));
  const events = peer.events[Symbol.asyncIterator]();
  const owned = stack.move();
  return {
    peer,
    events,
    async [Symbol.asyncDispose]() {
      // Otherwise she would wait until her last events are read.
      const gone = events.return?.();
      await owned.disposeAsync();
      await gone;
    },
  };
}

type Alice = Awaited<ReturnType<typeof openAlice>>;

/** Starts Bob as a process. */
function openBob([port, target]: string[], { isDurable, isSecure }: Kind): Chatter {
  const options = [...isDurable ? [] : ["--no-journal"], ...isSecure ? ["--tls"] : []];
  return new Chatter(["Bob", port, target, ...options]);
}

/** Waits until Alice has met Bob. */
async function welcomed(alice: Alice): Promise<void> {
  const { length } = await take(alice, "welcome", 1);
  if (length === 0) throw new Error("Bob did not join");
}

// ---------------------------------------------------------------- one after another

/** Measures the latency of single messages. */
export async function benchChat(report: Report): Promise<void> {
  const table = report.comparison("send to delivered, ms", Object.keys(KINDS));
  const kinds = Object.values(KINDS).map((kind) => ({ kind, times: [] as number[] }));
  for (let round = 0; round < ROUNDS; round++) {
    for (const { kind, times } of kinds) times.push(...await latencies(report, kind));
  }
  for (const [name, share] of [["p50", 0.5], ["p99", 0.99]] as const) {
    const figures = kinds.map(({ times }) => percentile(times, share));
    table.row(`${name} of ${english(ROUNDS * MESSAGES)}`, ...figures);
  }
}

/** The times from `send` to `delivered`, in milliseconds. */
async function latencies(report: Report, kind: Kind): Promise<number[]> {
  const [a, b] = freePorts();
  await using bob = openBob([b, a], kind);
  await using alice = await openAlice([a, b], kind);
  await welcomed(alice);
  const count = WARM_UP + MESSAGES;
  const [times, { length }] = await Promise.all([
    sendInTurn(alice, count),
    take(bob, "message", count),
  ]);
  report.expect("messages not delivered", count - times.length, 0);
  report.expect("messages not printed", count - length, 0);
  return times.slice(WARM_UP);
}

async function sendInTurn(alice: Alice, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const delivered = take(alice, "delivered", 1);
    const start = performance.now();
    // A failure is counted below, because the message is not delivered then.
    await alice.peer.send(`${i}`).catch(() => {});
    if ((await delivered).length === 0) break;
    times.push(performance.now() - start);
  }
  return times;
}

// ---------------------------------------------------------------- many

/** Messages per second. */
interface Rates {
  /** Only measured while Bob is absent; delivery at the same time would slow it down. */
  readonly stored?: number;
  readonly delivered: number;
  readonly printed: number;
}

/** Measures the throughput of many messages. */
export async function benchBulk(report: Report): Promise<void> {
  const there: Rates[] = [];
  const absent: Rates[] = [];
  const floors: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    there.push(await ratesWhilePresent(report));
    absent.push(await ratesAfterAbsence(report));
    floors.push(await storing());
  }
  const title = `${english(MANY)} messages in one direction, a second`;
  const table = report.table(title, ["Bob there", "Bob absent"]);
  const medians = (what: keyof Rates) => [there, absent].map((all) => medianOf(all, what));
  table.row("stored by the sender", ...medians("stored"));
  table.row("delivered, once he is there", ...medians("delivered"));
  table.row("printed by the receiver", ...medians("printed"));
  table.row(`  two journals alone (goal: ${english(GOAL)})`, median(floors));
}

/** The floor: how many messages per second two journals of one process take, read and mark. */
async function storing(): Promise<number> {
  await using home = temporaryFolder();
  using mine = Journal.open({ home: home.path, name: "Alice" });
  using theirs = Journal.open({ home: home.path, name: "Bob" });
  const start = performance.now();
  for (let sent = 0; sent < MANY; sent += IN_FLIGHT) {
    const count = Math.min(IN_FLIGHT, MANY - sent);
    await Promise.all(Array.from({ length: count }, (_, i) => {
      const message = { id: `${sent + i}`, from: "Alice", body: `${sent + i}`, at: new Date() };
      return mine.send(message, () => [{ target: "Bob", name: "Bob" }]);
    }));
    const entries = mine.waitingFor({ name: "Bob" });
    const last = await theirs.receive(entries.map(({ message }) => message));
    mine.endDelivery("Bob", entries.map(({ place }) => place), "delivered");
    theirs.unshown(last - count);
    theirs.markShown(last);
  }
  return MANY / (performance.now() - start) * 1_000;
}

function medianOf(rates: readonly Rates[], what: keyof Rates): number | undefined {
  const figures = rates.flatMap((rates) => rates[what] ?? []);
  return figures.length === 0 ? undefined : median(figures);
}

async function ratesWhilePresent(report: Report): Promise<Rates> {
  const [a, b] = freePorts();
  await using bob = openBob([b, a], KINDS.durable);
  await using alice = await openAlice([a, b], KINDS.durable);
  await welcomed(alice);
  const received = take(bob, "message", MANY);
  const [delivered, printed] = await Promise.all([
    rate(take(alice, "delivered", MANY)),
    rate(received),
    sendMany(alice, MANY),
  ]);
  expectAll(report, await received, MANY);
  return { delivered, printed };
}

/** Messages that are stored while Bob is absent, and delivered when he joins. */
async function ratesAfterAbsence(report: Report): Promise<Rates> {
  const [a, b] = freePorts();
  await using alice = await openAlice([a, b], KINDS.durable);
  const [stored] = await Promise.all([rate(take(alice, "queued", MANY)), sendMany(alice, MANY)]);
  await using bob = openBob([b, a], KINDS.durable);
  await welcomed(alice);
  const received = take(bob, "message", MANY);
  const [delivered, printed] = await Promise.all([
    rate(take(alice, "delivered", MANY)),
    rate(received),
  ]);
  expectAll(report, await received, MANY);
  return { stored, delivered, printed };
}

async function sendMany({ peer }: Alice, count: number): Promise<void> {
  for (let sent = 0; sent < count; sent += IN_FLIGHT) {
    const some = Math.min(IN_FLIGHT, count - sent);
    await Promise.all(Array.from({ length: some }, (_, i) => peer.send(`${sent + i}`)));
  }
}

/** How many arrive per second, from now on. */
async function rate(arrival: Promise<readonly unknown[]>): Promise<number> {
  const start = performance.now();
  const { length } = await arrival;
  return length / (performance.now() - start) * 1_000;
}

function expectAll(report: Report, received: readonly ChatEvent[], count: number): void {
  const numbers = received.map(({ body }) => Number(body));
  report.expect("messages lost", count - new Set(numbers).size, 0);
  const wrong = numbers.filter((number, i) => i > 0 && number <= numbers[i - 1]);
  report.expect("messages received twice or out of order", wrong.length, 0);
}

// ---------------------------------------------------------------- a mesh

/** Measures meshes of growing size, beside programs with nothing but grpc-js that call each other. */
export async function benchMesh(report: Report): Promise<void> {
  const columns = [
    ...["all met, ms", "CPU by then", "memory, MB", "heard, ms", "CPU/min", "per link"],
    ...["wrongly left", "grpc-js met, ms", "its CPU"],
  ];
  const table = report.table("a full mesh, per peer; CPU in ms", columns);
  for (const size of MESHES) {
    const bare = await meetBare(size);
    await using mesh = new Mesh(size);
    const unmet = size - await mesh.met();
    report.expect(`peers that have not met all of ${size}`, unmet, 0);
    if (unmet === 0) table.row(`${size} peers`, ...await figuresOf(mesh), bare.metMs, bare.cpuMs);
    report.expect(`messages lost among ${size}`, mesh.lost, 0);
    report.expect(`messages received twice among ${size}`, mesh.receivedAgain, 0);
    report.expect(`peers that died among ${size}`, await mesh.dead(), 0);
  }
}

/** The cost of a mesh per peer, in the order of the columns. Stops at the first lost message. */
async function figuresOf(mesh: Mesh): Promise<number[]> {
  const metMs = performance.now() - mesh.start;
  const { cpuMs } = await mesh.usage();
  const receivedMs: number[] = [];
  for (let i = 0; i < SPEAKERS; i++) {
    receivedMs.push(await mesh.say());
    if (mesh.lost > 0) return [metMs, cpuMs];
  }
  await pause(SETTLING_MS);
  const before = await mesh.usage();
  await pause(IDLE_MS);
  const after = await mesh.usage();
  const cpuPerMinute = (after.cpuMs - before.cpuMs) / IDLE_MS * 60_000;
  const links = mesh.size - 1;
  return [
    ...[metMs, cpuMs, after.memoryMB, median(receivedMs), cpuPerMinute, cpuPerMinute / links],
    mesh.left / mesh.size,
  ];
}
