/** What the program says about itself: help, examples and the version. */
import assert from "node:assert/strict";
import config from "../../deno.json" with { type: "json" };
import { readBashLine } from "../../src/cli/bash_line.ts";
import { Arguments } from "../../src/cli/arguments.ts";
import { chatArguments } from "../../src/cli/chat_arguments.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { type Example, EXAMPLES } from "../../src/cli/help.ts";
import { answerTo } from "../support/in_process.ts";

Deno.test("greet help COMMAND prints what greet COMMAND --help does", async () => {
  for (const { name } of COMMANDS) {
    const help = await answerTo([name, "--help"]);
    assert.deepEqual(await answerTo(["help", name]), help);
    assert.equal(help.code, 0);
    assert.match(help.out, /\n\nExamples:\n {2}# /, name);
  }
  assert.deepEqual(await answerTo(["help"]), await answerTo(["--help"]));
  assert.equal((await answerTo(["help", "nonsense"])).code, 2);
});

/** The arguments of `greet` in a line of shell. */
function argumentsIn(line: string): readonly string[] {
  const [, typed] = /\bgreet ([^>)]*)/.exec(line)!;
  return readBashLine(typed.trim(), "").words;
}

/** Whether arguments have the form of a usage, such as `NAME [PORT] PEER...`. */
function fits(words: readonly string[], usage: string): boolean {
  return usage.split(" | ").some((form) => {
    const parts = form.replace(/ --.*/, "").split(" ").map((part) => {
      const [optional, repeated] = [part.startsWith("["), part.endsWith("...")];
      const word = /^[a-z]/.test(part) ? `${part};` : "[^;]+;";
      return `(${word})` + (repeated ? "+" : optional ? "?" : "");
    });
    return new RegExp(`^${parts.join("")}$`).test(words.map((word) => `${word};`).join(""));
  });
}

Deno.test("every example is a correct command line", () => {
  const examples: Example[] = [...EXAMPLES, ...COMMANDS.flatMap(({ examples }) => examples)];
  assert(examples.length > 2 * COMMANDS.length);
  for (const [, line] of examples) {
    const [name, ...args] = argumentsIn(line);
    const command = COMMANDS.find((command) => command.name === name);
    assert(command !== undefined, line);
    const input = new Arguments(command, args);
    assert(fits(input.positionals(0, Infinity), command.usage), line);
    if (name === "chat") {
      assert.match(chatArguments(input, input.flag("names")).name, /^(Alice|Bob)$/);
    }
  }
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
