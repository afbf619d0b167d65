/**
 * `greet greet`: greets a server, or the servers that share a name, once for each name.
 *
 * @module
 */
import type { Arguments } from "./arguments.ts";
import type { GreetError } from "../base/errors.ts";
import { exitCode } from "./exit_codes.ts";
import type { Io } from "./io.ts";
import { reportError, warn } from "./reports.ts";
import { renounce } from "../base/permissions.ts";
import { namingOf } from "./naming_options.ts";
import { rendered } from "../terminal/rows.ts";
import { isLocal } from "../net/address.ts";
import { parseName, showable, toJson } from "../base/text.ts";
import type { Outcome } from "../greeter/client_threads.ts";
import { parseDestination } from "../greeter/destination.ts";
import { clientTls, EXPOSED } from "./tls_options.ts";

/** Greets once for each name; the exit code is that of the first failed name in the order given. */
export async function greetCommand(input: Arguments, io: Io): Promise<number> {
  const [targetText, ...typedNames] = input.positionals(2, Infinity);
  const names = typedNames.map(parseName);
  const naming = await namingOf(input, io);
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
  const errors: GreetError[] = [];
  for await (const outcome of greetOnThreads(destination, names, options)) {
    if ("error" in outcome) errors[outcome.index] = outcome.error;
    if (input.flag("json")) io.stdout.line(outcomeLine(outcome));
    else printOutcome(outcome, io);
  }
  if (io.signal.aborted) return exitCode("INTERRUPTED");
  const first = errors.find((error) => error !== undefined);
  return first === undefined ? 0 : exitCode(first.code);
}

function printOutcome(outcome: Outcome, io: Io): void {
  const { name } = outcome;
  if ("error" in outcome) return reportError(outcome.error, io, `[${name}] `);
  const { greeting } = outcome;
  const line = [
    { text: `[${name}] Message received from server: "`, look: "plain" },
    { text: greeting, look: "plain", safely: showable },
    { text: '"', look: "plain" },
  ] as const;
  io.stdout.print(rendered(line, { columns: io.columns }), greeting.length);
}

function outcomeLine(outcome: Outcome): string {
  const { name } = outcome;
  if ("error" in outcome) {
    return toJson({ type: "error", name, ...outcome.error.toJSON() });
  }
  return toJson({ type: "greeting", name, greeting: outcome.greeting });
}
