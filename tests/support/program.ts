/**
 * The program as a process: started, read, written to and stopped by tests.
 *
 * It runs from source under exactly the permissions of the task `greet`, or, where
 * `GREET_BIN` names one, as a compiled binary. Nothing here sleeps: tests wait for
 * what a process prints, up to a limit.
 *
 * @module
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };

/** The repository's root. */
export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** How long a test waits for something that should happen at once. */
export const PATIENCE_MS = 15_000;

// Files that tests write are not writable by a group, as they are by default on some systems.
if (Deno.build.os !== "windows") Deno.umask(0o022);

// Programs tell the date when it changes. Tests that are not about that begin at noon.
Deno.env.set("TZ", noon());

/** A time zone in which it is between noon and one o'clock. */
function noon(): string {
  const offset = 12 - new Date().getUTCHours();
  return `Etc/GMT${offset > 0 ? "-" : "+"}${Math.abs(offset)}`;
}

/** The command that runs `greet`, before its own arguments. */
export function greetCommand(deno = Deno.execPath()): string[] {
  const binary = Deno.env.get("GREET_BIN");
  return binary ? [binary] : [deno, ...config.tasks.greet.replace(/^.*?deno /, "").split(" ")];
}

/** Resolves like `promise`, or rejects with `what` when it takes too long. */
export async function inTime<T>(
  promise: Promise<T>,
  what: string | (() => string),
  ms = PATIENCE_MS,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`not within ${ms} ms: ${typeof what === "string" ? what : what()}`));
    }, ms);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** What a process has printed so far on one stream. */
export class Printed {
  text = "";
  ended: Promise<void>;
  /** Whether the stream has ended. */
  isOver = false;
  #more = Promise.withResolvers<void>();

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.ended = this.#collect(stream);
  }

  /** Waits until the text matches. */
  async until(pattern: RegExp | string): Promise<RegExpMatchArray> {
    const regExp = typeof pattern === "string" ? literally(pattern) : pattern;
    return await this.waitFor(
      () => this.text.match(regExp) ?? undefined,
      () => `${pattern} in:\n${this.text}`,
    );
  }

  /** Looks again whenever more is printed, and when the stream ends, until it finds something. */
  async waitFor<T>(find: () => T | undefined, what: () => string, ms?: number): Promise<T> {
    const wait = async () => {
      for (;;) {
        const more = this.#more.promise;
        const found = find();
        if (found !== undefined) return found;
        await more;
      }
    };
    return await inTime(wait(), what, ms);
  }

  async #collect(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
      this.text += chunk;
      this.#wake();
    }
    this.isOver = true;
    this.#wake();
  }

  #wake(): void {
    this.#more.resolve();
    this.#more = Promise.withResolvers();
  }
}

function literally(text: string): RegExp {
  return new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
}

/** A running process. Disposing of it kills it, if it still runs. */
export class Program implements AsyncDisposable {
  /** Where `greet` keeps its journal: a folder of this program's own, where the test named none. */
  readonly home: string;
  readonly out: Printed;
  readonly err: Printed;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #isOwnHome: boolean;
  #ended = false;

