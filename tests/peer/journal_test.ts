/** What a journal keeps, whatever becomes of the process and the file. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Journal, journalFile, type Message } from "../../src/peer/journal.ts";

const TARGET = "127.0.0.1:55556";
const HERE = () => [{ target: TARGET, name: "Bob" }];

function message(body: string, from = "Alice"): Message {
  return { id: crypto.randomUUID(), from, body, at: new Date() };
}

function bodies(entries: readonly { message: Message }[]): string[] {
  return entries.map(({ message }) => message.body);
}

/** A test with a home of its own. */
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
  "what is said waits, in order, until it is delivered, also in another process",
  async (home) => {
    {
      using journal = Journal.open({ home, name: "Alice" });
      await Promise.all(["1", "2", "3"].map((body) => journal.say(message(body), HERE)));
      const [first] = journal.waitingFor({ name: "Bob" });
      journal.end("Bob", [first.place], "delivered");
    }
    using journal = Journal.open({ home, name: "Alice" });
    assert.deepEqual(bodies(journal.waitingFor({ name: "Bob" })), ["2", "3"]);
    assert.deepEqual(bodies(journal.waitingFor({ name: "Carol" })), []);
    assert.deepEqual(bodies(journal.queue()), ["2", "3"]);
    assert.deepEqual(journal.queue()[0].addressees, [{ ...HERE()[0], fingerprint: undefined }]);
  },
);

journalTest("text comes back exactly, whatever is in it", async (home) => {
  using journal = Journal.open({ home, name: "Alice" });
  const texts = ["", "a\0b", "\0", "\uFEFFmark", "👩‍🚀\r\n\x1b[2J", "\u{10FFFF}\uFFFE", "'); --"];
  for (const body of texts) {
    await journal.say(message(body), HERE);
    await journal.take([{ ...message(body, "Bob"), id: `${body}-id` }]);
  }
  assert.deepEqual(bodies(journal.waitingFor({ name: "Bob" })), texts);
  const taken = journal.unshown(0);
  assert.deepEqual(bodies(taken), texts);
  assert.deepEqual(taken.map(({ message }) => message.id), texts.map((text) => `${text}-id`));
});

