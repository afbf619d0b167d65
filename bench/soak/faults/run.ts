/**
 * A soak in which everything happens at once: chats, greetings and names, while processes are killed
 * and suspended, the network and disks fail, and strangers are hostile. It works in four quarters;
 * after each, nothing fails, all messages must arrive, and what the processes need is measured.
 *
 * @module
 */
import { greet, GreetError, openNames } from "../../../mod.ts";
import { parseTarget } from "../../../src/net/address.ts";
import { GreeterClient } from "../../../src/greeter/client.ts";
import { pause } from "../../../src/base/timing.ts";
import { type Report, usage } from "../../measure.ts";
import { type Cast, type Member, openCast } from "./cast.ts";
import { choose, isPossible } from "./harm.ts";
import { isSettled } from "./ledger.ts";
import { growth, quarters, type Sample } from "./levels.ts";
import { type Fault, plan, type Step } from "./plan.ts";

/** Options of {@link soakWithFaults}. */
export interface FaultyOptions {
  /** How long faults happen, in seconds. */
  readonly seconds: number;
  readonly faults: readonly Fault[];
  /** Chooses the sequence of faults. */
  readonly seed: number;
}

/** How often each peer says something, a client greets, and processes are sampled. */
const SAY_EVERY_MS = 1_000;
const CALL_EVERY_MS = 1_000;
const SAMPLE_EVERY_MS = 5_000;
const LOOK_EVERY_MS = 30_000;

/** How long messages may take to arrive when nothing fails any more, and processes to calm down. */
const ARRIVAL_MS = 180_000;
const CALM_MS = 20_000;

/** A message that takes longer than this during the work is stuck: no fault lasts 20 s. */
const STUCK_MS = 240_000;

/** How long processes at rest are measured. */
const REST_MS = 20_000;

/** A link has two connections, one from each side, and only those to a peer are counted. */
const LOST_PER_LINK = 2;

/** How long a call may take, in seconds. */
const MAX_TIME = 20;

/** How many of the calls in a rest must succeed: all. */
const REST_CALLS = 10;

