#!/usr/bin/env -S deno run --allow-net
/**
 * The command line: one table of commands, what they take and what runs.
 *
 * {@link main} reads the arguments, wires terminal and network together and
 * returns the exit code; this is the only module that exits. What a command
 * needs is loaded when it runs, so that `--help` does not wait for gRPC.
 *
 * @module
 */
import { Arguments, COMMON, didYouMean, type Option, quote, type Syntax } from "./arguments.ts";
import config from "./deno.json" with { type: "json" };
import { type ErrorCode, GreetError, STATUS_NAMES, type StatusName } from "./errors.ts";
import { Output } from "./output.ts";
import {
  formatEndpoint,
  isEndpoint,
  isTarget,
  LOOPBACK,
  parsePort,
  parseTarget,
} from "./target.ts";
import { parseName, showable } from "./text.ts";
import { aborted } from "./time.ts";

type Names = import("./names.ts").Names;
type Standing = import("./names.ts").Standing;
type Naming = import("./threads.ts").Naming;

/** What the program has of the world around it. */
export interface Io {
  /** What the command exists to produce. */
  readonly stdout: Output;
  /** Progress and errors. */
  readonly stderr: Output;
  /** What comes in. */
  readonly stdin: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Whether somebody types what comes in. */
  readonly stdinIsTerminal: boolean;
  /** Whether somebody reads what goes out. */
  readonly stdoutIsTerminal: boolean;
  /** An environment variable. */
  env(name: string): string | undefined;
  /** Aborted when the program is asked to stop. */
  readonly signal: AbortSignal;
}

// ---------------------------------------------------------------- the commands

interface Command extends Syntax {
  readonly summary: string;
  readonly details: string;
  run(input: Arguments, io: Io): Promise<number>;
}

const QUIET: Option = { help: "leave out what is only progress" };
const HOST: Option = { value: "ADDRESS", help: `listen on this address (default ${LOOPBACK})` };
const NAMES: Option = {
  value: "PLACE",
  help: "who knows names: a naming server (tls://HOST:PORT for TLS), or etcd://HOST:PORT",
};
const CACERT: Option = { value: "FILE", help: "who vouches for tls:// and etcds:// (PEM)" };
const ADVERTISE: Option = {
  value: "HOST",
  help: "where others are told to call (default: --host)",
};
const SERVER_TLS: Command["options"] = {
  cert: {
    value: "FILE",
    help: "speak TLS with this certificate (PEM), read again when it changes",
  },
  key: { value: "FILE", help: "the private key of --cert" },
  "client-ca": { value: "FILE", help: "callers need a certificate that this one vouches for" },
};

const CLIENT_TLS: Command["options"] = {
  tls: { help: "speak TLS; so do --cacert, --cert and --insecure, but for names" },
  cacert: { value: "FILE", help: "who vouches for those we call, names included (PEM)" },
  cert: { value: "FILE", help: "show this certificate (PEM)" },
  key: { value: "FILE", help: "the private key of --cert" },
  insecure: { help: "speak TLS, and do not look whether it is who it should be" },
  plaintext: { help: "do not speak TLS (the default)" },
};

