/** Journals that are read, counted and pruned while no chat uses them. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Journal } from "../../src/peer/journal.ts";
import { journalFile } from "../../src/peer/journal_file.ts";
import { journalNames } from "../../src/peer/journal_names.ts";
import { JournalPruning } from "../../src/peer/journal_pruning.ts";
import { JournalReader } from "../../src/peer/journal_reader.ts";
import { homeTest } from "../support/home.ts";

const TARGET = "127.0.0.1:55556";

const BOB = { name: "Bob", fingerprint: "SHA256:Bob" };

/** Alice's journal: two messages from Bob, and two to him, of which one has not reached him. */
async function fill(home: string): Promise<void> {
  using journal = Journal.open({ home, name: "Alice" });
  const message = (body: string, from: string) => ({ id: body, from, body, at: new Date() });
  journal.markShown(await journal.receive([message("one\0", "Bob"), message("two", "Bob")]));
  for (const body of ["three", "four"]) {
    await journal.send(message(body, "Alice"), () => [{ target: TARGET, ...BOB }]);
  }
  journal.meet(TARGET, BOB);
  journal.endDelivery("Bob", [3], "delivered");
}

function read(home: string, since = new Date(0)): string[] {
  using reader = JournalReader.open(home, "Alice");
  return [...reader.entries(since)].map(({ message, deliveries }) =>
    [message.from, message.body, ...deliveries.map(({ to, state }) => `${to} ${state}`)].join(": ")
  );
}

homeTest("a journal is read with its deliveries, from a time on", async (home) => {
  await fill(home);
  assert.deepEqual(read(home), [
    "Bob: one\0",
    "Bob: two",
    "Alice: three: Bob delivered",
    "Alice: four: Bob waiting",
  ]);
  assert.deepEqual(read(home, new Date(Date.now() + 60_000)), []);
});

homeTest("what is no journal is not read as one", async (home) => {
  assert.throws(() => read(home), { code: "FAILED", message: /^Alice has no journal in / });
  const folder = journalFile(home, "Alice");
  await Deno.mkdir(folder, { recursive: true });
  assert.throws(() => read(home), {
    code: "FAILED",
    message: /^cannot read the journal .+: /,
  });
  await Deno.remove(folder);
  await fill(home);
  const database = new DatabaseSync(journalFile(home, "Alice"));
  database.exec("PRAGMA application_id = 5");
  database.close();
  assert.throws(() => read(home), { code: "FAILED", message: /sqlite is not a journal$/ });
});

homeTest("a journal is read where SQLite cannot create its other files", async (home) => {
  const text = "x".repeat(10_000);
  {
    using journal = Journal.open({ home, name: "Alice" });
    await journal.receive([{ id: "1", from: "Bob", body: text, at: new Date() }]);
  }
  await Deno.symlink("nowhere", `${journalFile(home, "Alice")}-shm`);
  assert.deepEqual(read(home), [`Bob: ${text}`]);
}, { what: "POSIX", isThere: Deno.build.os !== "windows" });

homeTest("names with a journal are those that have said something in it", async (home) => {
  assert.deepEqual(journalNames(home), []);
  await fill(home);
  Journal.open({ home, name: "Carol" })[Symbol.dispose]();
  await Deno.writeTextFile(join(home, "journals", "dave.sqlite"), "not a database");
  assert.deepEqual(journalNames(home), ["Alice"]);
});

homeTest(
  "forgetting leaves what is needed as it was, and nothing else in the file",
  async (home) => {
    await fill(home);
    const before = new Date(Date.now() + 1);
    {
      using pruning = JournalPruning.open(home, "Alice");
      assert.deepEqual(pruning.count(before), { messages: 3, kept: 1 });
      await pruning.forget(before);
      assert.deepEqual(pruning.count(before), { messages: 0, kept: 1 });
    }
    assert.deepEqual(read(home), ["Alice: four: Bob waiting"]);
    const bytes = await Deno.readTextFile(journalFile(home, "Alice"));
    assert(!bytes.includes("three") && bytes.includes("four"));
    using journal = Journal.open({ home, name: "Alice" });
    assert.deepEqual(journal.lastMeeting(TARGET), { target: TARGET, ...BOB });
    assert.deepEqual(journal.waitingFor(BOB).map(({ message }) => message.id), ["four"]);
  },
);
