/**
 * Prints the manual page, made from the table of commands: `deno task manual`.
 *
 * It uses the macros that every man program knows, man(7). Lines are filled, so that the page reads
 * well at any width.
 *
 * @module
 */
import config from "../deno.json" with { type: "json" };
import { COMMANDS } from "../src/cli/commands.ts";
import { type Command, type Example, EXAMPLES, SUMMARY } from "../src/cli/help.ts";
import {
  BUGS,
  ENVIRONMENT,
  EXIT_CODES,
  FILES,
  OUTPUT,
  SEE_ALSO,
  type Term,
} from "./manual_text.ts";

/** The manual page, for `greet.1`. */
export function manualPage(date: Date): string {
  const version = `greet ${config.version}`;
  return [
    `.TH GREET 1 ${date.toISOString().slice(0, 10)} "${version}" "User Commands"`,
    // Words stay whole, and lines have no gaps: people copy from here.
    ".nh",
    ".ad l",
    ".SH NAME",
    `greet \\- ${escaped(SUMMARY.replace(/\.$/, "").toLowerCase().replace("grpc", "gRPC"))}`,
    ".SH SYNOPSIS",
    ...COMMANDS.map(({ name, usage }) =>
      `.B greet ${name}\n${italic(`${usage} [OPTION...]`)}\n.br`
    ),
    `.B greet help\n${italic("[COMMAND]")}\n.br`,
    ".B greet \\-\\-version\n.RB [ \\-\\-json ]",
    ".SH DESCRIPTION",
    ...paragraphs(OUTPUT),
    ".SH COMMANDS",
    ...COMMANDS.flatMap(commandPart),
    ".SH EXIT STATUS",
    ...EXIT_CODES.flatMap(term),
    ".SH ENVIRONMENT",
    ...ENVIRONMENT.flatMap(term),
    ".SH FILES",
    ...FILES.flatMap(term),
    ".SH EXAMPLES",
    ...exampleParts(EXAMPLES).slice(1),
    ".SH BUGS",
    ...paragraphs(BUGS),
    ".SH SEE ALSO",
    SEE_ALSO.map(([page, section]) => `.BR ${page} (${section})`).join(" ,\n"),
    "",
  ].join("\n");
}

function commandPart({ name, usage, summary, details, options, examples }: Command): string[] {
  return [
    `.SS "greet ${name} ${escaped(usage)}"`,
    ...paragraphs(`${summary[0].toUpperCase()}${summary.slice(1)}.\n\n${details}`),
    ...Object.entries(options).flatMap(([option, { value = "", help }]) => [
      ".TP",
      `.BI \\-\\-${escaped(option)} ${value && `" ${value}"`}`.trimEnd(),
      ...filled(help),
    ]),
    ".PP",
    "Examples:",
    ...exampleParts(examples),
  ];
}

/** Paragraphs, of which each may have several lines. */
function paragraphs(text: string): string[] {
  return text.split("\n\n").flatMap((paragraph, i) => [
    ...i === 0 ? [] : [".PP"],
    ...filled(paragraph),
  ]);
}

/** Lines to copy, each below what it does. */
function exampleParts(examples: readonly Example[]): string[] {
  return examples.flatMap(([effect, line]) =>
    effect === "" ? [".RS", ".B " + quoted(line), ".RE"] : [
      ".PP",
      `${escaped(effect[0].toUpperCase() + effect.slice(1))}:`,
      ".RS",
      ".B " + quoted(line),
      ".RE",
    ]
  );
}

function term([name, text]: Term): string[] {
  return [".TP", `.B ${quoted(name)}`, ...filled(text)];
}

/** Text that is filled when the page is shown, in lines of the length that roff programs expect. */
function filled(text: string): string[] {
  const lines = escaped(text.replaceAll("\n", " ")).match(/.{1,78}(?= |$)/g) ?? [];
  // A line that begins with a dot would be a request.
  return lines.map((line) => line.trim().replace(/^\./, String.raw`\&.`));
}

function italic(text: string): string {
  return `.I ${quoted(text)}`;
}

/** One argument of a macro. */
function quoted(text: string): string {
  return `"${escaped(text).replaceAll('"', String.raw`\(dq`)}"`;
}

/** Characters that roff would take for something else, or print as another one. */
const ESCAPES: Readonly<Record<string, string>> = {
  "\\": String.raw`\e`,
  "-": String.raw`\-`,
  "~": String.raw`\(ti`,
  "^": String.raw`\(ha`,
  "`": String.raw`\(ga`,
  "'": String.raw`\(aq`,
};

function escaped(text: string): string {
  return text.replaceAll(/[\\~^`'-]/g, (letter) => ESCAPES[letter]);
}

/** The date of the page: that of the build, or the one for builds that are to be repeatable. */
export function dateOfBuild(): Date {
  const epoch = Deno.env.get("SOURCE_DATE_EPOCH");
  return epoch ? new Date(Number(epoch) * 1000) : new Date();
}

if (import.meta.main) await Deno.stdout.write(new TextEncoder().encode(manualPage(dateOfBuild())));
