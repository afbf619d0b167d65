/**
 * A process of a soak that is stopped, killed and started again. Its output is passed on line by
 * line and not kept, because a soak takes hours.
 *
 * @module
 */
import { greetCommand, ROOT } from "../../../tests/support/program.ts";
import { inTime } from "../../../tests/support/waiting.ts";
import { usage } from "../../measure.ts";
import type { Rest, Sample } from "./levels.ts";

/** A process, and what to do with what it prints. */
export interface Role {
  readonly name: string;
  /** The arguments of `greet`. */
  readonly args: readonly string[];
  readonly home: string;
  /** Called for each line of standard output. */
  readonly onLine?: (line: string, run: number) => void;
}

/** How long a killed process may take to end, in milliseconds. */
const END_MS = 30_000;

/** A process. Disposing of it kills it. */
export class Actor implements AsyncDisposable {
  /** How often it has been started. */
  runs = 0;
  /** What it has printed on standard error. */
  readonly warnings: string[] = [];
  /** How it ended when it should not have. */
  readonly deaths: string[] = [];
  readonly samples: Sample[] = [];
  readonly rests: Rest[] = [];
  readonly name: string;
  readonly home: string;
  readonly #role: Role;
  #child!: Deno.ChildProcess;
  #input!: WritableStreamDefaultWriter<Uint8Array>;
  #isKilled = true;
  #ended: Promise<unknown> = Promise.resolve();

  constructor(role: Role) {
    this.name = role.name;
    this.home = role.home;
    this.#role = role;
    this.start();
  }

  get pid(): number {
    return this.#child.pid;
  }

  get isKilled(): boolean {
    return this.#isKilled;
  }

  start(): void {
    const [command, ...args] = [...greetCommand(), ...this.#role.args];
    const child = new Deno.Command(command, {
      ...{ args, cwd: ROOT, env: { GREET_HOME: this.home } },
      ...{ stdin: "piped", stdout: "piped", stderr: "piped" },
    }).spawn();
    const run = ++this.runs;
    this.#child = child;
    this.#input = child.stdin.getWriter();
    this.#isKilled = false;
    const onWarning = (line: string) => void this.warnings.push(line);
    const onLine = (line: string) => this.#role.onLine?.(line, run);
    const read = [eachLine(child.stdout, onLine), eachLine(child.stderr, onWarning)];
    this.#ended = Promise.all([child.status.then((status) => this.#noteEnd(status)), ...read]);
  }

  /** Writes a line to its input. Nothing happens if it has ended. */
  async write(line: string): Promise<void> {
    if (!this.#isKilled) await this.#input.write(ENCODER.encode(`${line}\n`)).catch(() => {});
  }

  signal(name: Deno.Signal): void {
    if (!this.#isKilled) this.#child.kill(name);
  }

  /** Kills it. Resolves when all that it has printed has been passed on. */
  async kill(): Promise<void> {
    if (!this.#isKilled) {
      this.#isKilled = true;
      this.#child.kill("SIGKILL");
    }
    await this.#input.close().catch(() => {});
    await inTime(this.#ended, `the end of ${this.name}`, END_MS);
  }

  /** Takes a sample, unless it has ended. */
  async sample(ended: number): Promise<void> {
    if (this.#isKilled) return;
    try {
      const { memoryMB } = await usage(this.pid);
      this.samples.push({ memoryMB, ended, ...this.counts() });
    } catch {
      // It has ended meanwhile; `deaths` tells whether it should have.
    }
  }

  counts(): Pick<Rest, "files" | "threads"> {
    const count = (folder: string) => [...Deno.readDirSync(`/proc/${this.pid}/${folder}`)].length;
    return { files: count("fd"), threads: count("task") };
  }

  #noteEnd({ code, signal }: Deno.CommandStatus): void {
    if (this.#isKilled) return;
    this.#isKilled = true;
    this.deaths.push(`${this.name} ended: ${signal ?? code}: ${this.warnings.at(-1) ?? ""}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

const ENCODER = new TextEncoder();

async function eachLine(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  onLine: (line: string) => void,
): Promise<void> {
  let rest = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    for (const line of lines) onLine(line);
  }
  if (rest !== "") onLine(rest);
}
