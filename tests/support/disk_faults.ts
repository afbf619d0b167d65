/**
 * A chat whose disk fails: in one system call or from one on, at a place that a test chooses. The
 * faults come from strace, and hit only the files that they are meant for.
 *
 * @module
 */
import { join } from "node:path";
import { Journal, KnownPeers, type Message, newIdentity, Peer, type PeerEvent } from "../../mod.ts";
import { fileNameOf } from "../../src/base/home.ts";
import { Pulse } from "../../src/base/timing.ts";
import { Bot } from "./bot.ts";
import { temporaryHome } from "./home.ts";
import { freePorts } from "./ports.ts";
import { randomNumbers } from "./random.ts";
import { works } from "./tools.ts";
import { inTime, PATIENCE_MS } from "./waiting.ts";

/** A failure of the disk. */
export interface DiskFault {
  /** The system call that fails. */
  readonly call: string;
  /** How it fails, as strace writes it: `error=EIO`, `delay_enter=100000`. */
  readonly effect: string;
  /** Which of its calls fail, as strace counts them: `3`, or `3+` for all from the third on. */
  readonly when: string;
}

/** A system call, and the files of a home for which it is traced; without files, all calls are. */
export interface TracedCall {
  readonly call: string;
  readonly files: (home: string) => readonly string[];
}

const base = fileNameOf("Alice");
const journal = (home: string) =>
  ["", "-wal", "-shm", "-journal"].map((end) => join(home, "journals", `${base}.sqlite${end}`));
const opened = (home: string) => [
  ...journal(home),
  join(home, "locks", `${base}.lock`),
  ...["key", "pem"].map((end) => join(home, "identities", `${base}.${end}`)),
  ...["known_peers", "known_peers.lock"].map((name) => join(home, name)),
];
const everything = () => [];

/** The calls by which a chat changes its files. Drafts have random names, so these calls are all traced. */
export const CALLS: readonly TracedCall[] = [
  { call: "pwrite64", files: journal },
  { call: "pread64", files: journal },
  { call: "openat", files: opened },
  { call: "fsync", files: everything },
  { call: "ftruncate", files: everything },
  { call: "linkat", files: everything },
  { call: "rename", files: everything },
  { call: "unlink", files: journal },
];

/** The strace command for some calls of a chat with a home. `-D` keeps the chat our own child. */
export function strace({ call, files }: TracedCall, home: string, ...options: string[]): string[] {
  const paths = files(home).flatMap((path) => ["-P", path]);
  return ["strace", "-D", "-f", "-qq", ...paths, "-e", `trace=${call}`, ...options, "--"];
}

/** Whether strace can make calls fail here. */
export const canInject = await works(
  ...strace({ call: "getppid", files: everything }, "", "-e", "inject=getppid:error=EIO"),
  "true",
);

/** How a call can fail: once, or from then on. */
const WAYS = [
  { effect: "error=EIO", from: "" },
  { effect: "error=EIO", from: "+" },
  { effect: "error=ENOSPC", from: "" },
  { effect: "error=EINTR", from: "" },
  { effect: "delay_enter=200000", from: "" },
];

const isComplete = Deno.env.get("GREET_TEST_FAULTS") === "all";
/** What the failures of one run are chosen by. */
export const SEED = Number(
  Deno.env.get("GREET_TEST_SEED") ?? crypto.getRandomValues(new Uint16Array(1))[0],
);
const random = randomNumbers(SEED);

/** All failures of a call that occurs a number of times, or one of them if not all are asked for. */
export function faultsOf(call: string, times: number): DiskFault[] {
  const all = Array.from({ length: times }, (_, i) => i + 1)
    .flatMap((n) => WAYS.map(({ effect, from }) => ({ call, effect, when: `${n}${from}` })));
  return isComplete ? all : [all[Math.floor(random() * all.length)]];
}

/** Runs a whole chat of Alice and Bob while strace records Alice. Returns the record. */
export async function recordedChat(home: string, options: readonly string[]): Promise<string> {
  const [a, b] = freePorts();
  const log = await Deno.makeTempFile();
  try {
    await using bob = await Bob.open(b, a);
    const wrapper = ["strace", "-D", ...options, "-o", log, "--"];
    const env = { GREET_HOME: home };
    await using alice = new Bot(["Alice", a, b, "--tls"], { env }, wrapper);
    await talk(alice, bob);
    await alice.program.leave();
    return await Deno.readTextFile(log);
  } finally {
    await Deno.remove(log);
  }
}

/** What a chat of Alice and Bob has come to. */
export interface Outcome {
  /** The exit code of Alice's chat whose disk failed. */
  readonly code: number;
  /** What it printed on standard error. */
  readonly err: string;
  /** The errors that it reported as events. */
  readonly troubles: readonly string[];
  /** What is wrong: nothing, if the promises hold. */
  readonly broken: readonly string[];
  /** How many calls were traced, if they were counted. */
  readonly calls: number;
}

/** The messages that each side says in the run whose disk fails. */
const WORDS = ["one", "two", "three"];

/**
 * Lets Alice and Bob chat while Alice's disk fails, then starts her chat again on a sound disk, and
 * checks what became of every message.
 *
 * @param fault none, to count the calls
 */
