/** Whether the table of confusable characters is complete, and is as it was generated. */
import assert from "node:assert/strict";
import { CONFUSABLES, DIGEST } from "../../src/identity/confusables.ts";
import { CONFUSABLES_MODULE, confusablesModule, readConfusables } from "../../tools/confusables.ts";

function fromHex(codes: string): string {
  return String.fromCodePoint(...codes.split("+").map((code) => parseInt(code, 16)));
}

/** The table, read as simply as possible. */
const prototypes = new Map<string, string>();
for (const line of CONFUSABLES.trimEnd().split("\n")) {
  const [prototype, members] = line.split(":");
  for (const member of members.split(",")) prototypes.set(fromHex(member), fromHex(prototype));
}

Deno.test("the table has all characters that the runtime's own ICU has, and few differ", async () => {
  const icu = readConfusables(await Deno.readFile(Deno.execPath()));
  assert(icu && icu.prototypes.size > 6_000);
  const characters = [...icu.prototypes.keys()];
  assert.deepEqual(characters.filter((character) => !prototypes.has(character)), []);
  // Unicode revises some prototypes with each version.
  const revised = characters.filter((one) => prototypes.get(one) !== icu.prototypes.get(one));
  assert(revised.length < 100, `${revised}`);
});

Deno.test("src/identity/confusables.ts is as `deno task generate` writes it", async () => {
  const sorted = new Map([...prototypes].sort(([a], [b]) => a.codePointAt(0)! - b.codePointAt(0)!));
  assert.equal(
    await Deno.readTextFile(CONFUSABLES_MODULE),
    confusablesModule({ prototypes: sorted, digest: DIGEST }),
  );
});