const COMMANDS: readonly Command[] = [
  {
    name: "serve",
    usage: "[PORT]",
    summary: "a greeting server",
    details: "PORT 0, which is the default, takes a free port and says which.\n" +
      "SIGINT and SIGTERM stop it: calls in flight get 5 s to finish.",
    options: {
      host: HOST,
      as: { value: "NAME", help: "register under this name, alone or with others; needs --names" },
      names: NAMES,
      cacert: CACERT,
      advertise: ADVERTISE,
      ...SERVER_TLS,
      json: { help: "log one JSON object a line" },
      quiet: QUIET,
    },
    run: serveCommand,
  },
  {
    name: "greet",
    usage: "TARGET NAME...",
    summary: "clients that greet it, each on its own thread",
    details: "TARGET is a port on this machine, host:port, [v6]:port, dns:///host:port\n" +
      "or unix:/path; with --names (or $GREET_NAMES) also a name. Servers that share\n" +
      "a name are greeted in turn.",
    options: {
      names: NAMES,
      ...CLIENT_TLS,
      "max-time": { value: "SECONDS", help: "how long a greeting may take (default 10)" },
      wait: { help: "wait for the server to come up, up to --max-time" },
      threads: { value: "N", help: "how many threads (default: one a name, up to the cores)" },
      json: { help: "print one JSON object a line" },
      quiet: QUIET,
    },
    run: greetCommand,
  },
  {
    name: "chat",
    usage: "NAME [PORT] PEER...",
    summary: "a chat with the peers at PEER, while listening on PORT",
    details: "PEER is a port on this machine, host:port, [v6]:port, dns:///host:port or\n" +
      "unix:/path; with --names (or $GREET_NAMES) also a name. Then PORT, which is the\n" +
      "first number, may be left out for a free one, and others find NAME. Lines that are typed, or piped in, are sent to all of them; what\n" +
      "somebody cannot get now is kept in the journal until they are there. /help\n" +
      "lists what else can be typed. /quit, Ctrl-D, the end of the input, or Ctrl-C when\n" +
      "nothing is typed leave.",
    options: {
      names: NAMES,
      cacert: CACERT,
      host: HOST,
      advertise: ADVERTISE,
      home: { value: "DIR", help: "keep the journal there (default $GREET_HOME)" },
      "no-journal": { help: "keep nothing on disk, for nobody" },
      history: { value: "N", help: "show the last N lines at the start (default 10)" },
      linger: { value: "SECONDS", help: "at the end of piped input, wait for delivery that long" },
      json: { help: "events out and messages in, one JSON object a line" },
      quiet: QUIET,
      color: { value: "WHEN", help: "auto (default), always or never" },
      bell: { help: "ring when a message arrives" },
    },
    run: chatCommand,
  },
  {
    name: "names",
    usage: "[PORT] | list | watch [NAME]",
    summary: "a naming server, or what is registered there",
    details: "With a PORT, or nothing, it serves names on it; 55500 is the default, 0 takes a\n" +
      "free port and says which. `list` prints who is registered at --names (or\n" +
      "$GREET_NAMES) now; `watch` goes on and prints every change.",
    options: {
      names: NAMES,
      cacert: CACERT,
      host: HOST,
      ...SERVER_TLS,
      json: { help: "print one JSON object a line" },
      quiet: QUIET,
    },
    run: namesCommand,
  },
];

async function serveCommand(input: Arguments, io: Io): Promise<number> {
  const [portText = "0"] = input.positionals(0, 1);
  const port = parsePort(portText);
  const host = input.string("host") ?? LOOPBACK;
  const name = nameToServeAs(input, io);
  const tls = await askedServerTls(input);
  const log = input.flag("json") ? logJson : logText;
  const { serveGreeter } = await import("./greeter.ts");
  await using server = await serveGreeter({
    host,
    port,
    onRequest(request) {
      io.stdout.line(log(request));
      return io.stdout.ready();
    },
    onFault: (error) => reportError(GreetError.from(error), io),
    tls,
    onRefused: reportSeldom(io),
  });
  if (input.flag("json")) {
    io.stdout.line(JSON.stringify({ type: "listening", host, port: server.port }));
  } else if (!input.flag("quiet")) {
    io.stdout.line(`Server started, listening on ${server.port}`);
  }
  await using names = name === undefined ? undefined : await useNames(input, io);
  if (names !== undefined) {
    const address = formatEndpoint(advertised(input, host, io), server.port);
    await registerServer(names, name!, address, io);
  }
  await aborted(io.signal);
  // Whoever looks for the name is to know before we stop.
  await names?.[Symbol.asyncDispose]();
  return 0;
}

/** How long an error of the same kind is not told again, in milliseconds. */
const SELDOM_MS = 60_000;

