/**
 * Guesses which option a mistyped one was meant to be, as the hint of an error.
 *
 * @module
 */
import { bare, type Meanings, meaningsOf, nearest } from "../base/nearest.ts";
import { didYouMean, QUERIES, queryMeant } from "./command_guesses.ts";
import { COMMON_OPTIONS, type Syntax } from "./syntax.ts";

/**
 * Words that other programs use for an option, and what this program has: options, arguments (in
 * capitals) and words of the usage. The first that the command has is suggested.
 */
const OPTION_WORDS: Meanings = [
  ["p port", "PORT TARGET"],
  ["h usage", "--help"],
  ["v", "--version"],
  ["bind listen listen-address interface iface", "--host PORT TARGET"],
  ["host hostname server address addr target url", "--host TARGET"],
  ["name nick nickname user username me from", "--as NAME"],
  ["n", "NAME --as"],
  ["to peer peers connect remote with", "PEER TARGET"],
  ["list ls l", "list"],
  ["watch follow f", "watch"],
  [
    "naming registry discovery etcd lan mdns bonjour zeroconf avahi ns nameserver name-server service",
    "--names",
  ],
  ["public public-host advertised external", "--advertise"],
  ["t timeout deadline time-limit max-wait limit", "--max-time --linger"],
  ["retry retries wait-for-ready block", "--wait"],
  ["workers jobs cpus parallel concurrency c", "--threads"],
  ["tls ssl secure encrypt encryption https e", "--tls --cert+--key"],
  ["no-tls notls no-ssl nossl unencrypted no-encryption http plain", "--plaintext"],
  ["k skip-verify no-verify insecure-skip-verify", "--insecure"],
  ["ca ca-cert ca-file cafile root-cert roots trust", "--cacert --client-ca"],
  ["certificate crt tls-cert cert-file client-cert", "--cert"],
  ["private-key tls-key key-file", "--key"],
  ["mtls client-cacert verify-client", "--client-ca"],
  ["j jsonl output format o", "--json"],
  ["q s silent", "--quiet"],
  ["no-color nocolor no-colors no-colour", "--color=never"],
  ["d dir data data-dir state folder path", "--home"],
  ["no-history no-store incognito ephemeral", "--no-journal"],
  ["y force assume-yes", "--yes"],
  ["until older-than", "--before"],
  ["after newer-than", "--since"],
  ["grep search query filter", "--find"],
  ["beep sound notify ring", "--bell"],
];

/** What is not an option anywhere, and how it is done. */
const OTHER_WAYS: Meanings = [
  ["m message msg text body", "messages are typed or piped in, not given as arguments"],
];

/** The hint for an option that a command does not have. */
export function optionHint(typed: string, command: Syntax, commands: readonly Syntax[]): string {
  if (/^-\d/.test(typed)) {
    return "nothing here is negative; put -- before a name that begins with -";
  }
  // A value may be joined to its option.
  const word = typed.replace(/:.*/s, "").replace(/^(-[a-z])\d+$/i, "$1");
  const isName = /^-[^-]./.test(typed) && /NAME/.test(command.usage);
  return knownWordHint(word, command) ??
    optionOf(word, command, commands) ??
    queryWordHint(word, command) ??
    meaningsOf(word, OTHER_WAYS)[0] ??
    (isName ? "put -- before a name that begins with -" : `see greet ${command.name} --help`);
}

/** The hint for a word of other programs, with the first of its meanings that the command has. */
function knownWordHint(word: string, command: Syntax): string | undefined {
  const meanings = meaningsOf(word, OPTION_WORDS).flatMap((meant) => meant.split(" "));
  return meanings.flatMap((meant) => meaningHint(meant, command) ?? [])[0];
}

/** The hint with an option of this command that is spelled like it, or of another that is it. */
function optionOf(word: string, command: Syntax, commands: readonly Syntax[]): string | undefined {
  const near = nearest(word, optionsOf(command));
  const owners = commands.filter(({ options }) => Object.hasOwn(options, bare(word)));
  if (near !== undefined && (owners.length === 0 || bare(near) === bare(word))) {
    return `did you mean ${near}?`;
  }
  const names = owners.map(({ name }) => `greet ${name}`);
  return names.length === 0 ? undefined : `it is an option of ${enumeration(names)}`;
}

/** The hint for a query of names, if the command has to do with names. */
function queryWordHint(word: string, { options }: Syntax): string | undefined {
  const query = queryMeant(word);
  const isQuery = query !== undefined && QUERIES.includes(query);
  return isQuery && Object.hasOwn(options, "names") ? didYouMean(["names", query]) : undefined;
}

function optionsOf({ options }: Syntax): string[] {
  return Object.keys({ ...options, ...COMMON_OPTIONS }).map((name) => `--${name}`);
}

/** The hint for one meaning of a word, if the command has it. */
function meaningHint(meant: string, command: Syntax): string | undefined {
  const { name, usage } = command;
  if (meant.startsWith("--")) {
    const known = optionsOf(command);
    const isKnown = meant.split("+").every((option) => known.includes(option.split("=")[0]));
    return isKnown ? `did you mean ${meant.replace("+", " and ").replace("=", " ")}?` : undefined;
  }
  if (!usage.split(/[^\w]+/).includes(meant)) return undefined;
  if (QUERIES.includes(meant)) return didYouMean([name, meant]);
  return `${meant} needs no option: greet ${name} ${usage}`;
}

function enumeration(words: readonly string[]): string {
  return words.length === 1 ? words[0] : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}
