/**
 * A soak test: servers and peers work continuously while other clients vanish in every possible way.
 * No call may fail, no message may be lost, repeated or reordered, no process may exit, and no memory,
 * descriptor or work may be left behind. `deno task soak` takes half an hour, or `--hours N`,
 * `--minutes N` or `--seconds N`; with `--faults` it is another one, in `faults/`. Needs Linux.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { greet, GreetError, newIdentity, openNames } from "../../mod.ts";
import { parseDestination } from "../../src/greeter/destination.ts";
import { parseTarget } from "../../src/net/address.ts";
import { GreeterClient } from "../../src/greeter/client.ts";
import { type ChatEvent, Immortal } from "../../tests/support/bot.ts";
import { freePorts } from "../../tests/support/ports.ts";
import { greetCommand, Program, ROOT } from "../../tests/support/program.ts";
import { randomNumbers } from "../../tests/support/random.ts";
import { pause } from "../../src/base/timing.ts";
import { hasCommand } from "../../tests/support/tools.ts";
import { Report, usage } from "../measure.ts";
import { type Fault, parseFaults } from "./faults/plan.ts";
import { soakWithFaults } from "./faults/run.ts";
import {
  AS_PEER,
  FROM_ANY_HOST,
  FROM_GREETER,
  FROM_H2LOAD,
  FROM_NAMES,
  Host,
  type Way,
} from "./vanish.ts";

/** Options of {@link soak}. */
export interface SoakOptions {
  /** How long clients keep vanishing, in seconds. */
  readonly seconds: number;
  /** The longest that a regular call may take, in seconds. */
  readonly maxTime: number;
  /** How many clients may vanish at the same time: each is a process that has to start. */
  readonly atOnce: number;
}

/** How often a client vanishes. */
const VANISH_EVERY_MS = 250;

/** Connections that a peer loses when another dies: a link has two, one from each side. */
const LOST_OF_PEER = 2;

/** How often regular clients call, and peers send messages. */
const CALL_EVERY_MS = 20;
const RECONNECT_EVERY_MS = 1_000;
const SAY_EVERY_MS = 250;

/** How often the processes are sampled, and how many samples make a row of the table. */
const SAMPLE_EVERY_MS = 1_000;
const SAMPLES_PER_ROW = 10;

/** How long processes may take to recover when clients no longer vanish. */
const SETTLE_MS = 60_000;
const SETTLE_CHECK_MS = 200;

/** Heaps grow to the size that the load needs, during these calls and this share of the time. */
const WARM_UP = { calls: 20_000, atOnce: 500, share: 0.2 };

/** How much the size of a heap may vary. */
const SWING_MB = 100;

/**
 * The memory that a connection may leave behind. The runtime never frees a closed HTTP/2 session and
 * its streams; there are few streams where the client closed it. `memory.ts` measures how much.
 */
const LEFT_KB = { closed: 25, lost: 100, lostTls: 150 };

/** What processes may print on stderr: nothing, or that a client was wrong about TLS. */
const EXPECTED_WARNING = /TLS|--tls|^$/;

/** The CPU time that an idle process may use, and how long it is measured. */
const IDLE = { percent: 5, ms: 5_000 };

/** Runs the soak test, and reports what went wrong. */
export async function soak(report: Report, options: SoakOptions): Promise<void> {
  const { seconds, maxTime, atOnce } = options;
  await using stage = await openStage();
  const { survivors, talkers } = stage;
  const calls = new Calls();
  await warmUp(stage, calls);
  const acts = actsOn(stage, report);
  const before = survivors.map(descriptors);
  const over = AbortSignal.timeout(seconds * 1_000);
  await Promise.all([
    callSteadily(stage, maxTime, calls, over),
    ...talkers.map((talker) => talk(talker, over)),
    vanish(acts, atOnce, over),
    sample(stage, calls, report, over),
  ]);
  await sendLast(talkers, report);
  judgeActs(acts, report);
  judgeCalls(calls, report);
  judgeTalk(talkers, report);
  judgeWarnings(survivors, report);
  const dead = survivors.filter((survivor) => !isAlive(survivor));
  for (const { host: { name } } of dead) report.expect(`processes that ended: ${name}`, 1, 0);
  if (dead.length > 0) return;
  await judgeNames(stage, report);
  await judgeRest(survivors, before, report);
}

