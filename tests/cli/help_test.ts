/** What the program says about itself: help and the version. */
import assert from "node:assert/strict";
import config from "../../deno.json" with { type: "json" };
import { COMMANDS } from "../../src/cli/commands.ts";
import { answerTo } from "../support/in_process.ts";

Deno.test("greet help COMMAND prints what greet COMMAND --help does", async () => {
  for (const { name } of COMMANDS) {
    const help = await answerTo([name, "--help"]);
    assert.deepEqual(await answerTo(["help", name]), help);
    assert.equal(help.code, 0);
  }
  assert.deepEqual(await answerTo(["help"]), await answerTo(["--help"]));
  assert.equal((await answerTo(["help", "nonsense"])).code, 2);
});

Deno.test("--version says what the program runs on, with the program itself on the first line", async () => {
  const { out, code } = await answerTo(["--version"]);
  const { os, arch } = Deno.build;
  const { deno, v8 } = Deno.version;
  assert.equal(out, `greet ${config.version}\ndeno ${deno}, v8 ${v8}, ${os} ${arch}\n`);
  assert.equal(code, 0);
  assert.deepEqual(await answerTo(["chat", "--version"]), { out, code, err: "" });
  for (const args of [["--version", "--json"], ["id", "--json", "--version"]]) {
    const { out } = await answerTo(args);
    const expected = { type: "version", version: config.version, deno, v8, os, arch };
    assert.deepEqual(JSON.parse(out), expected);
  }
});
