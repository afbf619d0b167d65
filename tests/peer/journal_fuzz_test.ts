/**
 * A journal with damaged files is opened, or refused in one sentence; it never ends the program. A
 * message is returned as it was stored, or marked as damaged.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { dirname } from "node:path";
import { GreetError } from "../../src/base/errors.ts";
import { type Entry, Journal } from "../../src/peer/journal.ts";
import { journalFile } from "../../src/peer/journal_file.ts";
import { JournalReader } from "../../src/peer/journal_reader.ts";
import { anywhere, type Damage, damaged, damages, propertyTest } from "../support/properties.ts";

type Files = ReadonlyMap<string, Uint8Array>;

/** When all messages were sent. */
const AT = new Date(1_700_000_000_000);

/** The files of a journal with thirty messages: after `kill -9`, most of it in the log, and closed. */
async function filesOfJournal(): Promise<{ killed: Files; closed: Files }> {
  const home = await Deno.makeTempDir({ prefix: "greet-test-" });
  const journal = Journal.open({ home, name: "Alice" });
  journal.meet("127.0.0.1:1", { name: "Bob", fingerprint: `SHA256:${"B".repeat(43)}` }, []);
  for (let i = 0; i < 30; i++) {
    const from = i % 2 === 0 ? "Alice" : "Bob";
    const message = { id: `${i}`, from, body: bodyOf(i), at: AT };
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

/** The text of a message, which may have U+0000 and letters of several bytes. */
function bodyOf(i: number): string {
  return `text ${i} \0 ${"ä".repeat(300 + i % 5)}`;
}

/** Uses a journal in every way; only a {@link GreetError} may be thrown. */
async function use(home: string): Promise<void> {
  using journal = Journal.open({ home, name: "Alice" });
  const participants = { targets: ["127.0.0.1:1"], names: ["Bob"] };
  journal.unshown(0).forEach(checkMessage);
  journal.history(participants, 100).forEach(checkMessage);
  journal.said(participants, 100).forEach(checkMessage);
  journal.queue().forEach(checkMessage);
  (await journal.find(participants, "text", 100)).forEach(checkMessage);
  await journal.receive([{ id: "new", from: "Bob", body: "new", at: AT }]);
}

/** A message is one that was stored, or marked as damaged, with times that can be printed. */
function checkMessage({ message, taken }: Entry): void {
  const { id, from, body, at, isDamaged } = message;
  taken.toISOString();
  at.toISOString();
  if (isDamaged) return assert.equal(body, "");
  const expected = id === "new"
    ? { from: "Bob", body: "new", at: AT }
    : { from: Number(id) % 2 === 0 ? "Alice" : "Bob", body: bodyOf(Number(id)), at: AT };
  assert.deepEqual({ from, body, at }, expected);
}

/** A home with these files, of which one is damaged. */
async function withDamage(
  { files, which }: { files: Files; which: string },
  damage: readonly Damage[],
  check: (home: string) => Promise<void>,
): Promise<void> {
  const home = await Deno.makeTempDir({ prefix: "greet-test-" });
  try {
    const file = journalFile(home, "Alice");
    await Deno.mkdir(dirname(file), { mode: 0o700 });
    for (const [suffix, bytes] of files) {
      const content = suffix === which ? damaged(bytes, damage) : bytes;
      await Deno.writeFile(file + suffix, content, { mode: 0o600 });
    }
    await check(home);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

propertyTest(
  "a damaged journal is used, replaced, or refused in one sentence",
  fc.tuple(fc.nat(choices.length - 1), damages),
  ([choice, damage]) =>
    withDamage(choices[choice], damage, async (home) => {
      for (const attempt of [() => readAll(home), () => use(home), () => use(home)]) {
        try {
          await attempt();
        } catch (error) {
          assert(error instanceof GreetError, String((error as Error).stack));
          assert.doesNotMatch(error.message, /\n|\.$/);
        }
      }
    }),
  60,
);

propertyTest(
  "a bit that changes in a closed journal changes no message unnoticed",
  fc.record({
    kind: fc.constant("flip" as const),
    at: anywhere,
    length: fc.integer({ min: 1, max: 8 }),
  }),
  (flip) =>
    withDamage({ files: closed, which: "" }, [flip], async (home) => {
      try {
        readAll(home);
      } catch (error) {
        assert(error instanceof GreetError, String((error as Error).stack));
      }
      await use(home);
    }),
  60,
);

function readAll(home: string): void {
  using reader = JournalReader.open(home, "Alice");
  for (const entry of reader.entries(new Date(0))) checkMessage(entry);
}
