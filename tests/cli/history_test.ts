/** `greet history` and `greet forget`: a journal is printed and pruned. */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Journal } from "../../src/peer/journal.ts";
import { checksumOf } from "../../src/peer/journal_entries.ts";
import { journalFile } from "../../src/peer/journal_file.ts";
import type { Message } from "../../src/peer/messages.ts";
import { changeInFile } from "../support/damage.ts";
import { homeTest } from "../support/home.ts";
import { freePorts } from "../support/ports.ts";
import { greetCommand, Program, run } from "../support/program.ts";
import { hasCommand, works } from "../support/tools.ts";

const BOB = () => [{ target: "127.0.0.1:1", name: "Bob" }];
const DAY_MS = 86_400_000;

function message(body: string, from = "Bob", kind: Partial<Message> = {}): Message {
  return { id: crypto.randomUUID(), from, body, at: new Date(), ...kind };
}

/** Fills the journal of Alice. `ages` are in days; messages are shown, or waiting for Bob. */
async function fill(
  home: string,
  texts: readonly (readonly [body: string, age: number, waits?: "waits"])[],
) {
  const dated = texts.map(([body, age, waits]) => {
    const at = new Date(Date.now() - age * DAY_MS);
    return { ...message(body, waits && "Alice"), at };
  });
  {
    using journal = Journal.open({ home, name: "Alice" });
    for (const [i, [, , waits]] of texts.entries()) {
      if (waits) await journal.send(dated[i], BOB);
      else journal.markShown(await journal.receive([dated[i]]));
    }
  }
  const database = new DatabaseSync(journalFile(home, "Alice"));
  const set = database.prepare("UPDATE message SET taken = ?, checksum = ? WHERE place = ?");
  dated.forEach((message, i) =>
    set.run(message.at.getTime(), checksumOf(message, message.at), i + 1)
  );
  database.close();
}

function filesIn(home: string): string[] {
  return [...Deno.readDirSync(dirname(journalFile(home, "Alice")))].map(({ name }) => name).sort();
}

const withHome = (home: string) => ({ env: { GREET_HOME: home, TZ: "UTC" } });
const history = (home: string, ...args: string[]) =>
  run(["history", "Alice", ...args], withHome(home));
const forget = (home: string, ...args: string[]) =>
  run(["forget", "Alice", ...args], withHome(home));

homeTest("a journal is printed as a conversation, safely, and nothing is changed", async (home) => {
  {
    using journal = Journal.open({ home, name: "Alice" });
    await journal.receive([message("red \x1b[31m\x9b2J\u202e\n[17:24] Carol> hi")]);
    await journal.receive([message("waves", "Bob", { isAction: true, to: "Alice" })]);
    const { place } = await journal.send(message("to two", "Alice"), () => [
      ...BOB(),
      { target: "127.0.0.1:2" },
    ]);
    journal.endDelivery("Bob", [place], "delivered");
  }
  const before = await Deno.readFile(journalFile(home, "Alice"));
  const { out, err, code } = await history(home);
  const [day, ...lines] = out.replaceAll(/\[\d\d:\d\d\] (?!Carol)/g, "[12:00] ").split("\n");
  assert.match(day, /^--- \w+, \d{4}-\d\d-\d\d ---$/);
  assert.deepEqual(lines, [
    "[12:00] Bob> red ␛[31m<U+009B>2J<U+202E>",
    "        [17:24] Carol> hi",
    "[12:00] (only to Alice) * Bob waves",
    "[12:00] Alice> to two (waiting for 127.0.0.1:2)",
    "",
  ]);
  assert.deepEqual([err, code], ["", 0]);
  const json = (await history(home, "--json")).out.trim().split("\n").map((line) =>
    JSON.parse(line)
  );
  assert.equal(json[0].body, "red \x1b[31m\x9b2J\u202e\n[17:24] Carol> hi");
  assert.deepEqual([json[1].action, json[1].to], [true, "Alice"]);
  assert.deepEqual([json[2].deliveredTo, json[2].waitingFor], [["Bob"], ["127.0.0.1:2"]]);
  assert.deepEqual(await Deno.readFile(journalFile(home, "Alice")), before);
  assert.deepEqual(filesIn(home).length, 1);
});

