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
  /** Lines to copy into a shell, each with what it does. */
  readonly examples: readonly Example[];
  /** Runs it, and returns the exit code. */
  run(input: Arguments, io: Io): Promise<number>;
}

/** What a line does, and the line. */
export type Example = readonly [effect: string, line: string];

/** The program in one line. */
export const SUMMARY = "Greetings over gRPC, and peer-to-peer chats.";

/** Examples of the program as a whole. */
export const EXAMPLES: readonly Example[] = [
  ["serve greetings, and in another terminal ask for some", "greet serve 55550"],
  ["", "greet greet 55550 Bob Alice"],
  ["chat as Alice with Bob, who chats the other way round", "greet chat Alice 55555 55556"],
  ["", "greet chat Bob 55556 55555"],
];

/** The help of the whole program. */
export function generalHelp(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name, usage }) => `${name} ${usage}`.length));
  return [
    SUMMARY,
    "",
    "Usage:",
    ...commands.map(({ name, usage, summary }) =>
      `  greet ${`${name} ${usage}`.padEnd(width)}  ${summary}`
    ),
    "",
    "Examples:",
    ...exampleLines(EXAMPLES),
    "",
    "greet help COMMAND shows the options of a command; greet --version shows the version.",
  ].join("\n");
}

/** The help of one command. */
export function commandHelp({ name, usage, summary, details, examples, options }: Command): string {
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
    "",
    "Examples:",
    ...exampleLines(examples),
  ].join("\n");
}

/** Examples as a shell would take them, with comments. */
function exampleLines(examples: readonly Example[]): string[] {
  return examples.flatMap(([effect, line]) =>
    effect === "" ? [`  ${line}`] : [`  # ${effect}`, `  ${line}`]
  );
}
