/**
 * `greet names`: runs a naming server, or shows the names that are registered.
 *
 * @module
 */
import { type Arguments, quote } from "./arguments.ts";
import { newsLine, newsText, printChanges, printNames } from "./names_output.ts";
import { GreetError } from "../base/errors.ts";
import type { Io } from "./io.ts";
import { hintFor, reportFault, reportSparingly } from "./reports.ts";
import { finishStartUp } from "./start_up.ts";
import { renounce } from "../base/permissions.ts";
import { queryHint } from "./command_guesses.ts";
import { openService, parsedService, requireService, serviceText } from "./naming_options.ts";
import { NAMES_PORT } from "../naming/service_url.ts";
import { LOOPBACK, parsePort } from "../net/address.ts";
import { parseName } from "../base/text.ts";
import { aborted } from "../base/timing.ts";
import { serverTls } from "./tls_options.ts";

/** Options for running a naming server only. */
const FOR_SERVERS = ["host", "cert", "key", "client-ca"];

/** Runs a naming server, or lists or watches names. */
export async function namesCommand(input: Arguments, io: Io): Promise<number> {
  renounce(["write"], [serviceText(input, io)]);
  const typed = input.positionals(0, 2);
  const [first, name] = typed;
  const isQuery = first === "list" || first === "watch";
  refuseMistyped(typed, input);
  requireService(input, io);
  if (!isQuery) return await runNamingServer(first, input, io);
  for (const option of FOR_SERVERS) {
    if (input.flag(option)) throw input.usage(`--${option} is only for running a naming server`);
  }
  if (parsedService(input, io) === undefined) {
    throw input.usage(
      `greet names ${first} needs --names SERVICE`,
      `on this machine, with the default port: greet names ${first} --names ${NAMES_PORT}`,
    );
  }
  const watched = name === undefined ? undefined : parseName(name);
  await using names = await openService(input, io);
  const options = { json: input.flag("json"), quiet: input.flag("quiet"), ...io };
  if (first === "list") await printNames(names, options).catch(throwWithHint);
  else await printChanges(names, watched, options);
  return 0;
}

/** Refuses words that are neither a port nor a query, and arguments that a query does not take. */
function refuseMistyped(words: readonly string[], input: Arguments): void {
  const [first = "0", second] = words;
  if (first === "watch" || second === undefined && /^list$|[\d:]/.test(first)) return;
  const problem = second === undefined
    ? `${quote(first)} is neither a port nor list nor watch`
    : `unexpected argument ${quote(second)}`;
  throw input.usage(problem, queryHint(words));
}

function throwWithHint(cause: unknown): never {
  const error = GreetError.from(cause);
  throw new GreetError(error.code, error.message, { hint: hintFor(error), cause });
}

async function runNamingServer(
  portText: string | undefined,
  input: Arguments,
  io: Io,
): Promise<number> {
  if (input.flag("names")) {
    throw input.usage(
      "--names is only for list and watch",
      "greet names list shows the names of that service; greet names alone starts a service",
    );
  }
  const port = portText === undefined ? undefined : parsePort(portText);
  const host = input.host("host") ?? LOOPBACK;
  const tls = serverTls(input, host);
  const json = input.flag("json");
  const { serveNames } = await import("../naming/names_server.ts");
  await using server = await serveNames({
    host,
    port,
    onChange: (news) => io.stdout.line(json ? newsLine(news) : newsText(news)),
    onFault: reportFault(io),
    tls,
    onRefused: reportSparingly(io),
  });
  // All modules have been loaded; certificates are read again when they change.
  const readsFiles = tls !== undefined;
  const isSecure = tls !== undefined;
  const listening = { host, port: server.port, isPortChosen: port === 0 };
  const started = { title: "Naming server", ...listening, isSecure, readsFiles };
  finishStartUp(started, input, io);
  await aborted(io.signal);
  return 0;
}