/** Reports what anybody can cause: each kind, told by its hint, at most once a minute. */
function reportSeldom(io: Io): (error: GreetError) => void {
  const told = new Map<string | undefined, number>();
  return (error) => {
    if (Date.now() - (told.get(error.hint) ?? 0) < SELDOM_MS) return;
    told.set(error.hint, Date.now());
    reportError(error, io);
  };
}

async function askedServerTls(input: Arguments) {
  const { serverTls } = await import("./tls_options.ts");
  return serverTls(input);
}

async function askedClientTls(input: Arguments, isName: boolean) {
  const { clientTls } = await import("./tls_options.ts");
  return await clientTls(input, isName);
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

async function registerServer(
  names: Names,
  name: string,
  address: string,
  io: Io,
): Promise<void> {
  const tell = (standing: Standing) => {
    if (standing.state !== "held") reportError(standing.error, io, `${name} is not registered: `);
  };
  tell((await names.register({ name, address, shared: true }, tell)).standing);
}

function logText({ name, from, error }: import("./greeter.ts").GreetRequest): string {
  if (error === undefined) return `[Server] Received request from user named '${showable(name)}'`;
  return `[Server] Refused request from ${from}: ${showable(error.message)}`;
}

function logJson({ at, name, from, error }: import("./greeter.ts").GreetRequest): string {
  const status = error?.code ?? "OK";
  return JSON.stringify({ type: "request", at: at.toISOString(), name, from, status });
}

async function greetCommand(input: Arguments, io: Io): Promise<number> {
  const [target, ...typedNames] = input.positionals(2, Infinity);
  const names = typedNames.map(parseName);
  const naming = await namingOf(input, io);
  const options = {
    maxTime: input.number("max-time", { above: 0, max: 86_400 }),
    threads: input.number("threads", { above: 0, max: 1_024, whole: true }),
    wait: input.flag("wait"),
    signal: io.signal,
    naming: isTarget(target) ? undefined : naming,
    tls: await askedClientTls(input, naming !== undefined && !isTarget(target)),
  };
  await checkWhomToGreet(target, options.naming);
  const { greetAll } = await import("./threads.ts");
  const json = input.flag("json");
  if (!json && !input.flag("quiet")) {
    names.forEach((_, index) => io.stdout.line(`Client ${index + 1} started`));
  }
  const errors: GreetError[] = [];
  for await (const outcome of greetAll(target, names, options)) {
    const { name } = outcome;
    if ("error" in outcome) {
      errors[outcome.index] = outcome.error;
      if (json) io.stdout.line(JSON.stringify({ type: "error", name, ...outcome.error.toJSON() }));
      else reportError(outcome.error, io, `[${name}] `);
    } else if (json) {
      io.stdout.line(JSON.stringify({ type: "greeting", name, greeting: outcome.greeting }));
    } else {
      const greeting = showable(outcome.greeting);
      io.stdout.line(`[${name}] Message received from server: "${greeting}"`);
    }
  }
  if (io.signal.aborted) return exitCode("INTERRUPTED");
  const first = errors.find((error) => error !== undefined);
  return first === undefined ? 0 : exitCode(first.code);
}

/** What makes no sense is to be said before anything else is. */
async function checkWhomToGreet(target: string, naming: Naming | undefined): Promise<void> {
  if (naming === undefined) return void parseTarget(target);
  parseName(target);
  const { openNames } = await import("./naming.ts");
  openNames(naming.place, naming.options);
}

async function chatCommand(input: Arguments, io: Io): Promise<number> {
  refuseIdleOptions(input, io);
  const hasNames = placeOfNames(input, io) !== undefined;
  const who = chatArguments(input, hasNames);
  const host = input.string("host") ?? LOOPBACK;
  refuseOurselves(who, host, hasNames);
  const { name } = who;
  const options = {
    quiet: input.flag("quiet"),
    json: input.flag("json"),
    history: input.number("history", { from: 0, max: 10_000, whole: true }) ?? 10,
    linger: input.number("linger", { from: 0, max: 2_000_000 }),
  };
  const color = useColor(input, io);
  const bell = input.flag("bell");
  using journal = input.flag("no-journal") ? undefined : await openJournal(name, input, io);
  await using names = hasNames ? await useNames(input, io) : undefined;
  const advertise = names && advertised(input, host, io);
  // Also while our own name is still being waited for.
  io.signal.addEventListener("abort", () => void names?.[Symbol.asyncDispose]());
  const { chat } = await import("./chat.ts");
  await using screen = await openScreen(name, { color, bell, json: options.json }, io);
  const { signal } = io;
  const place = { host, advertise, names };
  const error = await chat({ ...who, ...place, journal, screen, signal, ...options });
  return error === undefined ? 0 : exitCode(error.code);
}

async function openScreen(
  name: string,
  { color, bell, json }: { color: boolean; bell: boolean; json: boolean },
  io: Io,
) {
  const isTerminal = io.stdinIsTerminal && io.stdoutIsTerminal && !json;
  if (isTerminal && io.env("TERM") !== "dumb") {
    const [{ openTerminal }, { hueOf }] = await Promise.all([
      import("./terminal.ts"),
      import("./color.ts"),
    ]);
    const prompt = [{ text: name, look: hueOf(name) }, { text: "> ", look: "plain" }] as const;
    const suspends = Deno.build.os !== "windows" && io.env("GREET_NO_SUSPEND") === undefined;
    return openTerminal({ input: io.stdin, prompt, color, bell, suspends });
  }
  const { openPipe } = await import("./screen.ts");
  return openPipe({ input: io.stdin, out: io.stdout, err: io.stderr, color, echoes: isTerminal });
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
    const endpoint = isName ? undefined : parseTarget(target).endpoint;
    const isOurs = isName
      ? parseName(target) === name
      : endpoint?.port === port && endpoint.host === host;
    if (!isOurs) continue;
    throw new GreetError("USAGE", `the peer ${isName ? "" : "at "}${target} would be ${name}`, {
      hint: "NAME and PORT are ours, PEER is somebody else's",
    });
  }
}