/** Runs the soak, and reports what went wrong. */
export async function soakWithFaults(report: Report, options: FaultyOptions): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "greet-soak-" });
  try {
    await using cast = await openCast(folder);
    await new Soak(report, cast, options).run();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What clients of the greeting server have seen. */
interface Calls {
  answered: number;
  failed: number;
  wrong: number;
}

/** A running soak. */
class Soak {
  readonly #report: Report;
  readonly #cast: Cast;
  readonly #seconds: number;
  readonly #plan: Generator<Step, never>;
  readonly #faults: readonly Fault[];
  /** What happens to which process at the moment. */
  readonly #underWay = new Map<Member, Promise<void>>();
  readonly #times = new Map<Fault, number>();
  readonly #said = new Map<Member, number>();
  /** The oldest message that has not arrived, for each pair, and when it was seen first. */
  readonly #oldest = new Map<string, { readonly number: number; readonly since: number }>();
  readonly #calls: Calls = { answered: 0, failed: 0, wrong: 0 };
  readonly #start = performance.now();

  constructor(report: Report, cast: Cast, { seconds, faults, seed }: FaultyOptions) {
    this.#report = report;
    this.#cast = cast;
    this.#seconds = seconds;
    this.#faults = faults.filter(isPossible);
    for (const fault of faults) {
      if (!isPossible(fault)) report.skip(`${fault} faults: needs strace`);
    }
    const canFill = cast.members.some(({ hasSmallDisk }) => hasSmallDisk);
    if (faults.includes("disk") && !canFill) report.skip("a full disk: needs root, to mount one");
    this.#plan = plan(this.#faults, seed);
    console.log(`faults: ${this.#faults}, --seed ${seed}`);
  }

  async run(): Promise<void> {
    for (const quarter of [1, 2, 3, 4]) {
      await this.#work(AbortSignal.timeout(this.#seconds / 4 * 1_000));
      await this.#rest(quarter);
    }
    this.#judgeMessages();
    this.#judgeProcesses();
    this.#judgeLevels();
    await this.#summarize();
  }

  // -------------------------------------------------------------- work

  async #work(over: AbortSignal): Promise<void> {
    await Promise.all([
      ...this.#cast.chats.map((chat) => repeat(SAY_EVERY_MS, over, () => this.#sayNext(chat))),
      this.#greet(over),
      repeat(SAMPLE_EVERY_MS, over, () => this.#sample()),
      repeat(LOOK_EVERY_MS, over, () => Promise.resolve(this.#lookForStuck())),
      this.#disturb(over),
    ]);
  }

  async #sayNext(chat: Member): Promise<void> {
    const number = this.#said.get(chat) ?? 0;
    this.#said.set(chat, number + 1);
    await chat.actor.write(`${number}`);
  }

  /** Greets on a lasting connection, and by name on new ones. Faults may make calls fail. */
  async #greet(over: AbortSignal): Promise<void> {
    const { greeter, names } = this.#cast;
    await using naming = openNames(names);
    const lasting = { maxTime: MAX_TIME, wait: true };
    using client = new GreeterClient({ target: parseTarget(greeter) }, lasting);
    const options = { names: naming, maxTime: MAX_TIME };
    await Promise.all([
      repeat(CALL_EVERY_MS, over, () => this.#call(() => client.greet("Bob"))),
      repeat(10 * CALL_EVERY_MS, over, () => this.#call(() => greet("greeter", "Bob", options))),
    ]);
  }

  async #call(call: () => Promise<string>): Promise<void> {
    try {
      this.#calls[await call() === "Hello, Bob." ? "answered" : "wrong"]++;
    } catch (error) {
      if (!(error instanceof GreetError)) throw error;
      this.#calls.failed++;
    }
  }

  async #sample(): Promise<void> {
    for (const { actor, kind, proxy, host } of this.#cast.members) {
      const perLink = kind === "chat" ? LOST_PER_LINK : 1;
      await actor.sample(proxy.ended * perLink + (host?.lost ?? 0));
    }
  }

  /** Reports messages that have been under way for too long, once. */
  #lookForStuck(): void {
    const now = performance.now();
    for (const { from, to, lost: [number] } of this.#accounts()) {
      const pair = `${from} to ${to}`;
      const oldest = this.#oldest.get(pair);
      if (number === undefined) this.#oldest.delete(pair);
      else if (oldest?.number !== number) this.#oldest.set(pair, { number, since: now });
      else if (now - oldest.since > STUCK_MS) {
        this.#log(`message ${number} is stuck`);
        this.#report.expect(`messages from ${pair} that are stuck`, 1, 0);
        this.#oldest.set(pair, { number, since: Infinity });
      }
    }
  }

  /** Lets one fault after another happen, each to a process that no other one is happening to. */
  async #disturb(over: AbortSignal): Promise<void> {
    const { members } = this.#cast;
    while (!over.aborted) {
      const step = this.#plan.next().value;
      await pause(step.afterMs, over);
      if (over.aborted) break;
      const { what, target, perform } = choose(step, members);
      await this.#underWay.get(target);
      this.#log(what);
      this.#times.set(step.fault, (this.#times.get(step.fault) ?? 0) + 1);
      const done = perform()
        .catch((error: Error) => this.#report.expect(`${what}: ${error.message}`, 1, 0))
        .finally(() => this.#underWay.delete(target));
      this.#underWay.set(target, done);
    }
    await Promise.all(this.#underWay.values());
    for (const { proxy } of members) proxy.heal();
  }

  #log(what: string): void {
    const seconds = Math.round((performance.now() - this.#start) / 1_000);
    console.log(`${`${seconds}`.padStart(6)} s  ${what}`);
  }

  // -------------------------------------------------------------- rest

  async #rest(quarter: number): Promise<void> {
    const start = performance.now();
    const isDone = () => this.#accounts().every(isSettled);
    while (!isDone() && performance.now() - start < ARRIVAL_MS) await pause(500);
    const seconds = Math.round((performance.now() - start) / 1_000);
    this.#log(`rest after quarter ${quarter}, which began after ${seconds} s`);
    for (const { from, to, lost, unreported } of this.#accounts()) {
      const what = `messages from ${from} to ${to}, after quarter ${quarter}`;
      this.#report.expect(`${what}, lost`, lost.length, 0);
      this.#report.expect(`${what}, unreported`, unreported.length, 0);
    }
    const { failed, wrong } = this.#calls;
    await pause(CALM_MS);
    await this.#greetAtRest();
    this.#report.expect("calls that failed at rest", this.#calls.failed - failed, 0);
    this.#report.expect("wrong answers at rest", this.#calls.wrong - wrong, 0);
    await this.#measureRest();
    this.#printLevels(quarter);
  }

  async #greetAtRest(): Promise<void> {
    const { greeter, names } = this.#cast;
    await using naming = openNames(names);
    for (let i = 0; i < REST_CALLS; i++) {
      await this.#call(() => greet(greeter, "Bob", { maxTime: MAX_TIME }));
      await this.#call(() => greet("greeter", "Bob", { names: naming, maxTime: MAX_TIME }));
    }
  }

  /** Measures what is left to do when nothing happens. */
  async #measureRest(): Promise<void> {
    const alive = this.#cast.members.filter(({ actor }) => !actor.isKilled);
    const used = () => Promise.all(alive.map(({ actor }) => usage(actor.pid)));
    await pause(CALM_MS / 2);
    const before = await used();
    await pause(REST_MS);
    const after = await used();
    for (const [i, { actor }] of alive.entries()) {
      actor.rests.push({
        ...actor.counts(),
        cpuPercent: (after[i].cpuMs - before[i].cpuMs) / REST_MS * 100,
        wakeUps: (after[i].wakeUps - before[i].wakeUps) / (REST_MS / 1_000),
      });
    }
  }

  #printLevels(quarter: number): void {
    const heads = ["MB", "files", "threads", "% CPU", "wake-ups/s"];
    const table = this.#report.table(`at rest after quarter ${quarter}`, heads);
    for (const { actor: { name, samples, rests } } of this.#cast.members) {
      const rest = rests.at(-1);
      if (rest === undefined) continue;
      const { files, threads, cpuPercent, wakeUps } = rest;
      table.row(name, samples.at(-1)?.memoryMB, files, threads, cpuPercent, wakeUps);
    }
  }

  // -------------------------------------------------------------- judgement

  #accounts() {
    const { chats, ledger } = this.#cast;
    return chats.flatMap(({ actor, others }) =>
      others.map((other) => ledger.between(actor.name, other))
    );
  }

  #judgeMessages(): void {
    const heads = ["accepted", "delivered", "lost", "unreported", "twice", "reordered", "unwanted"];
    const table = this.#report.table("messages", heads);
    for (const account of this.#accounts()) {
      const { from, to, accepted, delivered } = account;
      const { lost, unreported, twice, reordered, unwanted } = account;
      const wrong = { lost, unreported, twice, reordered, unwanted };
      const counts = Object.values(wrong).map((numbers) => numbers.length);
      table.row(`${from} to ${to}`, accepted, delivered, ...counts);
      for (const [what, numbers] of Object.entries(wrong)) {
        const some = numbers.slice(0, 10).join(", ");
        const messages = numbers.length === 0 ? "messages" : `messages (${some})`;
        this.#report.expect(`${messages} from ${from} to ${to}, ${what}`, numbers.length, 0);
      }
      this.#report.expect(`accounts without messages: ${from} to ${to}`, Number(accepted === 0), 0);
    }
  }

  /** Processes end only when they are killed, and complain in sentences. */
  #judgeProcesses(): void {
    for (const { actor: { deaths, warnings } } of this.#cast.members) {
      for (const death of deaths) this.#report.expect(death, 1, 0);
      for (const warning of new Set(warnings)) {
        const isSentence = /^greet: /.test(warning);
        console.log(`warning: ${warning}`);
        this.#report.expect(`unexpected output: ${warning}`, Number(!isSentence), 0);
      }
    }
  }

  #judgeLevels(): void {
    const heads = ["1st quarter", "2nd", "3rd", "4th"];
    const immortals = this.#cast.members.filter(({ isMortal, actor }) =>
      !isMortal && actor.deaths.length === 0
    );
    const table = (what: keyof Sample, title: string) => {
      const rows = this.#report.table(title, heads);
      for (const { actor: { name, samples } } of immortals) {
        rows.row(name, ...quarters(samples).map((quarter) => quarter[what]));
      }
    };
    table("ended", "connections lost, median of each quarter");
    table("memoryMB", "resident memory, MB, median of each quarter");
    table("files", "descriptors, median of each quarter");
    table("threads", "threads, median of each quarter");
    for (const { actor: { name, samples, rests }, host } of immortals) {
      const grown = Object.entries(growth(samples, rests, host?.isSecure ?? true));
      for (const [what, by] of grown) {
        this.#report.expect(`${what} that ${name} grew by, beyond the tolerance`, by, 0);
      }
    }
  }

  async #summarize(): Promise<void> {
    const { answered, failed, wrong } = this.#calls;
    this.#report.table("calls", ["answered", "failed", "wrong"])
      .row("greetings", answered, failed, wrong);
    const faults = this.#report.table("faults", ["times"]);
    for (const [fault, times] of this.#times) faults.row(fault, times);
    const errors = this.#report.table("errors that peers reported", ["times"]);
    for (const [message, times] of this.#cast.errors) errors.row(message, times);
    const cpu = this.#report.table("the whole soak", ["% of a core"]);
    cpu.row("CPU", await cpuMs(this.#cast.members) / (performance.now() - this.#start) * 100);
  }
}

async function repeat(everyMs: number, over: AbortSignal, act: () => Promise<void>): Promise<void> {
  while (!over.aborted) {
    await act();
    await pause(everyMs, over);
  }
}

/** The CPU time of this process, of those that have ended, and of those that still run. */
async function cpuMs(members: readonly Member[]): Promise<number> {
  const stat = await Deno.readTextFile("/proc/self/stat");
  // Fields 14 to 17 are user and system time, of the process and of its children, in 10 ms.
  const own = stat.slice(stat.lastIndexOf(")") + 2).split(" ").slice(11, 15).map(Number);
  const running = await Promise.all(
    members.filter(({ actor }) => !actor.isKilled)
      .map(({ actor }) => usage(actor.pid)),
  );
  return own.reduce((a, b) => a + b) * 10 + running.reduce((sum, { cpuMs }) => sum + cpuMs, 0);
}
