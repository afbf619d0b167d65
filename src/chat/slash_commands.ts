/**
 * The commands of a chat: lines that begin with a slash.
 *
 * One table defines them and generates `/help`. Commands act on the peer and return their answer,
 * which is shown to the user and never sent.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { spokenCode } from "../identity/identity.ts";
import type { Addressee, Waiting } from "../peer/journal.ts";
import type { Draft } from "../peer/messages.ts";
import type { Other, Peer } from "../peer/peer.ts";
import { showable, showableName } from "../base/text.ts";
import { action, direct } from "./message_commands.ts";
import { notInQueue, unknownCommand } from "./mistyped_commands.ts";
import type { Transcript } from "./transcript.ts";
import {
  earlierCallerText,
  errorText,
  excerpt,
  outsidersText,
  queueLine,
  quoted,
} from "./wording.ts";

/** How many lines `/history` shows by default. */
const HISTORY_LINES = 20;

/** How many lines `/find` shows. */
const FOUND_LINES = 20;

/** What a command acts on. */
export interface CommandContext {
  readonly peer: Peer;
  readonly transcript: Transcript;
  /** The last list shown by `/queue`, which the numbers of `/cancel` refer to. */
  listed?: readonly Waiting[];
}

interface SlashCommand {
  readonly name: string;
  readonly usage: string;
  /** In few words: a terminal of 40 columns has room for 23 characters. */
  readonly help: string;
  /** Does what the command is for, unless that is to send a message. */
  readonly run?: (context: CommandContext, argument: string) => Answer | Promise<Answer>;
  /** The message that the command sends. */
  readonly draft?: (argument: string, peer: Peer) => Draft;
}

/** What a command answers: text for the user, `""` for none, or `"leave"`. */
type Answer = string | "leave";

const COMMANDS: readonly SlashCommand[] = [
  { name: "/me", usage: "TEXT", help: "do something: /me waves", draft: action },
  { name: "/msg", usage: "NAME TEXT", help: "say it to one peer only", draft: direct },
  { name: "/add", usage: "PEER", help: "chat with PEER as well", run: add },
  { name: "/remove", usage: "PEER", help: "no longer with PEER", run: remove },
  { name: "/who", usage: "", help: "who is here or away", run: who },
  {
    name: "/history",
    usage: "[N]",
    help: "show the last N lines",
    run: history,
  },
  { name: "/find", usage: "TEXT", help: "last lines with TEXT", run: findText },
  { name: "/queue", usage: "", help: "undelivered messages", run: queue },
  { name: "/cancel", usage: "N", help: "cancel N of that list", run: cancel },
  {
    name: "/verify",
    usage: "",
    help: "compare codes by voice",
    run: verify,
  },
  { name: "/help", usage: "", help: "list commands and keys", run: help },
  { name: "/quit", usage: "", help: "leave; the queue stays", run: () => "leave" },
];

/** What `/help` says besides. */
const KEYS: readonly (readonly [key: string, help: string])[] = [
  ["//TEXT", "say /TEXT"],
  ["Up, Ctrl-R", "recall, search lines"],
  ["Tab", "complete a word"],
  ["Ctrl-J", "start a new line"],
  ["Ctrl-C", "clear the line or leave"],
];

/** The names of all commands, with their slash. */
export const COMMAND_NAMES: readonly string[] = COMMANDS.map(({ name }) => name);

/** Whether a line is the command that leaves the chat. */
export function isQuit(line: string): boolean {
  return find(line)?.name === "/quit";
}

/** Whether a line is a command that exists and sends no message. */
export function isCommand(line: string): boolean {
  return find(line)?.run !== undefined;
}

/**
 * The message that a line is, if it is a command that sends one.
 *
 * @throws {GreetError} `USAGE` or `NOT_FOUND` if the command cannot be obeyed
 */
export function draftOf(line: string, peer: Peer): Draft | undefined {
  const command = find(line);
  return command?.draft?.(argumentOf(line, command), peer);
}

/**
 * Runs a command that sends no message.
 *
 * @param line the typed line; it begins with a slash
 * @returns the answer, `""` for none, or `"leave"`
 */
export async function runCommand(line: string, context: CommandContext): Promise<Answer> {
  const command = find(line);
  if (command?.run === undefined) {
    return unknownCommand(line, COMMAND_NAMES);
  }
  try {
    return await command.run(context, argumentOf(line, command));
  } catch (error) {
    return errorText(GreetError.from(error));
  }
}

function find(line: string): SlashCommand | undefined {
  const [word] = line.trim().split(/\s/, 1);
  return COMMANDS.find(({ name }) => name === word);
}

function argumentOf(line: string, { name }: SlashCommand): string {
  return line.trim().slice(name.length).trim();
}