async function openJournal(name: string, input: Arguments, io: Io) {
  const [{ homeFolder }, { Journal }] = await Promise.all([
    import("./home.ts"),
    import("./journal.ts"),
  ]);
  const home = homeFolder(input.string("home"), { os: Deno.build.os, env: io.env });
  return Journal.open({ home, name });
}

// ---------------------------------------------------------------- names

async function namesCommand(input: Arguments, io: Io): Promise<number> {
  const [first, name] = input.positionals(0, 2);
  const isQuestion = first === "list" || first === "watch";
  if (name !== undefined && first !== "watch") {
    throw input.usage(`unexpected argument ${quote(name)}`);
  }
  refuseIdleOptions(input, io);
  if (!isQuestion) return await serveNamesCommand(first, input, io);
  for (const option of ["host", ...Object.keys(SERVER_TLS)]) {
    if (input.flag(option)) throw input.usage(`--${option} is for a naming server`);
  }
  if (placeOfNames(input, io) === undefined) {
    throw input.usage(`greet names ${first} needs --names PLACE`);
  }
  const { printNames, printChanges } = await import("./directory.ts");
  await using names = await useNames(input, io);
  const options = { json: input.flag("json"), quiet: input.flag("quiet"), ...io };
  if (first === "list") await printNames(names, options);
  else await printChanges(names, name === undefined ? undefined : parseName(name), options);
  return 0;
}