homeTest("messages are chosen by text and by date", async (home) => {
  await fill(home, [["old Needle", 30], ["new needle", 1], ["hay", 0]]);
  const bodies = async (...args: string[]) =>
    (await history(home, ...args)).out.match(/(?<=> ).*/g) ?? [];
  assert.deepEqual(await bodies("--find", "NEEDLE"), ["old Needle", "new needle"]);
  assert.deepEqual(await bodies("--since", "7d"), ["new needle", "hay"]);
  assert.deepEqual(await bodies("--since", "7d", "--find", "needle"), ["new needle"]);
  const none = await history(home, "--find", "%");
  assert.deepEqual([none.code, none.out, none.err], [0, "", "No message matches.\n"]);
});

homeTest("what is not a journal is named, and left alone", async (home) => {
  const path = journalFile(home, "Alice");
  await Deno.mkdir(path, { recursive: true });
  const { code, err } = await run(
    ["forget", "Alice", "--before", "7d", "--yes"],
    withHome(home),
  );
  assert.equal(code, 1);
  assert(err.includes(path), err);
  assert.match(err, /^greet: hint: nothing was forgotten$/m);
});

for (
  const [args, code, text] of [
    [["history"], 2, "greet history needs NAME"],
    [["history", "Alice"], 1, "Alice has no journal in "],
    [["history", "Alice", "--since", "2026-02-30"], 2, "--since takes a date"],
    [["history", "Alice", "--find", ""], 2, "--find needs a text"],
    [["forget", "Alice", "--yes"], 2, "greet forget needs --before DATE"],
    [["forget", "Alice", "--before", "7d"], 2, "without a terminal, --yes has to answer"],
    [["forget", "Alice", "--before", "7d", "--yes"], 1, "Alice has no journal in "],
  ] as const
) {
  homeTest(`greet ${args.join(" ")}: one sentence, and no journal is created`, async (home) => {
    const result = await run([...args], withHome(home));
    assert.equal(result.code, code);
    assert(result.err.startsWith("greet: error: ") && result.err.includes(text), result.err);
    assert.throws(() => Deno.statSync(home), Deno.errors.NotFound);
  });
}

