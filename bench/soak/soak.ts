/**
 * A soak: servers and peers that work all the time, while clients vanish in every way.
 *
 * Nobody who behaves is to notice: no call fails, no message is lost, comes twice or out of order,
 * no process ends, and neither memory nor descriptors nor work are left behind. `deno task soak`
 * takes half an hour, or `--minutes N`, or `--seconds N`. Needs Linux.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { greet, GreetError, newIdentity, openNames } from "../../mod.ts";
import { GreeterClient } from "../../src/greeter/client.ts";
import { type ChatEvent, Immortal } from "../../tests/support/bot.ts";
import { freePorts } from "../../tests/support/ports.ts";
import { greetCommand, Program, ROOT } from "../../tests/support/program.ts";
import { randomNumbers } from "../../tests/support/random.ts";
import { pause } from "../../src/base/timing.ts";
import { hasCommand } from "../../tests/support/tools.ts";
import { Report, usage } from "../measure.ts";
import {
  AS_PEER,
  FROM_ANYBODY,
  FROM_GREETER,
  FROM_H2LOAD,
  FROM_NAMES,
  Host,
  type Way,
} from "./vanish.ts";

/** How long, and how patient. */
export interface SoakOptions {
  readonly seconds: number;
  /** How many seconds a call of those who behave may take. */
  readonly maxTime: number;
}

/** How often somebody vanishes, and how many may be about it at the same time. */
const VANISH_EVERY_MS = 250;
const AT_ONCE = 24;

/** How many connections another peer loses when one dies: each of both had called the other. */
const LOST_OF_PEER = 2;

/** How often each of those who behave calls, or says something. */
const CALL_EVERY_MS = 20;
const CALL_ANEW_EVERY_MS = 1_000;
const SAY_EVERY_MS = 250;

/** How often it is looked at how things are; and every how many times it is told. */
const LOOK_EVERY_MS = 1_000;
const LOOKS_OF_ROW = 10;

/** How long it may take until all is as it was, once nobody vanishes any more. */
const SETTLE_MS = 60_000;
const SETTLE_CHECK_MS = 200;

/** Heaps grow to the size that the load wants: by so many calls, and in that share of the time. */
const WARM_UP = { calls: 20_000, atOnce: 500, share: 0.2 };

/** What heaps may go up and down by. */
const SWING_MB = 100;

/**
 * What may be left of a connection. The runtime never frees an HTTP/2 session that has ended, and
 * with it what was on it, which is little where a client has closed it; `memory.ts` has how much.
 */
const LEFT_KB = { closed: 25, lost: 100, lostTls: 150 };

/** What may be complained of, besides nothing: who was wrong about TLS. */
const COMPLAINT = /TLS|--tls|^$/;

/** How busy a process without work may be, and over how long that is measured. */
const IDLE = { percent: 5, ms: 5_000 };

/** Soaks, and tells a report of it. */
export async function soak(report: Report, { seconds, maxTime }: SoakOptions): Promise<void> {
  await using stage = await openStage();
  const { survivors, talkers } = stage;
  const calls = new Calls();
  await warmUp(stage, calls);
  const acts = await actsOn(stage, report);
  const before = survivors.map(descriptors);
  const over = AbortSignal.timeout(seconds * 1_000);
  await Promise.all([
    callSteadily(stage, maxTime, calls, over),
    ...talkers.map((talker) => talk(talker, over)),
    vanish(acts, over),
    look(stage, calls, report, over),
  ]);
  await sayLast(talkers, report);
  judgeActs(acts, report);
  judgeCalls(calls, report);
  judgeTalk(talkers, report);
  judgeComplaints(survivors, report);
  const dead = survivors.filter((survivor) => !isAlive(survivor));
  for (const { host: { name } } of dead) report.expect(`processes that ended: ${name}`, 1, 0);
  if (dead.length > 0) return;
  await judgeNames(stage, report);
  await judgeRest(survivors, before, report);
}

// ---------------------------------------------------------------- who is there

/** A process that is to live through all of it. */
interface Survivor {
  readonly program: Program;
  readonly host: Host;
  readonly looks: Look[];
}

/** How much memory a process had, and how many connections to it had ended. */
interface Look {
  readonly memoryMB: number;
  readonly closed: number;
  readonly lost: number;
}

/** Somebody who chats all the time. */
interface Talker {
  readonly name: string;
  readonly peer: Immortal;
  /** With whom. */
  readonly others: readonly string[];
  /** How many things there were to say. */
  said: number;
}