async function serveNamesCommand(
  portText: string | undefined,
  input: Arguments,
  io: Io,
): Promise<number> {
  if (input.flag("names")) throw input.usage("--names is for list and watch");
  const [{ NAMES_PORT, serveNames }, { newsLine, newsText }] = await Promise.all([
    import("./names_server.ts"),
    import("./directory.ts"),
  ]);
  const port = portText === undefined ? NAMES_PORT : parsePort(portText);
  const host = input.string("host") ?? LOOPBACK;
  const json = input.flag("json");
  await using server = await serveNames({
    host,
    port,
    onChange: (news) => io.stdout.line(json ? newsLine(news) : newsText(news)),
    onFault: (error) => reportError(GreetError.from(error), io),
    tls: await askedServerTls(input),
    onRefused: reportSeldom(io),
  });
  if (json) {
    io.stdout.line(JSON.stringify({ type: "listening", host, port: server.port }));
  } else if (!input.flag("quiet")) {
    io.stdout.line(`Naming server started, listening on ${server.port}`);
  }
  await aborted(io.signal);
  return 0;
}

function placeOfNames(input: Arguments, io: Io): string | undefined {
  // `--names ""` asks for none, whatever the environment says.
  return (input.string("names") ?? io.env("GREET_NAMES")) || undefined;
}

/** Which naming service is meant, as plain data. */
async function namingOf(input: Arguments, io: Io): Promise<Naming | undefined> {
  const place = placeOfNames(input, io);
  if (place === undefined) return undefined;
  const cacert = input.string("cacert");
  const { readPem } = await import("./secure.ts");
  const trusted = cacert === undefined ? undefined : readPem(cacert, "certificate");
  const [user, password] = [io.env("GREET_ETCD_USER"), io.env("GREET_ETCD_PASSWORD")];
  return { place, options: { user, password, trusted } };
}

/** Where only a naming service is called, options that are about it need one. */
function refuseIdleOptions(input: Arguments, io: Io): void {
  const place = placeOfNames(input, io);
  if (input.flag("advertise") && place === undefined) {
    throw input.usage("--advertise needs --names PLACE");
  }
  if (!input.flag("cacert") || /^(tls|etcds):/.test(place ?? "")) return;
  throw input.usage("--cacert needs --names tls://HOST:PORT or etcds://HOST:PORT");
}

async function useNames(input: Arguments, io: Io): Promise<Names> {
  const [{ openNames }, naming] = await Promise.all([import("./naming.ts"), namingOf(input, io)]);
  return openNames(naming!.place, naming!.options);
}