// ---------------------------------------------------------------- processes

/** A process that must survive the whole test. */
interface Survivor {
  readonly program: Program;
  readonly host: Host;
  readonly samples: Sample[];
}

/** The memory of a process, and the number of connections to it that had ended. */
interface Sample {
  readonly memoryMB: number;
  readonly closed: number;
  readonly lost: number;
}

/** A peer that keeps sending numbers. */
interface Talker {
  readonly name: string;
  readonly peer: Immortal;
  /** The names of the peers it chats with. */
  readonly others: readonly string[];
  /** How many messages it has sent. */
  sent: number;
}

/** All processes of the test. */
interface Stage extends AsyncDisposable {
  readonly greeter: Host;
  readonly names: Host;
  /** Peers that strangers call: one without TLS, one with it. */
  readonly peers: readonly [plain: Host, secure: Host];
  readonly survivors: readonly Survivor[];
  readonly talkers: readonly Talker[];
  /** The talkers that come and go, and the hosts they are connected to. */
  readonly mortals: readonly Talker[];
  readonly known: readonly Host[];
}

const GREET = "/greet.v1.Greeter/Greet";
const LIST = "/greet.v1.Names/List";
const INTRODUCE = "/greet.v1.Chat/GetInfo";

/**
 * Starts everything: two peers that stay and find each other by name, with them one peer for each way
 * to come and go, and two that know each other's port and use TLS.
 */
async function openStage(): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const [greeterPort, alicePort, bobPort, carolPort, davePort] = freePorts(5);
  const names = stack.use(Program.greet(["names", "0"]));
  const [, place] = await names.out.until(/listening on (\d+)\n/);
  const greeter = stack.use(greetServe(greeterPort, place));
  await greet(greeterPort, "Bob", { wait: true });

  const talker = (name: string, others: string[], ...args: string[]): Talker => {
    return { name, others, peer: stack.use(new Immortal(name, ...args)), sent: 0 };
  };
  const byName = (name: string, others: string[], ...port: string[]) =>
    talker(name, others, ...port, ...others, "--names", place);
  const mortals = Object.keys(AS_PEER).map((_, i) => byName(`Mortal ${i}`, ["Alice", "Bob"]));
  const mortalNames = mortals.map(({ name }) => name);
  const immortals = [
    byName("Alice", ["Bob", ...mortalNames], alicePort),
    byName("Bob", ["Alice", ...mortalNames], bobPort),
    talker("Carol", ["Dave"], carolPort, davePort, "--tls"),
    talker("Dave", ["Carol"], davePort, carolPort, "--tls"),
  ];
  const talkers = [...immortals, ...mortals];
  await Promise.all(talkers.map(metAll));

  const stranger = await newIdentity("Mallory");
  const [alice, bob, carol, dave] = [
    new Host("Alice", alicePort, INTRODUCE),
    new Host("Bob", bobPort, INTRODUCE),
    new Host("Carol", carolPort, INTRODUCE, stranger),
    new Host("Dave", davePort, INTRODUCE, stranger),
  ].map((host, i) => survivor(immortals[i].peer.now.program, host));
  const serving = survivor(greeter, new Host("serve", greeterPort, GREET));
  const naming = survivor(names, new Host("names", place, LIST));
  const processes = stack.move();
  return {
    greeter: serving.host,
    names: naming.host,
    peers: [alice.host, carol.host],
    survivors: [serving, naming, alice, bob, carol, dave],
    talkers,
    mortals,
    known: [naming.host, alice.host, bob.host],
    [Symbol.asyncDispose]: () => processes.disposeAsync(),
  };
}

function survivor(program: Program, host: Host): Survivor {
  return { program, host, samples: [] };
}

