/**
 * `greet serve`: a greeting server, and perhaps a name for it.
 *
 * @module
 */
import type { Arguments } from "./arguments.ts";
import type { GreetRequest } from "./greeter.ts";
import { type Io, renounce, reportError, reportFault, reportSeldom, warn } from "./io.ts";
import type { Names, Standing } from "./names.ts";
import {
  advertised,
  hasNamesNearby,
  hintAtHost,
  placeOfNames,
  refuseIdleOptions,
  useNames,
} from "./naming_options.ts";
import { formatEndpoint, isLoopback, LOOPBACK, parsePort } from "./target.ts";
import { parseName, showable } from "./text.ts";
import { aborted } from "./time.ts";
import { EXPOSED, serverTls } from "./tls_options.ts";

/** Serves until it is asked to stop. */
export async function serveCommand(input: Arguments, io: Io): Promise<number> {
  const [portText = "0"] = input.positionals(0, 1);
  const port = parsePort(portText);
  const host = input.string("host") ?? LOOPBACK;
  const name = nameToServeAs(input, io);
  const advertise = name === undefined ? undefined : advertised(input, host);
  const tls = serverTls(input, host);
  const log = input.flag("json") ? logJson : logText;
  // Certificates are read again.
  const readsNothing = tls === undefined && !input.flag("cacert");
  renounce(readsNothing ? ["read", "write"] : ["write"], [placeOfNames(input, io)]);
  const { serveGreeter } = await import("./greeter.ts");
  await using server = await serveGreeter({
    host,
    port,
    onRequest(request) {
      io.stdout.log(log(request));
      return io.stdout.ready();
    },
    onFault: reportFault(io),
    tls,
    onRefused: reportSeldom(io),
  });
  if (tls === undefined && !isLoopback(host)) warn(EXPOSED, io);
  if (input.flag("json")) {
    io.stdout.line(JSON.stringify({ type: "listening", host, port: server.port }));
  } else if (!input.flag("quiet")) {
    io.stdout.line(`Server started, listening on ${server.port}`);
  }
  await using names = name === undefined ? undefined : await useNames(input, io);
  if (names !== undefined) {
    if (!hasNamesNearby(input, io)) hintAtHost(input, host, io);
    await register(names, name!, formatEndpoint(advertise!, server.port), io);
  }
  await aborted(io.signal);
  // Whoever looks for the name is to know before we stop.
  await names?.[Symbol.asyncDispose]();
  return 0;
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
  const tell = (standing: Standing) => {
    if (standing.state !== "held") reportError(standing.error, io, `${name} is not registered: `);
  };
  tell((await names.register({ name, address, shared: true }, tell)).standing);
}

function logText({ name, from, error }: GreetRequest): string {
  if (error === undefined) return `[Server] Received request from user named '${showable(name)}'`;
  return `[Server] Refused request from ${from}: ${showable(error.message)}`;
}

function logJson({ at, name, from, error }: GreetRequest): string {
  const status = error?.code ?? "OK";
  return JSON.stringify({ type: "request", at: at.toISOString(), name, from, status });
}
