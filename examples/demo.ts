/**
 * Demonstrates the program: a server and two clients on two threads, a chat in which a message waits for
 * a peer who is away, and two peers that find each other by name. Starts `greet` eight times on free
 * ports and with a home of its own, prints the output of each, and exits: `deno task demo`.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import config from "../deno.json" with { type: "json" };
import { Pulse } from "../src/base/timing.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Where the journals of this demonstration are. */
const HOME = await Deno.makeTempDir({ prefix: "greet-demo-" });

/** A running `greet` whose output is collected. */
class Program {
  readonly #name: string;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  #printed = "";
  #ended = false;
  readonly #changed = new Pulse();
  readonly #collected: Promise<void>;

  constructor(...args: string[]) {
    this.#name = args.join(" ");
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [...config.tasks.greet.replace(/^.*?deno /, "").split(" "), ...args],
      cwd: ROOT,
      env: { GREET_HOME: HOME },
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#collected = this.#collect();
  }

  async #collect(): Promise<void> {
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      this.#printed += text;
      this.#changed.beat();
    }
    this.#ended = true;
    this.#changed.beat();
  }

  /** Waits until the output matches. */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const changed = this.#changed.next;
      const match = pattern.exec(this.#printed);
      if (match !== null) return match;
      if (this.#ended) throw new Error(`greet ${this.#name} exited early`);
      await changed;
    }
  }

  async say(line: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(line + "\n"));
  }

  /** Ends the input, which ends clients and chats. */
  async end(): Promise<void> {
    await this.#input.close();
    await this.#exit(0);
  }

  /** Stops a server. Windows knows no signals: there it is killed, which gives it exit code 1. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#exit(Deno.build.os === "windows" ? 1 : 0);
  }

  async #exit(expected: number): Promise<void> {
    const { code } = await this.#child.status;
    await this.#collected;
    if (code !== expected) throw new Error(`greet ${this.#name} exited with ${code}`);
  }

  show(): void {
    console.log(`$ greet ${this.#name}\n${this.#printed}`);
  }
}

/** Two free ports. */
function freePorts(): string[] {
  const listeners = [1, 2].map(() => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  return listeners.map((listener) => {
    listener.close();
    return `${(listener.addr as Deno.NetAddr).port}`;
  });
}

/** Introduces what follows. */
function explain(text: string): void {
  console.log(`# ${text}\n`);
}

/** Shows a server that greets two clients. */
async function showGreetings(): Promise<void> {
  const server = new Program("serve", "0");
  const [, port] = await server.until(/listening on (\d+)\n/);
  const clients = new Program("greet", port, "Bob", "Alice");
  await clients.end();
  await server.stop();
  explain("A server, and two clients on two threads");
  server.show();
  clients.show();
}

/** Lets two peers say hello to each other. */
async function greetEachOther(one: Program, name: string, other: Program, otherName: string) {
  await one.until(/Welcome/);
  await one.say(`Hello, ${otherName}!`);
  for (const each of [one, other]) await each.until(new RegExp(`${name}> Hello`));
  await other.say(`Hello, ${name}!`);
  await one.until(new RegExp(`${otherName}> Hello`));
}

/** Shows a message that waits while Bob is away, and reaches him when he is back. */
async function showChat(): Promise<void> {
  const [alicePort, bobPort] = freePorts();
  const alice = new Program("chat", "Alice", alicePort, bobPort);
  await alice.until(/Waiting/);
  const bob = new Program("chat", "Bob", bobPort, alicePort);
  await greetEachOther(alice, "Alice", bob, "Bob");
  await bob.end();
  await alice.until(/Bob has left/);
  await alice.say("Are you still there?");
  await alice.until(/there\? \(waiting\)/);
  const bobAgain = new Program("chat", "Bob", bobPort, alicePort);
  await bobAgain.until(/there\?/);
  await bobAgain.say("I am back!");
  await alice.until(/back!/);
  await Promise.all([alice.end(), bobAgain.end()]);
  explain("Alice and Bob chat. Bob leaves, and what Alice says waits in her journal");
  alice.show();
  bob.show();
  explain("Bob comes back, and gets it");
  bobAgain.show();
}

/** Shows two peers that know each other's name, and no ports. */
async function showNames(): Promise<void> {
  const names = new Program("names", "0");
  const [, place] = await names.until(/listening on (\d+)\n/);
  const carol = new Program("chat", "Carol", "Dave", "--names", place);
  const dave = new Program("chat", "Dave", "Carol", "--names", place);
  await greetEachOther(carol, "Carol", dave, "Dave");
  await Promise.all([carol.end(), dave.end()]);
  await names.stop();
  explain("Carol and Dave find each other by name, with a naming server");
  names.show();
  carol.show();
  dave.show();
}

try {
  await showGreetings();
  await showChat();
  await showNames();
} finally {
  await Deno.remove(HOME, { recursive: true });
}
