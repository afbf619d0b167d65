/**
 * Runs the program as a process that tests start, write to, read from, and stop. It runs from source
 * with exactly the permissions of the task `greet`, or as the compiled binary that `GREET_BIN` names.
 * Nothing here sleeps: tests wait, up to a limit, for what a process prints.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import config from "../../deno.json" with { type: "json" };
import { Pulse } from "../../src/base/timing.ts";
import "./environment.ts";
import { isPosix } from "./tools.ts";
import { inTime, PATIENCE_MS } from "./waiting.ts";

/** The repository's root, ending with a separator. */
export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The command that runs `greet`, without arguments. */
export function greetCommand(deno = Deno.execPath()): string[] {
  const binary = Deno.env.get("GREET_BIN");
  return binary ? [binary] : [deno, ...config.tasks.greet.replace(/^.*?deno /, "").split(" ")];
}

/** The output of a process on one stream, as far as it has come. */
export class Printed {
  text = "";
  ended: Promise<void>;
  /** Whether the stream has ended. */
  isOver = false;
  readonly #changed = new Pulse();

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

  /** Calls `find` for every change of the text, and when the stream ends, until it finds something. */
  async waitFor<T>(find: () => T | undefined, what: () => string, ms?: number): Promise<T> {
    const wait = async () => {
      for (;;) {
        const changed = this.#changed.next;
        const found = find();
        if (found !== undefined) return found;
        await changed;
      }
    };
    return await inTime(wait(), what, ms);
  }

  async #collect(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
      this.text += chunk;
      this.#changed.beat();
    }
    this.isOver = true;
    this.#changed.beat();
  }
}

function literally(text: string): RegExp {
  return new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
}

/** A process. Disposing of it kills it if it is still running. */
export class Program implements AsyncDisposable {
  /** The program's home: a temporary folder, unless the test names one. */
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

  /** Writes to the process's input. */
  async write(text: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(text));
  }

  /** Ends the process's input. */
  async end(): Promise<void> {
    await this.#input.close().catch(() => {});
  }

  kill(signal: Deno.Signal = "SIGKILL"): void {
    if (this.#ended) return;
    try {
      this.#child.kill(signal);
    } catch (error) {
      // It has ended, which is not known here yet.
      if (!(error instanceof TypeError)) throw error;
    }
  }

  /**
   * Stops a server. Resolves when it has ended. Windows knows no signals: there it is killed, which
   * gives it exit code 1.
   */
  async stop(): Promise<void> {
    this.kill("SIGTERM");
    assert.equal(await this.code(), isPosix ? 0 : 1, this.err.text);
  }

  /** Leaves a chat with `/quit`. Resolves when it has ended. */
  async leave(): Promise<void> {
    await this.write("/quit\n");
    assert.equal(await this.code(), 0, this.err.text);
  }

  /** Waits, for a limited time in milliseconds, until the process has ended. Returns its exit code. */
  async code(ms = PATIENCE_MS): Promise<number> {
    const ended = Promise.all([this.#child.status, this.out.ended, this.err.ended]);
    const [{ code }] = await inTime(
      ended,
      () => `an exit; so far:\n${this.out.text}\n${this.err.text}`,
      ms,
    );
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.end();
    await this.code();
    if (this.#isOwnHome) await Deno.remove(this.home, { recursive: true });
  }
}

/** Runs `greet` until it ends. */
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

/** Starts a greeting server. Resolves, when it is listening, with its port. */
export async function serving(
  args: string[] = [],
): Promise<{ server: Program; port: string } & AsyncDisposable> {
  const server = Program.greet(["serve", "0", ...args]);
  const [, port] = await server.out.until(/Server started, listening on (\d+)\n/);
  return { server, port, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}
