#!/usr/bin/env -S deno run --allow-net
/**
 * The command line: one table of commands, what they take and what runs.
 *
 * {@link main} finds the command, runs it and returns the exit code; this is the only module that
 * exits. A command is a file of its own, which wires terminal and network together and is loaded
 * when it runs, so that `--help` does not wait for gRPC.
 *
 * @module
 */
import {
  Arguments,
  COMMON,
  didYouMean,
  type Option,
  quote,
  type Syntax,
} from "./src/cli/arguments.ts";
import config from "./deno.json" with { type: "json" };
import { GreetError } from "./src/base/errors.ts";
import { exitCode, type Io, reportError } from "./src/cli/io.ts";
import { Output } from "./src/base/output.ts";
import { rendered } from "./src/terminal/rows.ts";
import { LOOPBACK } from "./src/net/address.ts";

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
  help: "who knows names: a naming server, or etcd://HOST:PORT",
};
const CACERT: Option = { value: "FILE", help: "who vouches for the naming service (PEM)" };
const ADVERTISE: Option = {
  value: "HOST",
  help: "where others are told to call (default: --host)",
};
const HOME: Option = {
  value: "DIR",
  help: "keep journal, identity and known_peers there (default $GREET_HOME)",
};
const PLAINTEXT: Option = { help: "do not encrypt what goes beyond this machine" };
const SERVER_TLS: Command["options"] = {
  cert: {
    value: "FILE",
    help: "speak TLS with this certificate (PEM), read again when it changes",
  },
  key: { value: "FILE", help: "the private key of --cert" },
  "client-ca": { value: "FILE", help: "callers need a certificate that this one vouches for" },
  plaintext: PLAINTEXT,
};

const CLIENT_TLS: Command["options"] = {
  tls: { help: "speak TLS, which is the default beyond this machine, on it as well" },
  cacert: { value: "FILE", help: "who vouches for those we call, names included (PEM)" },
  cert: { value: "FILE", help: "show this certificate (PEM)" },
  key: { value: "FILE", help: "the private key of --cert" },
  insecure: { help: "speak TLS, and do not look whether it is who it should be" },
  plaintext: PLAINTEXT,
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
      threads: { value: "N", help: "on how many threads (default 1); connections are shared out" },
      json: { help: "log one JSON object a line" },
      quiet: QUIET,
    },
    run: async (...world) => await (await import("./src/cli/serve.ts")).serveCommand(...world),
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
    run: async (...world) => await (await import("./src/cli/greet.ts")).greetCommand(...world),
  },
  {
    name: "chat",
    usage: "NAME [PORT] PEER...",
    summary: "a chat with the peers at PEER, while listening on PORT",
    details: "PEER is a port on this machine, host:port, [v6]:port, dns:///host:port or\n" +
      "unix:/path; with --names (or $GREET_NAMES) also a name. Then PORT, which is the\n" +
      "first number, may be left out for a free one, and others find NAME. Bob@ in front\n" +
      "of a PEER accepts only Bob there. Without it, a peer that answers where you met\n" +
      "another one before is announced on a terminal, and refused in a pipe. Beyond this\n" +
      "machine everything is encrypted. Lines that are typed, or piped in, are sent to\n" +
      "all of them; what somebody cannot get now is kept in the journal until they are\n" +
      "there. /help lists what else can be typed. /quit, Ctrl-D, the end of the input,\n" +
      "or Ctrl-C when nothing is typed leave.",
    options: {
      names: NAMES,
      cacert: CACERT,
      host: HOST,
      advertise: ADVERTISE,
      tls: { help: "encrypt, which is the default beyond this machine, on it as well" },
      plaintext: PLAINTEXT,
      home: HOME,
      "no-journal": { help: "keep nothing on disk, for nobody" },
      history: { value: "N", help: "show the last N lines at the start (default 10)" },
      linger: { value: "SECONDS", help: "at the end of piped input, wait for delivery that long" },
      json: { help: "events out and messages in, one JSON object a line" },
      quiet: QUIET,
      color: { value: "WHEN", help: "auto (default), always or never" },
      bell: { help: "ring when a message arrives" },
    },
    run: async (...world) => await (await import("./src/cli/chat.ts")).chatCommand(...world),
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
    run: async (...world) => await (await import("./src/cli/names.ts")).namesCommand(...world),
  },
  {
    name: "id",
    usage: "[NAME]",
    summary: "who you are to others: a fingerprint, and a code to read to them",
    details:
      "Makes the identity if there is none yet; without NAME, lists those that there are.\n" +
      "Chats beyond this machine show it, and others remember it.",
    options: { home: HOME, json: { help: "print one JSON object a line" } },
    run: async (...world) => await (await import("./src/cli/id.ts")).idCommand(...world),
  },
];

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
  // What programs read is not broken into rows.
  if (input.flag("json")) io.stdout.exact();
  if (input.flag("help")) return print(commandHelp(command));
  if (input.flag("version")) return print(`greet ${config.version}`);
  return await command.run(input, io);
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

/** How lines are broken for a terminal. */
function fitTo(stream: typeof Deno.stdout) {
  if (!stream.isTerminal()) return undefined;
  const columns = columnsOf(stream);
  return (line: string) => rendered(line, { columns });
}

function columnsOf(stream: typeof Deno.stdout): () => number | undefined {
  if (!stream.isTerminal()) return () => undefined;
  return () => {
    try {
      // A terminal that does not know its size says that it has none.
      return Deno.consoleSize().columns || undefined;
    } catch {
      // It is gone.
      return undefined;
    }
  };
}

/** Runs the program with the real world around it, and gives the exit code. */
async function runProgram(): Promise<number> {
  const stop = stopSignal();
  let unwritable: GreetError | undefined;
  const stderr = new Output(Deno.stderr, undefined, fitTo(Deno.stderr));
  const onBroken = (error: unknown) => {
    unwritable = GreetError.from(error);
    stop.abort();
  };
  const stdout = new Output(Deno.stdout, onBroken, fitTo(Deno.stdout));
  const io: Io = {
    stdout,
    stderr,
    stdin: Deno.stdin.readable,
    stdinIsTerminal: Deno.stdin.isTerminal(),
    stdoutIsTerminal: Deno.stdout.isTerminal(),
    columns: columnsOf(Deno.stdout),
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
