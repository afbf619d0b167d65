/**
 * `greet serve`: runs a greeting server, and registers a name for it.
 *
 * @module
 */
import { type Arguments, quote } from "./arguments.ts";
import { commandLine, didYouMean } from "./command_guesses.ts";
import type { GreetRequest } from "../greeter/server.ts";
import type { Io } from "./io.ts";
import { hintFor, reportError, reportFault, reportSparingly } from "./reports.ts";
import { finishStartUp } from "./start_up.ts";
import { renounce } from "../base/permissions.ts";
import type { ClaimStatus, Names } from "../naming/names.ts";
import {
  advertisedHost,
  hintAboutHost,
  isServiceLocal,
  listeningHost,
  openService,
  parsedService,
  requireService,
  serviceText,
} from "./naming_options.ts";
import { type LogFormat, logLine } from "../greeter/request_log.ts";
import type { Server } from "../rpc/server.ts";
import type { ServerTls } from "../net/server_tls.ts";
import { formatEndpoint, LOOPBACK, parsePort } from "../net/address.ts";
import { isPlaceholder } from "../net/mistyped_address.ts";
import { parseOwnName } from "../naming/claim_rules.ts";
import { aborted } from "../base/timing.ts";
import { serverTls } from "./tls_options.ts";

/** Serves until the program is asked to stop. */
export async function serveCommand(input: Arguments, io: Io): Promise<number> {
  const port = portArgument(input);
  const name = nameToRegister(input, io);
  const host = name === undefined ? input.host("host") ?? LOOPBACK : await listeningHost(input, io);
  const advertise = name === undefined ? undefined : advertisedHost(input, host, io);
  const tls = serverTls(input, host);
  const threads = threadCount(input);
  renounce(["write"], [serviceText(input, io)]);
  const format = input.flag("json") ? "json" : "text";
  await using server = await startGreeter({ host, port, tls, threads, format }, io);
  await using names = name === undefined ? undefined : await openService(input, io);
  // All modules have been loaded; certificates are read again when they change.
  const readsFiles = tls !== undefined || input.flag("cacert");
  const isSecure = tls !== undefined;
  const service = serviceText(input, io);
  const listening = { host, port: server.port, isPortChosen: port === 0 };
  const started = { title: "Server", ...listening, isSecure, readsFiles, service };
  finishStartUp(started, input, io);
  if (names !== undefined) {
    if (!isServiceLocal(input, io)) hintAboutHost(input, host, io);
    await register(names, name!, formatEndpoint(advertise!, server.port), io);
  }
  await aborted(io.signal);
  // Clients must learn that the name is gone before the server stops.
  await names?.[Symbol.asyncDispose]();
  return 0;
}

interface GreeterOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: ServerTls | undefined;
  readonly threads: number;
  readonly format: LogFormat;
}

/** Starts a server that logs each request. */
async function startGreeter(
  { threads, format, ...where }: GreeterOptions,
  io: Io,
): Promise<Server> {
  const listeners = { onFault: reportFault(io), onRefused: reportSparingly(io) };
  const log = (lines: string) => {
    io.stdout.log(lines);
    return io.stdout.ready();
  };
  if (threads === 1) {
    const { serveGreeter } = await import("../greeter/server.ts");
    const onRequest = (request: GreetRequest) => log(logLine(request, format));
    return await serveGreeter({ ...where, onRequest, ...listeners });
  }
  const { serveOnThreads } = await import("../greeter/server_threads.ts");
  return await serveOnThreads({ ...where, threads, format, log, ...listeners });
}

function threadCount(input: Arguments): number {
  const threads = input.number("threads", { above: 0, max: 64, whole: true }) ?? 1;
  if (threads === 1 || Deno.build.os === "linux") return threads;
  throw input.usage("--threads needs Linux; other systems do not balance a shared port");
}

/** PORT; what else is there is refused with what was probably meant. */
function portArgument(input: Arguments): number {
  const [first = "0", second] = input.positionals(0, Infinity);
  const [isPort, isSecondPort] = [first, second ?? ""].map((text) => /^\d+$/.test(text));
  if (!isPort && isSecondPort) {
    const host = isPlaceholder(first) ? [] : ["--host", first];
    throw input.usage(`${quote(first)} is not a port`, didYouMean(["serve", second, ...host]));
  }
  if (isPort && second !== undefined && !isSecondPort) {
    const hint = `to greet the server there: ${commandLine(["greet", first, second])}`;
    throw input.usage(`unexpected argument ${quote(second)}`, hint);
  }
  input.positionals(0, 1);
  return parsePort(first);
}

/** The name to register, if any. */
function nameToRegister(input: Arguments, io: Io): string | undefined {
  requireService(input, io);
  const name = input.string("as");
  if (name === undefined && !input.flag("names")) return undefined;
  if (name === undefined) {
    throw input.usage("--names needs --as NAME", "it is the name to register there");
  }
  if (parsedService(input, io) === undefined) {
    throw input.usage(
      "--as needs --names SERVICE",
      "set one with --names or GREET_NAMES; greet names runs one",
    );
  }
  return parseOwnName(name);
}

async function register(names: Names, name: string, address: string, io: Io): Promise<void> {
  const onChange = (status: ClaimStatus) => {
    if (status.state === "held") return;
    const { message } = status.error;
    reportError({ message, hint: hintFor(status.error) }, io, `${name} is not registered: `);
  };
  onChange((await names.register({ name, address, shared: true }, onChange)).status);
}
