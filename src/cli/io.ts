/**
 * The program's streams, environment and stop signal, as commands see them.
 *
 * @module
 */
import type { Output } from "../base/output.ts";

/** The program's surroundings. */
export interface Io {
  /** Results. */
  readonly stdout: Output;
  /** Errors, warnings and progress. */
  readonly stderr: Output;
  /** Input. */
  readonly stdin: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Whether input is typed on a terminal. */
  readonly stdinIsTerminal: boolean;
  /** Whether stdout goes to a terminal. */
  readonly stdoutIsTerminal: boolean;
  /** The width of the terminal that stdout goes to, in columns; undefined if it is none. */
  columns(): number | undefined;
  /** The value of an environment variable. */
  env(name: string): string | undefined;
  /** Aborted when the program is asked to stop. */
  readonly signal: AbortSignal;
}
