/**
 * Runs one of the program's servers until it listens, and prints the permissions it still has.
 *
 * @module
 */
import { main } from "../../cli.ts";
import { Output } from "../../src/base/output.ts";

const stop = new AbortController();
const stdout = new Output({
  write(bytes: Uint8Array) {
    const may = (["read", "write", "run", "ffi", "sys"] as const)
      .filter((name) => Deno.permissions.querySync({ name }).state === "granted");
    console.log(`${new TextDecoder().decode(bytes).trim()}; may ${may.join(" and ") || "nothing"}`);
    stop.abort();
    return Promise.resolve(bytes.length);
  },
});
const code = await main(Deno.args, {
  stdout,
  stderr: new Output(Deno.stderr),
  stdin: new ReadableStream(),
  stdinIsTerminal: false,
  stdoutIsTerminal: false,
  columns: () => undefined,
  env: () => undefined,
  signal: stop.signal,
});
Deno.exit(code);
