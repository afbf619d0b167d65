/**
 * `greet chat`: finds what a chat needs, and who it is with.
 *
 * @module
 */
import { type Arguments, quote } from "./arguments.ts";
import { GreetError } from "../base/errors.ts";
import { homeFolder } from "../base/home.ts";
import { exitCode, type Io, warn } from "./io.ts";
import {
  advertised,
  hasNamesNearby,
  hintAtHost,
  placeOfNames,
  refuseIdleOptions,
  useNames,
} from "./naming_options.ts";
import type { PeerOptions } from "../peer/peer.ts";
import { isTarget, LOOPBACK, parsePort, parseTarget, splitName } from "../net/address.ts";
import { parseName } from "../base/text.ts";
import { chatTls, EXPOSED } from "./tls_options.ts";

/** Chats until somebody leaves. */
export async function chatCommand(input: Arguments, io: Io): Promise<number> {
  refuseIdleOptions(input, io);
  const hasNames = placeOfNames(input, io) !== undefined;
  const who = chatArguments(input, hasNames);
  const { isSecure, isBeyond, ...where } = placeOf(input, who.targets, hasNames);
  refuseOurselves(who, where.host, hasNames);
  const look = lookOf(input, io);
  const options = {
    quiet: input.flag("quiet"),
    history: input.number("history", { from: 0, max: 10_000, whole: true }) ?? 10,
    linger: input.number("linger", { from: 0, max: 2_000_000 }),
  };
  const home = () => homeFolder(input.string("home"), { os: Deno.build.os, env: io.env });
  const { Journal } = await import("../peer/journal.ts");
  using journal = input.flag("no-journal")
    ? undefined
    : Journal.open({ home: home(), name: who.name });
  if (journal?.warning !== undefined) warn(journal.warning, io);
  const trust = isSecure ? await openTrust(home(), who.name) : undefined;
  if (isBeyond && !isSecure) warn(EXPOSED, io);
  await using names = hasNames ? await useNames(input, io) : undefined;
  if (isBeyond || !hasNamesNearby(input, io)) hintAtHost(input, where.host, io);
  // Also while our own name is still being waited for.
  io.signal.addEventListener("abort", () => void names?.[Symbol.asyncDispose]());
  const { chat } = await import("../chat/session.ts");
  await using screen = await openScreen(who.name, look, io);
  const { signal } = io;
  const { json } = look;
  const error = await chat({
    ...who,
    ...where,
    ...trust,
    ...options,
    names,
    journal,
    screen,
    signal,
    json,
  });
  return error === undefined ? 0 : exitCode(error.code);
}

/** Where we listen, and whether what we say is encrypted. */
function placeOf(input: Arguments, targets: readonly string[], hasNames: boolean) {
  const host = input.string("host") ?? LOOPBACK;
  const advertise = hasNames ? advertised(input, host) : undefined;
  const typed = (hasNames ? targets.filter(isTarget) : targets)
    .map((text) => splitName(text).target);
  const tls = chatTls(input, [host, advertise ?? host], typed);
  return { host, advertise, plaintext: input.flag("plaintext"), ...tls };
}

/** How it is shown. */
function lookOf(input: Arguments, io: Io) {
  return {
    color: useColor(input, io),
    bell: input.flag("bell"),
    json: input.flag("json"),
  };
}

/** What proves who we are, and who others are. */
async function openTrust(
  home: string,
  name: string,
): Promise<Pick<PeerOptions, "identity" | "known">> {
  const [{ openIdentity }, { KnownPeers }] = await Promise.all([
    import("../identity/identity.ts"),
    import("../identity/known_peers.ts"),
  ]);
  return { identity: await openIdentity(home, name), known: KnownPeers.in(home) };
}

async function openScreen(
  name: string,
  { color, bell, json }: ReturnType<typeof lookOf>,
  io: Io,
) {
  const isTerminal = io.stdinIsTerminal && io.stdoutIsTerminal && !json;
  if (isTerminal && io.env("TERM") !== "dumb") {
    const [{ openTerminal }, { hueOf }] = await Promise.all([
      import("../terminal/terminal.ts"),
      import("../terminal/style.ts"),
    ]);
    const prompt = [{ text: name, look: hueOf(name) }, { text: "> ", look: "plain" }] as const;
    const suspends = Deno.build.os !== "windows" && io.env("GREET_NO_SUSPEND") === undefined;
    return openTerminal({ input: io.stdin, prompt, color, bell, suspends });
  }
  const { openPipe } = await import("../terminal/pipe.ts");
  return openPipe({
    input: io.stdin,
    out: io.stdout,
    err: io.stderr,
    color,
    columns: json ? () => undefined : io.columns,
    echoes: isTerminal,
  });
}

/** Where there is a naming service, nobody need know our port, so it may be left out. */
function chatArguments(input: Arguments, hasNames: boolean) {
  const [typedName, ...rest] = hasNames
    ? input.positionals(2, Infinity, "NAME PEER...")
    : input.positionals(3, Infinity, "NAME PORT PEER...");
  const name = parseName(typedName);
  if (hasNames && !/^\d+$/.test(rest[0])) return { name, port: 0, targets: rest };
  const [, portText, ...targets] = input.positionals(3, Infinity, "NAME PORT PEER...");
  return { name, port: parsePort(portText), targets };
}

/** We are not to chat with ourselves. */
function refuseOurselves(
  { name, port, targets }: ReturnType<typeof chatArguments>,
  host: string,
  hasNames: boolean,
): void {
  for (const target of targets) {
    const isName = hasNames && !isTarget(target);
    const typed = isName ? { name: target, target: undefined } : splitName(target);
    const endpoint = typed.target === undefined ? undefined : parseTarget(typed.target).endpoint;
    const isOurs = typed.name !== undefined && parseName(typed.name) === name ||
      endpoint?.port === port && endpoint.host === host;
    if (!isOurs) continue;
    throw new GreetError("USAGE", `the peer ${isName ? "" : "at "}${target} would be ${name}`, {
      hint: "NAME and PORT are ours, PEER is somebody else's",
    });
  }
}

function useColor(input: Arguments, io: Io): boolean {
  const when = input.string("color") ?? "auto";
  if (when === "always") return true;
  if (when === "never") return false;
  if (when !== "auto") {
    throw new GreetError("USAGE", `--color takes auto, always or never, not ${quote(when)}`);
  }
  // https://no-color.org and https://force-color.org: set to anything but nothing.
  if (io.env("NO_COLOR")) return false;
  if (io.env("FORCE_COLOR")) return true;
  return io.stdoutIsTerminal && io.env("TERM") !== "dumb";
}
