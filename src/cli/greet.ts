/**
 * `greet greet`: clients that greet a server, or the servers that share a name.
 *
 * @module
 */
import type { Arguments } from "./arguments.ts";
import type { GreetError } from "../base/errors.ts";
import { exitCode, type Io, reportError, warn } from "./io.ts";
import { renounce } from "../base/permissions.ts";
import type { Naming } from "../naming/open.ts";
import { namingOf } from "./naming_options.ts";
import { rendered } from "../terminal/rows.ts";
import { isLocal, isTarget, parseTarget, type Target } from "../net/address.ts";
import { parseName, showable, toJson } from "../base/text.ts";
import type { Outcome } from "../greeter/client_threads.ts";
import { clientTls, EXPOSED } from "./tls_options.ts";

/** Greets once for each name; the exit code is that of the first failure in their order. */
export async function greetCommand(input: Arguments, io: Io): Promise<number> {
  const [whom, ...typedNames] = input.positionals(2, Infinity);
  const names = typedNames.map(parseName);
  const known = await namingOf(input, io);
  const naming = isTarget(whom) ? undefined : known;
  const target = await checkWhomToGreet(whom, naming);
  const options = {
    maxTime: input.number("max-time", { above: 0, max: 86_400 }),
    threads: input.number("threads", { above: 0, max: 1_024, whole: true }),
    wait: input.flag("wait"),
    signal: io.signal,
    naming,
    tls: await clientTls(input, target),
  };
  // Threads are loaded from files.
  renounce(["write"], [whom, known?.place]);
  const { greetAll } = await import("../greeter/client_threads.ts");
  const isNearby = target !== undefined && isLocal(target);
  if (options.tls === undefined && !isNearby) warn(EXPOSED, io);
  if (!input.flag("json") && !input.flag("quiet")) {
    names.forEach((_, index) => io.stdout.line(`Client ${index + 1} started`));
  }
  const errors: GreetError[] = [];
  for await (const outcome of greetAll(whom, names, options)) {
    if ("error" in outcome) errors[outcome.index] = outcome.error;
    if (input.flag("json")) io.stdout.line(outcomeLine(outcome));
    else tell(outcome, io);
  }
  if (io.signal.aborted) return exitCode("INTERRUPTED");
  const first = errors.find((error) => error !== undefined);
  return first === undefined ? 0 : exitCode(first.code);
}

/**
 * What makes no sense is to be said before anything else is.
 *
 * @returns the target; nothing where it is a name
 */
async function checkWhomToGreet(
  whom: string,
  naming: Naming | undefined,
): Promise<Target | undefined> {
  if (naming === undefined) return parseTarget(whom);
  parseName(whom);
  const { openNames } = await import("../naming/open.ts");
  openNames(naming.place, naming.options);
}

function tell(outcome: Outcome, io: Io): void {
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
