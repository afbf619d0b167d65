/** Promises that live long do not grow with what waits for them. */
import assert from "node:assert/strict";
import { ROOT } from "../support/program.ts";

Deno.test("a race leaves nothing behind on a promise that outlives it", async () => {
  const command = "run --no-check --v8-flags=--expose-gc tests/base/race_heap.ts";
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: command.split(" "),
    cwd: ROOT,
  }).output();
  const bytes = Number(new TextDecoder().decode(stdout));
  assert(bytes < 50, `${bytes} bytes`);
});
