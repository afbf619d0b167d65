/**
 * Runs a command line in this process, without a terminal. For command lines that start nothing: they
 * are refused, or print help.
 *
 * @module
 */
import { main } from "../../cli.ts";
import { Output } from "../../src/base/output.ts";

/** What a command has printed, and its exit code. */
export interface Answer {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/**
 * Runs `greet` with arguments.
 *
 * @param service the value of `GREET_NAMES`; nothing else is in the environment
 */
export async function answerTo(args: readonly string[], service?: string): Promise<Answer> {
  const [out, err] = [new Collected(), new Collected()];
  const [stdout, stderr] = [new Output(out), new Output(err)];
  const code = await main(args, {
    stdout,
    stderr,
    stdin: new ReadableStream(),
    stdinIsTerminal: false,
    stdoutIsTerminal: false,
    columns: () => undefined,
    env: (name) => name === "GREET_NAMES" ? service : undefined,
    // A command that does start ends at once.
    signal: AbortSignal.abort(),
  });
  await Promise.all([stdout.flush(), stderr.flush()]);
  return { code, out: out.text, err: err.text };
}

/** Output that is kept. */
class Collected {
  text = "";

  write(bytes: Uint8Array): Promise<number> {
    this.text += new TextDecoder().decode(bytes);
    return Promise.resolve(bytes.length);
  }
}
