/** What a journal keeps across processes, upgrades and damage. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Journal } from "../../src/peer/journal.ts";
import { toEntry } from "../../src/peer/journal_entries.ts";
import { journalFile } from "../../src/peer/journal_file.ts";
import type { Message } from "../../src/peer/messages.ts";

const TARGET = "127.0.0.1:55556";
const FOR_BOB = () => [{ target: TARGET, name: "Bob" }];

function message(body: string, from = "Alice"): Message {
  return { id: crypto.randomUUID(), from, body, at: new Date() };
}

function bodies(entries: readonly { message: Message }[]): string[] {
  return entries.map(({ message }) => message.body);
}

/** A test with its own home. */
function journalTest(name: string, fn: (home: string) => void | Promise<void>): void {
  Deno.test(name, async () => {
    const home = await Deno.makeTempDir({ prefix: "greet-home-" });
    try {
      await fn(home);
    } finally {
      await Deno.remove(home, { recursive: true });
    }
  });
}

journalTest(
  "messages wait in order until they are delivered, also in a later process",
  async (home) => {
    {
      using journal = Journal.open({ home, name: "Alice" });
      await Promise.all(["1", "2", "3"].map((body) => journal.send(message(body), FOR_BOB)));
      const [first] = journal.waitingFor({ name: "Bob" });
      journal.endDelivery("Bob", [first.place], "delivered");
    }
    using journal = Journal.open({ home, name: "Alice" });
    assert.deepEqual(bodies(journal.waitingFor({ name: "Bob" })), ["2", "3"]);
    assert.deepEqual(bodies(journal.waitingFor({ name: "Carol" })), []);
    assert.deepEqual(bodies(journal.queue()), ["2", "3"]);
    assert.deepEqual(journal.queue()[0].addressees, [{ ...FOR_BOB()[0], fingerprint: undefined }]);
  },
);

journalTest("of a message it is known whom it waits for, and who has it", async (home) => {
  using journal = Journal.open({ home, name: "Alice" });
  const addressees = () => [...FOR_BOB(), { target: "127.0.0.1:9", name: "Carol" }];
  const { place } = await journal.send(message("for both"), addressees);
  const names = () => journal.addresseesOf([place]).get(place)?.map(({ name }) => name);
  assert.deepEqual([names(), journal.deliveredTo(place)], [["Bob", "Carol"], []]);
  journal.endDelivery("Bob", [place], "delivered");
  assert.deepEqual([names(), journal.deliveredTo(place)], [["Carol"], ["Bob"]]);
});

journalTest("any text is read back unchanged", async (home) => {
  using journal = Journal.open({ home, name: "Alice" });
  const texts = ["", "a\0b", "\0", "\uFEFFmark", "👩‍🚀\r\n\x1b[2J", "\u{10FFFF}\uFFFE", "'); --"];
  for (const body of texts) {
    await journal.send(message(body), FOR_BOB);
    await journal.receive([{ ...message(body, "Bob"), id: `${body}-id` }]);
  }
  assert.deepEqual(bodies(journal.waitingFor({ name: "Bob" })), texts);
  const taken = journal.unshown(0);
  assert.deepEqual(bodies(taken), texts);
  assert.deepEqual(taken.map(({ message }) => message.id), texts.map((text) => `${text}-id`));
});

journalTest("waiting messages are read up to a limit, but at least one at a time", async (home) => {
  using journal = Journal.open({ home, name: "Alice" });
  for (const length of [10, 200, 10, 10]) await journal.send(message("x".repeat(length)), FOR_BOB);
  const lengths = (messages: number, characters: number) =>
    bodies(journal.waitingFor({ name: "Bob" }, { messages, characters })).map(({ length }) =>
      length
    );
  assert.deepEqual(lengths(2, 1_000), [10, 200]);
  assert.deepEqual(lengths(9, 100), [10]);
  assert.deepEqual(lengths(9, 1), [10]);
  assert.deepEqual(lengths(9, 1_000), [10, 200, 10, 10]);
});

journalTest(
  "a message for a target is for the first peer that is met there, and stays so",
  async (home) => {
    using journal = Journal.open({ home, name: "Alice" });
    await journal.send(message("hello?"), () => [{ target: TARGET }]);
    assert.deepEqual(bodies(journal.waitingFor({ name: "Bob" })), []);
    journal.meet(TARGET, { name: "Bob" });
    assert.deepEqual(bodies(journal.waitingFor({ name: "Bob" })), ["hello?"]);
    journal.meet(TARGET, { name: "Carol" });
    assert.deepEqual(bodies(journal.waitingFor({ name: "Carol" })), []);
    assert.deepEqual(bodies(journal.waitingFor({ name: "Bob" })), ["hello?"]);
  },
);

