/**
 * `greet chat`: reads the options, opens what a chat needs, and runs it.
 *
 * @module
 */
import { type Arguments, quote } from "./arguments.ts";
import { chatArguments, refuseNames, refuseSelf, withSwapHint } from "./chat_arguments.ts";
import { useColor } from "./color.ts";
import { GreetError } from "../base/errors.ts";
import { exitCode } from "./exit_codes.ts";
import { homeOf } from "./home.ts";
import type { Io } from "./io.ts";
import { warn } from "./reports.ts";
import {
  advertisedHost,
  hintAboutHost,
  isServiceLocal,
  listeningHost,
  openService,
  parsedService,
  requireService,
} from "./naming_options.ts";
import type { PeerOptions } from "../peer/peer.ts";
import { isOnlyName, isTarget, splitName } from "../net/address.ts";
import { chatTls, EXPOSED } from "./tls_options.ts";

/** Runs a chat until it ends. */
export async function chatCommand(input: Arguments, io: Io): Promise<number> {
  const look = lookOf(input, io);
  requireService(input, io);
  const hasNames = parsedService(input, io) !== undefined;
  const parties = chatArguments(input, hasNames);
  const { isSecure, isBeyond, ...reach } = await reachOf(input, parties.targets, hasNames, io);
  refuseSelf(parties, reach.host, hasNames);
  if (!hasNames && !isSecure) refuseNames(parties.targets);
  const options = {
    json: look.json,
    bell: look.bell,
    quiet: input.flag("quiet"),
    history: input.number("history", { from: 0, max: 10_000, whole: true }) ?? 10,
    linger: input.number("linger", { from: 0, max: 2_000_000 }),
  };
  const hasJournal = !input.flag("no-journal");
  const home = hasJournal || isSecure ? homeOf(input, io) : "";
  const { Journal } = await import("../peer/journal.ts");
  using journal = hasJournal ? Journal.open({ home, name: parties.name }) : undefined;
  if (journal?.warning !== undefined) warn(journal.warning, io);
  const trust = isSecure ? await openTrust(home, parties.name) : undefined;
  if (isBeyond && !isSecure) warn(EXPOSED, io);
  await using names = hasNames ? await openService(input, io) : undefined;
  const isCalled = parties.port !== undefined;
  if (isCalled && (isBeyond || !isServiceLocal(input, io))) hintAboutHost(input, reach.host, io);
  // The chat may still be waiting for its own name to become free.
  io.signal.addEventListener("abort", () => void names?.[Symbol.asyncDispose]());
  const { chat } = await import("../chat/session.ts");
  await using screen = await openScreen(parties.name, look, io);
  const { signal } = io;
  const opened = { names, journal, screen };
  const error = await chat({ ...parties, ...reach, ...trust, ...options, ...opened, signal })
    .catch((error) => {
      throw withSwapHint(error, parties);
    });
  return error === undefined ? 0 : exitCode(error.code);
}

/** Where the chat listens, how far it reaches, and whether it is encrypted. */
async function reachOf(
  input: Arguments,
  targets: readonly string[],
  hasNames: boolean,
  io: Io,
) {
  const host = await listeningHost(input, io);
  const advertise = hasNames ? advertisedHost(input, host, io) : undefined;
  const known = targets.filter((text) => !(hasNames ? !isTarget(text) : isOnlyName(text)))
    .map((text) => splitName(text).target);
  const tls = chatTls(input, [host, advertise ?? host], known);
  return { host, advertise, plaintext: input.flag("plaintext"), ...tls };
}

/** How the chat is shown. */
function lookOf(input: Arguments, io: Io) {
  return {
    color: useColor(input, io),
    bell: bellOf(input),
    json: input.flag("json"),
  };
}

/** Our own identity, and the keys of known peers. */
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
    const isWindows = Deno.build.os === "windows";
    return openTerminal({
      input: isWindows ? (await import("../terminal/windows_console.ts")).consoleInput() : io.stdin,
      prompt,
      color,
      bell: bell !== undefined,
      suspends: !isWindows && io.env("GREET_NO_SUSPEND") === undefined,
    });
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

function bellOf(input: Arguments): "all" | "mention" | undefined {
  const when = input.string("bell");
  if (when === undefined || when === "all" || when === "mention") return when;
  throw new GreetError("USAGE", `--bell takes all or mention, not ${quote(when)}`, {
    hint: "all rings for every message, mention when it has your name in it",
  });
}
