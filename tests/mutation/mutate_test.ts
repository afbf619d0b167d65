/** Mutants of a real file, judged by its real tests. */
import assert from "node:assert/strict";
import { Program, ROOT } from "../support/program.ts";
import { works } from "../support/tools.ts";

const FILE = "src/base/nearest.ts";

/** Where a text is in the file, as `FILE:LINE`. */
function placeOf(text: string): string {
  const lines = Deno.readTextFileSync(ROOT + FILE).split("\n");
  return `${FILE}:${lines.findIndex((line) => line.includes(text)) + 1}`;
}

Deno.test({
  name: "deno task mutate tells what tests notice, and leaves the source alone (needs git)",
  ignore: !await works("git", "-C", ROOT, "ls-files"),
  fn: async () => {
    const before = Deno.readTextFileSync(ROOT + FILE);
    const [noticed, unnoticed] = [placeOf("return best !== undefined"), placeOf("table.flatMap")];
    const args = ["task", "mutate", noticed, unnoticed, "--tests", "tests/base/nearest_test.ts"];
    await using program = new Program([Deno.execPath(), ...args], { cwd: ROOT });
    await program.out.until(/^score: .*\n/m);
    assert.equal(await program.code(), 0, program.err.text);
    const [verdicts, summary] = program.out.text.split("\nfile ");
    const results = (place: string) =>
      [...verdicts.matchAll(/^\d+\/\d+ (\w+): (.*?) /gm)]
        .filter(([, , where]) => where === place).map(([, result]) => result);
    assert.deepEqual(new Set(results(noticed)), new Set(["killed"]));
    assert.deepEqual(new Set(results(unnoticed)), new Set(["unreached"]));
    // Those that were not noticed are listed once more at the end.
    assert.equal(summary.match(/^unreached: /gm)?.length, results(unnoticed).length);
    assert.equal(Deno.readTextFileSync(ROOT + FILE), before);
  },
});
