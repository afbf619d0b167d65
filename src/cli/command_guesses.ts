/**
 * Guesses which command line a mistyped one was meant to be, as the hint of an error.
 *
 * @module
 */
import { type Meanings, meaningsOf, nearest } from "../base/nearest.ts";
import { shellWord } from "../base/shell_word.ts";
import { isTarget } from "../net/address.ts";
import type { Syntax } from "./syntax.ts";

/** Words that other programs use for a command, and the one of this program. */
const COMMAND_WORDS: Meanings = [
  ["start run listen up daemon", "serve"],
  ["client hello hi say call ping request send", "greet"],
  ["talk message msg peer connect join", "chat"],
  ["registry naming ns nameserver discovery", "names"],
  ["list ls show get lookup", "names list"],
  ["watch follow", "names watch"],
  ["identity identities key keys fingerprint whoami", "id"],
  ["v version", "--version"],
  ["h ? help usage man", "--help"],
];

/** What `greet names` can be asked. */
export const QUERIES = ["list", "watch"];

/** The hint for a command that does not exist; `args` begins with it. */
export function commandHint(args: readonly string[], commands: readonly Syntax[]): string {
  const [typed, ...rest] = args;
  const names = commands.map(({ name }) => name);
  const parts = typed.trim().split(/\s+/);
  if (parts.length > 1 && names.includes(parts[0])) return didYouMean([...parts, ...rest]);
  const first = rest.findIndex((word) => names.includes(word));
  if (typed.startsWith("-") && first !== -1) {
    const ordered = [rest[first], typed, ...rest.toSpliced(first, 1)];
    return `the command comes first: ${commandLine(ordered)}`;
  }
  if (isTarget(typed)) return didYouMean([rest.length === 0 ? "serve" : "greet", ...args]);
  const meant = nearest(typed, names) ?? meaningsOf(typed, COMMAND_WORDS)[0] ??
    nearest(typed, ["--version", "--help"]);
  if (meant !== undefined) {
    return didYouMean([...meant.split(" "), ...meant === "--version" ? [] : rest]);
  }
  if (rest.length > 1 && isTarget(rest[0])) return didYouMean(["chat", ...args]);
  return "see greet --help";
}

/** The hint for arguments of `greet names` that are not a port or a query, if there is a good one. */
export function queryHint(words: readonly string[]): string | undefined {
  const queries = words.flatMap((word) => queryMeant(word) ?? []);
  const [other] = words.filter((word) => queryMeant(word) === undefined);
  const asked = queries[0] ?? (words.length === 1 ? "watch" : undefined);
  if (asked === "serve") return didYouMean(["names", ...other === undefined ? [] : [other]]);
  if (asked === undefined) return undefined;
  if (other === undefined) return didYouMean(["names", asked]);
  return didYouMean(["names", ...isTarget(other) ? ["list", "--names", other] : ["watch", other]]);
}

/** Whether a word means a query, or the server itself. */
export function queryMeant(word: string): string | undefined {
  const [command = nearest(word, ["serve", ...QUERIES])] = meaningsOf(word, COMMAND_WORDS);
  return ["serve", ...QUERIES].find((query) => command === query || command === `names ${query}`);
}

/** A hint with a whole command line. */
export function didYouMean(args: readonly string[]): string {
  return `did you mean ${commandLine(args)}?`;
}

/** A command line as it is typed in a shell. */
export function commandLine(args: readonly string[]): string {
  return ["greet", ...args.map(shellWord)].join(" ");
}
