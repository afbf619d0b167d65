/** A naming server that lies: what it answers is valid, or left out, or gets one sentence. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { GreetError, openNames } from "../../mod.ts";
import { showable, storedNameProblem } from "../../src/base/text.ts";
import { isTarget } from "../../src/net/address.ts";
import type { NamedEntry } from "../../src/naming/naming_service.ts";
import { serve } from "../../src/rpc/server.ts";
import { implement } from "../../src/rpc/service.ts";
import { NAMES, type WireEntry } from "../../src/rpc/services.ts";
import { texts } from "../support/properties.ts";

const RUNS = 300 * Number(Deno.env.get("GREET_TEST_SEEDS") ?? 1);

const TEXT = texts(
  "Bob",
  "127.0.0.1:1",
  "\x1b[2J",
  "\u202e",
  " ",
  "\n",
  "SHA256:",
  "A".repeat(43),
  "/",
);
const entry: fc.Arbitrary<WireEntry> = fc.record({
  name: fc.oneof(fc.constant("Bob"), TEXT),
  address: fc.oneof(fc.constant("127.0.0.1:1"), TEXT),
  shared: fc.boolean(),
  sinceMs: fc.oneof(fc.maxSafeInteger(), fc.constant(0), fc.constant(-1)),
  fingerprint: fc.oneof(fc.constant(""), TEXT),
});
function assertSound({ name, address, since }: NamedEntry): void {
  assert.equal(storedNameProblem(name), undefined, JSON.stringify(name));
  assert(isTarget(address), JSON.stringify(address));
  assert.equal(showable(address), address);
  if (since !== undefined) assert(!Number.isNaN(since.getTime()), "since");
}

function assertOneSentence(error: unknown): void {
  assert(error instanceof GreetError, String((error as Error)?.stack));
  assert.doesNotMatch(error.message, /\n|\.$/);
}

Deno.test("answers of a hostile naming server are sound, or get one sentence", async () => {
  let entries: WireEntry[] = [];
  const hostile = implement(NAMES, {
    Lookup: () => Promise.resolve({ entries }),
    List: () => Promise.resolve({ entries, nextPageToken: "" }),
    Watch: async function* () {},
    Register: async function* () {},
  });
  await using server = await serve({ host: "127.0.0.1", port: 0, services: [hostile] });
  await using names = openNames(`${server.port}`);
  const property = fc.asyncProperty(fc.array(entry, { maxLength: 4 }), async (answer) => {
    entries = answer;
    for (const look of [() => names.list(), () => names.lookup("Bob")]) {
      const found = await look().catch((error) => (assertOneSentence(error), []));
      for (const entry of [found].flat()) assertSound(entry as NamedEntry);
    }
  });
  await fc.assert(property, { numRuns: RUNS, seed: 1 });
});