/** A greeting server whose log is discarded. */
function greetServe(port: string, names: string): Program {
  const command = [...greetCommand(), "serve", port, "--as", "greeter", "--names", names];
  return new Program(["sh", "-c", 'exec "$@" >/dev/null', "sh", ...command]);
}

async function metAll({ peer: { now }, others }: Talker): Promise<void> {
  const met = () => [
    ...now.all("welcome").flatMap(({ peers }) => peers as string[]),
    ...now.all("joined").map(({ name }) => name),
  ];
  const haveAll = () => met().length === others.length || undefined;
  await now.program.out.waitFor(haveAll, () => `all of ${others}`, SETTLE_MS);
}

// ---------------------------------------------------------------- regular clients

/** The outcomes of calls. */
class Calls {
  ok = 0;
  failed = 0;
  slowestMs = 0;
  /** Why calls failed, and how often. */
  readonly reasons = new Map<string, number>();

  async make(call: () => Promise<unknown>): Promise<void> {
    const start = performance.now();
    try {
      await call();
      this.ok++;
    } catch (error) {
      const { message } = GreetError.from(error);
      this.failed++;
      this.reasons.set(message, (this.reasons.get(message) ?? 0) + 1);
    }
    this.slowestMs = Math.max(this.slowestMs, performance.now() - start);
  }
}

/** Greets on lasting connections and on new ones, by port and by name, until the time is up. */
async function callSteadily(
  { greeter, names }: Stage,
  maxTime: number,
  calls: Calls,
  over: AbortSignal,
): Promise<void> {
  await using naming = openNames(names.port);
  const known = { port: greeter.port, options: { maxTime, names: undefined } };
  const named = { port: "greeter", options: { maxTime, names: naming } };
  await Promise.all([known, named].flatMap(({ port, options }) => [
    repeat(RECONNECT_EVERY_MS, over, () => {
      greeter.closed++;
      return calls.make(() => greet(port, "Alice", options));
    }),
    callOnOneConnection(
      new GreeterClient(parseDestination(port, options.names), options),
      calls,
      over,
    ),
  ]));
}

async function callOnOneConnection(
  connection: GreeterClient,
  calls: Calls,
  over: AbortSignal,
): Promise<void> {
  using client = connection;
  await repeat(CALL_EVERY_MS, over, () => calls.make(() => client.greet("Bob")));
}

/** Lets the server's heap grow to its size before it is sampled. */
async function warmUp({ greeter }: Stage, calls: Calls): Promise<void> {
  using client = new GreeterClient({ target: parseTarget(greeter.port) });
  const call = () => calls.make(() => client.greet("Bob"));
  for (let done = 0; done < WARM_UP.calls; done += WARM_UP.atOnce) {
    await Promise.all(Array.from({ length: WARM_UP.atOnce }, call));
  }
}

/** Sends one number after another, until the time is up. */
async function talk(talker: Talker, over: AbortSignal): Promise<void> {
  await repeat(SAY_EVERY_MS, over, () => sendNext(talker));
}

/** Sends the next number. It may be lost if the process is being killed. */
async function sendNext(talker: Talker): Promise<void> {
  await talker.peer.now.say(`${talker.sent++}`).catch(() => {});
}

async function repeat(everyMs: number, over: AbortSignal, act: () => Promise<void>): Promise<void> {
  while (!over.aborted) {
    await act();
    await pause(everyMs, over);
  }
}

// ---------------------------------------------------------------- vanishing clients

/** One way to vanish from one host, and how it went. */
interface Act {
  readonly way: string;
  readonly from: string;
  readonly perform: () => Promise<void>;
  times: number;
  isUnderWay: boolean;
  /** Error messages. */
  readonly faults: string[];
}

