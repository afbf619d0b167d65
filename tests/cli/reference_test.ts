/** The documentation of the command line, compared with what the program says about itself. */
import assert from "node:assert/strict";
import { answerTo } from "../support/in_process.ts";

const REFERENCE = await Deno.readTextFile(new URL("../../docs/reference.md", import.meta.url));

/** The commands, by the program's help. */
async function commandNames(): Promise<string[]> {
  const { out } = await answerTo(["--help"]);
  return [...out.matchAll(/^ {2}greet (\w+)/gm)].map(([, name]) => name);
}

/** The options of a command with their values, by its help; without those of every command. */
async function optionsOf(command: string): Promise<string[]> {
  const { out } = await answerTo([command, "--help"]);
  return [...out.matchAll(/^ {2}(--[a-z-]+(?: [A-Z]+)?) {2}/gm)].map(([, option]) => option)
    .filter((option) => !/^--(help|version)$/.test(option)).sort();
}

/** The options of a command, by the table of the reference. */
function documentedOptionsOf(command: string): string[] {
  const rows = REFERENCE.matchAll(/^\| (`--.*?`) +\| ([a-z, ]+?) +\|/gm);
  return [...rows].flatMap(([, options, commands]) => {
    const [included, excluded = ""] = commands.split(" but ");
    const isAny = included === "all" && excluded !== command;
    if (!isAny && !included.split(", ").includes(command)) return [];
    return [...options.matchAll(/`(.*?)`/g)].map(([, option]) => option);
  }).sort();
}

Deno.test("the reference lists every option with the commands that have it", async () => {
  const commands = await commandNames();
  assert(commands.length >= 5, `${commands}`);
  for (const command of commands) {
    assert.deepEqual(documentedOptionsOf(command), await optionsOf(command), command);
  }
});

Deno.test("the reference shows every command as its help does", async () => {
  for (const command of await commandNames()) {
    const { out } = await answerTo([command, "--help"]);
    const [, usage] = /^greet (.*?) \[OPTION/.exec(out)!;
    // Alternatives have lines of their own.
    for (const part of usage.replace("[PORT] |", "[PORT] | names").split(/(?<=\]) \| /)) {
      assert(REFERENCE.includes(`    greet ${part}  `), part);
    }
  }
});