journalTest("a peer that is met while a message is being stored gets it", async (home) => {
  using journal = Journal.open({ home, name: "Alice" });
  const met: { name?: string } = {};
  const sent = journal.send(message("hello?"), () => [{ target: TARGET, ...met }]);
  met.name = "Bob";
  journal.meet(TARGET, { name: "Bob" });
  await sent;
  assert.deepEqual(bodies(journal.waitingFor({ name: "Bob" })), ["hello?"]);
});

journalTest(
  "messages for a target follow the peer that was last met there to another target",
  async (home) => {
    {
      using journal = Journal.open({ home, name: "Alice" });
      journal.meet(TARGET, { name: "Bob" });
    }
    {
      using journal = Journal.open({ home, name: "Alice" });
      const bob = { target: TARGET, name: "Bob", fingerprint: undefined };
      journal.beginRun();
      assert.deepEqual(journal.lastMeeting(TARGET), bob);
      await journal.send(message("Bob?"), () => [{ target: TARGET }]);
    }
    using journal = Journal.open({ home, name: "Alice" });
    journal.beginRun();
    assert.equal(journal.lastMeeting("127.0.0.1:1"), undefined);
    journal.meet("127.0.0.1:1", { name: "Bob" });
    assert.deepEqual(bodies(journal.waitingFor({ name: "Bob" })), ["Bob?"]);
  },
);

journalTest(
  "the same id from the same sender is stored once, even after a restart",
  async (home) => {
    const repeated = message("once", "Bob");
    {
      using journal = Journal.open({ home, name: "Alice" });
      assert.equal(await journal.receive([repeated, repeated]), 1);
      assert.equal(await journal.receive([repeated]), 1);
    }
    using journal = Journal.open({ home, name: "Alice" });
    assert.equal(await journal.receive([repeated]), 1);
    assert.deepEqual(bodies(journal.unshown(0)), ["once"]);
    // Ids of different senders are unrelated, and messages without an id are all different.
    assert.equal(await journal.receive([{ ...repeated, from: "Carol" }]), 2);
    await journal.receive([{ ...repeated, id: "" }, { ...repeated, id: "" }]);
    assert.equal(journal.unshown(0).length, 4);
  },
);

journalTest("messages that were shown are not shown again; the others are", async (home) => {
  {
    using journal = Journal.open({ home, name: "Alice" });
    await journal.receive([message("1", "Bob"), message("2", "Bob")]);
    journal.markShown(journal.unshown(0)[0].place);
  }
  using journal = Journal.open({ home, name: "Alice" });
  const [second] = journal.unshown(0);
  assert.equal(second.message.body, "2");
  assert.equal(journal.shownUpTo(), second.place - 1);
  assert.deepEqual(journal.unshown(second.place), []);
});

journalTest(
  "the history has the messages from its participants and those delivered to them",
  async (home) => {
    using journal = Journal.open({ home, name: "Alice" });
    const places: number[] = [];
    const send = async (body: string, name: string) => {
      const { place } = await journal.send(message(body), () => [{ target: name, name }]);
      places.push(place);
      return place;
    };
    journal.endDelivery("Bob", [await send("to Bob", "Bob")], "delivered");
    journal.endDelivery("Carol", [await send("to Carol", "Carol")], "delivered");
    await send("not yet", "Bob");
    const last = await journal.receive([
      message("from Carol", "Carol"),
      message("from Bob", "Bob"),
    ]);
    journal.markShown(last - 1);
    journal.markShown(last);
    const history = (names: string[], limit = 10) =>
      bodies(journal.history({ names, targets: [] }, limit));
    assert.deepEqual(history(["Bob"]), ["to Bob", "from Bob"]);
    assert.deepEqual(history(["Bob"], 1), ["from Bob"]);
    assert.deepEqual(history(["Bob", "Carol"]), ["to Bob", "to Carol", "from Carol", "from Bob"]);
    assert.deepEqual(history(["Mallory"]), []);
    const sent = (names: string[], targets: string[]) =>
      bodies(journal.said({ names, targets }, 2));
    assert.deepEqual(sent(["Bob"], []), ["to Bob", "not yet"]);
    assert.deepEqual(sent([], ["Carol"]), ["to Carol"]);
    assert.deepEqual(sent(["Bob"], ["Carol"]), ["to Carol", "not yet"]);
    assert.deepEqual(sent(["Mallory"], []), []);
  },
);

journalTest("of long messages, only the last are recalled", async (home) => {
  using journal = Journal.open({ home, name: "Alice" });
  for (let i = 0; i < 5; i++) await journal.send(message(`${i}`.repeat(1_500_000)), FOR_BOB);
  const said = journal.said({ names: [], targets: [TARGET] }, 1_000);
  assert.deepEqual(said.map(({ message }) => message.body[0]), ["3", "4"]);
});

