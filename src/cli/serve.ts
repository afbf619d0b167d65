/**
 * `greet serve`: a greeting server, and perhaps a name for it.
 *
 * @module
 */
import type { Arguments } from "./arguments.ts";
import type { GreetRequest } from "../greeter/server.ts";
import { type Io, reportError, reportFault, reportSeldom, warn } from "./io.ts";
import { renounce } from "../base/permissions.ts";
import type { ClaimStatus, Names } from "../naming/names.ts";
import {
  advertised,
  hasNamesNearby,
  hintAtHost,
  placeOfNames,
  refuseIdleOptions,
  useNames,
} from "./naming_options.ts";
import { type LogFormat, logLine } from "../greeter/request_log.ts";
import type { Server } from "../rpc/server.ts";
import type { ServerTls } from "../net/server_tls.ts";
import { formatEndpoint, isLoopback, LOOPBACK, parsePort } from "../net/address.ts";
import { parseName, toJson } from "../base/text.ts";
import { aborted } from "../base/timing.ts";
import { EXPOSED, serverTls } from "./tls_options.ts";

/** Serves until it is asked to stop. */
export async function serveCommand(input: Arguments, io: Io): Promise<number> {
  const [portText = "0"] = input.positionals(0, 1);
  const port = parsePort(portText);
  const host = input.string("host") ?? LOOPBACK;
  const name = nameToServeAs(input, io);
  const advertise = name === undefined ? undefined : advertised(input, host);
  const tls = serverTls(input, host);
  const threads = threadsToServeOn(input);
  renounce(["write"], [placeOfNames(input, io)]);
  const format = input.flag("json") ? "json" : "text";
  await using server = await open({ host, port, tls, threads, format }, io);
  await using names = name === undefined ? undefined : await useNames(input, io);
  // Modules are read until here, certificates now and then.
  const readsNothing = tls === undefined && !input.flag("cacert");
  if (readsNothing) renounce(["read"], [placeOfNames(input, io)]);
  if (tls === undefined && !isLoopback(host)) warn(EXPOSED, io);
  if (input.flag("json")) {
    io.stdout.line(toJson({ type: "listening", host, port: server.port }));
  } else if (!input.flag("quiet")) {
    io.stdout.line(`Server started, listening on ${server.port}`);
  }
  if (names !== undefined) {
    if (!hasNamesNearby(input, io)) hintAtHost(input, host, io);
    await register(names, name!, formatEndpoint(advertise!, server.port), io);
  }
  await aborted(io.signal);
  // Whoever looks for the name is to know before we stop.
  await names?.[Symbol.asyncDispose]();
  return 0;
}

interface Opening {
  readonly host: string;
  readonly port: number;
  readonly tls: ServerTls | undefined;
  readonly threads: number;
  readonly format: LogFormat;
}

/** Serves, and logs each request. */
async function open({ threads, format, ...where }: Opening, io: Io): Promise<Server> {
  const listeners = { onFault: reportFault(io), onRefused: reportSeldom(io) };
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

function threadsToServeOn(input: Arguments): number {
  const threads = input.number("threads", { above: 0, max: 64, whole: true }) ?? 1;
  if (threads === 1 || Deno.build.os === "linux") return threads;
  throw input.usage("--threads needs Linux: elsewhere a port is not shared out among threads");
}

/** The name of `--as`, if there is one. */
function nameToServeAs(input: Arguments, io: Io): string | undefined {
  refuseIdleOptions(input, io);
  const name = input.string("as");
  if (name === undefined && !input.flag("names")) return undefined;
  if (name === undefined) throw input.usage("--names needs --as NAME");
  if (placeOfNames(input, io) === undefined) throw input.usage("--as needs --names PLACE");
  return parseName(name);
}

async function register(names: Names, name: string, address: string, io: Io): Promise<void> {
  const tell = (standing: ClaimStatus) => {
    if (standing.state !== "held") reportError(standing.error, io, `${name} is not registered: `);
  };
  tell((await names.register({ name, address, shared: true }, tell)).status);
}
