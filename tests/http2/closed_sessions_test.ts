/** A closed connection leaves next to nothing on the heap, however often it happens. */
import assert from "node:assert/strict";
import { Program } from "../support/program.ts";

/**
 * Between what a connection leaves with `closed_sessions.ts`, 2 to 6 kB, and without it, 32 to
 * 54 kB.
 */
const MOST_BYTES = 14_000;

/** How long the connections of one kind may take. */
const PATIENCE_MS = 120_000;

async function leftBehind(kind: string): Promise<number> {
  const command = "run --allow-all --no-check --v8-flags=--expose-gc tests/http2/heap_growth.ts";
  await using program = new Program([Deno.execPath(), ...command.split(" "), kind]);
  assert.equal(await program.code(PATIENCE_MS), 0, program.err.text);
  return Number(program.out.text);
}

for (
  const [kind, what] of Object.entries({
    plaintext: "a connection that served a call",
    tls: "an encrypted connection between peers",
    closing: "a connection that the other side closed at once",
  })
) {
  Deno.test(`${what} leaves next to nothing on the heap`, async () => {
    const bytes = await leftBehind(kind);
    assert(bytes < MOST_BYTES, `${bytes} bytes for each`);
  });
}