export async function chatWith(traced: TracedCall, fault?: DiskFault): Promise<Outcome> {
  const [a, b] = freePorts();
  await using home = temporaryHome();
  const { GREET_HOME } = home.env;
  const log = await Deno.makeTempFile();
  const inject = fault && ["-e", `inject=${fault.call}:${fault.effect}:when=${fault.when}`];
  await using bob = await Bob.open(b, a);
  const args = ["Alice", a, b, "--tls"];
  await using first = new Bot(args, home, strace(traced, GREET_HOME, "-o", log, ...inject ?? []));
  await talk(first, bob);
  const code = await ended(first);
  await using second = new Bot(args, home);
  await second.say("the end");
  const broken: string[] = [];
  try {
    await bob.until(() => bob.received.some(({ body }) => body === "the end"), "the end");
    await bob.until(() => bob.delivered.size === bob.said.length, "Bob's messages delivered");
    await second.until("queued");
    await second.program.leave();
  } catch (error) {
    broken.push(`the next run: ${(error as Error).message}\n${second.program.err.text}`);
  }
  broken.push(...judge(first, second, bob));
  const calls =
    (await Deno.readTextFile(log)).split("\n").filter((line) => line.includes("(")).length;
  await Deno.remove(log);
  const troubles = first.all("error").map(({ message }) => `${message}`);
  return { code, err: first.program.err.text, troubles, broken, calls };
}

/** Says and awaits everything in the run whose disk fails, as far as it gets. */
async function talk(alice: Bot, bob: Bob): Promise<void> {
  const { out } = alice.program;
  const until = (isDone: () => boolean, what: string) =>
    out.waitFor(
      () => out.isOver || isDone() || undefined,
      () => `${what} in ${out.text}`,
      PATIENCE_MS,
    );
  const hasFailed = () => alice.all("error").length > 0;
  await until(() => hasFailed() || alice.all("welcome").length > 0, "welcome");
  const answers = () => alice.all("queued").length + alice.all("error").length;
  for (const [i, word] of WORDS.entries()) {
    await alice.say(word).catch(() => {});
    await until(() => answers() > i, "an answer");
  }
  WORDS.forEach((word) => bob.say(word));
  await until(() => hasFailed() || alice.all("message").length === WORDS.length, "messages");
  if (out.isOver || hasFailed()) return;
  await bob.until(
    () => bob.received.length === WORDS.length && bob.delivered.size === WORDS.length,
    "everything delivered",
  );
}

/** Lets a chat leave. Returns its exit code. */
async function ended(chat: Bot): Promise<number> {
  await chat.program.write("/quit\n").catch(() => {});
  return await chat.program.code(PATIENCE_MS);
}

/** Which promises are broken. */
function judge(first: Bot, second: Bot, bob: Bob): string[] {
  const broken: string[] = [];
  const expect = (isKept: boolean, promise: string) => void (isKept || broken.push(promise));
  const shown = [first, second].map((run) => run.all("message"));
  for (const run of shown) {
    expect(new Set(run.map(({ id }) => id)).size === run.length, "shown twice in one run");
  }
  const before = new Set(shown[0].map(({ id }) => id));
  const again = shown[1].filter(({ id }) => before.has(id));
  expect(again.every(({ late }) => late), "shown again, and not marked late");
  const afterwards = shown[1].filter(({ id }) => !before.has(id));
  const bodies = [...shown[0], ...afterwards].map(({ body }) => body!);
  expect(`${bodies}` === `${bob.said}`, `Bob said ${bob.said}, and Alice saw ${bodies}`);
  const queued = [first, second].flatMap((run) => run.all("queued")).map(({ body }) => body!);
  const got = bob.received.map(({ body }) => body);
  expect(`${got}` === `${queued}`, `Alice said ${queued}, and Bob got ${got}`);
  const failed = first.all("error").flatMap(({ id }) => id ?? []);
  const gotAnyway = bob.received.filter(({ id }) => failed.includes(id));
  expect(gotAnyway.length === 0, `Bob got what had failed: ${gotAnyway.map(({ body }) => body)}`);
  const complaints = first.program.err.text.split("\n").filter((line) => line !== "");
  expect(complaints.every((line) => line.startsWith("greet: ")), first.program.err.text);
  expect(second.program.err.text === "", second.program.err.text);
  expect(second.all("error").length === 0, JSON.stringify(second.all("error")));
  return broken;
}

/** The other side: a peer in this process, on a sound disk. */
class Bob implements AsyncDisposable {
  readonly said: string[] = [];
  readonly delivered = new Set<string>();
  readonly received: Message[] = [];
  readonly #changed = new Pulse();
  readonly #reading: Promise<void>;

  private constructor(readonly peer: Peer, readonly resources: AsyncDisposableStack) {
    this.#reading = this.#read();
  }

  static async open(port: string, target: string): Promise<Bob> {
    await using resources = new AsyncDisposableStack();
    const home = resources.use(temporaryHome()).env.GREET_HOME;
    const journal = resources.use(Journal.open({ home, name: "Bob" }));
    const peer = resources.use(
      await Peer.open({
        name: "Bob",
        port: Number(port),
        targets: [target],
        journal,
        identity: await newIdentity("Bob"),
        known: KnownPeers.inMemory(),
      }),
    );
    return new Bob(peer, resources.move());
  }

  say(body: string): void {
    this.said.push(body);
    this.peer.send(body);
  }

  async until(isDone: () => boolean, what: string): Promise<void> {
    const wait = async () => {
      for (let changed = this.#changed.next; !isDone(); changed = this.#changed.next) await changed;
    };
    await inTime(wait(), what, PATIENCE_MS);
  }

  async #read(): Promise<void> {
    for await (const event of this.peer.events) {
      this.#note(event);
      this.#changed.beat();
    }
  }

  #note(event: PeerEvent): void {
    if (event.type === "message") this.received.push(event.message);
    if (event.type === "delivered") this.delivered.add(event.message.id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.resources.disposeAsync();
    await this.#reading;
  }
}
