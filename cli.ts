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
import { parseArgs } from "node:util";
import config from "./deno.json" with { type: "json" };
import { type ErrorCode, GreetError, STATUS_NAMES, type StatusName } from "./errors.ts";
import { Output } from "./output.ts";
import { LOOPBACK, parsePort, parseTarget } from "./target.ts";
import { parseName, showable } from "./text.ts";

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

interface Option {
  /** What stands for its value in the help; a flag has none. */
  readonly value?: string;
  readonly help: string;
}

interface Command {
  readonly name: string;
  readonly usage: string;
  readonly summary: string;
  readonly details: string;
  readonly options: Readonly<Record<string, Option>>;
  run(input: Arguments, io: Io): Promise<number>;
}

const QUIET: Option = { help: "leave out what is only progress" };
const HOST: Option = { value: "ADDRESS", help: `listen on this address (default ${LOOPBACK})` };
const COMMON: Command["options"] = {
  help: { help: "show this help" },
  version: { help: "show the version" },
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
      "or unix:/path.",
    options: {
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
    usage: "NAME PORT PEER...",
    summary: "a chat with the peers at PEER, while listening on PORT",
    details: "PEER is a port on this machine, host:port, [v6]:port, dns:///host:port or\n" +
      "unix:/path. Lines that are typed, or piped in, are sent to all of them; what\n" +
      "somebody cannot get now is kept in the journal until they are there. /help\n" +
      "lists what else can be typed. /quit, Ctrl-D, the end of the input, or Ctrl-C when\n" +
      "nothing is typed leave.",
    options: {
      host: HOST,
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
];

async function serveCommand(input: Arguments, io: Io): Promise<number> {
  const [portText = "0"] = input.positionals(0, 1);
  const port = parsePort(portText);
  const host = input.string("host") ?? LOOPBACK;
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
  });
  if (input.flag("json")) {
    io.stdout.line(JSON.stringify({ type: "listening", host, port: server.port }));
  } else if (!input.flag("quiet")) {
    io.stdout.line(`Server started, listening on ${server.port}`);
  }
  await aborted(io.signal);
  return 0;
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
  const options = {
    maxTime: input.number("max-time", { above: 0, max: 86_400 }),
    threads: input.number("threads", { above: 0, max: 1_024, whole: true }),
    wait: input.flag("wait"),
    signal: io.signal,
  };
  parseTarget(target);
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

async function chatCommand(input: Arguments, io: Io): Promise<number> {
  const [typedName, portText, ...targets] = input.positionals(3, Infinity);
  const name = parseName(typedName);
  const port = parsePort(portText);
  const host = input.string("host") ?? LOOPBACK;
  for (const target of targets) refuseOurselves(name, host, port, target);
  const options = {
    quiet: input.flag("quiet"),
    json: input.flag("json"),
    history: input.number("history", { from: 0, max: 10_000, whole: true }) ?? 10,
    linger: input.number("linger", { from: 0, max: 2_000_000 }),
  };
  const color = useColor(input, io);
  const bell = input.flag("bell");
  using journal = input.flag("no-journal") ? undefined : await openJournal(name, input, io);
  const { chat } = await import("./chat.ts");
  await using screen = await openScreen(name, { color, bell, json: options.json }, io);
  const { signal } = io;
  const error = await chat({ name, port, targets, host, journal, screen, signal, ...options });
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

function refuseOurselves(name: string, host: string, port: number, target: string): void {
  const { endpoint } = parseTarget(target);
  if (endpoint?.port !== port || endpoint.host !== host) return;
  throw new GreetError("USAGE", `the peer at ${target} would be ${name}`, {
    hint: "PORT is where we listen, PEER where another one does",
  });
}

async function openJournal(name: string, input: Arguments, io: Io) {
  const [{ homeFolder }, { Journal }] = await Promise.all([
    import("./home.ts"),
    import("./journal.ts"),
  ]);
  const home = homeFolder(input.string("home"), { os: Deno.build.os, env: io.env });
  return Journal.open({ home, name });
}

// ---------------------------------------------------------------- arguments

/** What was typed after the command's name. */
class Arguments {
  readonly #command: Command;
  readonly #values: ReadonlyMap<string, string | true>;
  readonly #positionals: readonly string[];

  constructor(command: Command, args: readonly string[]) {
    this.#command = command;
    const options = { ...command.options, ...COMMON };
    const { tokens } = parseArgs({
      args: [...args],
      options: {
        ...mapValues(options, ({ value }) => ({ type: value ? "string" : "boolean" } as const)),
        help: { type: "boolean", short: "h" },
      },
      strict: false,
      tokens: true,
    });
    const values = new Map<string, string | true>();
    for (const token of tokens) {
      if (token.kind !== "option") continue;
      const option = Object.hasOwn(options, token.name) ? options[token.name] : undefined;
      if (option === undefined) throw unknownOption(token.rawName, options, command);
      if (option.value && token.value === undefined) {
        throw this.#usage(`${token.rawName} needs a value: ${token.rawName} ${option.value}`);
      }
      if (!option.value && token.value !== undefined) {
        throw this.#usage(`${token.rawName} takes no value`);
      }
      values.set(token.name, token.value ?? true);
    }
    this.#values = values;
    this.#positionals = tokens.flatMap((token) => token.kind === "positional" ? token.value : []);
  }

  /** Whether a flag was given. */
  flag(name: string): boolean {
    return this.#values.has(name);
  }

  /** The value of an option, if it was given. */
  string(name: string): string | undefined {
    const value = this.#values.get(name);
    return value === true ? undefined : value;
  }

  /** The value of an option that is a number within limits. */
  number(
    name: string,
    { above, from, max, whole = false }: {
      above?: number;
      from?: number;
      max: number;
      whole?: boolean;
    },
  ): number | undefined {
    const text = this.string(name);
    if (text === undefined) return undefined;
    const number = /^\d*\.?\d+$/.test(text) ? Number(text) : NaN;
    const isEnough = above === undefined ? number >= from! : number > above;
    if (isEnough && number <= max && !(whole && !Number.isInteger(number))) return number;
    const kind = whole ? "a whole number" : "a number";
    const least = above === undefined ? `from ${from} to` : `above ${above} and up to`;
    throw this.#usage(`--${name} takes ${kind} ${least} ${max}, not ${quote(text)}`);
  }

  /** What is left when the options are taken away. */
  positionals(min: number, max: number): readonly string[] {
    const { length } = this.#positionals;
    if (length < min) {
      const missing = this.#command.usage.split(" ").slice(length, min).join(" ");
      throw this.#usage(`greet ${this.#command.name} needs ${missing.replaceAll("...", "")}`);
    }
    if (length > max) throw this.#usage(`unexpected argument ${quote(this.#positionals[max])}`);
    return this.#positionals;
  }

  #usage(message: string): GreetError {
    const { name, usage } = this.#command;
    return new GreetError("USAGE", message, { hint: `usage: greet ${name} ${usage} [OPTION...]` });
  }
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, change: (value: A) => B) {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}

function quote(text: string): string {
  return JSON.stringify(text);
}

function unknownOption(typed: string, options: Command["options"], command: Command): GreetError {
  const known = Object.keys(options).map((name) => `--${name}`);
  return new GreetError("USAGE", `greet ${command.name} has no option ${quote(typed)}`, {
    hint: didYouMean(typed, known) ?? `see greet ${command.name} --help`,
  });
}

function unknownCommand(typed: string): GreetError {
  return new GreetError("USAGE", `there is no command ${quote(typed)}`, {
    hint: didYouMean(typed, COMMANDS.map(({ name }) => name)) ?? "see greet --help",
  });
}

/** Names the candidate that is nearest to what was typed, if any is near. */
function didYouMean(typed: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: editDistance(typed, candidate) }))
    .sort((a, b) => a.distance - b.distance);
  const [nearest] = ranked;
  if (nearest.distance > Math.max(2, nearest.candidate.length / 3)) return undefined;
  return `did you mean ${nearest.candidate}?`;
}

/** How many characters have to be added, dropped or replaced (Levenshtein). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next[j] = Math.min(replaced, row[j] + 1, next[j - 1] + 1);
    }
    row = next;
  }
  return row[b.length];
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

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true })
  );
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
