/**
 * Names that completions offer: of identities and journals on this machine, or of a naming service.
 *
 * Completing must never disturb, so there are no errors here: what cannot be read has no names.
 *
 * @module
 */
import { Arguments } from "./arguments.ts";
import type { NameSource, Syntax } from "./syntax.ts";
import type { Io } from "./io.ts";
import { openService, parsedService } from "./naming_options.ts";
import { homeFolder } from "../base/home.ts";
import { Output } from "../base/output.ts";
import { nameProblem } from "../base/text.ts";
import { within } from "../base/timing.ts";
import { isTarget } from "../net/address.ts";

/** How long a naming service may take to answer, in milliseconds. */
const ANSWER_MS = 200;

/**
 * The names of a kind, sorted.
 *
 * @param source which names
 * @param command the command that is typed
 * @param typed its words so far; the options among them say where names are
 */
export async function namesFor(
  source: NameSource,
  command: Syntax,
  typed: readonly string[],
  io: Io,
): Promise<string[]> {
  const silent: Io = {
    ...io,
    stderr: new Output({ write: ({ length }) => Promise.resolve(length) }),
  };
  const find = source === "own names" ? ownNames : registeredNames;
  try {
    const names = await find(new Arguments(command, typed.map(withHome(io))), silent);
    // Line breaks, for example, cannot be part of a valid name.
    return [...new Set(names)].filter((name) => nameProblem(name) === undefined).sort();
  } catch {
    return [];
  }
}

/** Expands `~/`, as the shell will. */
function withHome({ env }: Io): (word: string) => string {
  return (word) => word.startsWith("~/") ? `${env("HOME") ?? "~"}${word.slice(1)}` : word;
}

async function ownNames(input: Arguments, io: Io): Promise<readonly string[]> {
  const home = homeFolder(input.string("home"), { os: Deno.build.os, env: io.env });
  const [{ identitiesIn }, { journalNames }] = await Promise.all([
    import("../identity/identity.ts"),
    import("../peer/journal_names.ts"),
  ]);
  return [...identitiesIn(home).map(({ name }) => name), ...journalNames(home)];
}

/** The names at the naming service, if there is one that answers in time. */
async function registeredNames(input: Arguments, io: Io): Promise<readonly string[]> {
  if (parsedService(input, io) === undefined) return [];
  const names = await openService(input, io);
  let found: readonly string[] = [];
  try {
    const list = names.list({ maxTime: ANSWER_MS / 1000 });
    await within(ANSWER_MS, list.then((entries) => found = entries.map(({ name }) => name)));
    // As an argument, any other name would be a target.
    return found.filter((name) => !isTarget(name) && !name.includes("@"));
  } finally {
    // Giving back the connection may take longer, and the program ends anyway.
    names[Symbol.asyncDispose]().catch(() => {});
  }
}
