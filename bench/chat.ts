/**
 * What a chat costs: one message, plain, without journals and encrypted; many; and a growing mesh.
 *
 * Alice is in this process, so that nothing but the delivery is timed. Those who hear her, and all
 * of a mesh, are processes.
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

const ROUNDS = 3;
const WARM_UP = 50;
const MESSAGES = 500;
const MANY = 20_000;

/** How many messages are said before it is waited that they are safe, as `greet chat` does. */
const IN_FLIGHT = 256;

const MESHES = [2, 5, 10, 20, 50];
/** On two cores, 50 need most of a minute to meet, and several where others use these as well. */
const MEETING_MS = 300_000;
/** How many peers of a mesh say something. */
const SPEAKERS = 5;
/** Who is silent is asked every 5 s whether they are there: long enough for some of that. */
const IDLE_MS = 20_000;

/** How long what should happen may take, with many messages, too. */
const PATIENCE_MS = 60_000;

/** Measures it all. */
export async function benchChat(report: Report): Promise<void> {
  await benchOne(report);
  await benchMany(report);
  await benchMeshes(report);
}

const english = (count: number) => count.toLocaleString("en");

// ---------------------------------------------------------------- who chats

/** What is compared. */
const KINDS = {
  durable: { isDurable: true, isSecure: false },
  "no journal": { isDurable: false, isSecure: false },
  "with TLS": { isDurable: true, isSecure: true },
} as const;

type Kind = typeof KINDS[keyof typeof KINDS];

/** Alice, here. Her events must be read all the time, because deliveries wait for that. */
async function openAlice([port, target]: string[], { isDurable, isSecure }: Kind) {
  await using stack = new AsyncDisposableStack();
  const name = "Alice";
  const { env: { GREET_HOME: home } } = stack.use(temporaryHome());
  const journal = isDurable ? stack.use(Journal.open({ home, name })) : undefined;
  const identity = isSecure ? await newIdentity(name) : undefined;
  const who = { name, port: Number(port), targets: [target], journal, identity };
  const peer = stack.use(await Peer.open(who));
  const events = peer.events[Symbol.asyncIterator]();
  const owned = stack.move();
  return {
    peer,
    events,
    async [Symbol.asyncDispose]() {
      // She would wait for the reader of what has happened last.
      const gone = events.return?.();
      await owned.disposeAsync();
      await gone;
    },
  };
}

type Alice = Awaited<ReturnType<typeof openAlice>>;

/** Bob, a process. What he prints is not kept, as {@link Bot} would: it is too much to search. */
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

/** The next events of a type: so many; or fewer, where no more come, or not in time. */
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
  if (length === 0) throw new Error("Bob did not come");
}

// ---------------------------------------------------------------- one after another

async function benchOne(report: Report): Promise<void> {
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

/** How long each of some messages took, in milliseconds, from `send` to `delivered`. */
async function latencies(report: Report, kind: Kind): Promise<number[]> {
  const [a, b] = freePorts();
  await using bob = openBob([b, a], kind);
  await using alice = await openAlice([a, b], kind);
  await welcomed(alice);
  const count = WARM_UP + MESSAGES;
  const [times, { length }] = await Promise.all([
    sayInTurn(alice, count),
    take(bob, "message", count),
  ]);
  report.expect("messages said in turn that were not delivered", count - times.length, 0);
  report.expect("messages said in turn that were not printed", count - length, 0);
  return times.slice(WARM_UP);
}

async function sayInTurn(alice: Alice, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const delivered = take(alice, "delivered", 1);
    const start = performance.now();
    // That it fails is not thrown but counted: then it is not delivered.
    await alice.peer.send(`${i}`).catch(() => {});
    if ((await delivered).length === 0) break;
    times.push(performance.now() - start);
  }
  return times;
}

// ---------------------------------------------------------------- many

