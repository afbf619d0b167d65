/**
 * The arguments of `greet chat`: whom to be, where to listen, and whom to talk to.
 *
 * Arguments in a wrong order, or without something, are refused with the order that was meant.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { parseName } from "../base/text.ts";
import {
  isLocal,
  isOnlyName,
  isTarget,
  parsePort,
  parseTarget,
  splitName,
} from "../net/address.ts";
import { type Arguments, quote } from "./arguments.ts";
import { commandLine, didYouMean } from "./command_guesses.ts";
import { noService } from "./naming_options.ts";
import { parseOwnName } from "../naming/claim_rules.ts";

/** Who chats, and with whom. */
export interface Parties {
  readonly name: string;
  /** The port to listen on; 0 for a free one, and missing if the others need not call us. */
  readonly port?: number;
  readonly targets: readonly string[];
}

/**
 * Parses NAME, PORT and PEERs.
 *
 * PORT may be omitted if peers need not know it: there is a naming service, or the peers are on other
 * machines and an encrypted connection to them carries both directions.
 *
 * @param hasNames whether there is a naming service
 * @throws {GreetError} `USAGE`
 */
export function chatArguments(input: Arguments, hasNames: boolean): Parties {
  const typed = input.positionals(0, Infinity);
  refuseMisplaced(typed, input);
  if (!hasNames) refuseUnknown(typed, input);
  if (!hasNames && isOnlyCalling(typed, input)) {
    return { name: parseOwnName(typed[0]), targets: typed.slice(1) };
  }
  refuseIncomplete(typed, input, hasNames ? "Bob" : undefined);
  const [typedName, ...rest] = hasNames
    ? input.positionals(2, Infinity, "NAME PEER...")
    : input.positionals(3, Infinity, "NAME PORT PEER...");
  const name = parseOwnName(typedName);
  if (hasNames && !/^\d+$/.test(rest[0])) return { name, port: 0, targets: rest };
  const [, portText, ...targets] = input.positionals(3, Infinity, "NAME PORT PEER...");
  return { name, port: parsePort(portText), targets };
}

const isNumber = (text: string | undefined) => /^\d+$/.test(text ?? "");

/** Refuses a number where the name belongs, if the name is elsewhere or missing. */
function refuseMisplaced(typed: readonly string[], input: Arguments): void {
  const at = typed.findIndex(isOnlyName);
  if (!isNumber(typed[0]) || at === -1 && typed.length > 2) return;
  const rest = typed.filter((_, i) => i !== at);
  throw input.usage("NAME comes first", didYouMean(["chat", typed[at] ?? "NAME", ...rest]));
}

/** Whether there is no PORT, and all peers are on other machines, called over TLS. */
function isOnlyCalling([, ...rest]: readonly string[], input: Arguments): boolean {
  return rest.length > 0 && !isNumber(rest[0]) && !input.flag("plaintext") && rest.every((text) => {
    const { target } = splitName(text);
    return isTarget(target) && !isLocal(parseTarget(target));
  });
}

/**
 * Refuses peers that are names. They would have to call us, and prove who they are.
 *
 * @throws {GreetError} `USAGE`
 */
export function refuseNames(targets: readonly string[]): void {
  const name = targets.find(isOnlyName);
  if (name === undefined) return;
  const { code, message, hint } = noService(name);
  throw new GreetError(code, message, { hint: `${hint}; to wait for a call, add --tls` });
}

/** Without a naming service, refuses names that belong to a port, or are where PORT belongs. */
function refuseUnknown([name, ...rest]: readonly string[], input: Arguments): void {
  const at = rest.findIndex(isOnlyName);
  if (at === 0 || isNumber(rest[at + 1]) && at !== -1) {
    throw withPortHint(noService(rest[at]), [name, ...rest], at + 1);
  }
  refuseHostAlone([name, ...rest], input);
}

