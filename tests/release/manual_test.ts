/** The manual page: that it is complete, and that the programs that show it find nothing wrong. */
import assert from "node:assert/strict";
import { globSync } from "node:fs";
import { COMMANDS } from "../../src/cli/commands.ts";
import { manualPage } from "../../release/manual.ts";
import { ROOT } from "../support/program.ts";
import { hasCommand, outputOf } from "../support/tools.ts";

const PAGE = manualPage(new Date("2026-11-26"));

Deno.test("the manual page has every command, option and example", () => {
  const page = PAGE.replaceAll("\\-", "-");
  for (const { name, options, examples } of COMMANDS) {
    assert(page.includes(`.SS "greet ${name} `), name);
    for (const option of Object.keys(options)) assert(page.includes(`.BI --${option}`), option);
    for (const [, line] of examples) {
      const escaped = line.replaceAll("'", "\\(aq").replaceAll('"', "\\(dq").replaceAll(
        "~",
        "\\(ti",
      );
      assert(page.includes(escaped), line);
    }
  }
});

Deno.test("the manual page lists the environment variables that the program reads", async () => {
  const [, section] = /\.SH ENVIRONMENT\n(.*?)\.SH/s.exec(PAGE)!;
  for (const name of await variablesRead()) assert(section.includes(name), name);
});

/** The names of the environment variables in our own source. */
async function variablesRead(): Promise<Set<string>> {
  const names = new Set<string>();
  for (const file of globSync("src/**/*.ts", { cwd: ROOT })) {
    const source = await Deno.readTextFile(ROOT + file);
    for (const [, name] of source.matchAll(/\benv(?:\.get)?\("([A-Z_]+)"\)/g)) names.add(name);
  }
  assert(names.size > 5);
  return names;
}

Deno.test({
  name: "mandoc finds nothing wrong with the manual page (needs mandoc)",
  ignore: !hasCommand("mandoc"),
  fn: () => withPage(async (file) => assert.equal(await outputOf("mandoc", "-Tlint", file), "")),
});

Deno.test({
  name: "groff formats the manual page without warnings, and options can be copied (needs groff)",
  ignore: !hasCommand("groff"),
  fn: () =>
    withPage(async (file) => {
      const { stdout, stderr } = await new Deno.Command("groff", {
        args: ["-ww", "-man", "-Tutf8", "-P-cbou", file],
      }).output();
      assert.equal(new TextDecoder().decode(stderr), "");
      const text = new TextDecoder().decode(stdout);
      assert.match(text, /^ +greet chat Alice 55555 55556$/m);
      assert.match(text, /^ +echo 'backup done' \| greet chat Alice 55555 55556 --linger 60$/m);
      assert.match(text, /^ +--max-time SECONDS$/m);
      assert.match(
        text,
        /^ +greet completions fish > ~\/\.config\/fish\/completions\/greet\.fish$/m,
      );
    }),
});

async function withPage(use: (file: string) => Promise<void>): Promise<void> {
  const file = await Deno.makeTempFile({ suffix: ".1" });
  await Deno.writeTextFile(file, PAGE);
  await use(file);
  await Deno.remove(file);
}
