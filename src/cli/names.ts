/**
 * `greet names`: runs a naming server, or shows the names that are registered.
 *
 * @module
 */
import { type Arguments, quote } from "./arguments.ts";
import { newsLine, newsText, printChanges, printNames } from "./names_output.ts";
import type { Io } from "./io.ts";
import { reportFault, reportSparingly } from "./reports.ts";
import { finishStartUp } from "./start_up.ts";
import { renounce } from "../base/permissions.ts";
import { openService, requireService, serviceText } from "./naming_options.ts";
import { LOOPBACK, parsePort } from "../net/address.ts";
import { parseName } from "../base/text.ts";
import { aborted } from "../base/timing.ts";
import { serverTls } from "./tls_options.ts";

/** Options for running a naming server only. */
const FOR_SERVERS = ["host", "cert", "key", "client-ca"];

/** Runs a naming server, or lists or watches names. */
export async function namesCommand(input: Arguments, io: Io): Promise<number> {
  renounce(["write"], [serviceText(input, io)]);
  const [first, name] = input.positionals(0, 2);
  const isQuery = first === "list" || first === "watch";
  if (name !== undefined && first !== "watch") {
    throw input.usage(`unexpected argument ${quote(name)}`);
  }
  requireService(input, io);
  if (!isQuery) return await runNamingServer(first, input, io);
  for (const option of FOR_SERVERS) {
    if (input.flag(option)) throw input.usage(`--${option} is only for running a naming server`);
  }
  if (serviceText(input, io) === undefined) {
    throw input.usage(`greet names ${first} needs --names SERVICE`);
  }
  await using names = await openService(input, io);
  const options = { json: input.flag("json"), quiet: input.flag("quiet"), ...io };
  if (first === "list") await printNames(names, options);
  else await printChanges(names, name === undefined ? undefined : parseName(name), options);
  return 0;
}

async function runNamingServer(
  portText: string | undefined,
  input: Arguments,
  io: Io,
): Promise<number> {
  if (input.flag("names")) throw input.usage("--names is only for list and watch");
  const port = portText === undefined ? undefined : parsePort(portText);
  const host = input.string("host") ?? LOOPBACK;
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
  const started = { title: "Naming server", host, port: server.port, isSecure, readsFiles };
  finishStartUp(started, input, io);
  await aborted(io.signal);
  return 0;
}
