/**
 * Help texts, generated from the table of commands.
 *
 * @module
 */
import type { Arguments } from "./arguments.ts";
import type { Io } from "./io.ts";
import { COMMON_OPTIONS, type Syntax } from "./syntax.ts";

/** A command of the program. */
export interface Command extends Syntax {
  readonly summary: string;
  /** More about its arguments, in lines that fit a terminal. */
  readonly details: string;
  /** Runs it, and returns the exit code. */
  run(input: Arguments, io: Io): Promise<number>;
}

/** The help of the whole program. */
export function generalHelp(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name, usage }) => `${name} ${usage}`.length));
  return [
    "Greetings over gRPC, and peer-to-peer chats.",
    "",
    "Usage:",
    ...commands.map(({ name, usage, summary }) =>
      `  greet ${`${name} ${usage}`.padEnd(width)}  ${summary}`
    ),
    "",
    "greet COMMAND --help shows the options of a command; greet --version shows the version.",
  ].join("\n");
}

/** The help of one command. */
export function commandHelp({ name, usage, summary, details, options }: Command): string {
  const rows = Object.entries({ ...options, ...COMMON_OPTIONS }).map((
    [option, { value, help }],
  ) => [`--${option}${value ? ` ${value}` : ""}`, help] as const);
  const width = Math.max(...rows.map(([left]) => left.length));
  return [
    `greet ${name} ${usage} [OPTION...]: ${summary}`,
    "",
    details,
    "",
    "Options:",
    ...rows.map(([left, help]) => `  ${left.padEnd(width)}  ${help}`),
  ].join("\n");
}
