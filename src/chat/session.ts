/**
 * A chat: a {@link Peer} on one side, a {@link Screen} on the other.
 *
 * What happens to the peer is shown, what is typed or piped in is sent. There are no
 * rules here but when to read, when to write and when to leave.
 *
 * @module
 */
import { COMMAND_NAMES, type Context, isCommand, runCommand } from "./slash_commands.ts";
import type { Typist } from "../terminal/line_editor.ts";
import { GreetError } from "../base/errors.ts";
import { errorLine, parseJsonLine, toJsonLine } from "./json_lines.ts";
import { Peer, type PeerEvent, type PeerOptions } from "../peer/peer.ts";
import type { Screen } from "../terminal/screen.ts";
import { showable, toJson } from "../base/text.ts";
import { within } from "../base/timing.ts";
import { kept, Transcript } from "./transcript.ts";

/** How many piped messages are stored together at most: waiting for the disk is what costs. */
const IN_FLIGHT = 256;

/** After how long it is told that a name is waited for. */
const UNUSUAL_MS = 1_000;

/** How many lines of earlier runs can be brought back. */
const REMEMBERED = 1_000;

/** What a chat needs besides what a peer needs. */
export interface ChatOptions extends PeerOptions {
  /** Where to show it, and where lines come from. */
  screen: Screen;
  /** Leaves. */
  signal: AbortSignal;
  /** Show what is said, and nothing of who comes and goes. */
  quiet?: boolean;
  /** Show events, and take messages, as lines of JSON. */
  json?: boolean;
  /** How many lines from before to show at the start, on a terminal. */
  history?: number;
  /** How many seconds the end of piped input waits for deliveries (default: as long as it takes). */
  linger?: number;
}

/** How what happens is shown. */
interface View {
  begin(): void;
  show(event: PeerEvent): void;
  /** Something is wrong with what was to be sent. */
  refuse(error: GreetError): void;
  end(): void;
}

/**
 * Chats until the input ends, the user leaves or the signal is aborted.
 *
 * With a journal, piped lines are taken as they come, and the end of the input waits
 * until they are delivered. Without one, a line is said only while another peer is
 * there, and the next one is taken when it was delivered.
 *
 * @returns the first error that kept something piped in from being delivered, if any
 * @throws {GreetError} `USAGE` or `FAILED` where the peer cannot be opened
 */
export async function chat(options: ChatOptions): Promise<GreetError | undefined> {
  const { screen, signal, journal, json, quiet } = options;
  const peer = await openPeer(options);
  const transcript = new Transcript({ screen, peer, quiet });
  const view = json ? jsonView(screen, peer) : textView(options, peer, transcript);
  // Where there is a naming service, nobody need know the port.
  if (options.port === 0 && (json || options.names === undefined)) {
    const { port } = peer;
    screen.show(json ? toJson({ type: "listening", port }) : `Listening on ${port}`);
  }
  if (journal?.notice !== undefined) {
    view.refuse(new GreetError("DATA_LOSS", journal.notice));
  }
  const failures: GreetError[] = [];
  const shown = showEvents(peer, screen, view, failures);
  const close = () => screen.close();
  signal.addEventListener("abort", close, { once: true });
  if (signal.aborted) close();
  try {
    view.begin();
    const context = { peer, transcript };
    if (screen.interactive) await sendTyped(context, screen);
    else failures.push(...await new Pipe(options, context, view).send());
  } finally {
    signal.removeEventListener("abort", close);
    await peer[Symbol.asyncDispose]();
    await shown;
  }
  view.end();
  // Who typed it has seen what became of it; a chat that was left is done.
  return screen.interactive ? undefined : failures[0];
}

/**
 * Where names are leases, that of a process which was killed a moment ago is not free for some
 * seconds, and somebody who waits for that wants to know.
 */
async function openPeer(options: ChatOptions): Promise<Peer> {
  const { name, names, screen, json } = options;
  const tell = () => screen.warn(`waiting for the name ${showable(name)} at ${names!.address}`);
  const timer = names && !json ? setTimeout(tell, UNUSUAL_MS) : undefined;
  try {
    // What is piped in was written before anyone could read who is there.
    const isRead = screen.interactive || screen.echoes;
    return await Peer.open({ ...options, newcomers: isRead ? "admit" : "refuse" });
  } finally {
    clearTimeout(timer);
  }
}

// ---------------------------------------------------------------- what is typed

async function sendTyped(context: Context, screen: Screen): Promise<void> {
  for await (const line of screen.read(typist(context.peer, screen))) {
    if (!line.startsWith("/")) {
      // Its events tell how it went.
      context.peer.send(line).catch(() => {});
    } else if (answer(line, context, screen) === "leave") {
      return;
    }
  }
}

/** What may be typed, and what was typed in earlier runs. */
function typist(peer: Peer, screen: Screen): Typist {
  const began = new Date();
  return {
    commands: COMMAND_NAMES,
    names: () => peer.others.flatMap(({ lastName }) => lastName ?? []),
    earlier() {
      try {
        const said = peer.said(REMEMBERED).filter(({ taken }) => taken < began);
        return said.map(({ message }) => message.body);
      } catch (error) {
        screen.warn(showable(GreetError.from(error).message));
        return [];
      }
    },
  };
}