function add({ peer }: CommandContext, argument: string): string {
  if (argument === "") return "Usage: /add PEER, a port, an address or a name.";
  peer.add(unquoted(argument));
  return "";
}

function remove({ peer }: CommandContext, argument: string): string {
  if (argument === "") return "Usage: /remove PEER, a name or what added it.";
  peer.remove(unquoted(argument));
  return "";
}

/** A name with a space has quotes where it is part of a command line. */
function unquoted(argument: string): string {
  return argument.replace(/^"(.+)"$/, "$1");
}

function who({ peer }: CommandContext): string {
  const callers = peer.callers.map(earlierCallerText);
  return [...peer.others.map(whereabouts), ...callers].join("\n");
}

function whereabouts({ target, presence, lastName, trouble }: Other): string {
  switch (presence.state) {
    case "here":
      if (trouble !== undefined) {
        return `${showable(presence.name)} is here, but takes no messages: ${errorText(trouble)}.`;
      }
      return `${showable(presence.name)} is here, at ${target}.`;
    case "away": {
      if (presence.refusedBy !== undefined) return `${errorText(presence.error)}.`;
      const subject = lastName === undefined ? "Not here yet" : `${showableName(lastName)} is away`;
      return `${subject}: ${showable(presence.error.message)}.`;
    }
    case "connecting":
      return `Connecting to ${
        lastName === undefined ? "" : `${showableName(lastName)} at `
      }${target}.`;
  }
}

/** If both sides see the same codes, no one is in the middle. */
function verify({ peer }: CommandContext): string {
  const { fingerprint } = peer;
  if (fingerprint === undefined) {
    return "This chat is not encrypted, so there are no codes to compare. Use --tls on both sides.";
  }
  const others = peer.others.flatMap(({ presence }) => presence.state === "here" ? presence : []);
  if (others.length === 0) return "No peer is here to compare codes with.";
  const codeOf = (fingerprint: string | undefined) => spokenCode(fingerprint!);
  return [
    "Read these codes to each other by voice, not in this chat. " +
    "If they differ, someone is in the middle.",
    `${codeOf(fingerprint)}  ${peer.name} (you)`,
    ...others.map((other) => `${codeOf(other.fingerprint)}  ${showable(other.name)}`),
  ].join("\n");
}

function history({ peer, transcript }: CommandContext, argument: string): string {
  const limit = argument === "" ? HISTORY_LINES : wholeNumber(argument);
  if (!limit) return "Usage: /history N, where N is a number of lines from 1 to 999999.";
  const entries = peer.history(limit);
  transcript.recall(entries);
  return entries.length === 0 ? "No messages have been exchanged yet." : "";
}

async function findText({ peer, transcript }: CommandContext, text: string): Promise<Answer> {
  if (text === "") return "Usage: /find TEXT";
  const entries = await peer.find(text, FOUND_LINES + 1);
  const shown = entries.slice(-FOUND_LINES);
  transcript.recall(shown.map((entry) => excerpt(entry, text)));
  const lines = shown.length === 1 ? "1 line" : `${shown.length} lines`;
  if (entries.length > shown.length) {
    return `The last ${lines} with ${quoted(text)}; there are more.`;
  }
  return `${shown.length === 0 ? "No line" : lines} with ${quoted(text)}.`;
}

function queue(context: CommandContext): string {
  const { peer } = context;
  const listed = context.listed = peer.queue();
  if (listed.length === 0) return "No messages are waiting.";
  const outsiders = listed.flatMap(({ addressees }) => addressees)
    .filter((addressee) => !isInChat(addressee, peer));
  const remarks = outsiders.length === 0 ? [] : [outsidersText(outsiders)];
  return [...listed.map((waiting, i) => queueLine(waiting, i + 1)), ...remarks].join("\n");
}

function isInChat({ target, name }: Addressee, { others }: Peer): boolean {
  return others.some((other) =>
    other.target === target || name !== undefined && other.lastName === name
  );
}

function cancel(context: CommandContext, argument: string): string {
  const { peer, listed = peer.queue() } = context;
  const waiting = listed[(wholeNumber(argument) ?? 0) - 1];
  if (waiting === undefined) return notInQueue(argument, listed.length);
  peer.cancel(waiting);
  return "";
}

function help(): string {
  const commands = COMMANDS.map(({ name, usage, help }) => [`${name} ${usage}`.trim(), help]);
  const rows = [...commands, ...KEYS];
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, help]) => `${left.padEnd(width)}  ${help}`).join("\n");
}

function wholeNumber(text: string): number | undefined {
  return /^\d{1,6}$/.test(text) ? Number(text) : undefined;
}
