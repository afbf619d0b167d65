/**
 * How commands grow: a greeting with its names, and the start of a chat with its journal and its peers.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { Journal } from "../../mod.ts";
import { freePorts } from "../../tests/support/ports.ts";
import { greetCommand } from "../../tests/support/program.ts";
import type { Report } from "../measure.ts";
import { OURS, serving, temporaryFolder } from "../rivals.ts";
import { greeting, type Run, timed, untilPrinted, wholeProcess } from "../runs.ts";
import { GrowthTable, type Work } from "./table.ts";

const ROUNDS = 5;
const NAMES = [1, 10, 100];
const THREADS = [1, 2, 4];
const MESSAGES = [0, 1_000, 10_000, 100_000];
const PEERS = [1, 10, 100];
const KNOWN_PEERS = [100, 1_000, 10_000];
/** Where the chats listen, and where nothing does. */
const [PORT, ABSENT] = freePorts();
/** Messages that are stored in one transaction. */
const BATCH = 1_000;

/** Measures one process that greets many names. */
export async function growGreetings(report: Report): Promise<void> {
  await using server = await serving(OURS, "/dev/null");
  const table = new GrowthTable(report, "greetings, whole process, by names", {
    amounts: NAMES,
    unit: "name",
  });
  for (const threads of THREADS) {
    const runs = NAMES.map((count) => {
      const names = Array.from({ length: count }, (_, i) => `Bob ${i + 1}`);
      const run = greeting(OURS, server.port, names);
      return { ...run, command: [...run.command, "--threads", `${threads}`] };
    });
    const what = `${threads} ${threads === 1 ? "thread" : "threads"}`;
    const times = await timed(report, what, runs, { rounds: ROUNDS, time: wholeProcess });
    table.rowWithFurther(`${what}, ms`, times.map(({ ms }) => ms));
    table.rowWithFurther(`${what}, CPU in ms`, times.map(({ cpuMs }) => cpuMs));
  }
}

/** Measures the start of a chat: with a full journal, many peers, and many that it has known. */
export async function growWaiting(report: Report): Promise<void> {
  await using folder = temporaryFolder();
  for (const state of ["delivered", "waiting"] as const) {
    await growStart(report, {
      title: `a chat starts, by messages ${state}`,
      work: { amounts: MESSAGES, unit: "1,000 messages", unitSize: 1_000 },
      prepare: async (count) => {
        const home = join(folder.path, `${state}-${count}`);
        await fillJournal(home, count, state);
        return waiting(home, [ABSENT]);
      },
    });
  }
  await growStart(report, {
    title: "a chat starts, by PEERs",
    work: { amounts: PEERS, unit: "PEER" },
    prepare: (count) => Promise.resolve(waiting(join(folder.path, `${count}`), targets(count))),
  });
  await growStart(report, {
    title: "a chat --tls starts, by known peers",
    work: { amounts: KNOWN_PEERS, unit: "1,000 known peers", unitSize: 1_000 },
    prepare: async (count) => {
      const home = join(folder.path, `known-${count}`);
      await fillKnownPeers(home, count);
      return waiting(home, [ABSENT], "--tls");
    },
  });
}

/** What makes a chat's start longer. */
interface Start {
  readonly title: string;
  readonly work: Work;
  /** Prepares the chat that has so much to do. */
  readonly prepare: (amount: number) => Promise<Run>;
}

async function growStart(report: Report, { title, work, prepare }: Start): Promise<void> {
  const runs: Run[] = [];
  for (const amount of work.amounts) runs.push(await prepare(amount));
  const times = await timed(report, title, runs, { rounds: ROUNDS, time: untilPrinted });
  const table = new GrowthTable(report, title, work);
  table.rowWithFurther("ms", times.map(({ ms }) => ms));
  table.rowWithFurther("CPU in ms", times.map(({ cpuMs }) => cpuMs));
}

/** A chat that waits for peers that are not there. */
function waiting(home: string, targets: readonly string[], ...options: string[]): Run {
  return {
    name: home,
    command: [...greetCommand(), "chat", "Alice", PORT, ...targets, ...options],
    env: { GREET_HOME: home },
    prints: ["Waiting"],
  };
}

/** Stores messages, as they are when all were delivered to Bob, or when none was. */
async function fillJournal(
  home: string,
  count: number,
  state: "delivered" | "waiting",
): Promise<void> {
  using journal = Journal.open({ home, name: "Alice" });
  for (let stored = 0; stored < count; stored += BATCH) {
    const places = await Promise.all(Array.from({ length: BATCH }, async (_, i) => {
      const body = `Message ${stored + i}, about as long as many are in a chat.`;
      const message = { id: `${stored + i}`, from: "Alice", body, at: new Date() };
      return (await journal.send(message, () => [{ target: ABSENT, name: "Bob" }])).place;
    }));
    if (state === "delivered") journal.endDelivery("Bob", places, "delivered");
  }
}

/** Addresses of this machine on which nothing listens. */
function targets(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `127.0.0.${i + 1}:${ABSENT}`);
}

async function fillKnownPeers(home: string, count: number): Promise<void> {
  await Deno.mkdir(home, { mode: 0o700 });
  const lines = Array.from({ length: count }, (_, i) => {
    const fingerprint = randomBytes(32).toString("base64").replace("=", "");
    return `SHA256:${fingerprint} Peer ${i + 1}\n`;
  });
  await Deno.writeTextFile(join(home, "known_peers"), lines.join(""), { mode: 0o600 });
}
