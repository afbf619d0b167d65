/**
 * What a line that was typed or piped means: a command, or something to say. A line that begins
 * with two slashes says the same with one.
 *
 * @module
 */
import { lengthProblem } from "../peer/messages.ts";
import type { Objection } from "../terminal/editor.ts";
import { COMMAND_NAMES } from "./slash_commands.ts";

/** A command with a space in front, or what looks like a mistyped one. */
const INDENTED_COMMAND = /^\s+(\/[A-Za-z]{1,20})(?!\S)/;

/** What a typed line says; `undefined` if it is a command. */
export function spokenText(line: string): string | undefined {
  if (!line.startsWith("/")) return line;
  return line.startsWith("//") ? line.slice(1) : undefined;
}

/** The line that says a text: the reverse of {@link spokenText}. */
export function lineFor(text: string): string {
  return text.startsWith("/") ? `/${text}` : text;
}

/** What a piped line says. Logs are full of paths and comments, so only commands are escaped. */
export function pipedText(line: string): string {
  const [word] = line.split(/\s/, 1);
  const isEscaped = word.startsWith("//") && COMMAND_NAMES.includes(word.replace(/^\/+/, "/"));
  return isEscaped ? line.slice(1) : line;
}

/** Why a typed line should not be sent as it is, if there is a reason. */
export function objectionTo(line: string): Objection | undefined {
  const text = spokenText(line);
  if (text === undefined) return undefined;
  const problem = lengthProblem(text);
  if (problem !== undefined) return { reason: `Not sent: ${problem}.`, isQuestion: false };
  const command = INDENTED_COMMAND.exec(text)?.[1];
  if (command === undefined) return undefined;
  const reason = `Not sent: with a space in front, ${command} is a message. ` +
    "Press Enter again to send it.";
  return { reason, isQuestion: true };
}
