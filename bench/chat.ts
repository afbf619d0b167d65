/**
 * Measures chats: the latency of one message, with journals, without, and encrypted; the throughput of
 * many; and meshes of growing size. Alice runs in this process, so that only delivery is timed. Her
 * receiver and all peers of a mesh are processes.
 *
 * @module
 */
import { Journal, newIdentity, Peer, type PeerEvent } from "../mod.ts";
import { Bot, type ChatEvent } from "../tests/support/bot.ts";
import { temporaryHome } from "../tests/support/home.ts";
import { freePorts } from "../tests/support/ports.ts";
import { greetCommand, ROOT } from "../tests/support/program.ts";
import { pause, within } from "../src/base/timing.ts";
import { SETTLING_MS } from "./idle.ts";
import { median, percentile, type Report, type Usage, usage } from "./measure.ts";
import { temporaryFolder } from "./rivals.ts";

const ROUNDS = 3;
const WARM_UP = 50;
const MESSAGES = 500;
const MANY = 20_000;
/** How the throughput grows: one, ten and a hundred times the work. */
const GROWTH = [1_000, 10_000, 100_000];
/** The goal for messages a second, delivered and printed. */
const GOAL = 12_000;

/** Messages sent before waiting until they are stored, as in `greet chat`. */
const IN_FLIGHT = 256;

const MESHES = [2, 5, 10, 20, 50];
/** On two quiet cores, 50 peers need most of a minute to meet; on busy ones, several. */
const MEETING_MS = 300_000;
/** The number of peers in a mesh that send a message. */
const SPEAKERS = 5;
/** Includes several keepalives, which go out every 5 s. */
const IDLE_MS = 20_000;

/** The longest wait for many messages. */
const PATIENCE_MS = 60_000;

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