journalTest("a cancelled message is neither delivered nor listed", async (home) => {
  using journal = Journal.open({ home, name: "Alice" });
  const { place } = await journal.send(message("never mind"), FOR_BOB);
  journal.cancel(place);
  assert.deepEqual(journal.waitingFor({ name: "Bob" }), []);
  assert.deepEqual(journal.queue(), []);
  journal.endDelivery("Bob", [place], "delivered");
  assert.deepEqual(journal.history({ names: ["Bob"], targets: [TARGET] }, 10), []);
});

Deno.test({
  name: "folders and files are private to their owner (needs POSIX)",
  ignore: Deno.build.os === "windows",
  async fn() {
    const parent = await Deno.makeTempDir();
    const home = join(parent, "deep", "home");
    {
      using journal = Journal.open({ home, name: "Alice" });
      await journal.send(message("secret"), FOR_BOB);
      const folder = dirname(journalFile(home, "Alice"));
      for (const path of [home, folder]) assert.equal(Deno.statSync(path).mode! & 0o777, 0o700);
      const files = [...Deno.readDirSync(folder)];
      assert(files.length >= 3, "the database, its log and its lock");
      for (const { name } of files) {
        assert.equal(Deno.statSync(join(folder, name)).mode! & 0o777, 0o600, name);
      }
    }
    await Deno.remove(parent, { recursive: true });
  },
});

journalTest(
  "names that differ only in case, or cannot be file names, have separate journals",
  async (home) => {
    const names = ["Alice", "alice", "..", "CON", "a b", "a-b", "💬".repeat(64), "Łukasz"];
    for (const name of names) {
      using journal = Journal.open({ home, name });
      await journal.send(message(name, name), FOR_BOB);
    }
    for (const name of names) {
      using journal = Journal.open({ home, name });
      assert.deepEqual(bodies(journal.waitingFor({ name: "Bob" })), [name]);
    }
  },
);

journalTest(
  "only one process at a time can open the journal of a name",
  (home) => {
    const first = Journal.open({ home, name: "Alice" });
    assert.throws(() => Journal.open({ home, name: "Alice" }), {
      code: "FAILED",
      message: "Alice is chatting already: another process has the journal",
    });
    Journal.open({ home, name: "Bob" })[Symbol.dispose]();
    first[Symbol.dispose]();
    Journal.open({ home, name: "Alice" })[Symbol.dispose]();
  },
);

journalTest(
  "a damaged file is moved aside with a notice, and other journals are not affected",
  async (home) => {
    Journal.open({ home, name: "Bob" })[Symbol.dispose]();
    const path = journalFile(home, "Alice");
    const garbage = "not a database, ".repeat(1_000);
    await Deno.writeTextFile(path, garbage, { mode: 0o600 });
    {
      using journal = Journal.open({ home, name: "Alice" });
      const [, aside] = /^The journal was damaged\. It is kept as (\S+);/.exec(journal.notice!)!;
      assert.match(aside, /\.sqlite\.damaged-\d{8}T\d{6}$/);
      assert.equal(await Deno.readTextFile(aside), garbage);
      await journal.send(message("afterwards"), FOR_BOB);
    }
    using journal = Journal.open({ home, name: "Alice" });
    assert.equal(journal.notice, undefined);
    assert.deepEqual(bodies(journal.queue()), ["afterwards"]);
    Journal.open({ home, name: "Bob" })[Symbol.dispose]();
  },
);

journalTest("damage in the middle of a file is detected when it is opened", async (home) => {
  const path = journalFile(home, "Alice");
  {
    using journal = Journal.open({ home, name: "Alice" });
    for (let i = 0; i < 200; i++) await journal.send(message(`${i} ${"x".repeat(500)}`), FOR_BOB);
  }
  {
    using file = await Deno.open(path, { write: true });
    await file.seek(8 * 4096, Deno.SeekMode.Start);
    await file.write(new Uint8Array(3 * 4096).fill(0xAB));
  }
  using journal = Journal.open({ home, name: "Alice" });
  assert.match(journal.notice!, /was damaged/);
  assert.deepEqual(journal.queue(), []);
});

journalTest("a journal of a newer version is refused and left untouched", async (home) => {
  const path = journalFile(home, "Alice");
  Journal.open({ home, name: "Alice" })[Symbol.dispose]();
  const database = new DatabaseSync(path);
  database.exec("PRAGMA user_version = 99; CREATE TABLE news (text TEXT)");
  database.close();
  const folder = dirname(path);
  const files = () => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  const before = { bytes: await Deno.readFile(path), stat: await Deno.stat(path), files: files() };
  assert.throws(() => Journal.open({ home, name: "Alice" }), {
    code: "FAILED",
    message: /written by a newer version of greet$/,
  });
  assert.deepEqual(await Deno.readFile(path), before.bytes);
  assert.deepEqual((await Deno.stat(path)).mtime, before.stat.mtime);
  assert.deepEqual(files(), before.files);
});

