/**
 * Reads what is typed in a Windows console.
 *
 * `Deno.stdin` would read it in the console's code page, which lacks most characters:
 * {@link https://github.com/denoland/deno/issues/18240}. Node's stream reads Unicode.
 *
 * @module
 */
import process from "node:process";
import { Readable } from "node:stream";

/**
 * Opens the console in raw mode.
 *
 * @returns what is typed, in UTF-8
 */
export function consoleInput(): ReadableStream<Uint8Array<ArrayBuffer>> {
  // In raw mode this stream reads keys; otherwise it would wait for whole lines.
  process.stdin.setRawMode(true);
  return Readable.toWeb(process.stdin) as ReadableStream<Uint8Array<ArrayBuffer>>;
}