/** Every way to vanish, from every host it applies to. */
function actsOn(stage: Stage, report: Report): Act[] {
  const { greeter, names, peers, known, mortals } = stage;
  const act = (way: string, from: string, perform: () => Promise<void>): Act => {
    return { way, from, perform, times: 0, isUnderWay: false, faults: [] };
  };
  const from = (hosts: readonly Host[], ways: Readonly<Record<string, Way>>) =>
    hosts.flatMap((host) =>
      Object.entries(ways).map(([what, way]) => act(what, host.name, () => way(host)))
    );
  const withH2load = hasCommand("h2load");
  if (!withH2load) report.skip("clients killed in the middle of many requests: needs h2load");
  return [
    ...from([greeter, names, ...peers], FROM_ANY_HOST),
    ...from([greeter], withH2load ? { ...FROM_GREETER, ...FROM_H2LOAD } : FROM_GREETER),
    ...from([names], FROM_NAMES),
    ...Object.entries(AS_PEER).map(([what, way], i) =>
      act(what, "its peers", async () => {
        for (const host of known) host.lost += LOST_OF_PEER;
        await way(mortals[i].peer);
      })
    ),
  ];
}

/** Lets clients vanish in every way again and again, until the time is up and all are gone. */
async function vanish(acts: readonly Act[], atOnce: number, over: AbortSignal): Promise<void> {
  const random = randomNumbers(1);
  const underWay = new Set<Promise<void>>();
  while (!over.aborted) {
    for (const act of shuffled(acts, random)) {
      if (over.aborted) break;
      if (act.isUnderWay) continue;
      const gone = perform(act).finally(() => underWay.delete(gone));
      underWay.add(gone);
      if (underWay.size >= atOnce) await Promise.race(underWay);
      await pause(VANISH_EVERY_MS, over);
    }
  }
  await Promise.all(underWay);
}

async function perform(act: Act): Promise<void> {
  act.isUnderWay = true;
  act.times++;
  try {
    await act.perform();
  } catch (error) {
    act.faults.push((error as Error).message);
  } finally {
    act.isUnderWay = false;
  }
}

function shuffled<T>(all: readonly T[], random: () => number): T[] {
  return all.map((one) => ({ one, at: random() })).sort((a, b) => a.at - b.at)
    .map(({ one }) => one);
}

// ---------------------------------------------------------------- samples

/** Samples all survivors periodically, and prints a row now and then. */
async function sample(
  { survivors, talkers }: Stage,
  calls: Calls,
  report: Report,
  over: AbortSignal,
): Promise<void> {
  const heads = ["answered", "failed", "received", "serve, MB", "names, MB", "peers, MB", "files"];
  const table = report.table("so far", heads);
  const start = performance.now();
  let count = 0;
  await repeat(SAMPLE_EVERY_MS, over, async () => {
    await Promise.all(survivors.map(sampleOne));
    if (++count % SAMPLES_PER_ROW > 0) return;
    const [serve, names, ...peers] = survivors.map(({ samples }) => samples.at(-1)?.memoryMB ?? 0);
    const received = sum(talkers.map(({ peer }) => peer.all("message").length));
    const files = sum(survivors.map(descriptors));
    const seconds = Math.round((performance.now() - start) / 1_000);
    table.row(`${seconds} s`, calls.ok, calls.failed, received, serve, names, sum(peers), files);
  });
}

async function sampleOne({ program, host: { closed, lost }, samples }: Survivor): Promise<void> {
  try {
    const { memoryMB } = await usage(program.pid);
    samples.push({ memoryMB, closed, lost });
  } catch {
    // It has exited, which is reported at the end.
  }
}

function isAlive({ program }: Survivor): boolean {
  return existsSync(`/proc/${program.pid}`);
}

function descriptors(survivor: Survivor): number {
  if (!isAlive(survivor)) return 0;
  return [...Deno.readDirSync(`/proc/${survivor.program.pid}/fd`)].length;
}

// ---------------------------------------------------------------- verdict

function judgeActs(acts: readonly Act[], report: Report): void {
  const table = report.table("clients that vanished", ["times", "errors"]);
  for (const [way, same] of Map.groupBy(acts, ({ way }) => way)) {
    const count = (of: (act: Act) => number) => sum(same.map(of));
    table.row(way, count(({ times }) => times), count(({ faults }) => faults.length));
  }
  for (const { way, from, faults } of acts) {
    for (const [fault, same] of Map.groupBy(faults, String)) {
      report.expect(`a client of ${from} that ${way}: ${fault}`, same.length, 0);
    }
  }
}

