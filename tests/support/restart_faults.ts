/**
 * A chat that starts with a journal that a killed one has left, on a disk that fails meanwhile.
 *
 * @module
 */
import { dirname } from "node:path";
import { Journal } from "../../mod.ts";
import { journalFile } from "../../src/peer/journal_file.ts";
import { Bot } from "./bot.ts";
import { CALLS, type DiskFault, strace, type TracedCall } from "./disk_faults.ts";
import { temporaryHome } from "./home.ts";
import { freePorts } from "./ports.ts";
import { PATIENCE_MS } from "./waiting.ts";

/** The calls that open a journal. */
export const RESTART_CALLS: readonly TracedCall[] = CALLS.filter(({ call }) =>
  ["pread64", "pwrite64", "openat", "fsync", "ftruncate", "unlink"].includes(call)
);

/** The messages that wait in the journal. */
const WORDS = ["one", "two", "three"];

/** What a start on a failing disk has come to. */
export interface Restart {
  /** The exit code of the chat whose disk failed. */
  readonly code: number;
  /** What it printed on standard error. */
  readonly err: string;
  /** The files in the folder of the journal after it. */
  readonly files: readonly string[];
  /** The messages that wait after it, on a sound disk. */
  readonly waiting: readonly string[];
  /** What the next start says about the journal. */
  readonly notice?: string;
  /** How many calls were traced. */
  readonly calls: number;
}

/** A home whose journal was in use when its chat was killed. */
export class KilledHome implements AsyncDisposable {
  readonly #home = temporaryHome();

  static async make(): Promise<KilledHome> {
    const home = new KilledHome();
    await using chat = new Bot(["Alice", ...freePorts()], home.#home);
    await chat.say(...WORDS);
    await chat.until("queued", WORDS.length);
    await chat.kill();
    return home;
  }

  /**
   * Starts a chat with a copy of the home, leaves it at once, and looks what is left.
   *
   * @param fault none, to count the calls
   */
  async start(traced: TracedCall, fault?: DiskFault): Promise<Restart> {
    await using copy = temporaryHome();
    const { GREET_HOME: home } = copy.env;
    await new Deno.Command("cp", { args: ["-a", `${this.#home.env.GREET_HOME}/.`, home] }).output();
    const log = `${home}/strace.log`;
    const wrapper = strace(traced, home, "-o", log, ...fault === undefined ? [] : injecting(fault));
    await using chat = new Bot(["Alice", ...freePorts()], copy, wrapper);
    await chat.program.write("/quit\n").catch(() => {});
    const code = await chat.program.code(PATIENCE_MS);
    const lines = (await Deno.readTextFile(log)).split("\n");
    const folder = dirname(journalFile(home, "Alice"));
    const files = [...Deno.readDirSync(folder)].map(({ name }) => name);
    using journal = Journal.open({ home, name: "Alice" });
    return {
      code,
      err: chat.program.err.text,
      files,
      waiting: journal.queue().map(({ message }) => message.body),
      notice: journal.notice,
      calls: lines.filter((line) => line.includes(` ${traced.call}(`)).length,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#home[Symbol.asyncDispose]();
  }
}

/**
 * The options of strace for a failure. Where SQLite can read no more, the program cannot either: it
 * uses `read`, first for the header of the file.
 */
function injecting({ call, effect, when }: DiskFault): string[] {
  const inject = ["-e", `inject=${call}:${effect}:when=${when}`];
  const areAllReads = call === "pread64" && when.endsWith("+");
  return areAllReads
    ? ["-e", "trace=pread64,read", ...inject, "-e", `inject=read:${effect}:when=2+`]
    : inject;
}

/** Which promises a start has broken. */
export function brokenBy({ code, err, files, waiting, notice }: Restart): string[] {
  const broken: string[] = [];
  if (![0, 1].includes(code)) broken.push(`exit code ${code}`);
  if (`${waiting}` !== `${WORDS}`) broken.push(`these messages wait: ${waiting}`);
  if (files.some((name) => name.includes(".damaged-"))) broken.push(`set aside: ${files}`);
  if (notice !== undefined) broken.push(notice);
  const lines = err.split("\n").filter((line) => line !== "");
  if (!lines.every((line) => line.startsWith("greet: "))) broken.push(err);
  if (code !== 0 && !lines.some((line) => line.startsWith("greet: error: "))) {
    broken.push("it failed without a reason");
  }
  return broken;
}
