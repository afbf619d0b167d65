/**
 * Finds out what can stand at the cursor of an unfinished command line, from the table of commands.
 *
 * @module
 */
import { COMMON_OPTIONS, type NameSource, type Option, type Syntax } from "./syntax.ts";

/** A word that can stand at the cursor, with what it means if that is known. */
export interface Candidate {
  readonly word: string;
  readonly help?: string;
}

/** What else can stand there. Files, folders and hosts are left to the shell. */
export type Kind = "files" | "folders" | "hosts" | NameSource;

/** What can stand at the cursor. */
export interface Place {
  readonly words: readonly Candidate[];
  readonly kind?: Kind;
  /** The beginning of the typed word that is not part of the value: `--cert=`. */
  readonly prefix: string;
  /** The command, and the words between it and the cursor. */
  readonly command?: Syntax;
  readonly typed: readonly string[];
}

/** What the placeholder of an option's value stands for. */
const KINDS: Readonly<Record<string, Kind>> = {
  FILE: "files",
  DIR: "folders",
  HOST: "hosts",
  SERVICE: "hosts",
};

/** The words of a command line, sorted. */
interface Sorted {
  readonly positionals: readonly string[];
  readonly options: ReadonlySet<string>;
  /** The option whose value comes next. */
  readonly open?: Option;
  /** Whether `--` has ended the options. */
  readonly isOver: boolean;
}

/**
 * What can stand at the cursor.
 *
 * @param line the words after `greet` up to the cursor; the last one is unfinished, and may be empty
 * @param commands the table of commands
 *
 * @example
 * ```ts
 * import { placeOf } from "./candidates.ts";
 * import { COMMANDS } from "./commands.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(placeOf(["serve", "--cert", ""], COMMANDS).kind, "files");
 * assert.equal(placeOf(["greet", ""], COMMANDS).kind, "registered names");
 * const { words } = placeOf(["chat", "--bell", ""], COMMANDS);
 * assert.deepEqual(words.map(({ word }) => word), ["all", "mention"]);
 * ```
 */
export function placeOf(line: readonly string[], commands: readonly Syntax[]): Place {
  const [name, ...rest] = line;
  const nothing: Place = { words: [], prefix: "", typed: [] };
  const all = commands.map(({ name, summary }) => ({ word: name, help: summary }));
  if (rest.length === 0) return { ...nothing, words: [...all, ...PROGRAM_WORDS] };
  if (name === "help") return rest.length === 1 ? { ...nothing, words: all } : nothing;
  const command = commands.find((command) => command.name === name);
  if (command === undefined) return nothing;
  const [typed, current] = [rest.slice(0, -1), rest.at(-1)!];
  const place = { ...nothing, command, typed };
  const sorted = sort(typed, command);
  if (sorted.open !== undefined) return { ...place, ...valueOf(sorted.open) };
  if (sorted.isOver || !current.startsWith("-")) {
    return { ...place, ...argumentAt(sorted.positionals, command) };
  }
  const [prefix] = /^--[\w-]+=/.exec(current) ?? [];
  if (prefix === undefined) return { ...place, words: optionsLeft(sorted.options, command) };
  const option = optionsOf(command)[prefix.slice(2, -1)];
  return { ...place, prefix, ...option?.value === undefined ? {} : valueOf(option) };
}

/** What can stand in place of a command. */
const PROGRAM_WORDS: readonly Candidate[] = [
  { word: "help", help: "show the help of a command" },
  ...Object.entries(COMMON_OPTIONS).map(([name, { help }]) => ({ word: `--${name}`, help })),
];

function optionsOf({ options }: Syntax): Syntax["options"] {
  return { ...options, ...COMMON_OPTIONS };
}

function sort(words: readonly string[], command: Syntax): Sorted {
  const positionals: string[] = [];
  const options = new Set<string>();
  let open: Option | undefined;
  let isOver = false;
  for (const word of words) {
    const [, name, hasValue] = /^--([\w-]+)(=)?/.exec(word) ?? [];
    if (open !== undefined) open = undefined;
    else if (isOver || !word.startsWith("-") || word === "-") positionals.push(word);
    else if (word === "--") isOver = true;
    else if (name !== undefined) {
      options.add(name);
      const option = optionsOf(command)[name];
      if (option?.value !== undefined && !hasValue) open = option;
    }
  }
  return { positionals, options, open, isOver };
}

function valueOf({ value = "", values = [] }: Option): Pick<Place, "words" | "kind"> {
  return { words: values.map((word) => ({ word })), kind: KINDS[value] };
}

/** The options that were not given yet. */
function optionsLeft(given: ReadonlySet<string>, command: Syntax): Candidate[] {
  return Object.entries(optionsOf(command))
    .filter(([name]) => !given.has(name))
    .map(([name, { help }]) => ({ word: `--${name}`, help }));
}

/** What the usage says about the argument after some others. */
function argumentAt(
  positionals: readonly string[],
  { usage, names = {} }: Syntax,
): Pick<Place, "words" | "kind"> {
  const parts = new Set(usage.split(" | ").flatMap((form) => partsAfter(positionals, form)));
  const words = [...parts].filter((part) => /^[a-z]/.test(part)).map((word) => ({ word }));
  const [kind] = [...parts].flatMap((part) => Object.hasOwn(names, part) ? names[part] : []);
  return { words, kind };
}

/** The parts of a usage that can follow some arguments: words, and placeholders without brackets. */
function partsAfter(positionals: readonly string[], form: string): string[] {
  const parts = form.replace(/ --.*/, "").split(" ").filter((part) => part !== "");
  const bare = (part: string) => part.replaceAll(/[[\].]/g, "");
  const isWrong = positionals.some((word, i) => /^[a-z]/.test(parts[i] ?? "") && parts[i] !== word);
  if (isWrong) return [];
  const next = parts.slice(positionals.length);
  if (next.length === 0) return parts.at(-1)?.endsWith("...") ? [bare(parts.at(-1)!)] : [];
  // What is optional may be left out.
  const required = next.findIndex((part) => !part.startsWith("["));
  return next.slice(0, required === -1 ? undefined : required + 1).map(bare);
}
