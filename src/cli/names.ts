/**
 * `greet names`: a naming server, or what is registered with one.
 *
 * @module
 */
import { type Arguments, quote } from "./arguments.ts";
import { newsLine, newsText, printChanges, printNames } from "./names_output.ts";
import { type Io, reportFault, reportSeldom, warn } from "./io.ts";
import { renounce } from "../base/permissions.ts";
import { placeOfNames, refuseIdleOptions, useNames } from "./naming_options.ts";
import { isLoopback, LOOPBACK, parsePort } from "../net/address.ts";
import { parseName, toJson } from "../base/text.ts";
import { aborted } from "../base/timing.ts";
import { EXPOSED, serverTls } from "./tls_options.ts";

/** What only a server can do something with. */
const FOR_SERVERS = ["host", "cert", "key", "client-ca"];

/** Serves names, or asks for them. */
export async function namesCommand(input: Arguments, io: Io): Promise<number> {
  renounce(["write"], [placeOfNames(input, io)]);
  const [first, name] = input.positionals(0, 2);
  const isQuestion = first === "list" || first === "watch";
  if (name !== undefined && first !== "watch") {
    throw input.usage(`unexpected argument ${quote(name)}`);
  }
  refuseIdleOptions(input, io);
  if (!isQuestion) return await serveCommand(first, input, io);
  for (const option of FOR_SERVERS) {
    if (input.flag(option)) throw input.usage(`--${option} is for a naming server`);
  }
  if (placeOfNames(input, io) === undefined) {
    throw input.usage(`greet names ${first} needs --names PLACE`);
  }
  await using names = await useNames(input, io);
  const options = { json: input.flag("json"), quiet: input.flag("quiet"), ...io };
  if (first === "list") await printNames(names, options);
  else await printChanges(names, name === undefined ? undefined : parseName(name), options);
  return 0;
}

async function serveCommand(
  portText: string | undefined,
  input: Arguments,
  io: Io,
): Promise<number> {
  if (input.flag("names")) throw input.usage("--names is for list and watch");
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
    onRefused: reportSeldom(io),
  });
  // Modules are read until here, certificates now and then.
  if (tls === undefined) renounce(["read"], []);
  if (tls === undefined && !isLoopback(host)) warn(EXPOSED, io);
  if (json) {
    io.stdout.line(toJson({ type: "listening", host, port: server.port }));
  } else if (!input.flag("quiet")) {
    io.stdout.line(`Naming server started, listening on ${server.port}`);
  }
  await aborted(io.signal);
  return 0;
}