/** Runs a command and shows what it answers. */
function answer(line: string, context: Context, screen: Screen): string | "leave" {
  const text = runCommand(line, context);
  if (text !== "" && text !== "leave") screen.note(text);
  return text;
}

// ---------------------------------------------------------------- what is piped in

/** Sends what is piped in, and stays until it has arrived or the time is up. */
class Pipe {
  readonly #options: ChatOptions;
  readonly #context: Context;
  readonly #view: View;
  readonly #met: Promise<string>;
  readonly #aborted: Promise<void>;
  readonly #inFlight = new Set<Promise<void>>();

  constructor(options: ChatOptions, context: Context, view: View) {
    this.#options = options;
    this.#context = context;
    this.#view = view;
    this.#met = context.peer.joined();
    const { signal } = options;
    this.#aborted = new Promise((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  /** @returns what the end of the input was left with: an error where something still waits */
  async send(): Promise<GreetError[]> {
    const { screen, signal } = this.#options;
    const lines = screen.read(typist(this.#context.peer, screen))[Symbol.asyncIterator]();
    for (;;) {
      const { done, value: line } = await lines.next();
      if (signal.aborted) return [];
      if (done) break;
      if (line.trim() === "") continue;
      if (this.#isCommand(line)) {
        if (answer(line, this.#context, screen) === "leave") return [];
      } else {
        await this.#say(line);
      }
      await screen.ready();
    }
    await Promise.all(this.#inFlight);
    return await this.#linger();
  }

  #isCommand(line: string): boolean {
    return this.#options.json ? line.trim() === "/quit" : isCommand(line);
  }

  /** What is not kept must have somewhere to go before it is said. */
  async #somewhereToGo(): Promise<void> {
    if (this.#options.journal) return;
    await Promise.race([this.#context.peer.joined(), this.#aborted]);
  }

  async #say(line: string): Promise<void> {
    const body = this.#body(line);
    if (body === undefined) return;
    await this.#somewhereToGo();
    if (this.#options.signal.aborted) return;
    // Its events tell how it went.
    const said = this.#context.peer.send(body).catch(() => {});
    this.#inFlight.add(said);
    if (this.#options.journal && this.#inFlight.size < IN_FLIGHT) return;
    await Promise.all(this.#inFlight);
    this.#inFlight.clear();
  }

  #body(line: string): string | undefined {
    if (!this.#options.json) return line;
    try {
      return parseJsonLine(line);
    } catch (error) {
      this.#view.refuse(GreetError.from(error));
    }
  }

  /** Stays until somebody was there and everything has arrived, but not too long. */
  async #linger(): Promise<GreetError[]> {
    const { linger, signal } = this.#options;
    const { peer } = this.#context;
    const done = Promise.all([this.#met, peer.drained()]);
    const ms = linger === undefined ? LONGEST_MS : linger * 1_000;
    await within(ms, Promise.race([done, this.#aborted]));
    if (signal.aborted || !peer.isWaiting) return [];
    return [new GreetError("UNAVAILABLE", kept(peer.queue()))];
  }
}

/** The longest time that timers know: 25 days. */
const LONGEST_MS = 2 ** 31 - 1;

// ---------------------------------------------------------------- what is shown

async function showEvents(
  peer: Peer,
  screen: Screen,
  view: View,
  failures: GreetError[],
): Promise<void> {
  // Leaving a `for await` would mean that the last event was shown. If nobody reads any more it was
  // not: then the message stays in the journal, and nothing more is acknowledged.
  const events = peer.events[Symbol.asyncIterator]();
  for (;;) {
    const { done, value: event } = await events.next();
    if (done) return;
    view.show(event);
    if (event.type === "failed") failures.push(event.error);
    if (event.type !== "message") await screen.ready();
    else if (!await screen.written()) return void await events.throw?.();
  }
}

function textView({ screen, history = 0 }: ChatOptions, peer: Peer, transcript: Transcript): View {
  let toRecall = screen.interactive ? history : 0;
  const recall = () => {
    const entries = toRecall === 0 ? [] : peer.history(toRecall);
    transcript.recall(entries);
    if (entries.length > 0) toRecall = 0;
  };
  return {
    begin() {
      recall();
      transcript.begin();
    },
    show(event) {
      // Only now it may be known whose conversation this is.
      if (event.type === "message" || event.type === "queued") toRecall = 0;
      transcript.show(event);
      if (event.type === "welcome") recall();
    },
    refuse: ({ message }) => screen.warn(message),
    end: () => transcript.end(),
  };
}

function jsonView(screen: Screen, peer: Peer): View {
  return {
    begin() {},
    show(event) {
      const line = toJsonLine(event);
      if (line !== undefined) screen.show(line);
    },
    refuse: (error) => screen.show(errorLine(error)),
    end() {
      const queue = peer.queue();
      if (queue.length > 0) screen.show(errorLine(new GreetError("UNAVAILABLE", kept(queue))));
    },
  };
}