homeTest("a journal can be read while its chat runs, and not pruned", async (home) => {
  const [a, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", a, `Bob@${b}`], withHome(home));
  await alice.write("hello\n");
  await alice.out.until("hello (waiting)");
  assert.match((await history(home)).out, /Alice> hello \(waiting for Bob\)\n$/);
  const refused = await forget(home, "--before", "2099-01-01", "--yes");
  assert.equal(refused.code, 1);
  assert.match(
    refused.err,
    /^greet: error: Alice is chatting already.*\n.*nothing was forgotten\n$/,
  );
  await alice.write("again\n");
  await alice.out.until("again (waiting)");
  assert.match((await history(home)).out, /Alice> again \(waiting for Bob\)\n$/);
  await alice.write("/quit\n");
  assert.equal(await alice.code(), 0);
  assert.deepEqual(filesIn(home).length, 1);
});

/** What makes a journal one of an earlier version. */
const DOWNGRADES: readonly [version: number, sql: string][] = [
  [
    2,
    `DROP INDEX message_with_nul; ALTER TABLE message DROP COLUMN action;
     ALTER TABLE message DROP COLUMN direct_to; ALTER TABLE message DROP COLUMN checksum;`,
  ],
  [3, "ALTER TABLE message DROP COLUMN checksum;"],
];

for (const [version, sql] of DOWNGRADES) {
  homeTest(`a journal of version ${version} is read as it is`, async (home) => {
    await fill(home, [["from before", 1]]);
    const path = journalFile(home, "Alice");
    const database = new DatabaseSync(path);
    database.exec(`${sql} PRAGMA user_version = ${version}`);
    database.close();
    const before = await Deno.readFile(path);
    assert.match((await history(home)).out, /Bob> from before\n$/);
    assert.deepEqual(await Deno.readFile(path), before);
    using journal = Journal.open({ home, name: "Alice" });
    const [{ message }] = journal.history({ names: ["Bob"], targets: [] }, 9);
    assert.deepEqual([message.body, "to" in message], ["from before", false]);
  });
}

homeTest(
  "a message that the disk has changed is marked, and its text is not shown",
  async (home) => {
    await fill(home, [["first", 2], ["second", 1], ["third", 0]]);
    await changeInFile(journalFile(home, "Alice"), "second", "secoNd");
    const { out } = await history(home);
    assert.match(out, /Bob> first\n[^]*Bob \(damaged on the disk\)> \n[^]*Bob> third\n$/);
    const lines = (await history(home, "--json")).out.trimEnd().split("\n");
    const { body, damaged } = JSON.parse(lines[1]);
    assert.deepEqual({ body, damaged }, { body: "", damaged: true });
  },
);

const UNSHARE = ["unshare", "--map-root-user", "--mount", "--"] as const;
const canMount = {
  what: "unshare",
  isThere: await works(...UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"),
};

homeTest("a journal is read from a read-only disk", async (home) => {
  await fill(home, [["hello", 0]]);
  const script =
    'mount --bind "$GREET_HOME" "$GREET_HOME" && mount -o remount,ro,bind "$GREET_HOME"; exec "$@"';
  const command = [...UNSHARE, "bash", "-c", script, "bash", ...greetCommand(), "history", "Alice"];
  await using program = new Program(command, withHome(home));
  assert.equal(await program.code(), 0, program.err.text);
  assert.match(program.out.text, /Bob> hello\n$/);
}, canMount);

homeTest("a reader that stops early is no error", async (home) => {
  await fill(home, [...Array(300).keys()].map((i) => [`${i} ${"x".repeat(5_000)}`, 0] as const));
  const line = `${greetCommand().join(" ")} history Alice | head -n 2; exit "\${PIPESTATUS[0]}"`;
  await using program = new Program(["bash", "-c", line], withHome(home));
  assert.equal(await program.code(), 0);
  assert.match(program.out.text, /^---.*\n.* Bob> 0 x+\n$/);
  assert.equal(program.err.text, "");
}, { what: "bash", isThere: hasCommand("bash") });

homeTest("what is forgotten is no longer in the file, and what is needed stays", async (home) => {
  await fill(home, [
    ...[...Array(300).keys()].map((i) => [`OLDSECRET ${i} ${"x".repeat(2_000)}`, 30] as const),
    ["waits for Bob", 30, "waits"],
    ["new", 1],
  ]);
  const path = journalFile(home, "Alice");
  assert(Deno.statSync(path).size > 600_000);
  const { out, err, code } = await forget(home, "--before", "7d", "--yes");
  assert.deepEqual([out, code], ["Forgot 300 messages.\n", 0]);
  assert.match(
    err,
    /^1 message from before \d{4}-\d\d-\d\d [\d:]+ [+-]\d\d:\d\d will stay: not delivered or shown yet\.\n$/,
  );
  assert.deepEqual(filesIn(home), [path.slice(dirname(path).length + 1)]);
  assert(Deno.statSync(path).size < 100_000);
  assert(!new TextDecoder("latin1").decode(Deno.readFileSync(path)).includes("OLDSECRET"));
  using journal = Journal.open({ home, name: "Alice" });
  assert.equal(journal.queue()[0].message.body, "waits for Bob");
  assert.equal((await history(home, "--json")).out.trim().split("\n").length, 2);
});

homeTest("a message that was not shown yet is not forgotten", async (home) => {
  await fill(home, [["seen", 30]]);
  {
    using journal = Journal.open({ home, name: "Alice" });
    await journal.receive([message("unseen")]);
  }
  const { out } = await forget(home, "--before", "2099-01-01", "--yes", "--json");
  const { messages, kept } = JSON.parse(out);
  assert.deepEqual([messages, kept], [1, 1]);
  assert.match((await history(home)).out, /Bob> unseen\n$/);
});

homeTest(
  "while another program reads an old state of the journal, it cannot be emptied",
  async (home) => {
    await fill(home, [["OLDSECRET", 30], ["new", 0]]);
    const path = journalFile(home, "Alice");
    const contents = () => new TextDecoder("latin1").decode(Deno.readFileSync(path));
    {
      using reader = new DatabaseSync(path);
      reader.exec("BEGIN");
      reader.prepare("SELECT count(*) FROM message").get();
      const { code, err } = await forget(home, "--before", "7d", "--yes");
      assert.equal(code, 1);
      assert.match(
        err,
        /^greet: error: another program is reading the journal, so its file still has/,
      );
    }
    assert.equal((await forget(home, "--before", "7d", "--yes")).out, "Forgot 0 messages.\n");
    assert(!contents().includes("OLDSECRET") && contents().includes("new"));
  },
);
