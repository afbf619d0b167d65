/**
 * The program as a process: started, read, written to and stopped by tests.
 *
 * It runs from source under exactly the permissions of the task `greet`, or, where
 * `GREET_BIN` names one, as a compiled binary. Nothing here sleeps: tests wait for
 * what a process prints, up to a limit.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import config from "../deno.json" with { type: "json" };

/** The repository's root. */
export const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** How long a test waits for something that should happen at once. */
export const PATIENCE_MS = 15_000;

/** The command that runs `greet`, before its own arguments. */
export function greetCommand(deno = Deno.execPath()): string[] {
  const binary = Deno.env.get("GREET_BIN");
  return binary ? [binary] : [deno, ...config.tasks.greet.split(" ").slice(1)];
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
  #more = Promise.withResolvers<void>();

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.ended = this.#collect(stream);
  }

  /** Waits until the text matches. */
  async until(pattern: RegExp | string): Promise<RegExpMatchArray> {
    const found = () => this.text.match(typeof pattern === "string" ? literally(pattern) : pattern);
    const wait = async () => {
      for (;;) {
        const more = this.#more.promise;
        const match = found();
        if (match !== null) return match;
        await more;
      }
    };
    return await inTime(wait(), () => `${pattern} in:\n${this.text}`);
  }

  async #collect(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
      this.text += chunk;
      this.#more.resolve();
      this.#more = Promise.withResolvers();
    }
  }
}

function literally(text: string): RegExp {
  return new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
}

/** A running process. Disposing of it kills it, if it still runs. */
export class Program implements AsyncDisposable {
  readonly out: Printed;
  readonly err: Printed;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  #ended = false;

  /** Starts any command. */
  constructor([command, ...args]: string[], options: Deno.CommandOptions = {}) {
    this.#child = new Deno.Command(command, {
      args,
      cwd: ROOT,
      ...options,
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
    this.#child.kill(signal);
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

/** Two ports that were free a moment ago, for peers that must know each other's. */
export function freePorts(): [string, string] {
  const listeners = [1, 2].map(() => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  const ports = listeners.map((listener) => `${(listener.addr as Deno.NetAddr).port}`);
  listeners.forEach((listener) => listener.close());
  return ports as [string, string];
}