/** The host under which others are told to call us. */
function advertised(input: Arguments, host: string, io: Io): string {
  const given = input.string("advertise");
  if (given !== undefined && !isEndpoint(formatEndpoint(given, 1))) {
    throw input.usage(`--advertise takes a host, not ${quote(given)}`);
  }
  if (given === undefined && ["0.0.0.0", "::"].includes(host)) {
    throw new GreetError(
      "USAGE",
      `nobody can call ${host}, which is every address of this machine`,
      {
        hint: "--advertise HOST says which one others are to call",
      },
    );
  }
  const isLocal = /^(\d+$|unix:|((tls|etcds?):\/\/)?(127\.|localhost\b|\[::1\]))/;
  if (given === undefined && host === LOOPBACK && !isLocal.test(placeOfNames(input, io)!)) {
    io.stderr.line(`greet: hint: nobody on another machine can call ${host}; see --host`);
  }
  return given ?? host;
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

// ---------------------------------------------------------------- help

function unknownCommand(typed: string): GreetError {
  return new GreetError("USAGE", `there is no command ${quote(typed)}`, {
    hint: didYouMean(typed, COMMANDS.map(({ name }) => name)) ?? "see greet --help",
  });
}

function generalHelp(): string {
  const width = Math.max(...COMMANDS.map(({ name, usage }) => `${name} ${usage}`.length));
  const commands = COMMANDS.map(({ name, usage, summary }) =>
    `  greet ${`${name} ${usage}`.padEnd(width)}  ${summary}`
  );
  return [
    "Greetings over gRPC, and chats from peer to peer.",
    "",
    "Usage:",
    ...commands,
    "",
    "greet COMMAND --help tells more about one; greet --version says which this is.",
  ].join("\n");
}

function commandHelp({ name, usage, summary, details, options }: Command): string {
  const rows = Object.entries({ ...options, ...COMMON }).map(([option, { value, help }]) =>
    [`--${option}${value ? ` ${value}` : ""}`, help] as const
  );
  const width = Math.max(...rows.map(([left]) => left.length));
  return [
    `greet ${name} ${usage} [OPTION...]: ${summary}`,
    "",
    details,
    "",
    "Options:",
    ...rows.map(([left, help]) => `  ${left.padEnd(width)}  ${help}`),
  ].join("\n");
}

// ---------------------------------------------------------------- the program

/**
 * Runs one command.
 *
 * @param args what was typed after the program's name
 * @param io the world around
 * @returns the exit code: 0 done, 1 our own fault, 2 usage, 64 + gRPC status
 *   when a call failed, 130 interrupted before the work was done
 */
export async function main(args: readonly string[], io: Io): Promise<number> {
  try {
    return await dispatch(args, io);
  } catch (error) {
    reportError(GreetError.from(error), io);
    return exitCode(GreetError.from(error).code);
  }
}

async function dispatch([first, ...rest]: readonly string[], io: Io): Promise<number> {
  if (first === undefined) {
    io.stderr.line(generalHelp());
    return exitCode("USAGE");
  }
  const wantsHelp = ["help", "--help", "-h"].includes(first);
  const print = (text: string) => (io.stdout.line(text), 0);
  if (wantsHelp && rest.length === 0) return print(generalHelp());
  if (first === "--version") return print(`greet ${config.version}`);
  const name = wantsHelp ? rest[0] : first;
  const command = COMMANDS.find((command) => command.name === name);
  if (command === undefined) throw unknownCommand(name);
  if (wantsHelp) return print(commandHelp(command));
  const input = new Arguments(command, rest);
  if (input.flag("help")) return print(commandHelp(command));
  if (input.flag("version")) return print(`greet ${config.version}`);
  return await command.run(input, io);
}

function exitCode(code: ErrorCode): number {
  switch (code) {
    case "FAILED":
      return 1;
    case "USAGE":
      return 2;
    case "INTERRUPTED":
      return 130;
    default:
      return 64 + STATUS_NAMES.indexOf(code satisfies StatusName);
  }
}

function reportError({ message, hint }: GreetError, io: Io, about = ""): void {
  io.stderr.line(`greet: error: ${about}${showable(message)}`);
  if (hint !== undefined) io.stderr.line(`greet: hint: ${showable(hint)}`);
}

/** Asked to stop, the program stops gracefully; asked again, at once. */
function stopSignal(): AbortController {
  const stop = new AbortController();
  const signals: Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT", "SIGBREAK"]
    : ["SIGINT", "SIGTERM", "SIGHUP"];
  const ask = () => stop.signal.aborted ? Deno.exit(130) : stop.abort();
  for (const signal of signals) Deno.addSignalListener(signal, ask);
  return stop;
}

/** Runs the program with the real world around it, and gives the exit code. */
async function runProgram(): Promise<number> {
  const stop = stopSignal();
  let unwritable: GreetError | undefined;
  const stderr = new Output(Deno.stderr);
  const stdout = new Output(Deno.stdout, (error) => {
    unwritable = GreetError.from(error);
    stop.abort();
  });
  const io: Io = {
    stdout,
    stderr,
    stdin: Deno.stdin.readable,
    stdinIsTerminal: Deno.stdin.isTerminal(),
    stdoutIsTerminal: Deno.stdout.isTerminal(),
    env: (name) => Deno.env.get(name),
    signal: stop.signal,
  };
  let code = await main(Deno.args, io);
  await stdout.flush();
  // That a reader has read enough, as `head` does, is no error.
  if (unwritable !== undefined && !(unwritable.cause instanceof Deno.errors.BrokenPipe)) {
    code = exitCode(unwritable.code);
    reportError(unwritable, io, "the output cannot be written: ");
  }
  await stderr.flush();
  return code;
}

if (import.meta.main) Deno.exit(await runProgram());
