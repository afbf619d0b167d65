/**
 * `greet completions`: prints the script that completes command lines in a shell, and answers what
 * such a script asks.
 *
 * @module
 */
import { type Arguments, quote } from "./arguments.ts";
import { quoteForBash, readBashLine } from "./bash_line.ts";
import { type Candidate, placeOf } from "./candidates.ts";
import { COMPLETION_SCRIPTS } from "./completion_scripts.ts";
import type { Io } from "./io.ts";
import { namesFor } from "./known_names.ts";

/** What a script is told: what the shell itself is to offer, and words to offer. */
interface Offer {
  readonly kind: "words" | "files" | "folders" | "hosts";
  readonly words: readonly Candidate[];
}

/** Prints a script or, if there is more than the shell, what can stand at the cursor. */
export async function completionsCommand(input: Arguments, io: Io): Promise<number> {
  const [shell, ...line] = input.positionals(1, Infinity, "bash, zsh or fish");
  io.stdout.exact();
  if (!Object.hasOwn(COMPLETION_SCRIPTS, shell)) {
    throw input.usage(`there are completions for bash, zsh and fish, not for ${quote(shell)}`);
  }
  if (line.length === 0) io.stdout.line(COMPLETION_SCRIPTS[shell]);
  else for (const text of await answerTo(shell, line, input, io)) io.stdout.line(text);
  return 0;
}

async function answerTo(
  shell: string,
  line: readonly string[],
  { commands }: Arguments,
  io: Io,
): Promise<string[]> {
  if (shell === "bash") return await answerToBash(line, commands, io);
  const { kind, words } = await offerFor(line, commands, io);
  return [kind, ...words.map(({ word, help }) => help === undefined ? word : `${word}\t${help}`)];
}

/** Bash gives the whole line, and takes words that are quoted already. */
async function answerToBash(
  [breaks, line = ""]: readonly string[],
  commands: Arguments["commands"],
  io: Io,
): Promise<string[]> {
  const { words, quote, kept } = readBashLine(line, breaks);
  const program = words.findIndex((word) => !/^\w+=/.test(word));
  const offer = await offerFor(words.slice(program + 1), commands, io);
  const fitting = offer.words.filter(({ word }) => word.startsWith(words.at(-1)!));
  return [offer.kind, ...fitting.map(({ word }) => quoteForBash(word.slice(kept.length), quote))];
}

/** What can stand at the cursor. Names that look like options are offered after `--` only. */
async function offerFor(
  line: readonly string[],
  commands: Arguments["commands"],
  io: Io,
): Promise<Offer> {
  const { kind, words, prefix, command, typed } = placeOf(line, commands);
  const offered = (words: readonly Candidate[]) =>
    words.map(({ word, help }) => ({ word: prefix + word, help }));
  if (command === undefined || kind === undefined) return { kind: "words", words: offered(words) };
  if (kind !== "own names" && kind !== "registered names") return { kind, words: offered(words) };
  const names = (await namesFor(kind, command, typed, io))
    .filter((name) => !name.startsWith("-") || typed.includes("--"));
  return { kind: "words", words: [...words, ...names.map((word) => ({ word }))] };
}
