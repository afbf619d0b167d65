/** The library in a project of its own, as the README describes it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { Program, ROOT } from "../support/program.ts";

Deno.test("another project imports the library from a clone", async () => {
  const readme = await Deno.readTextFile(ROOT + "README.md");
  const [, chapter] = readme.split("## As a library");
  const folder = await Deno.makeTempDir({ prefix: "greet project " });
  try {
    const [, code] = /```ts\n([^]*?)```/.exec(chapter)!;
    const [, config] = /`(\{ "links": .*?\})`/.exec(chapter)!;
    const [, args] = /`deno run (.*?)`/.exec(chapter)!;
    await Deno.writeTextFile(join(folder, "main.ts"), code);
    await Deno.writeTextFile(join(folder, "deno.json"), config.replace("../greet", ROOT));
    const command = [Deno.execPath(), "run", "--check", ...args.split(" ")];
    await using program = new Program(command, { cwd: folder });
    // The types of all packages are checked as well.
    assert.equal(await program.code(), 0, program.err.text);
    assert.equal(program.out.text, "Hello, Bob.\n");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