function judgeCalls({ ok, failed, slowestMs, reasons }: Calls, report: Report): void {
  report.table("regular calls", ["answered", "failed", "slowest, ms"])
    .row("greetings", ok, failed, slowestMs);
  for (const [reason, times] of reasons) report.expect(`calls that failed: ${reason}`, times, 0);
}

/** Every message must have been received once and in order, by every peer it was for. */
function judgeTalk(talkers: readonly Talker[], report: Report): void {
  const table = report.table("messages", ["sent", "lost", "twice", "out of order"]);
  for (const [sender, receiver] of pairs(talkers)) {
    const sent = sender.peer.all("queued").map(({ body }) => Number(body));
    const received = receiver.peer.received().filter(({ from }) => from === sender.name)
      .map(({ body }) => Number(body));
    const different = new Set(received);
    const faults = [
      sent.filter((number) => !different.has(number)).length,
      received.length - different.size,
      received.filter((number, i) => number < received[i - 1]).length,
    ];
    const way = `${sender.name} to ${receiver.name}`;
    table.row(way, sent.length, ...faults);
    report.expect(`messages from ${way} that were lost, twice or out of order`, sum(faults), 0);
  }
}

/** All pairs of a sender and one of its receivers. */
function pairs(talkers: readonly Talker[]): [sender: Talker, receiver: Talker][] {
  return talkers.flatMap((sender) =>
    talkers.filter(({ name }) => sender.others.includes(name))
      .map((receiver): [Talker, Talker] => [sender, receiver])
  );
}

/** Sends a last message from every talker, and waits until all have received it. */
async function sendLast(talkers: readonly Talker[], report: Report): Promise<void> {
  await Promise.all(talkers.map(sendNext));
  const arrivals = pairs(talkers).map(([{ name, sent }, { peer: { now } }]) => {
    const isLast = ({ from, body }: ChatEvent) => from === name && body === `${sent - 1}`;
    const find = () => now.all("message").findLast(isLast);
    return now.program.out.waitFor(find, () => `the last message from ${name}`, SETTLE_MS);
  });
  const outcomes = await Promise.allSettled(arrivals);
  const missing = outcomes.filter(({ status }) => status === "rejected");
  report.expect("last messages not received", missing.length, 0);
}

/** No vanished client may hold a name any more, and every process that stayed must hold its own. */
async function judgeNames({ names, mortals }: Stage, report: Report): Promise<void> {
  await using naming = openNames(names.port);
  const expected = ["Alice", "Bob", "greeter", ...mortals.map(({ name }) => name)].sort().join();
  let held = "";
  await settled(async () => {
    held = (await naming.list()).map(({ name }) => name).sort().join();
    return held === expected;
  });
  if (held !== expected) report.expect(`names held: ${held}, not ${expected}`, 1, 0);
}

/** Clients that vanish are no reason to bother anyone, so stderr must be empty. */
function judgeWarnings(survivors: readonly Survivor[], report: Report): void {
  for (const { host: { name }, program: { err } } of survivors) {
    const warnings = err.text.split("\n").filter((line) => !EXPECTED_WARNING.test(line));
    for (const line of warnings) report.expect(`warnings of ${name}: ${line}`, 1, 0);
  }
}

/** Checks the memory, descriptors and work that are left when all clients are gone. */
async function judgeRest(
  survivors: readonly Survivor[],
  before: readonly number[],
  report: Report,
): Promise<void> {
  const leaked = () => survivors.map((one, i) => Math.max(0, descriptors(one) - before[i]));
  await settled(() => sum(leaked()) === 0);
  let busy: number[] = [];
  await settled(async () => {
    busy = await busyPercents(survivors);
    return busy.every((percent) => percent < IDLE.percent);
  });
  const heads = ["MB early", "MB late", "closed", "lost", "files leaked", "% CPU"];
  const table = report.table("what is left", heads);
  for (const [i, { host, samples }] of survivors.entries()) {
    const { early, late } = thirds(samples);
    const [closed, lost] = [late.closed - early.closed, late.lost - early.lost];
    table.row(host.name, early.memoryMB, late.memoryMB, closed, lost, leaked()[i], busy[i]);
    const allowedMB = SWING_MB + leftMB(host, closed, lost);
    const excessMB = Math.max(0, Math.round(late.memoryMB - early.memoryMB - allowedMB));
    report.expect(`MB that ${host.name} grew beyond what connections leave`, excessMB, 0);
    report.expect(`descriptors that ${host.name} leaked`, leaked()[i], 0);
    const excessPercent = busy[i] < IDLE.percent ? 0 : Math.round(busy[i]);
    report.expect(`% CPU of ${host.name} while idle`, excessPercent, 0);
  }
}