/** Everybody who is there all the time, and what they can be asked. */
interface Stage extends AsyncDisposable {
  readonly greeter: Host;
  readonly names: Host;
  /** Peers that strangers call: one without TLS, and one with it. */
  readonly peers: readonly [plain: Host, secure: Host];
  readonly survivors: readonly Survivor[];
  readonly talkers: readonly Talker[];
  /** Those of them that come and go, and to whom they are connected. */
  readonly mortals: readonly Talker[];
  readonly known: readonly Host[];
}

const GREET = "/greet.v1.Greeter/Greet";
const LIST = "/greet.v1.Names/List";
const INTRODUCE = "/greet.v1.Chat/GetInfo";

/** Two who stay, by name, and with them one for each way to come and go; and two by port, over TLS. */
async function openStage(): Promise<Stage> {
  await using stack = new AsyncDisposableStack();
  const [greeterPort, alicePort, bobPort, carolPort, davePort] = freePorts(5);
  const names = stack.use(Program.greet(["names", "0"]));
  const [, place] = await names.out.until(/listening on (\d+)\n/);
  const greeter = stack.use(greetServe(greeterPort, place));
  await greet(greeterPort, "Bob", { wait: true });

  const talker = (name: string, others: string[], ...args: string[]): Talker => {
    return { name, others, peer: stack.use(new Immortal(name, ...args)), said: 0 };
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
  return { program, host, looks: [] };
}

/** A greeting server whose log, a line for each request, nobody keeps. */
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

// ---------------------------------------------------------------- those who behave

/** What became of calls. */
class Calls {
  ok = 0;
  failed = 0;
  slowestMs = 0;
  /** Why, and how often. */
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

/** Greets on connections that last and on new ones, by port and by name, until it is over. */
async function callSteadily(
  { greeter, names }: Stage,
  maxTime: number,
  calls: Calls,
  over: AbortSignal,
): Promise<void> {
  await using naming = openNames(names.port);
  const known = { port: greeter.port, options: { maxTime } };
  const named = { port: "greeter", options: { maxTime, names: naming } };
  await Promise.all([known, named].flatMap(({ port, options }) => [
    repeat(CALL_ANEW_EVERY_MS, over, () => {
      greeter.closed++;
      return calls.make(() => greet(port, "Alice", options));
    }),
    callOnOneConnection(new GreeterClient(port, options), calls, over),
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

/** Lets the server's heap grow, which it would do anyway, before it is looked at. */
async function warmUp({ greeter }: Stage, calls: Calls): Promise<void> {
  using client = new GreeterClient(greeter.port);
  const call = () => calls.make(() => client.greet("Bob"));
  for (let done = 0; done < WARM_UP.calls; done += WARM_UP.atOnce) {
    await Promise.all(Array.from({ length: WARM_UP.atOnce }, call));
  }
}

/** Says one number after the other, until it is over. */
async function talk(talker: Talker, over: AbortSignal): Promise<void> {
  await repeat(SAY_EVERY_MS, over, () => sayNext(talker));
}

/** What is written to a process that is killed may or may not have been said. */
async function sayNext(talker: Talker): Promise<void> {
  await talker.peer.now.say(`${talker.said++}`).catch(() => {});
}

async function repeat(everyMs: number, over: AbortSignal, act: () => Promise<void>): Promise<void> {
  while (!over.aborted) {
    await act();
    await pause(everyMs, over);
  }
}

// ---------------------------------------------------------------- those who vanish

/** A way to vanish from somebody, and how it went. */
interface Act {
  readonly way: string;
  readonly from: string;
  readonly perform: () => Promise<void>;
  times: number;
  isUnderWay: boolean;
  /** What went wrong. */
  readonly faults: string[];
}

/** Every way, from everybody from whom one can vanish that way. */
async function actsOn(stage: Stage, report: Report): Promise<Act[]> {
  const { greeter, names, peers, known, mortals } = stage;
  const act = (way: string, from: string, perform: () => Promise<void>): Act => {
    return { way, from, perform, times: 0, isUnderWay: false, faults: [] };
  };
  const from = (hosts: readonly Host[], ways: Readonly<Record<string, Way>>) =>
    hosts.flatMap((host) =>
      Object.entries(ways).map(([what, way]) => act(what, host.name, () => way(host)))
    );
  const withH2load = hasCommand("h2load");
  if (!withH2load) report.skip("being killed in the middle of many requests: needs h2load");
  return [
    ...from([greeter, names, ...peers], FROM_ANYBODY),
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

/** Lets somebody vanish again and again, in turn, until it is over; then until all are gone. */
async function vanish(acts: readonly Act[], over: AbortSignal): Promise<void> {
  const random = randomNumbers(1);
  const underWay = new Set<Promise<void>>();
  while (!over.aborted) {
    for (const act of shuffled(acts, random)) {
      if (over.aborted) break;
      if (act.isUnderWay) continue;
      const gone = perform(act).finally(() => underWay.delete(gone));
      underWay.add(gone);
      if (underWay.size >= AT_ONCE) await Promise.race(underWay);
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

// ---------------------------------------------------------------- how it goes

/** Looks at all survivors now and then, and tells how it goes. */
async function look(
  { survivors, talkers }: Stage,
  calls: Calls,
  report: Report,
  over: AbortSignal,
): Promise<void> {
  const heads = ["answered", "failed", "heard", "serve, MB", "names, MB", "peers, MB", "files"];
  const table = report.table("so far", heads);
  const start = performance.now();
  let looks = 0;
  await repeat(LOOK_EVERY_MS, over, async () => {
    await Promise.all(survivors.map(lookAt));
    if (++looks % LOOKS_OF_ROW > 0) return;
    const [serve, names, ...peers] = survivors.map(({ looks }) => looks.at(-1)?.memoryMB ?? 0);
    const heard = sum(talkers.map(({ peer }) => peer.all("message").length));
    const files = sum(survivors.map(descriptors));
    const seconds = Math.round((performance.now() - start) / 1_000);
    table.row(`${seconds} s`, calls.ok, calls.failed, heard, serve, names, sum(peers), files);
  });
}

async function lookAt({ program, host: { closed, lost }, looks }: Survivor): Promise<void> {
  try {
    const { memoryMB } = await usage(program.pid);
    looks.push({ memoryMB, closed, lost });
  } catch {
    // It has ended, which is judged in the end.
  }
}

function isAlive({ program }: Survivor): boolean {
  return existsSync(`/proc/${program.pid}`);
}

function descriptors(survivor: Survivor): number {
  if (!isAlive(survivor)) return 0;
  return [...Deno.readDirSync(`/proc/${survivor.program.pid}/fd`)].length;
}

// ---------------------------------------------------------------- how it was

function judgeActs(acts: readonly Act[], report: Report): void {
  const table = report.table("how somebody vanished", ["times", "went wrong"]);
  for (const [way, same] of Map.groupBy(acts, ({ way }) => way)) {
    const count = (of: (act: Act) => number) => sum(same.map(of));
    table.row(way, count(({ times }) => times), count(({ faults }) => faults.length));
  }
  for (const { way, from, faults } of acts) {
    for (const [fault, same] of Map.groupBy(faults, String)) {
      report.expect(`who ${way}, from ${from}: ${fault}`, same.length, 0);
    }
  }
}

function judgeCalls({ ok, failed, slowestMs, reasons }: Calls, report: Report): void {
  report.table("calls of those who behave", ["answered", "failed", "slowest, ms"])
    .row("greetings", ok, failed, slowestMs);
  for (const [reason, times] of reasons) report.expect(`calls that failed: ${reason}`, times, 0);
}

/** Everything that was said is to be heard once, in order, by everybody whom it was for. */
function judgeTalk(talkers: readonly Talker[], report: Report): void {
  const table = report.table("messages", ["said", "lost", "twice", "out of order"]);
  for (const [speaker, hearer] of pairs(talkers)) {
    const said = speaker.peer.all("queued").map(({ body }) => Number(body));
    const heard = hearer.peer.received().filter(({ from }) => from === speaker.name)
      .map(({ body }) => Number(body));
    const different = new Set(heard);
    const faults = [
      said.filter((number) => !different.has(number)).length,
      heard.length - different.size,
      heard.filter((number, i) => number < heard[i - 1]).length,
    ];
    const way = `${speaker.name} to ${hearer.name}`;
    table.row(way, said.length, ...faults);
    report.expect(`messages from ${way} that were lost, twice or out of order`, sum(faults), 0);
  }
}

/** Who speaks, and who hears it. */
function pairs(talkers: readonly Talker[]): [speaker: Talker, hearer: Talker][] {
  return talkers.flatMap((speaker) =>
    talkers.filter(({ name }) => speaker.others.includes(name))
      .map((hearer): [Talker, Talker] => [speaker, hearer])
  );
}

/** Says a last thing, and waits until everybody has heard it. */
async function sayLast(talkers: readonly Talker[], report: Report): Promise<void> {
  await Promise.all(talkers.map(sayNext));
  const hearing = pairs(talkers).map(([{ name, said }, { peer: { now } }]) => {
    const isLast = ({ from, body }: ChatEvent) => from === name && body === `${said - 1}`;
    const find = () => now.all("message").findLast(isLast);
    return now.program.out.waitFor(find, () => `the last of ${name}`, SETTLE_MS);
  });
  const outcomes = await Promise.allSettled(hearing);
  const unheard = outcomes.filter(({ status }) => status === "rejected");
  report.expect("last words that were not heard", unheard.length, 0);
}

/** Whoever vanished holds no name any more, and everybody else does. */
async function judgeNames({ names, mortals }: Stage, report: Report): Promise<void> {
  await using naming = openNames(names.port);
  const expected = ["Alice", "Bob", "greeter", ...mortals.map(({ name }) => name)].sort().join();
  let held = "";
  await settled(async () => {
    held = (await naming.list()).map(({ name }) => name).sort().join();
    return held === expected;
  });
  if (held !== expected) report.expect(`names that are held: ${held}, not ${expected}`, 1, 0);
}

/** Whatever is told on stderr is told to people, who should have no reason to look. */
function judgeComplaints(survivors: readonly Survivor[], report: Report): void {
  for (const { host: { name }, program: { err } } of survivors) {
    const complaints = err.text.split("\n").filter((line) => !COMPLAINT.test(line));
    for (const line of complaints) report.expect(`complaints of ${name}: ${line}`, 1, 0);
  }
}

/** Memory, descriptors and work: what is left, when nobody is there any more. */
async function judgeRest(
  survivors: readonly Survivor[],
  before: readonly number[],
  report: Report,
): Promise<void> {
  const kept = () => survivors.map((one, i) => Math.max(0, descriptors(one) - before[i]));
  await settled(() => sum(kept()) === 0);
  let busy: number[] = [];
  await settled(async () => {
    busy = await busyPercents(survivors);
    return busy.every((percent) => percent < IDLE.percent);
  });
  const heads = ["MB early", "MB late", "closed", "lost", "files kept", "% CPU"];
  const table = report.table("what is left", heads);
  for (const [i, { host, looks }] of survivors.entries()) {
    const { early, late } = thirds(looks);
    const [closed, lost] = [late.closed - early.closed, late.lost - early.lost];
    table.row(host.name, early.memoryMB, late.memoryMB, closed, lost, kept()[i], busy[i]);
    const allowedMB = SWING_MB + leftMB(host, closed, lost);
    const excessMB = Math.max(0, Math.round(late.memoryMB - early.memoryMB - allowedMB));
    report.expect(`MB that ${host.name} grew by beyond what connections leave`, excessMB, 0);
    report.expect(`descriptors that ${host.name} kept`, kept()[i], 0);
    const excessPercent = busy[i] < IDLE.percent ? 0 : Math.round(busy[i]);
    report.expect(`% CPU of ${host.name} with nothing to do`, excessPercent, 0);
  }
}

/** What connections may leave. */
function leftMB({ isSecure }: Host, closed: number, lost: number): number {
  const lostKB = isSecure ? LEFT_KB.lostTls : LEFT_KB.lost;
  return (closed * LEFT_KB.closed + lost * lostKB) / 1_000;
}

/** Waits until something is so, or should have been. */
async function settled(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const until = performance.now() + SETTLE_MS;
  while (!await isSo() && performance.now() < until) await pause(SETTLE_CHECK_MS);
}

async function busyPercents(survivors: readonly Survivor[]): Promise<number[]> {
  const spent = () =>
    Promise.all(survivors.map(async ({ program }) => (await usage(program.pid)).cpuMs));
  const before = await spent();
  await pause(IDLE.ms);
  return (await spent()).map((ms, i) => Math.max(0, ms - before[i]) / IDLE.ms * 100);
}

/** How things were, on average, in the first third of the time and in the last. */
function thirds(looks: readonly Look[]): { early: Look; late: Look } {
  const warm = looks.slice(Math.floor(looks.length * WARM_UP.share));
  const third = Math.ceil(warm.length / 3);
  return { early: average(warm.slice(0, third)), late: average(warm.slice(-third)) };
}

function average(looks: readonly Look[]): Look {
  const mean = (of: keyof Look) => sum(looks.map((look) => look[of])) / looks.length;
  return { memoryMB: mean("memoryMB"), closed: mean("closed"), lost: mean("lost") };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0);
}

const RESULT = join(ROOT, "bench", "soak.json");

/** What was asked for. */
function asked(args: string[]): { seconds: number; file: string } {
  const { values } = parseArgs({
    args,
    options: {
      minutes: { type: "string", default: "30" },
      seconds: { type: "string" },
      json: { type: "string", default: RESULT },
    },
  });
  const seconds = Number(values.seconds ?? 60 * Number(values.minutes));
  if (!(seconds > 0)) throw new Error("A soak takes some time: --minutes N or --seconds N.");
  return { seconds, file: values.json };
}

async function main(args: string[]): Promise<number> {
  let wanted: ReturnType<typeof asked>;
  try {
    wanted = asked(args);
  } catch (error) {
    console.error((error as Error).message);
    return 2;
  }
  const report = await Report.open();
  await soak(report, { seconds: wanted.seconds, maxTime: 2 });
  return await report.close(wanted.file);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