/**
 * Explains which port is whose, if one is missing.
 *
 * @param known an example of a peer that can be called by name, if there is a naming service
 */
function refuseIncomplete(
  [name, only, ...others]: readonly string[],
  input: Arguments,
  known: string | undefined,
): void {
  if (name === undefined || others.length > 0) return;
  const examplePort = only?.endsWith("55555") ? "55556" : "55555";
  if (isNumber(only)) {
    const peer = known ?? (only === "55556" ? "55555" : "55556");
    throw input.usage(
      `greet chat needs PEER; ${only} is your own port`,
      `for example: ${commandLine(["chat", name, only, peer])}`,
    );
  }
  if (known !== undefined) return;
  if (only !== undefined) {
    const hint = didYouMean(["chat", name, examplePort, only]);
    throw input.usage("greet chat needs PORT, which is your own", hint);
  }
  throw input.usage(
    "greet chat needs PORT PEER",
    `for example: ${commandLine(["chat", name, "55555", "55556"])}, ` +
      "and on the other side PORT and PEER swapped",
  );
}

/** If a number follows a name, the name may be the second half of NAME, or belong to that port. */
function withPortHint(error: GreetError, typed: readonly string[], at: number): GreetError {
  const meant = at === 1
    ? [`${typed[0]} ${typed[1]}`, ...typed.slice(2)]
    : typed.toSpliced(at, 2, `${typed[at]}@${typed[at + 1]}`);
  if (!isNumber(typed[at + 1]) || meant.length < 3) return error;
  return new GreetError(error.code, error.message, { hint: didYouMean(["chat", ...meant]) });
}

/** Refuses a host that is apart from its port. */
function refuseHostAlone(typed: readonly string[], input: Arguments): void {
  const at = typed.findIndex((word, i) => i > 0 && isHost(word) && isNumber(typed[i + 1]));
  if (at === -1) return;
  const host = typed[at];
  const meant = at === 1
    ? [...typed.toSpliced(at, 1), "--host", host]
    : typed.toSpliced(at, 2, `${host}:${typed[at + 1]}`);
  throw input.usage(`the target ${quote(host)} has no port`, didYouMean(["chat", ...meant]));
}

/** Whether a text looks like a host without a port. */
function isHost(text: string): boolean {
  return /^(localhost|[\w-]+(\.[\w-]+)+)$/i.test(text);
}

/**
 * Refuses a peer that has the chat's own name or address.
 *
 * @throws {GreetError} `USAGE`
 */
export function refuseSelf(
  { name, port, targets }: Parties,
  host: string,
  hasNames: boolean,
): void {
  for (const target of targets) {
    const isName = !isTarget(target) && (hasNames || isOnlyName(target));
    const typed = isName ? { name: target, target: undefined } : splitName(target);
    const endpoint = typed.target === undefined ? undefined : parseTarget(typed.target).endpoint;
    const hasOwnName = typed.name !== undefined && parseName(typed.name) === name;
    const hasOwnAddress = endpoint !== undefined && endpoint.port === port &&
      endpoint.host === host;
    if (!hasOwnName && !hasOwnAddress) continue;
    const own = hasOwnName ? "name" : "address";
    throw new GreetError("USAGE", `the peer ${target} has your own ${own}`, {
      hint: "NAME and PORT are yours, PEER is someone else's",
    });
  }
}

/**
 * Adds to the error for a port in use that it may be the other peer's, which has come first.
 *
 * @returns other errors unchanged
 */
export function withSwapHint(error: Error, { name, port, targets }: Parties): Error {
  const cause = error.cause as { code?: string } | undefined;
  const [first = "", ...others] = targets;
  if (cause?.code !== "EADDRINUSE" || !isNumber(first) || port === undefined) return error;
  const swapped = commandLine(["chat", name, first, `${port}`, ...others]);
  return new GreetError("FAILED", error.message, {
    hint: `if the other peer listens there: ${swapped}; otherwise choose another port`,
    cause,
  });
}