/** The memory that ended connections may leave behind, in MB. */
function leftMB({ isSecure }: Host, closed: number, lost: number): number {
  const lostKB = isSecure ? LEFT_KB.lostTls : LEFT_KB.lost;
  return (closed * LEFT_KB.closed + lost * lostKB) / 1_000;
}

/** Waits until a condition holds, for a limited time. */
async function settled(holds: () => boolean | Promise<boolean>): Promise<void> {
  const until = performance.now() + SETTLE_MS;
  while (!await holds() && performance.now() < until) await pause(SETTLE_CHECK_MS);
}

async function busyPercents(survivors: readonly Survivor[]): Promise<number[]> {
  const spent = () =>
    Promise.all(survivors.map(async ({ program }) => (await usage(program.pid)).cpuMs));
  const before = await spent();
  await pause(IDLE.ms);
  return (await spent()).map((ms, i) => Math.max(0, ms - before[i]) / IDLE.ms * 100);
}

/** The averages over the first and the last third of the time, after the warm-up. */
function thirds(samples: readonly Sample[]): { early: Sample; late: Sample } {
  const warm = samples.slice(Math.floor(samples.length * WARM_UP.share));
  const third = Math.ceil(warm.length / 3);
  return { early: average(warm.slice(0, third)), late: average(warm.slice(-third)) };
}

function average(samples: readonly Sample[]): Sample {
  const mean = (of: keyof Sample) => sum(samples.map((one) => one[of])) / samples.length;
  return { memoryMB: mean("memoryMB"), closed: mean("closed"), lost: mean("lost") };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}

const RESULT = join(ROOT, "bench", "soak.json");

/** What the command line asks for. */
interface Command {
  readonly seconds: number;
  readonly file: string;
  /** None for the soak with clients that vanish. */
  readonly faults?: readonly Fault[];
  readonly seed: number;
}

/** Parses the command line: the duration, the faults and their seed, and the file for the results. */
function parse(args: string[]): Command {
  const { values } = parseArgs({
    args,
    options: {
      hours: { type: "string" },
      minutes: { type: "string", default: "30" },
      seconds: { type: "string" },
      faults: { type: "string" },
      seed: { type: "string" },
      json: { type: "string", default: RESULT },
    },
  });
  const minutes = values.hours === undefined ? Number(values.minutes) : 60 * Number(values.hours);
  const seconds = Number(values.seconds ?? 60 * minutes);
  if (!(seconds > 0)) {
    throw new Error("the duration must be positive: --hours, --minutes, --seconds");
  }
  const seed = Number(values.seed ?? crypto.getRandomValues(new Uint16Array(1))[0]);
  if (!Number.isSafeInteger(seed)) throw new Error(`--seed takes an integer: ${values.seed}`);
  const faults = values.faults === undefined ? undefined : parseFaults(values.faults);
  return { seconds, file: values.json, faults, seed };
}

async function main(args: string[]): Promise<number> {
  let command: Command;
  try {
    command = parse(args);
  } catch (error) {
    console.error((error as Error).message);
    return 2;
  }
  const { seconds, file, faults, seed } = command;
  const report = await Report.open();
  if (faults === undefined) await soak(report, { seconds, maxTime: 2, atOnce: 24 });
  else await soakWithFaults(report, { seconds, faults, seed });
  return await report.close(file);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
