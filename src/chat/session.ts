/**
 * A chat from start to finish: a {@link Peer} on one side, a {@link Screen} on the other.
 *
 * Decides when to read, to write and to leave. How events look is up to `view.ts`.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { showable, toJson } from "../base/text.ts";
import { Peer, type PeerOptions } from "../peer/peer.ts";
import type { EditorContext } from "../terminal/editor.ts";
import type { Screen } from "../terminal/screen.ts";
import { commandFor } from "./message_commands.ts";
import { sendPiped } from "./piped_input.ts";
import { COMMAND_NAMES, type CommandContext, draftOf, runCommand } from "./slash_commands.ts";
import { Transcript } from "./transcript.ts";
import { lineFor, objectionTo, spokenText } from "./typed_lines.ts";
import { jsonView, textView, type View } from "./view.ts";
import { errorText } from "./wording.ts";

/** How long claiming a name may take before the user is told what the chat waits for. */
const UNUSUAL_MS = 2_000;

/** How many lines of earlier runs can be recalled. */
const MAX_RECALLED = 1_000;

/** Options of a chat, in addition to those of its peer. */
export interface ChatOptions extends PeerOptions {
  /** Where the chat is shown, and where its input comes from. */
  screen: Screen;
  /** Leaves the chat. */
  signal: AbortSignal;
  /** Show messages, but not who comes and goes. */
  quiet?: boolean;
  /** Which messages ring the bell (default: all); the screen decides whether there is one. */
  bell?: "all" | "mention";
  /** Print events, and read messages, as lines of JSON. */
  json?: boolean;
  /** How many earlier lines to show at the start, on a terminal. */
  history?: number;
  /** How many seconds to wait for deliveries at the end of piped input (default: no limit). */
  linger?: number;
}

/**
 * Chats until the input ends, the user leaves or the signal is aborted.
 *
 * With a journal, piped lines are stored as they arrive, and the end of the input waits until they
 * are delivered. Without one, a line is sent only while a peer is there, and the next line is read
 * when it has been delivered.
 *
 * @returns the first error that kept piped input from being delivered, if any
 * @throws {GreetError} `USAGE` or `FAILED` if the peer cannot be opened
 */
export async function chat(options: ChatOptions): Promise<GreetError | undefined> {
  const { screen, signal, journal, json } = options;
  const peer = await openPeer(options);
  const transcript = new Transcript({ ...options, peer });
  const view = json ? jsonView(screen, peer) : textView({ ...options, peer, transcript });
  announcePort(options, peer);
  if (journal?.notice !== undefined) view.refuse(new GreetError("DATA_LOSS", journal.notice));
  const failures: GreetError[] = [];
  const shown = showEvents(peer, screen, view, failures);
  const close = () => screen.close();
  signal.addEventListener("abort", close, { once: true });
  if (signal.aborted) close();
  try {
    view.begin();
    const undelivered = await sendInput(options, view, { peer, transcript });
    if (undelivered !== undefined) failures.push(undelivered);
  } finally {
    signal.removeEventListener("abort", close);
    await peer[Symbol.asyncDispose]();
    await shown;
  }
  view.end();
  // A user at a terminal has seen the failures.
  return screen.interactive ? undefined : failures[0];
}

/**
 * Opens the peer. On etcd, the name of a process that was just killed stays taken for a few
 * seconds; the user is told what the chat waits for.
 */
async function openPeer(options: ChatOptions): Promise<Peer> {
  const { name, names, screen, json } = options;
  const tell = () => screen.warn(`waiting for the name ${showable(name)} ${names!.where}`);
  const timer = names && !json ? setTimeout(tell, UNUSUAL_MS) : undefined;
  try {
    // Piped input was written before its author could see which peers are present.
    const isRead = screen.interactive || screen.echoes;
    return await Peer.open({ ...options, newcomers: isRead ? "admit" : "refuse" });
  } finally {
    clearTimeout(timer);
  }
}

/** Shows a port that was chosen for us. With a naming service, other people do not need it. */
function announcePort({ port: requested, json, names, screen }: ChatOptions, peer: Peer): void {
  if (requested !== 0 || !json && names !== undefined) return;
  const { port } = peer;
  screen.show(json ? toJson({ type: "listening", port }) : `Listening on ${port}`);
}

// ---------------------------------------------------------------- input

/** @returns an error if the input ended with undelivered messages */
async function sendInput(
  { screen, signal, journal, json = false, linger }: ChatOptions,
  view: View,
  context: CommandContext,
): Promise<GreetError | undefined> {
  const { peer } = context;
  const lines = screen.read(editorContext(peer, screen));
  const run = (command: string) => obey(command, context, screen);
  if (screen.interactive) return void await sendTyped(lines, peer, run);
  return await sendPiped({
    ...{ lines, peer, view, run, signal, json, linger },
    ready: () => screen.ready(),
    isDurable: journal !== undefined,
  });
}

async function sendTyped(
  lines: AsyncIterable<string>,
  peer: Peer,
  run: (command: string) => Promise<boolean>,
): Promise<void> {
  for await (const line of lines) {
    // Events report the outcome.
    const text = spokenText(line);
    if (text !== undefined) peer.send(text).catch(() => {});
    else {
      // The answer takes account of what was typed before.
      await peer.stored();
      if (await run(line)) return;
    }
  }
}

/** What the line editor completes, recalls from earlier runs, and objects to. */
function editorContext(peer: Peer, screen: Screen): EditorContext {
  const began = new Date();
  return {
    commands: COMMAND_NAMES,
    names: () => peer.others.flatMap(({ lastName }) => lastName ?? []),
    earlier() {
      try {
        const said = peer.said(MAX_RECALLED).filter(({ taken }) => taken < began);
        return said.map(({ message }) => commandFor(message) ?? lineFor(message.body));
      } catch (error) {
        screen.warn(showable(GreetError.from(error).message));
        return [];
      }
    },
    objection: objectionTo,
  };
}

/** Obeys a command and shows its answer. Returns whether the command leaves the chat. */
async function obey(command: string, context: CommandContext, screen: Screen): Promise<boolean> {
  try {
    const draft = draftOf(command, context.peer);
    if (draft !== undefined) {
      // Events report the outcome.
      context.peer.send(draft).catch(() => {});
      return false;
    }
  } catch (error) {
    screen.note(errorText(GreetError.from(error)));
    return false;
  }
  const answer = await runCommand(command, context);
  if (answer === "leave") return true;
  if (answer !== "") screen.note(answer);
  return false;
}

// ---------------------------------------------------------------- output

async function showEvents(
  peer: Peer,
  screen: Screen,
  view: View,
  failures: GreetError[],
): Promise<void> {
  // Leaving a `for await` would acknowledge the last events as shown. If the output is gone, it was
  // not: then the message must stay in the journal, and nothing more be acknowledged.
  const batches = peer.events.inBatches();
  for (;;) {
    const { done, value: events } = await batches.next();
    if (done) return;
    for (const event of events) {
      view.show(event);
      if (event.type === "failed") failures.push(event.error);
    }
    if (!events.some(({ type }) => type === "message")) await screen.ready();
    else if (!await screen.written()) return void await batches.throw(undefined);
  }
}
