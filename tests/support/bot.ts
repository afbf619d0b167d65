/** Chats that tests talk to as lines of JSON. */
import { temporaryHome } from "./home.ts";
import { greetCommand, Program } from "./program.ts";

/** One event of `greet chat --json`. */
export interface ChatEvent {
  readonly type: string;
  readonly id?: string;
  readonly body?: string;
  readonly late?: boolean;
  readonly [field: string]: unknown;
}

/** A `greet chat --json`. */
export class Bot implements AsyncDisposable {
  readonly program: Program;
  readonly events: ChatEvent[] = [];
  #read = 0;

  /** @param wrapper a command that runs the chat, such as one that limits its memory */
  constructor(args: string[], options: Deno.CommandOptions = {}, wrapper: readonly string[] = []) {
    const command = [...wrapper, ...greetCommand(), "chat", ...args, "--json"];
    this.program = new Program(command, options);
  }

  /** Sends messages, each on a line of its own. */
  async say(...bodies: string[]): Promise<void> {
    await this.program.write(bodies.map((body) => JSON.stringify({ body }) + "\n").join(""));
  }

  /** Waits for a number of events of one type. Returns all events of that type. */
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

  /** The events of one type so far. */
  all(type: string): ChatEvent[] {
    const { text } = this.program.out;
    for (let end; (end = text.indexOf("\n", this.#read)) !== -1; this.#read = end + 1) {
      this.events.push(JSON.parse(text.slice(this.#read, end)));
    }
    return this.events.filter((event) => event.type === type);
  }

  /** Kills the chat. Resolves when it has ended and all its output has been read. */
  async kill(): Promise<void> {
    this.program.kill("SIGKILL");
    await this.program.code();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.program[Symbol.asyncDispose]();
  }
}

/** A chat that is killed now and then and resumes from its journal. Keeps the events of all runs. */
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
   * The messages received in all runs, each once.
   *
   * @throws if a message came twice in one run, or again in a later run without being marked late;
   *   late is allowed, because a process may be killed after printing a message and before noting it
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
