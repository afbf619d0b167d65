/**
 * A chat: a {@link Peer} on one side, a {@link Screen} on the other.
 *
 * What happens to the peer is shown, what is typed is sent. There are no rules
 * here but how things are worded.
 *
 * @module
 */
import { GreetError } from "./errors.ts";
import { type Message, Peer, type PeerEvent, type PeerOptions } from "./peer.ts";
import type { Screen } from "./screen.ts";
import { showable } from "./text.ts";

/** What a further line of a message begins with, so that it cannot pose as another message. */
const CONTINUATION = " ".repeat(8);

/** What a chat needs besides a peer's name and target. */
export interface ChatOptions extends PeerOptions {
  /** Where to show it, and where lines come from. */
  screen: Screen;
  /** Leaves. */
  signal: AbortSignal;
  /** Show what is said, and nothing of who comes and goes. */
  quiet?: boolean;
}

/**
 * Chats until the input ends, the user leaves or the signal is aborted.
 *
 * From a pipe a line is taken only while the other peer is there, and the next
 * one when it was delivered; so nothing is taken that has nowhere to go.
 *
 * @returns the first error that kept a piped line from being delivered, if any
 * @throws {GreetError} `USAGE` or `FAILED` where the peer cannot be opened
 */
export async function chat(options: ChatOptions): Promise<GreetError | undefined> {
  const { screen, signal, quiet } = options;
  const peer = await Peer.open(options);
  if (options.port === 0) screen.show(`Listening on ${peer.port}`);
  const shown = quiet ? showSaid(peer, screen) : showEvents(peer, screen);
  const close = () => screen.close();
  signal.addEventListener("abort", close, { once: true });
  if (signal.aborted) close();
  try {
    return await (screen.interactive ? sendTyped(peer, screen) : sendPiped(peer, screen, signal));
  } finally {
    signal.removeEventListener("abort", close);
    await peer[Symbol.asyncDispose]();
    await shown;
  }
}

// ---------------------------------------------------------------- what is typed

async function sendTyped(peer: Peer, screen: Screen): Promise<undefined> {
  for await (const line of screen.lines) {
    if (line.trim() === "") continue;
    if (line.startsWith("/")) {
      if (line.trim() === "/quit") break;
      screen.show(showable(`There is no command ${line.trim()}. Leave with /quit.`));
      continue;
    }
    // Its events tell how it went.
    peer.send(line).catch(() => {});
  }
}

async function sendPiped(
  peer: Peer,
  screen: Screen,
  signal: AbortSignal,
): Promise<GreetError | undefined> {
  let firstError: GreetError | undefined;
  const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  const lines = screen.lines[Symbol.asyncIterator]();
  for (;;) {
    await Promise.race([peer.joined(), aborted]);
    if (signal.aborted) break;
    const { done, value: line } = await lines.next();
    if (done || line === "/quit") break;
    if (line.trim() === "") continue;
    await Promise.race([peer.joined(), aborted]);
    try {
      await peer.send(line);
    } catch (error) {
      firstError ??= GreetError.from(error);
    }
  }
  return firstError;
}

// ---------------------------------------------------------------- what is shown

async function showEvents(peer: Peer, screen: Screen): Promise<void> {
  screen.show("Waiting for other peer to connect...");
  let welcomed = false;
  for await (const event of peer.events) {
    if (event.type === "joined" && !welcomed) {
      welcomed = true;
      screen.clearStatus();
      const other = showable(event.name);
      screen.show(`\nWelcome, ${peer.name}. You are chatting with ${other}.\n`);
    } else {
      showEvent(event, screen);
    }
    // The next message is taken, and so answered, when this one has gone somewhere.
    await screen.ready();
  }
}

async function showSaid(peer: Peer, screen: Screen): Promise<void> {
  for await (const event of peer.events) {
    if ("message" in event) showEvent(event, screen);
    await screen.ready();
  }
}

function showEvent(event: PeerEvent, screen: Screen): void {
  switch (event.type) {
    case "waiting":
      // That nobody is there yet is why we wait; a log need not say it twice.
      if (screen.interactive || !event.nobodyThere) screen.status(showable(event.reason));
      return;
    case "joined":
      screen.clearStatus();
      return screen.show(`${showable(event.name)} is ${event.back ? "back" : "here"}.`);
    case "left":
      return screen.show(`${showable(event.name)} has left.`);
    case "message":
    case "queued":
      return screen.show(transcriptLine(event.message));
    case "failed":
      return screen.show(
        `${transcriptLine(event.message)} (not delivered: ${showable(event.error.message)})`,
      );
    case "delivered":
      return;
  }
}

function transcriptLine({ at, from, body }: Message): string {
  return `[${clock(at)}] ${showable(from)}> ${showable(body, CONTINUATION)}`;
}

/** Hours and minutes in local time. `Intl` would take 10 ms to say the same. */
function clock(at: Date): string {
  const twoDigits = (n: number) => `${n}`.padStart(2, "0");
  return `${twoDigits(at.getHours())}:${twoDigits(at.getMinutes())}`;
}