journalTest("a journal whose content cannot be read is left where it is", async (home) => {
  Journal.open({ home, name: "Alice" })[Symbol.dispose]();
  const path = journalFile(home, "Alice");
  const garbage = "not a database, ".repeat(1_000);
  await Deno.writeTextFile(path, garbage);
  const { openSync } = Deno;
  Deno.openSync = (name, options) => {
    const file = openSync(name, options);
    const { readSync } = file;
    file.readSync = (chunk) => {
      // The header can be read.
      if (name === path && chunk.length > 100) throw new Error("Input/output error (os error 5)");
      return readSync.call(file, chunk);
    };
    return file;
  };
  try {
    assert.throws(() => Journal.open({ home, name: "Alice" }), {
      code: "FAILED",
      message: /Input\/output error$/,
    });
  } finally {
    Deno.openSync = openSync;
  }
  assert.equal(await Deno.readTextFile(path), garbage);
});

journalTest("a journal that another program has locked is left where it is", async (home) => {
  const path = journalFile(home, "Alice");
  {
    using journal = Journal.open({ home, name: "Alice" });
    await journal.send(message("kept"), FOR_BOB);
  }
  {
    using other = new DatabaseSync(path);
    other.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; PRAGMA user_version = 4; COMMIT");
    assert.throws(() => Journal.open({ home, name: "Alice" }), {
      code: "FAILED",
      message: /another program is using it$/,
    });
  }
  using journal = Journal.open({ home, name: "Alice" });
  assert.deepEqual(bodies(journal.queue()), ["kept"]);
});

Deno.test("as many messages are read at once as fit, and at least one", async () => {
  using journal = Journal.inMemory();
  for (const body of ["12", "345", "678901"]) await journal.receive([message(body, "Bob")]);
  const read = (after: number, characters: number) =>
    bodies(journal.unshown(after, { messages: 2, characters }));
  assert.deepEqual(read(0, 4), ["12"]);
  assert.deepEqual(read(0, 5), ["12", "345"]);
  assert.deepEqual(read(0, 100), ["12", "345"]);
  assert.deepEqual(read(2, 5), ["678901"]);
});

Deno.test("a message whose time the disk has changed has a time all the same", () => {
  const text = (value: string) => new TextEncoder().encode(value);
  const taken = Date.UTC(2026, 0, 1);
  const row = { place: 1, id: text("1"), sender: "Bob", body: text("hello"), at: 9e15, taken };
  const entry = toEntry({ ...row, action: 0, direct_to: null, checksum: 0 });
  assert.deepEqual([entry.message.isDamaged, entry.message.body], [true, ""]);
  assert.deepEqual([entry.message.at, entry.taken], [new Date(taken), new Date(taken)]);
});

Deno.test("a closed journal says so, whatever it is asked", async () => {
  const journal = Journal.inMemory();
  const { place } = await journal.send(message("hello"), FOR_BOB);
  journal[Symbol.dispose]();
  const [bob, all] = [{ name: "Bob" }, { names: ["Bob"], targets: [TARGET] }];
  const uses: (() => unknown)[] = [
    () => journal.send(message("again"), FOR_BOB),
    () => journal.receive([message("hi", "Bob")]),
    () => journal.cancel(place),
    () => journal.markShown(place),
    () => journal.meet(TARGET, bob),
    () => journal.endDelivery("Bob", [place], "delivered"),
    () => journal.queue(),
    () => journal.waitingFor(bob),
    () => journal.history(all, 1),
    () => journal.said(all, 1),
  ];
  for (const use of uses) assert.throws(use, { name: "GreetError", code: "FAILED" }, `${use}`);
});

journalTest("a home that is a file is refused with one sentence", (home) => {
  const file = join(home, "file");
  Deno.writeTextFileSync(file, "");
  assert.throws(() => Journal.open({ home: file, name: "Alice" }), (error: Error) => {
    assert.match(error.message, /^cannot keep a journal in \S+: [A-Z][a-z ]+$/);
    return true;
  });
});

Deno.test("a journal in memory forgets finished messages and stays small", async () => {
  using journal = Journal.inMemory();
  assert.equal(journal.durable, false);
  const waiting = await journal.send(message("still waiting"), FOR_BOB);
  for (let i = 0; i < 3_000; i++) {
    const last = await journal.receive([message(`${i}`, "Bob")]);
    journal.markShown(last!);
  }
  const kept = journal.history({ names: ["Bob"], targets: [] }, 1_000_000);
  assert(kept.length <= 1_001, `${kept.length} are kept`);
  assert.equal(kept.at(-1)!.message.body, "2999");
  assert.equal(journal.waitingFor({ name: "Bob" })[0].place, waiting.place);
});
