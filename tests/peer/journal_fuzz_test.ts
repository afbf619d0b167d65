/** A journal with damaged files is opened, or refused in one sentence; it never ends the program. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { dirname } from "node:path";
import { GreetError } from "../../src/base/errors.ts";
import { Journal } from "../../src/peer/journal.ts";
import { journalFile } from "../../src/peer/journal_file.ts";
import { JournalReader } from "../../src/peer/journal_reader.ts";
import { damaged, damages, propertyTest } from "../support/properties.ts";

type Files = ReadonlyMap<string, Uint8Array>;

/** The files of a journal with thirty messages: after `kill -9`, most of it in the log, and closed. */
async function filesOfJournal(): Promise<{ killed: Files; closed: Files }> {
  const home = await Deno.makeTempDir({ prefix: "greet-test-" });
  const journal = Journal.open({ home, name: "Alice" });
  journal.meet("127.0.0.1:1", { name: "Bob", fingerprint: `SHA256:${"B".repeat(43)}` }, []);
  for (let i = 0; i < 30; i++) {
    const from = i % 2 === 0 ? "Alice" : "Bob";
    const message = { id: `${i}`, from, body: `text ${i}`, at: new Date() };
    if (i % 2 === 0) await journal.send(message, () => [{ target: "127.0.0.1:1", name: "Bob" }]);
    else await journal.receive([message]);
  }
  const file = journalFile(home, "Alice");
  const killed = new Map<string, Uint8Array>();
  for (const suffix of ["", "-wal", "-shm"]) killed.set(suffix, await Deno.readFile(file + suffix));
  journal[Symbol.dispose]();
  const closed = new Map([["", await Deno.readFile(file)]]);
  await Deno.remove(home, { recursive: true });
  return { killed, closed };
}

const { killed, closed } = await filesOfJournal();
const choices = [...[...killed.keys()].map((which) => ({ files: killed, which })), {
  files: closed,
  which: "",
}];

/** Uses a journal in every way; only a {@link GreetError} may be thrown. */
async function use(home: string): Promise<void> {
  using journal = Journal.open({ home, name: "Alice" });
  const participants = { targets: ["127.0.0.1:1"], names: ["Bob"] };
  journal.unshown(0);
  journal.history(participants, 100);
  journal.said(participants, 100);
  await journal.find(participants, "text", 100);
  await journal.receive([{ id: "new", from: "Bob", body: "new", at: new Date() }]);
}

propertyTest(
  "a damaged journal is used, replaced, or refused in one sentence",
  fc.tuple(fc.constantFrom(...choices), damages),
  async ([{ files, which }, damage]) => {
    const home = await Deno.makeTempDir({ prefix: "greet-test-" });
    try {
      const file = journalFile(home, "Alice");
      await Deno.mkdir(dirname(file), { mode: 0o700 });
      for (const [suffix, bytes] of files) {
        const content = suffix === which ? damaged(bytes, damage) : bytes;
        await Deno.writeFile(file + suffix, content, { mode: 0o600 });
      }
      for (const attempt of [() => readAll(home), () => use(home), () => use(home)]) {
        try {
          await attempt();
        } catch (error) {
          assert(error instanceof GreetError, String((error as Error).stack));
          assert.doesNotMatch(error.message, /\n|\.$/);
        }
      }
    } finally {
      await Deno.remove(home, { recursive: true });
    }
  },
  60,
);

function readAll(home: string): void {
  using reader = JournalReader.open(home, "Alice");
  for (const { message } of reader.entries(new Date(0))) {
    assert.equal(typeof message.body, "string");
  }
}
