/**
 * Answers to mistyped commands of a chat.
 *
 * @module
 */
import { type Meanings, meaningsOf, nearest } from "../base/nearest.ts";
import { clipped, showable } from "../base/text.ts";

/** Words that other chat programs use for a command, and the command here. */
const WORDS: Meanings = [
  ["exit leave bye q x part disconnect close stop end logout", "/quit"],
  ["users list names online peers w members here", "/who"],
  ["h ? commands usage man", "/help"],
  ["log last scrollback", "/history"],
  ["pending waiting outbox unsent", "/queue"],
  ["delete del rm undo unsend retract", "/cancel"],
  ["join invite connect dial call", "/add"],
  ["kick ban drop", "/remove"],
  ["code codes fingerprint key keys trust", "/verify"],
  ["search grep", "/find"],
  ["whisper dm pm tell query private", "/msg"],
  ["action emote", "/me"],
];

/**
 * The answer to a command that does not exist, with the one that was probably meant.
 *
 * @param line the typed line; it begins with a slash
 * @param commands the commands that exist, with their slash
 */
export function unknownCommand(line: string, commands: readonly string[]): string {
  const [typed] = line.trim().split(/\s/, 1);
  const known = meaningsOf(typed, WORDS).find((command) => commands.includes(command));
  const meant = known ?? nearest(typed, commands);
  const advice = meant === undefined
    ? "/help lists the commands. To say a line that begins with /, begin it with //."
    : `Did you mean ${meant}?`;
  return `Unknown command: ${showable(clipped(typed))}. ${advice}`;
}

/**
 * The answer to a number that `/queue` did not list.
 *
 * @param argument what was typed after `/cancel`
 * @param count how many messages it listed
 */
export function notInQueue(argument: string, count: number): string {
  if (count === 0) return "No messages are waiting, so there is nothing to cancel.";
  if (!/^\d+$/.test(argument)) return "Usage: /cancel N, where N is a number from /queue.";
  const listed = count === 1 ? "only message 1" : `messages 1 to ${count}`;
  return `There is no message ${argument}: /queue lists ${listed}.`;
}
