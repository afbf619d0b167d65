#!/usr/bin/env -S deno run --allow-net
/**
 * The command line: runs one of the commands in `src/cli/commands.ts`.
 *
 * {@link main} finds the command, runs it and returns the exit code. Only this module exits.
 *
 * @module
 */
import { Arguments, quote } from "./src/cli/arguments.ts";
import config from "./deno.json" with { type: "json" };
import { GreetError } from "./src/base/errors.ts";
import { exitCode } from "./src/cli/exit_codes.ts";
import { commandHint } from "./src/cli/command_guesses.ts";
import { COMMANDS } from "./src/cli/commands.ts";
import { commandHelp, generalHelp } from "./src/cli/help.ts";
import type { Io } from "./src/cli/io.ts";
import { reportError } from "./src/cli/reports.ts";
import { returnMemoryAfterWork } from "./src/base/memory.ts";
import { Output } from "./src/base/output.ts";
import { versionText } from "./src/cli/version.ts";
import { rendered } from "./src/terminal/rows.ts";

/**
 * Runs one command.
 *
 * @param args the program's arguments
 * @param io the program's surroundings
 * @returns the exit code: 0 for success, 1 for a local failure, 2 for usage, 64 + gRPC status when
 *   a call failed, 130 when interrupted before the work was done
 * @internal
 */
export async function main(args: readonly string[], io: Io): Promise<number> {
  try {
    return await dispatch(args, io);
  } catch (error) {
    reportError(GreetError.from(error), io);
    return exitCode(GreetError.from(error).code);
  }
}

function unknownCommand(args: readonly string[]): GreetError {
  return new GreetError("USAGE", `there is no command ${quote(args[0])}`, {
    hint: commandHint(args, COMMANDS),
  });
}

async function dispatch([first, ...rest]: readonly string[], io: Io): Promise<number> {
  if (first === undefined) {
    io.stderr.line(generalHelp(COMMANDS));
    return exitCode("USAGE");
  }
  const isHelp = (word: string) => ["help", "--help", "-h"].includes(word);
  const wantsHelp = isHelp(first);
  const print = (text: string) => (io.stdout.line(text), 0);
  const [name, ...args] = wantsHelp ? rest : [first, ...rest];
  if (name === undefined || wantsHelp && isHelp(name)) return print(generalHelp(COMMANDS));
  if (name === "--version") return printVersion(args.includes("--json"), io);
  const command = COMMANDS.find((command) => command.name === name);
  if (command === undefined) throw unknownCommand([name, ...args]);
  const asksForHelp = args.length === 1 && args[0] === "help";
  if (wantsHelp || asksForHelp) return print(commandHelp(command));
  const input = new Arguments(command, args, COMMANDS);
  // Lines for programs are never wrapped.
  if (input.flag("json")) io.stdout.exact();
  if (input.flag("help")) return print(commandHelp(command));
  if (input.flag("version")) return printVersion(input.flag("json"), io);
  return await command.run(input, io);
}

function printVersion(isJson: boolean, { stdout }: Io): number {
  if (isJson) stdout.exact();
  stdout.line(versionText(config.version, isJson));
  return 0;
}

/**
 * Signals that come so soon after the first one are copies of it: `deno task` and npm pass on those
 * that the terminal has already sent to the program. In milliseconds.
 */
const COPIES_MS = 500;

/** The first signal stops the program gracefully, the second one at once. */
function stopSignal(): AbortController {
  const stop = new AbortController();
  let stoppedAt = 0;
  const signals: Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT", "SIGBREAK"]
    : ["SIGINT", "SIGTERM", "SIGHUP"];
  const onSignal = () => {
    if (!stop.signal.aborted) {
      stoppedAt = performance.now();
      stop.abort();
    } else if (performance.now() - stoppedAt > COPIES_MS) Deno.exit(130);
  };
  for (const signal of signals) Deno.addSignalListener(signal, onSignal);
  return stop;
}

/** Wraps lines, if the stream is a terminal. */
function wrapFor(stream: typeof Deno.stdout) {
  if (!stream.isTerminal()) return undefined;
  const columns = columnsOf(stream);
  return (line: string) => rendered(line, { columns });
}

function columnsOf(stream: typeof Deno.stdout): () => number | undefined {
  if (!stream.isTerminal()) return () => undefined;
  return () => {
    try {
      // A terminal that does not know its size reports 0.
      return Deno.consoleSize().columns || undefined;
    } catch {
      // The terminal is gone.
      return undefined;
    }
  };
}

/** Runs the program on the process's own streams; returns the exit code. */
async function runProgram(): Promise<number> {
  returnMemoryAfterWork();
  const stop = stopSignal();
  let outputError: GreetError | undefined;
  const stderr = new Output(Deno.stderr, undefined, wrapFor(Deno.stderr));
  const onBroken = (error: unknown) => {
    outputError = GreetError.from(error);
    stop.abort();
  };
  const stdout = new Output(Deno.stdout, onBroken, wrapFor(Deno.stdout));
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
  // A reader that stops early, such as `head`, is not an error.
  if (outputError !== undefined && !isBrokenPipe(outputError.cause)) {
    code = exitCode(outputError.code);
    reportError(outputError, io, "cannot write output: ");
  }
  await stderr.flush();
  return code;
}

/** Whether the reader of a pipe has gone. On Windows, that is not always a `Deno.errors.BrokenPipe`. */
function isBrokenPipe(error: unknown): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === "EPIPE";
}

if (import.meta.main) Deno.exit(await runProgram());
