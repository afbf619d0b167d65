/**
 * What can be typed in a chat besides messages: lines that begin with a slash.
 *
 * One table says what there is, and writes its own `/help`. Commands ask and tell
 * the peer; what they answer is returned, and never sent to anybody.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { spokenCode } from "../identity/identity.ts";
import type { Waiting } from "../peer/journal.ts";
import type { Peer } from "../peer/peer.ts";
import { showable } from "../base/text.ts";
import type { Transcript } from "./transcript.ts";
import { queueLine } from "./wording.ts";

/** How many lines `/history` shows. */
const HISTORY = 20;

/** What a command works on. */
export interface Context {
  readonly peer: Peer;
  readonly transcript: Transcript;
  /** What the last `/queue` listed: the numbers of `/cancel` mean that. */
  listed?: readonly Waiting[];
}

interface Command {
  readonly name: string;
  readonly usage: string;
  readonly help: string;
  /** Gives what to answer, or `"leave"`. */
  run(context: Context, argument: string): string | "leave";
}

const COMMANDS: readonly Command[] = [
  { name: "/who", usage: "", help: "who is here", run: who },
  { name: "/history", usage: "[N]", help: `the last N lines (${HISTORY})`, run: history },
  { name: "/queue", usage: "", help: "what waits to be delivered", run: queue },
  { name: "/cancel", usage: "N", help: "drops number N of the queue", run: cancel },
  { name: "/verify", usage: "", help: "how to be sure who is who", run: verify },
  { name: "/help", usage: "", help: "this list", run: help },
  { name: "/quit", usage: "", help: "leaves; what waits is kept", run: () => "leave" },
];

/** What a command begins with. */
export const COMMAND_NAMES: readonly string[] = COMMANDS.map(({ name }) => name);

/** Whether a line is one of the commands. */
export function isCommand(line: string): boolean {
  return find(line) !== undefined;
}

/**
 * Runs a command.
 *
 * @param line what was typed; it begins with a slash
 * @returns what to answer, `""` for nothing, or `"leave"`
 */
export function runCommand(line: string, context: Context): string | "leave" {
  const command = find(line);
  if (command === undefined) {
    return `There is no command ${showable(line.trim())}. /help lists those that there are.`;
  }
  try {
    return command.run(context, line.trim().slice(command.name.length).trim());
  } catch (error) {
    return showable(GreetError.from(error).message);
  }
}

function find(line: string): Command | undefined {
  const [word] = line.trim().split(/\s/, 1);
  return COMMANDS.find(({ name }) => name === word);
}

function who({ peer }: Context): string {
  return peer.others.map(({ target, presence, lastName = "Somebody" }) => {
    switch (presence.state) {
      case "here":
        return `${showable(presence.name)} is here, at ${target}.`;
      case "away":
        return `${showable(lastName)} is away: ${showable(presence.error.message)}.`;
      case "connecting":
        return `${showable(lastName)} is being called, at ${target}.`;
    }
  }).join("\n");
}

/** Both sides have to see the same codes: then nobody is in between. */
function verify({ peer }: Context): string {
  const { fingerprint } = peer;
  if (fingerprint === undefined) {
    return "This chat is not encrypted, so nobody can be sure. Both sides have to start it with --tls.";
  }
  const others = peer.others.flatMap(({ presence }) => presence.state === "here" ? presence : []);
  if (others.length === 0) return "Nobody is here whose code could be compared with yours.";
  const codeOf = (fingerprint: string | undefined) => spokenCode(fingerprint!);
  return [
    "Read these to each other, not in this chat but by voice. If they differ, somebody is in between.",
    `${codeOf(fingerprint)}  ${peer.name} (you)`,
    ...others.map((other) => `${codeOf(other.fingerprint)}  ${showable(other.name)}`),
  ].join("\n");
}

function history({ peer, transcript }: Context, argument: string): string {
  const limit = argument === "" ? HISTORY : wholeNumber(argument);
  if (limit === undefined) return "How many lines? /history N";
  const entries = peer.history(limit);
  transcript.recall(entries);
  return entries.length === 0 ? "Nothing was said yet." : "";
}

function queue(context: Context): string {
  context.listed = context.peer.queue();
  if (context.listed.length === 0) return "Nothing waits.";
  return context.listed.map((waiting, i) => queueLine(waiting, i + 1)).join("\n");
}

function cancel(context: Context, argument: string): string {
  const { peer, listed = peer.queue() } = context;
  const waiting = listed[(wholeNumber(argument) ?? 0) - 1];
  if (waiting === undefined) return "Which one? /cancel N, with a number that /queue gives.";
  peer.cancel(waiting);
  return "";
}

function help(): string {
  const rows = COMMANDS.map(({ name, usage, help }) => [`${name} ${usage}`.trim(), help]);
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, help]) => `${left.padEnd(width)}  ${help}`).join("\n");
}

function wholeNumber(text: string): number | undefined {
  return /^\d{1,6}$/.test(text) ? Number(text) : undefined;
}