/** How many messages a second go through what happens to them. */
interface Rates {
  /** Only where they cannot be delivered yet; delivery would slow it down. */
  readonly stored?: number;
  readonly delivered: number;
  readonly printed: number;
}

async function benchMany(report: Report): Promise<void> {
  const there: Rates[] = [];
  const absent: Rates[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    there.push(await ratesToSomebodyThere(report));
    absent.push(await ratesToSomebodyAbsent(report));
  }
  const title = `${english(MANY)} messages in one direction, a second`;
  const table = report.table(title, ["Bob there", "Bob absent"]);
  const medians = (what: keyof Rates) => [there, absent].map((all) => medianOf(all, what));
  table.row("stored by the sender", ...medians("stored"));
  table.row("delivered, once he is there", ...medians("delivered"));
  table.row("printed by the receiver", ...medians("printed"));
}

function medianOf(rates: readonly Rates[], what: keyof Rates): number | undefined {
  const figures = rates.flatMap((rates) => rates[what] ?? []);
  return figures.length === 0 ? undefined : median(figures);
}

async function ratesToSomebodyThere(report: Report): Promise<Rates> {
  const [a, b] = freePorts();
  await using bob = openBob([b, a], KINDS.durable);
  await using alice = await openAlice([a, b], KINDS.durable);
  await welcomed(alice);
  const heard = take(bob, "message", MANY);
  const [delivered, printed] = await Promise.all([
    rate(take(alice, "delivered", MANY)),
    rate(heard),
    sayMany(alice),
  ]);
  expectAll(report, await heard);
  return { delivered, printed };
}

/** What is said to somebody absent, and goes out when they come. */
async function ratesToSomebodyAbsent(report: Report): Promise<Rates> {
  const [a, b] = freePorts();
  await using alice = await openAlice([a, b], KINDS.durable);
  const [stored] = await Promise.all([rate(take(alice, "queued", MANY)), sayMany(alice)]);
  await using bob = openBob([b, a], KINDS.durable);
  await welcomed(alice);
  const heard = take(bob, "message", MANY);
  const [delivered, printed] = await Promise.all([
    rate(take(alice, "delivered", MANY)),
    rate(heard),
  ]);
  expectAll(report, await heard);
  return { stored, delivered, printed };
}

async function sayMany({ peer }: Alice): Promise<void> {
  for (let said = 0; said < MANY; said += IN_FLIGHT) {
    const count = Math.min(IN_FLIGHT, MANY - said);
    await Promise.all(Array.from({ length: count }, (_, i) => peer.send(`${said + i}`)));
  }
}

/** How many come a second, from now on. */
async function rate(coming: Promise<readonly unknown[]>): Promise<number> {
  const start = performance.now();
  const { length } = await coming;
  return length / (performance.now() - start) * 1_000;
}

function expectAll(report: Report, heard: readonly ChatEvent[]): void {
  const numbers = heard.map(({ body }) => Number(body));
  report.expect("messages that were lost", MANY - new Set(numbers).size, 0);
  const wrong = numbers.filter((number, i) => i > 0 && number <= numbers[i - 1]);
  report.expect("messages that came again or too late", wrong.length, 0);
}

// ---------------------------------------------------------------- a mesh

async function benchMeshes(report: Report): Promise<void> {
  const columns = [
    ...["all met, ms", "CPU by then", "memory, MB", "heard, ms", "CPU/min", "per link"],
    "wrongly left",
  ];
  const table = report.table("a full mesh, per peer; CPU in ms", columns);
  for (const size of MESHES) {
    await using mesh = new Mesh(size);
    const unmet = size - await mesh.met();
    report.expect(`peers who have not met all of ${size}`, unmet, 0);
    if (unmet === 0) table.row(`${size} peers`, ...await figuresOf(mesh));
    report.expect(`messages lost among ${size}`, mesh.lost, 0);
    report.expect(`messages heard again among ${size}`, mesh.heardAgain, 0);
    report.expect(`peers who died among ${size}`, await mesh.dead(), 0);
  }
}