  /** Starts any command. */
  constructor([command, ...args]: string[], options: Deno.CommandOptions = {}) {
    this.home = options.env?.GREET_HOME ?? Deno.makeTempDirSync({ prefix: "greet-home-" });
    this.#isOwnHome = options.env?.GREET_HOME === undefined;
    this.#child = new Deno.Command(command, {
      args,
      cwd: ROOT,
      ...options,
      env: { ...options.env, GREET_HOME: this.home },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.out = new Printed(this.#child.stdout);
    this.err = new Printed(this.#child.stderr);
    this.#input = this.#child.stdin.getWriter();
    this.#child.status.then(() => this.#ended = true);
  }

  /** Starts `greet`. */
  static greet(args: string[], options: Deno.CommandOptions = {}): Program {
    return new Program([...greetCommand(), ...args], options);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Types. */
  async write(text: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(text));
  }

  /** Ends the input. */
  async end(): Promise<void> {
    await this.#input.close().catch(() => {});
  }

  kill(signal: Deno.Signal = "SIGKILL"): void {
    if (!this.#ended) this.#child.kill(signal);
  }

  /** Waits for the end, and gives the exit code. */
  async code(): Promise<number> {
    const ended = Promise.all([this.#child.status, this.out.ended, this.err.ended]);
    const [{ code }] = await inTime(
      ended,
      () => `an exit; so far:\n${this.out.text}\n${this.err.text}`,
    );
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) this.#child.kill("SIGKILL");
    await this.end();
    await this.code();
    if (this.#isOwnHome) await Deno.remove(this.home, { recursive: true });
  }
}

/** Runs `greet` to its end. */
export async function run(
  args: string[],
  { input = "", ...options }: Deno.CommandOptions & { input?: string } = {},
): Promise<{ code: number; out: string; err: string }> {
  await using program = Program.greet(args, options);
  if (input !== "") await program.write(input);
  await program.end();
  const code = await program.code();
  return { code, out: program.out.text, err: program.err.text };
}

/** A greeting server, and the port that it chose. */
export async function serving(
  args: string[] = [],
): Promise<{ server: Program; port: string } & AsyncDisposable> {
  const server = Program.greet(["serve", "0", ...args]);
  const [, port] = await server.out.until(/Server started, listening on (\d+)\n/);
  return { server, port, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

/** Ports that were free a moment ago, for peers that must know each other's; two, or how many it takes. */
export function freePorts(): [string, string];
export function freePorts(count: number): string[];
export function freePorts(count = 2): string[] {
  const listeners = Array.from(
    { length: count },
    () => Deno.listen({ hostname: "127.0.0.1", port: 0 }),
  );
  const ports = listeners.map((listener) => `${(listener.addr as Deno.NetAddr).port}`);
  listeners.forEach((listener) => listener.close());
  return ports;
}

/** One event of `greet chat --json`. */
export interface ChatEvent {
  readonly type: string;
  readonly id?: string;
  readonly body?: string;
  readonly late?: boolean;
  readonly [field: string]: unknown;
}

/** A chat that is read and written as lines of JSON. */
export class Bot implements AsyncDisposable {
  readonly program: Program;
  readonly events: ChatEvent[] = [];
  #read = 0;

  /** @param wrapper a command that runs the chat, such as one that limits what it may use */
  constructor(args: string[], options: Deno.CommandOptions = {}, wrapper: readonly string[] = []) {
    const command = [...wrapper, ...greetCommand(), "chat", ...args, "--json"];
    this.program = new Program(command, options);
  }

  /** Says things, each as a line of its own. */
  async say(...bodies: string[]): Promise<void> {
    await this.program.write(bodies.map((body) => JSON.stringify({ body }) + "\n").join(""));
  }

  /** Waits until there are so many events of a type, and gives them. */
  async until(type: string, count = 1, ms?: number): Promise<ChatEvent[]> {
    const { out, err } = this.program;
    return await out.waitFor(
      () => {
        const found = this.all(type);
        return found.length >= count ? found : undefined;
      },
      () => `${count} × ${type} in:\n${out.text.slice(-5_000)}\n${err.text}`,
      ms,
    );
  }

  /** The events of a type so far. */
  all(type: string): ChatEvent[] {
    const { text } = this.program.out;
    for (let end; (end = text.indexOf("\n", this.#read)) !== -1; this.#read = end + 1) {
      this.events.push(JSON.parse(text.slice(this.#read, end)));
    }
    return this.events.filter((event) => event.type === type);
  }

  /** Ends it at once, and waits until it is gone and all that it printed is read. */
  async kill(): Promise<void> {
    this.program.kill("SIGKILL");
    await this.program.code();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.program[Symbol.asyncDispose]();
  }
}

/** A folder for journals that outlive the programs in it. */
export function temporaryHome(): { env: { GREET_HOME: string } } & AsyncDisposable {
  const home = Deno.makeTempDirSync({ prefix: "greet-home-" });
  return {
    env: { GREET_HOME: home },
    [Symbol.asyncDispose]: () => Deno.remove(home, { recursive: true }),
  };
}

/** A test with a home of its own, which is not made yet. */
export function homeTest(
  name: string,
  fn: (home: string) => void | Promise<void>,
  needs: { what: string; isThere: boolean } = { what: "", isThere: true },
): void {
  Deno.test({
    name: needs.what === "" ? name : `${name} (needs ${needs.what})`,
    ignore: !needs.isThere,
    fn: async () => {
      const folder = await Deno.makeTempDir({ prefix: "greet-test-" });
      try {
        await fn(join(folder, "home"));
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

/** Reproducible random numbers below 1. Source: mulberry32, public domain. */
export function randomNumbers(seed: number): () => number {
  return () => {
    seed = seed + 0x6D2B79F5 | 0;
    let t = Math.imul(seed ^ seed >>> 15, 1 | seed);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 2 ** 32;
  };
}

/** A chat that is killed now and then and goes on where it was; every event of every run is kept. */
export class Immortal implements AsyncDisposable {
  readonly runs: Bot[] = [];
  readonly #args: string[];
  readonly #home = temporaryHome();

  constructor(...args: string[]) {
    this.#args = args;
    this.#start();
  }

  get now(): Bot {
    return this.runs.at(-1)!;
  }

  async killAndStart(wrapper: readonly string[] = []): Promise<void> {
    await this.now.kill();
    this.#start(wrapper);
  }

  all(type: string): ChatEvent[] {
    return this.runs.flatMap((run) => run.all(type));
  }

  /**
   * What was received in all runs, each message once.
   *
   * @throws where a message came twice in one run, or again without being marked late: that it may
   *   be, if the process was killed when it had been printed and this was not noted yet
   */
  received(): ChatEvent[] {
    const received = new Map<string, ChatEvent>();
    for (const run of this.runs) {
      const messages = run.all("message");
      if (new Set(messages.map(({ id }) => id)).size < messages.length) {
        throw new Error("a message came twice in one run");
      }
      for (const message of messages) {
        const isAgain = received.has(message.id!);
        if (isAgain && !message.late) throw new Error(`${message.body} came again`);
        if (!isAgain) received.set(message.id!, message);
      }
    }
    return [...received.values()];
  }

  #start(wrapper: readonly string[] = []): void {
    this.runs.push(new Bot(this.#args, this.#home, wrapper));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const run of this.runs) await run[Symbol.asyncDispose]();
    await this.#home[Symbol.asyncDispose]();
  }
}