/** Starts Bob as a process. Unlike {@link Bot}, keeps no output: it is too much to search. */
function openBob([port, target]: string[], { isDurable, isSecure }: Kind) {
  const options = [...isDurable ? [] : ["--no-journal"], ...isSecure ? ["--tls"] : []];
  const home = temporaryHome();
  const [command, ...args] = greetCommand();
  const child = new Deno.Command(command, {
    args: [...args, "chat", "Bob", port, target, "--json", ...options],
    cwd: ROOT,
    env: home.env,
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  let isRunning = true;
  const ended = child.status.then(() => isRunning = false);
  return {
    events: eventsIn(child.stdout),
    async [Symbol.asyncDispose]() {
      if (isRunning) child.kill("SIGKILL");
      await ended;
      await home[Symbol.asyncDispose]();
    },
  };
}

async function* eventsIn(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<ChatEvent, undefined> {
  let rest = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    for (const line of lines) yield JSON.parse(line);
  }
}

/** The next events of one type; fewer than asked for, if the events end or the time is up. */
async function take<Event extends ChatEvent | PeerEvent>(
  { events }: { events: AsyncIterator<Event> },
  type: Event["type"],
  count: number,
): Promise<Event[]> {
  const taken: Event[] = [];
  const read = async () => {
    while (taken.length < count) {
      const { done, value } = await events.next();
      if (done) return;
      if (value.type === type) taken.push(value);
    }
  };
  await within(PATIENCE_MS, read());
  return taken;
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

/** Measures the throughput of many messages, and how it changes with their number. */
export async function benchBulk(report: Report): Promise<void> {
  const there: Rates[] = [];
  const absent: Rates[] = [];
  const floors: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    there.push(await ratesWhilePresent(report));
    absent.push(await ratesAfterAbsence(report, MANY));
    floors.push(await storing());
  }
  const title = `${english(MANY)} messages in one direction, a second`;
  const table = report.table(title, ["Bob there", "Bob absent"]);
  const medians = (what: keyof Rates) => [there, absent].map((all) => medianOf(all, what));
  table.row("stored by the sender", ...medians("stored"));
  table.row("delivered, once he is there", ...medians("delivered"));
  table.row("printed by the receiver", ...medians("printed"));
  table.row(`  two journals alone (goal: ${english(GOAL)})`, median(floors));
  const growth = report.table("messages that waited, a second", ["delivered", "printed"]);
  for (const count of GROWTH) {
    const { delivered, printed } = await ratesAfterAbsence(report, count);
    growth.row(english(count), delivered, printed);
  }
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
async function ratesAfterAbsence(report: Report, count: number): Promise<Rates> {
  const [a, b] = freePorts();
  await using alice = await openAlice([a, b], KINDS.durable);
  const [stored] = await Promise.all([rate(take(alice, "queued", count)), sendMany(alice, count)]);
  await using bob = openBob([b, a], KINDS.durable);
  await welcomed(alice);
  const received = take(bob, "message", count);
  const [delivered, printed] = await Promise.all([
    rate(take(alice, "delivered", count)),
    rate(received),
  ]);
  expectAll(report, await received, count);
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

/** Measures meshes of growing size. */
export async function benchMesh(report: Report): Promise<void> {
  const columns = [
    ...["all met, ms", "CPU by then", "memory, MB", "heard, ms", "CPU/min", "per link"],
    "wrongly left",
  ];
  const table = report.table("a full mesh, per peer; CPU in ms", columns);
  for (const size of MESHES) {
    await using mesh = new Mesh(size);
    const unmet = size - await mesh.met();
    report.expect(`peers that have not met all of ${size}`, unmet, 0);
    if (unmet === 0) table.row(`${size} peers`, ...await figuresOf(mesh));
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

/** Peers that are all linked to each other. */
class Mesh implements AsyncDisposable {
  readonly size: number;
  readonly start = performance.now();
  readonly #peers: readonly Bot[];
  #sent = 0;

  constructor(size: number) {
    this.size = size;
    const ports = freePorts(size);
    this.#peers = ports.map((port, i) => new Bot([`Peer${i}`, port, ...ports.toSpliced(i, 1)]));
  }

  /** Waits until all peers have met. Returns how many have met all others. */
  async met(): Promise<number> {
    const hasMetAll = (peer: Bot) => {
      const welcomed = peer.all("welcome").flatMap(({ peers }) => peers as string[]);
      const joined = peer.all("joined").filter(({ back }) => !back);
      return welcomed.length + joined.length === this.size - 1 || undefined;
    };
    const meeting = this.#peers.map((peer) =>
      peer.program.out.waitFor(() => hasMetAll(peer), () => "all others", MEETING_MS)
    );
    const settled = await Promise.allSettled(meeting);
    return settled.filter(({ status }) => status === "fulfilled").length;
  }

  /** Sends a message. Returns the time until all other peers have received it, in milliseconds. */
  async say(): Promise<number> {
    const speaker = this.#peers[this.#sent % this.size];
    const body = `${this.#sent++}`;
    const others = this.#peers.filter((peer) => peer !== speaker);
    const start = performance.now();
    // If the speaker has died, the message counts as lost.
    await speaker.say(body).catch(() => {});
    await Promise.all(others.map((peer) => arrivalOf(peer, body)));
    return performance.now() - start;
  }

  /** The average usage of a peer. */
  async usage(): Promise<Usage> {
    const all = await this.#usages();
    const mean = (what: keyof Usage) => all.reduce((sum, one) => sum + one[what], 0) / all.length;
    return { memoryMB: mean("memoryMB"), cpuMs: mean("cpuMs"), wakeUps: mean("wakeUps") };
  }

  /** The number of peers that have died. */
  async dead(): Promise<number> {
    return this.size - (await this.#usages()).length;
  }

  async #usages(): Promise<Usage[]> {
    const readings = this.#peers.map(({ program }) => usage(program.pid));
    const settled = await Promise.allSettled(readings);
    return settled.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
  }

  /** How often a slow peer was wrongly reported to have left. */
  get left(): number {
    return this.#sum((peer) => peer.all("left").length);
  }

  /** The number of messages that were not received, over all receivers. */
  get lost(): number {
    return this.#sent * (this.size - 1) - this.#received((bodies) => new Set(bodies).size);
  }

  /** The number of messages that were received twice, over all receivers. */
  get receivedAgain(): number {
    return this.#received((bodies) => bodies.length - new Set(bodies).size);
  }

  #received(count: (bodies: readonly string[]) => number): number {
    return this.#sum((peer) => count(peer.all("message").map(({ body }) => body!)));
  }

  #sum(count: (peer: Bot) => number): number {
    return this.#peers.map(count).reduce((a, b) => a + b);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#peers.map((peer) => peer[Symbol.asyncDispose]()));
  }
}

/** Waits for a message, for a limited time. Missing messages are counted at the end. */
async function arrivalOf(peer: Bot, body: string): Promise<void> {
  const find = () => peer.all("message").find((message) => message.body === body);
  await Promise.allSettled([peer.program.out.waitFor(find, () => body, PATIENCE_MS)]);
}