journalTest("what waits comes in portions, and one message always fits", async (home) => {
  using journal = Journal.open({ home, name: "Alice" });
  for (const length of [10, 200, 10, 10]) await journal.say(message("x".repeat(length)), HERE);
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
  "a message to nobody in particular is for who is met there first, and stays theirs",
  async (home) => {
    using journal = Journal.open({ home, name: "Alice" });
    await journal.say(message("hello?"), () => [{ target: TARGET }]);
    assert.deepEqual(bodies(journal.waitingFor({ name: "Bob" })), []);
    journal.meet(TARGET, { name: "Bob" });
    assert.deepEqual(bodies(journal.waitingFor({ name: "Bob" })), ["hello?"]);
    journal.meet(TARGET, { name: "Carol" });
    assert.deepEqual(bodies(journal.waitingFor({ name: "Carol" })), []);
    assert.deepEqual(bodies(journal.waitingFor({ name: "Bob" })), ["hello?"]);
  },
);

journalTest("who is met while a message is being stored gets it", async (home) => {
  using journal = Journal.open({ home, name: "Alice" });
  const there: { name?: string } = {};
  const said = journal.say(message("hello?"), () => [{ target: TARGET, ...there }]);
  there.name = "Bob";
  journal.meet(TARGET, { name: "Bob" });
  await said;
  assert.deepEqual(bodies(journal.waitingFor({ name: "Bob" })), ["hello?"]);
});

journalTest(
  "who was last at a target gets what was for that target, at another target",
  async (home) => {
    {
      using journal = Journal.open({ home, name: "Alice" });
      journal.meet(TARGET, { name: "Bob" });
    }
    {
      using journal = Journal.open({ home, name: "Alice" });
      const bob = { target: TARGET, name: "Bob", fingerprint: undefined };
      assert.deepEqual(journal.moveTo([TARGET]), [bob]);
      await journal.say(message("Bob?"), () => [{ target: TARGET }]);
    }
    using journal = Journal.open({ home, name: "Alice" });
    assert.deepEqual(journal.moveTo(["127.0.0.1:1"]), []);
    journal.meet("127.0.0.1:1", { name: "Bob" });
    assert.deepEqual(bodies(journal.waitingFor({ name: "Bob" })), ["Bob?"]);
  },
);

journalTest(
  "the same id from the same sender is taken once, also after a restart",
  async (home) => {
    const said = message("once", "Bob");
    {
      using journal = Journal.open({ home, name: "Alice" });
      assert.equal(await journal.take([said, said]), 1);
      assert.equal(await journal.take([said]), 1);
    }
    using journal = Journal.open({ home, name: "Alice" });
    assert.equal(await journal.take([said]), 1);
    assert.deepEqual(bodies(journal.unshown(0)), ["once"]);
    // Another sender's ids are their own affair, and no id at all is no promise.
    assert.equal(await journal.take([{ ...said, from: "Carol" }]), 2);
    await journal.take([{ ...said, id: "" }, { ...said, id: "" }]);
    assert.equal(journal.unshown(0).length, 4);
  },
);

journalTest("what was shown is not shown again; what was not is", async (home) => {
  {
    using journal = Journal.open({ home, name: "Alice" });
    await journal.take([message("1", "Bob"), message("2", "Bob")]);
    journal.markShown(journal.unshown(0)[0].place);
  }
  using journal = Journal.open({ home, name: "Alice" });
  const [second] = journal.unshown(0);
  assert.equal(second.message.body, "2");
  assert.equal(journal.shownUpTo(), second.place - 1);
  assert.deepEqual(journal.unshown(second.place), []);
});

journalTest(
  "the history is that of a company: what they said, and what they were told",
  async (home) => {
    using journal = Journal.open({ home, name: "Alice" });
    const places: number[] = [];
    const tell = async (body: string, name: string) => {
      const { place } = await journal.say(message(body), () => [{ target: name, name }]);
      places.push(place);
      return place;
    };
    journal.end("Bob", [await tell("to Bob", "Bob")], "delivered");
    journal.end("Carol", [await tell("to Carol", "Carol")], "delivered");
    await tell("not yet", "Bob");
    const last = await journal.take([message("from Carol", "Carol"), message("from Bob", "Bob")]);
    journal.markShown(last - 1);
    journal.markShown(last);
    const said = (names: string[], limit = 10) =>
      bodies(journal.history({ names, targets: [] }, limit));
    assert.deepEqual(said(["Bob"]), ["to Bob", "from Bob"]);
    assert.deepEqual(said(["Bob"], 1), ["from Bob"]);
    assert.deepEqual(said(["Bob", "Carol"]), ["to Bob", "to Carol", "from Carol", "from Bob"]);
    assert.deepEqual(said(["Mallory"]), []);
    const ours = (names: string[], targets: string[]) =>
      bodies(journal.said({ names, targets }, 2));
    assert.deepEqual(ours(["Bob"], []), ["to Bob", "not yet"]);
    assert.deepEqual(ours([], ["Carol"]), ["to Carol"]);
    assert.deepEqual(ours(["Bob"], ["Carol"]), ["to Carol", "not yet"]);
    assert.deepEqual(ours(["Mallory"], []), []);
  },
);

journalTest("what was cancelled is neither delivered nor listed", async (home) => {
  using journal = Journal.open({ home, name: "Alice" });
  const { place } = await journal.say(message("never mind"), HERE);
  journal.cancel(place);
  assert.deepEqual(journal.waitingFor({ name: "Bob" }), []);
  assert.deepEqual(journal.queue(), []);
  journal.end("Bob", [place], "delivered");
  assert.deepEqual(journal.history({ names: ["Bob"], targets: [TARGET] }, 10), []);
});

Deno.test({
  name: "folders are for their owner only, and so are files (needs POSIX)",
  ignore: Deno.build.os === "windows",
  async fn() {
    const parent = await Deno.makeTempDir();
    const home = join(parent, "deep", "home");
    {
      using journal = Journal.open({ home, name: "Alice" });
      await journal.say(message("secret"), HERE);
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
  "names that differ in case only, or that no file could have, are kept apart",
  async (home) => {
    const names = ["Alice", "alice", "..", "CON", "a b", "a-b", "💬".repeat(64), "Łukasz"];
    for (const name of names) {
      using journal = Journal.open({ home, name });
      await journal.say(message(name, name), HERE);
    }
    for (const name of names) {
      using journal = Journal.open({ home, name });
      assert.deepEqual(bodies(journal.waitingFor({ name: "Bob" })), [name]);
    }
  },
);

journalTest(
  "two of the same name are one too many; when the first ends, there is room",
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

journalTest("a damaged file is moved aside, said, and nothing else is lost", async (home) => {
  Journal.open({ home, name: "Bob" })[Symbol.dispose]();
  const path = journalFile(home, "Alice");
  const garbage = "not a database, ".repeat(1_000);
  await Deno.writeTextFile(path, garbage, { mode: 0o600 });
  {
    using journal = Journal.open({ home, name: "Alice" });
    const [, aside] = /^The journal was damaged\. It is kept as (\S+);/.exec(journal.notice!)!;
    assert.equal(await Deno.readTextFile(aside), garbage);
    await journal.say(message("afterwards"), HERE);
  }
  using journal = Journal.open({ home, name: "Alice" });
  assert.equal(journal.notice, undefined);
  assert.deepEqual(bodies(journal.queue()), ["afterwards"]);
  Journal.open({ home, name: "Bob" })[Symbol.dispose]();
});

journalTest("damage in the middle of a file is noticed when it is opened", async (home) => {
  const path = journalFile(home, "Alice");
  {
    using journal = Journal.open({ home, name: "Alice" });
    for (let i = 0; i < 200; i++) await journal.say(message(`${i} ${"x".repeat(500)}`), HERE);
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

journalTest("a newer version's journal is refused, and not touched", async (home) => {
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

journalTest("a home that cannot be one is said so in one sentence", (home) => {
  const file = join(home, "file");
  Deno.writeTextFileSync(file, "");
  assert.throws(() => Journal.open({ home: file, name: "Alice" }), (error: Error) => {
    assert.match(error.message, /^cannot keep a journal in \S+: [A-Z][a-z ]+$/);
    return true;
  });
});

Deno.test("a journal in memory forgets what is over, and stays small", async () => {
  using journal = Journal.inMemory();
  assert.equal(journal.durable, false);
  const waiting = await journal.say(message("still waiting"), HERE);
  for (let i = 0; i < 3_000; i++) {
    const last = await journal.take([message(`${i}`, "Bob")]);
    journal.markShown(last!);
  }
  const kept = journal.history({ names: ["Bob"], targets: [] }, 1_000_000);
  assert(kept.length <= 1_001, `${kept.length} are kept`);
  assert.equal(kept.at(-1)!.message.body, "2999");
  assert.equal(journal.waitingFor({ name: "Bob" })[0].place, waiting.place);
});