/** What a mesh costs each of its peers, in the order of the columns; nothing more once it has failed. */
async function figuresOf(mesh: Mesh): Promise<number[]> {
  const metMs = performance.now() - mesh.start;
  const { cpuMs } = await mesh.usage();
  const heardMs: number[] = [];
  for (let i = 0; i < SPEAKERS; i++) {
    heardMs.push(await mesh.say());
    if (mesh.lost > 0) return [metMs, cpuMs];
  }
  await pause(SETTLING_MS);
  const before = await mesh.usage();
  await pause(IDLE_MS);
  const after = await mesh.usage();
  const cpuPerMinute = (after.cpuMs - before.cpuMs) / IDLE_MS * 60_000;
  const links = mesh.size - 1;
  return [
    ...[metMs, cpuMs, after.memoryMB, median(heardMs), cpuPerMinute, cpuPerMinute / links],
    mesh.left / mesh.size,
  ];
}

/** Peers who are all linked to each other. */
class Mesh implements AsyncDisposable {
  readonly size: number;
  readonly start = performance.now();
  readonly #peers: readonly Bot[];
  #said = 0;

  constructor(size: number) {
    this.size = size;
    const ports = freePorts(size);
    this.#peers = ports.map((port, i) => new Bot([`Peer${i}`, port, ...ports.toSpliced(i, 1)]));
  }

  /** Waits until all have met, and tells how many of them have met all others. */
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

  /** One says something; tells how long it takes until all others have heard it, in ms. */
  async say(): Promise<number> {
    const speaker = this.#peers[this.#said % this.size];
    const body = `${this.#said++}`;
    const others = this.#peers.filter((peer) => peer !== speaker);
    const start = performance.now();
    // Who has died says nothing, which counts as lost.
    await speaker.say(body).catch(() => {});
    await Promise.all(others.map((peer) => hear(peer, body)));
    return performance.now() - start;
  }

  /** What a peer uses, on average. */
  async usage(): Promise<Usage> {
    const all = await this.#usages();
    const mean = (what: keyof Usage) => all.reduce((sum, one) => sum + one[what], 0) / all.length;
    return { memoryMB: mean("memoryMB"), cpuMs: mean("cpuMs"), wakeUps: mean("wakeUps") };
  }

  /** How many have died. */
  async dead(): Promise<number> {
    return this.size - (await this.#usages()).length;
  }

  async #usages(): Promise<Usage[]> {
    const looks = this.#peers.map(({ program }) => usage(program.pid));
    const seen = await Promise.allSettled(looks);
    return seen.flatMap((look) => look.status === "fulfilled" ? [look.value] : []);
  }

  /** How often somebody was said to have left, who had not, but was slow. */
  get left(): number {
    return this.#sum((peer) => peer.all("left").length);
  }

  /** How many messages somebody should have heard and has not. */
  get lost(): number {
    return this.#said * (this.size - 1) - this.#heard((bodies) => new Set(bodies).size);
  }

  /** How many messages somebody has heard more than once. */
  get heardAgain(): number {
    return this.#heard((bodies) => bodies.length - new Set(bodies).size);
  }

  #heard(count: (bodies: readonly string[]) => number): number {
    return this.#sum((peer) => count(peer.all("message").map(({ body }) => body!)));
  }

  #sum(count: (peer: Bot) => number): number {
    return this.#peers.map(count).reduce((a, b) => a + b);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#peers.map((peer) => peer[Symbol.asyncDispose]()));
  }
}

/** Waits for a message, but not for ever: that it is missing is counted in the end. */
async function hear(peer: Bot, body: string): Promise<void> {
  const find = () => peer.all("message").find((message) => message.body === body);
  await Promise.allSettled([peer.program.out.waitFor(find, () => body, PATIENCE_MS)]);
}
