/**
 * A chat with so many messages that its output cannot be kept, as a test's {@link Bot} does.
 *
 * @module
 */
import type { PeerEvent } from "../mod.ts";
import type { ChatEvent } from "../tests/support/bot.ts";
import { temporaryHome } from "../tests/support/home.ts";
import { greetCommand, ROOT } from "../tests/support/program.ts";
import { within } from "../src/base/timing.ts";

/** The longest wait for many messages. */
export const PATIENCE_MS = 60_000;

/** A `greet chat --json`, as a process. Its events must be read continuously. */
export class Chatter implements AsyncDisposable {
  readonly events: AsyncGenerator<ChatEvent, undefined>;
  readonly #home = temporaryHome();
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #ended: Promise<unknown>;
  #isRunning = true;

  constructor(args: readonly string[]) {
    const [command, ...flags] = greetCommand();
    this.#child = new Deno.Command(command, {
      args: [...flags, "chat", ...args, "--json"],
      cwd: ROOT,
      env: this.#home.env,
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#ended = this.#child.status.then(() => this.#isRunning = false);
    this.events = eventsIn(this.#child.stdout);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Sends messages, each on a line of its own. */
  async say(bodies: readonly string[]): Promise<void> {
    const lines = bodies.map((body) => JSON.stringify({ body }) + "\n").join("");
    await this.#input.write(new TextEncoder().encode(lines));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isRunning) this.#child.kill("SIGKILL");
    await this.#ended;
    await this.#input.close().catch(() => {});
    await this.#home[Symbol.asyncDispose]();
  }
}

async function* eventsIn(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<ChatEvent, undefined> {
  let rest = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    for (const line of lines) yield JSON.parse(line);
  }
}

/** The next events of one type; fewer than asked for, if the events end or the time is up. */
export async function take<Event extends ChatEvent | PeerEvent>(
  { events }: { events: AsyncIterator<Event> },
  type: Event["type"],
  count: number,
): Promise<Event[]> {
  const taken: Event[] = [];
  const read = async () => {
    while (taken.length < count) {
      const { done, value } = await events.next();
      if (done) return;
      if (value.type === type) taken.push(value);
    }
  };
  await within(PATIENCE_MS, read());
  return taken;
}
