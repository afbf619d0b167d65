/**
 * `greet greet`: greets a server, or the servers that share a name, once for each name.
 *
 * @module
 */
import { type Arguments, quote } from "./arguments.ts";
import type { GreetError } from "../base/errors.ts";
import { exitCode } from "./exit_codes.ts";
import type { Io } from "./io.ts";
import { hintFor, reportError, reportHint, reportUncaught, warn } from "./reports.ts";
import { renounce } from "../base/permissions.ts";
import { commandHint, didYouMean } from "./command_guesses.ts";
import { namingOf, noService, parsedService, serviceText } from "./naming_options.ts";
import { rendered } from "../terminal/rows.ts";
import { isLocal, isOnlyName, isTarget, parseTarget } from "../net/address.ts";
import { parseName, showable, toJson } from "../base/text.ts";
import type { Outcome } from "../greeter/outcomes.ts";
import { parseDestination } from "../greeter/destination.ts";
import { clientTls, EXPOSED } from "./tls_options.ts";

/** Greets once for each name; the exit code is that of the first failed name in the order given. */
export async function greetCommand(input: Arguments, io: Io): Promise<number> {
  const { targetText, names } = greetArguments(input, io);
  const naming = isTarget(targetText) ? undefined : await namingOf(input, io);
  const destination = parseDestination(targetText, naming);
  const target = "target" in destination ? destination.target : undefined;
  const options = {
    maxTime: input.number("max-time", { above: 0, max: 86_400 }),
    threads: input.number("threads", { above: 0, max: 1_024, whole: true }),
    wait: input.flag("wait"),
    signal: io.signal,
    tls: await clientTls(input, target),
  };
  // Reading stays allowed: Workers load their modules from files.
  renounce(["write"], [targetText, naming?.place]);
  const { greetOnThreads } = await import("../greeter/client_threads.ts");
  if (options.tls === undefined && !(target !== undefined && isLocal(target))) warn(EXPOSED, io);
  if (!input.flag("json") && !input.flag("quiet")) {
    names.forEach((_, index) => io.stdout.line(`Client ${index + 1} started`));
  }
  // The greetings go on, and end in time whatever has failed.
  using _reporting = reportUncaught(io);
  const errors: GreetError[] = [];
  for await (const outcome of greetOnThreads(destination, names, options)) {
    if ("error" in outcome) errors[outcome.index] = outcome.error;
    if (input.flag("json")) io.stdout.line(outcomeLine(outcome));
    else printOutcome(outcome, io);
  }
  if (io.signal.aborted) return exitCode("INTERRUPTED");
  const failed = errors.filter((error) => error !== undefined);
  if (!input.flag("json")) reportHints(failed, options.wait, io);
  const [first] = failed;
  return first === undefined ? 0 : exitCode(first.code);
}

/** The arguments; TARGET can be a name only if there is a naming service. */
function greetArguments(input: Arguments, io: Io): { targetText: string; names: string[] } {
  const typed = input.positionals(0, Infinity);
  // An invalid service in the environment does no harm to a greeting that needs none.
  const hasService = !isTarget(typed[0] ?? "") || input.flag("names")
    ? parsedService(input, io) !== undefined
    : serviceText(input, io) !== undefined;
  if (!hasService) refuseMisplaced(typed, input);
  const [targetText, ...names] = input.positionals(2, Infinity);
  return { targetText, names: names.map(parseName) };
}

/** Refuses what cannot be a target, with the order that was probably meant. */
function refuseMisplaced([target, ...rest]: readonly string[], input: Arguments): void {
  if (target === undefined) return;
  const commands = input.commands.map(({ name }) => name);
  const isCommand = [...commands, "help", "list", "watch", "version"].includes(target);
  if (isCommand) {
    const hint = commandHint([target, ...rest], input.commands);
    throw input.usage(`${quote(target)} is a command, not a target`, hint);
  }
  const at = rest.findIndex((word) => /^\d{2,5}$/.test(word) || isTarget(word));
  if (isOnlyName(target) && at !== -1) {
    const names = [target, ...rest.toSpliced(at, 1)];
    throw input.usage("TARGET comes before the names", didYouMean(["greet", rest[at], ...names]));
  }
  if (isOnlyName(target)) throw noService(target);
  if (!isTarget(target) && at === 0) {
    const hint = didYouMean(["greet", `${target}:${rest[0]}`, ...rest.slice(1)]);
    throw input.usage(`the target ${quote(target)} has no port`, hint);
  }
  if (rest.length === 0) parseTarget(target);
}

function printOutcome(outcome: Outcome, io: Io): void {
  const { name } = outcome;
  if ("error" in outcome) {
    return reportError({ message: outcome.error.message }, io, `[${name}] `);
  }
  const { greeting } = outcome;
  const line = [
    { text: `[${name}] Message received from server: "`, look: "plain" },
    { text: greeting, look: "plain", safely: showable },
    { text: '"', look: "plain" },
  ] as const;
  io.stdout.print(rendered(line, { columns: io.columns }), greeting.length);
}

/** Reports each hint once, however many greetings have failed for the same reason. */
function reportHints(errors: readonly GreetError[], hasWaited: boolean, io: Io): void {
  const advice = hasWaited ? undefined : "is the server running? --wait waits for it to come up";
  const hints = errors.flatMap((error) => hintFor(error, advice) ?? []);
  for (const hint of new Set(hints)) reportHint(hint, io);
}

function outcomeLine(outcome: Outcome): string {
  const { name } = outcome;
  if ("error" in outcome) {
    return toJson({ type: "error", name, ...outcome.error.toJSON() });
  }
  return toJson({ type: "greeting", name, greeting: outcome.greeting });
}
