/** Files that are deleted, moved or replaced in use, or that other users can access. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { dirname, join } from "node:path";
import { Journal } from "../../src/peer/journal.ts";
import { journalFile } from "../../src/peer/journal_file.ts";
import type { GreetError } from "../../src/base/errors.ts";
import type { Message } from "../../src/peer/messages.ts";
import { KnownPeers } from "../../src/identity/known_peers.ts";
import { openIdentity } from "../../src/identity/identity.ts";
import { Bot } from "../support/bot.ts";
import { homeTest, temporaryHome } from "../support/home.ts";
import { freePorts } from "../support/ports.ts";
import { greetCommand, ROOT as PROJECT, run } from "../support/program.ts";
import { hasCommand, isLinux, works } from "../support/tools.ts";

const POSIX = { what: "POSIX", isThere: Deno.build.os !== "windows" };
const LINUX = { what: "Linux and mkfifo", isThere: isLinux && hasCommand("mkfifo") };
const ROOT = { what: "root", isThere: POSIX.isThere && Deno.uid() === 0 };

const GONE = {
  code: "FAILED",
  message:
    /^the journal cannot be used: \S+ was deleted, moved, or overwritten; put it back or restart$/,
};

function message(body: string, from: string): Message {
  return { id: body, from, body, at: new Date() };
}

/** Sends one message and receives one. */
function use(journal: Journal, body: string): Promise<unknown>[] {
  return [
    journal.send(message(body, "Alice"), () => [{ target: "127.0.0.1:1", name: "Bob" }]),
    journal.receive([message(body, "Bob")]),
  ];
}

function bodies(journal: Journal): string[] {
  return journal.unshown(0).map(({ message }) => message.body);
}

function lockFile(home: string): string {
  const [lock] = Deno.readDirSync(join(home, "locks"));
  return join(home, "locks", lock.name);
}

// ---------------------------------------------------------------- deleted, moved, replaced

/** The parts of Alice's journal that may be deleted. */
const PARTS: readonly [what: string, path: (home: string) => string][] = [
  ["the database", (home) => journalFile(home, "Alice")],
  ["its log", (home) => `${journalFile(home, "Alice")}-wal`],
  ["its index", (home) => `${journalFile(home, "Alice")}-shm`],
  ["its lock", lockFile],
  ["the folder of journals", (home) => join(home, "journals")],
  ["the home directory", (home) => home],
];

for (const [what, path] of PARTS) {
  homeTest(`${what} is deleted in use: nothing more is stored`, async (home) => {
    using journal = Journal.open({ home, name: "Alice" });
    await Promise.all(use(journal, "before"));
    Deno.removeSync(path(home), { recursive: true });
    for (const work of use(journal, "after")) await assert.rejects(work, GONE);
    assert.deepEqual(bodies(journal), ["before"]);
  }, POSIX);

  homeTest(
    `${what} is moved away and back: it works again, without the messages that were refused`,
    async (home) => {
      {
        using journal = Journal.open({ home, name: "Alice" });
        await Promise.all(use(journal, "before"));
        const here = path(home);
        Deno.renameSync(here, `${here}.elsewhere`);
        for (const work of use(journal, "meanwhile")) await assert.rejects(work, GONE);
        Deno.renameSync(`${here}.elsewhere`, here);
        await Promise.all(use(journal, "after"));
      }
      using journal = Journal.open({ home, name: "Alice" });
      assert.deepEqual(bodies(journal), ["before", "after"]);
      assert.deepEqual(journal.queue().map(({ message }) => message.body), ["before", "after"]);
    },
    POSIX,
  );
}

homeTest("a copy that replaces the journal is detected", async (home) => {
  using journal = Journal.open({ home, name: "Alice" });
  const path = journalFile(home, "Alice");
  Deno.copyFileSync(path, `${path}.copy`);
  Deno.renameSync(`${path}.copy`, path);
  for (const work of use(journal, "after")) await assert.rejects(work, GONE);
}, POSIX);

for (const [what, suffix] of [["the database", ""], ["its log", "-wal"]]) {
  homeTest(`${what} is truncated in use: nothing more is stored`, async (home) => {
    using journal = Journal.open({ home, name: "Alice" });
    await Promise.all(use(journal, "before"));
    Deno.truncateSync(journalFile(home, "Alice") + suffix, 0);
    for (const work of use(journal, "after")) await assert.rejects(work, { code: "FAILED" });
  }, POSIX);
}

homeTest("a name can chat only once, even if the journals are deleted", (home) => {
  using _journal = Journal.open({ home, name: "Alice" });
  Deno.removeSync(join(home, "journals"), { recursive: true });
  assert.throws(() => Journal.open({ home, name: "Alice" }), /is chatting already/);
}, POSIX);

homeTest(
  "a new journal survives the end of the deleted one that it replaces",
  async (home) => {
    const first = Journal.open({ home, name: "Alice" });
    await Promise.all(use(first, "lost"));
    Deno.removeSync(home, { recursive: true });
    {
      using second = Journal.open({ home, name: "Alice" });
      await Promise.all(use(second, "kept"));
      first[Symbol.dispose]();
      await Promise.all(use(second, "also kept"));
    }
    using third = Journal.open({ home, name: "Alice" });
    assert.deepEqual(bodies(third), ["kept", "also kept"]);
  },
  POSIX,
);

Deno.test({
  name: "journals are deleted during a chat: it is reported, and nothing is lost (needs POSIX)",
  ignore: !POSIX.isThere,
  async fn() {
    const [a, b] = freePorts();
    await using home = temporaryHome();
    await using bob = new Bot(["Bob", b, a]);
    {
      await using alice = new Bot(["Alice", a, b], home);
      await Promise.all([alice.until("welcome"), bob.until("welcome")]);
      await Deno.remove(join(home.env.GREET_HOME, "journals"), { recursive: true });
      await bob.say("one", "two");
      const [theirs] = await alice.until("error");
      assert.match(String(theirs.message), GONE.message);
      await alice.say("ours");
      const [, ours] = await alice.until("error", 2);
      assert.deepEqual({ ...theirs, id: ours.id }, ours);
      assert.deepEqual([...alice.all("message"), ...bob.all("delivered")], []);
      await alice.program.end();
      assert.equal(await alice.program.code(), 1);
    }
    await using alice = new Bot(["Alice", a, b], home);
    await alice.until("message", 2);
    assert.deepEqual(alice.all("message").map(({ body }) => body), ["one", "two"]);
    assert.equal(bob.all("message").length, 0);
  },
});

// ---------------------------------------------------------------- other users

function modeOf(path: string): number {
  return Deno.statSync(path).mode! & 0o777;
}

/** Creates all files that Alice keeps. */
async function createFiles(home: string): Promise<{ journal: string; known: string; key: string }> {
  Journal.open({ home, name: "Alice" })[Symbol.dispose]();
  const journal = journalFile(home, "Alice");
  KnownPeers.in(home).remember({ fingerprint: `SHA256:${"A".repeat(43)}`, name: "Bob" });
  await openIdentity(home, "Alice");
  const identities = join(home, "identities");
  const [key] = [...Deno.readDirSync(identities)].filter(({ name }) => name.endsWith(".key"));
  return { journal, known: join(home, "known_peers"), key: join(identities, key.name) };
}

const JOURNAL_FILES = ["", "-wal", "-shm"];

homeTest("a journal that others could read is made private, with a warning", async (home) => {
  const { journal: path } = await createFiles(home);
  for (const suffix of JOURNAL_FILES) {
    // SQLite ignores an empty log; its mode is what counts here.
    if (suffix !== "") Deno.writeTextFileSync(path + suffix, "");
    Deno.chmodSync(path + suffix, 0o644);
    using journal = Journal.open({ home, name: "Alice" });
    assert.equal(journal.warning, "other users could read the journal until now");
    for (const each of JOURNAL_FILES) assert.equal(modeOf(path + each), 0o600, each);
  }
  using journal = Journal.open({ home, name: "Alice" });
  assert.equal(journal.warning, undefined);
}, POSIX);

homeTest("known_peers that others could read is made private", async (home) => {
  const { known: path } = await createFiles(home);
  const known = KnownPeers.in(home);
  for (const mode of [0o644, 0o640, 0o604]) {
    Deno.chmodSync(path, mode);
    assert.equal(known.keysOf("Bob").length, 1);
    assert.equal(modeOf(path), 0o600);
  }
}, POSIX);

homeTest(
  "files that others can write to are refused until their mode is changed as the hint says",
  async (home) => {
    const { journal, known, key } = await createFiles(home);
    const peers = KnownPeers.in(home);
    const open = () => Journal.open({ home, name: "Alice" })[Symbol.dispose]();
    for (const mode of [0o666, 0o620, 0o602]) {
      for (const suffix of JOURNAL_FILES) {
        if (suffix !== "") Deno.writeTextFileSync(journal + suffix, "");
        Deno.chmodSync(journal + suffix, mode);
        assert.throws(open, { message: /other users can write to it$/, hint: /: chmod 600 \S+$/ });
        Deno.chmodSync(journal + suffix, 0o600);
      }
      Deno.chmodSync(known, mode);
      for (const ask of [() => KnownPeers.in(home), () => peers.keysOf("Bob")]) {
        assert.throws(ask, { message: /other users can write to it$/, hint: /: chmod 600 \S+$/ });
      }
      Deno.chmodSync(known, 0o600);
      Deno.chmodSync(key, mode);
      await assert.rejects(openIdentity(home, "Alice"), /other users can read the private key/);
      Deno.chmodSync(key, 0o600);
    }
    open();
    assert.equal(peers.keysOf("Bob").length, 1);
  },
  POSIX,
);

homeTest("files of another user are refused", async (home) => {
  const { journal, known, key } = await createFiles(home);
  for (const path of [journal, known, key]) Deno.chownSync(path, 12_345, 12_345);
  const refusal = { code: "FAILED", message: /it belongs to another user$/ };
  assert.throws(() => Journal.open({ home, name: "Alice" }), refusal);
  assert.throws(() => KnownPeers.in(home), refusal);
  await assert.rejects(openIdentity(home, "Alice"), refusal);
}, ROOT);

homeTest(
  "folders that others can write to are refused, except sticky ones such as /tmp",
  async (home) => {
    await createFiles(home);
    const open = () => Journal.open({ home, name: "Alice" })[Symbol.dispose]();
    for (const folder of [home, join(home, "journals"), join(home, "locks")]) {
      Deno.chmodSync(folder, 0o777);
      assert.throws(open, {
        message: /other users can write to the folder/,
        hint: `chmod go-w ${folder}`,
      });
      Deno.chmodSync(folder, 0o1777);
      open();
      Deno.chmodSync(folder, 0o700);
    }
    Deno.chmodSync(home, 0o777);
    assert.throws(() => KnownPeers.in(home), { hint: `chmod go-w ${home}` });
    await assert.rejects(openIdentity(home, "Alice"), { hint: `chmod go-w ${home}` });
  },
  POSIX,
);

homeTest("a hint that names a folder with spaces can be pasted into a shell", async (home) => {
  const folder = join(home, "Application Support", "it's");
  Journal.open({ home: folder, name: "Alice" })[Symbol.dispose]();
  Deno.chmodSync(folder, 0o777);
  const open = () => Journal.open({ home: folder, name: "Alice" })[Symbol.dispose]();
  const hints: string[] = [];
  assert.throws(open, (error: GreetError) => hints.push(error.hint!) > 0);
  assert(await works("sh", "-c", hints[0]), hints[0]);
  open();
}, { what: "chmod", isThere: hasCommand("chmod") });

// ---------------------------------------------------------------- not regular files

/** Things in place of a file that would block, never end, or not exist. */
const IRREGULAR: readonly [what: string, make: (path: string) => void | Promise<unknown>][] = [
  ["a named pipe", (path) => new Deno.Command("mkfifo", { args: ["-m", "600", path] }).output()],
  ["a folder", (path) => Deno.mkdirSync(path, { mode: 0o700 })],
  ["a link to /dev/zero", (path) => Deno.symlinkSync("/dev/zero", path)],
  ["a link to /dev/full", (path) => Deno.symlinkSync("/dev/full", path)],
  ["a link to itself", (path) => Deno.symlinkSync(path, path)],
];

for (const [what, make] of IRREGULAR) {
  homeTest(`${what} in place of any file: one line says so, exit code 1`, async (home) => {
    const { journal, known, key } = await createFiles(home);
    const [a, b] = freePorts();
    const lock = lockFile(home);
    const files = [journal, `${journal}-wal`, lock, known, key, key.replace(/key$/, "pem")];
    for (const path of files) {
      const saved = `${path}.saved`;
      const isThere = path !== `${journal}-wal`;
      if (isThere) Deno.renameSync(path, saved);
      await make(path);
      const { code, err } = await run(["chat", "Alice", a, b, "--tls", "--home", home]);
      assert.equal(code, 1, `${path}: ${err}`);
      assert.match(err, /^greet: error: [^\n]+\n(greet: hint: [^\n]+\n)?$/);
      assert.match(err, /not a regular file|Is a directory|Too many levels of symbolic links/);
      Deno.removeSync(path);
      if (isThere) Deno.renameSync(saved, path);
    }
  }, LINUX);
}

homeTest("oversized known_peers and key files are not read", async (home) => {
  const { known, key } = await createFiles(home);
  for (const path of [known, key]) Deno.truncateSync(path, 2_000_000_000);
  assert.throws(() => KnownPeers.in(home), /larger than 1 MB$/);
  await assert.rejects(openIdentity(home, "Alice"), /larger than 1 MB$/);
});

homeTest("a journal that is a link to another file leaves that file alone", async (home) => {
  const { journal } = await createFiles(home);
  const precious = join(dirname(home), "precious");
  Deno.renameSync(journal, `${journal}.saved`);
  Deno.symlinkSync(precious, journal);
  const contents = ["not a database", new Uint8Array(4096).fill(7)];
  for (const content of contents) {
    if (typeof content === "string") Deno.writeTextFileSync(precious, content);
    else Deno.writeFileSync(precious, content);
    Deno.chmodSync(precious, 0o644);
    const before = Deno.readFileSync(precious);
    assert.throws(() => Journal.open({ home, name: "Alice" }), { message: /is not a journal$/ });
    assert.deepEqual(Deno.readFileSync(precious), before);
    assert.equal(Deno.statSync(precious).mode! & 0o777, 0o644);
  }
}, POSIX);

homeTest(
  "what a new journal holds is kept, although the damaged one is still being read",
  async (home) => {
    const open = () => Journal.open({ home, name: "Alice" });
    {
      using journal = open();
      const long = "x".repeat(2_000);
      await Promise.all(Array.from({ length: 300 }, (_, i) => use(journal, `${i} ${long}`)).flat());
    }
    const [command, ...args] = [...greetCommand(), "history", "Alice", "--home", home];
    await using reader = new Deno.Command(command, { args, cwd: PROJECT, stdout: "piped" }).spawn();
    // The rest of its output does not fit into the pipe: it keeps the journal open.
    const output = reader.stdout.getReader();
    await using _ = { [Symbol.asyncDispose]: () => output.cancel() };
    await output.read();
    {
      using journal = open();
      await Promise.all(use(journal, "in the log"));
    }
    {
      using file = Deno.openSync(journalFile(home, "Alice"), { write: true });
      file.seekSync(8 * 4096, Deno.SeekMode.Start);
      file.writeSync(new Uint8Array(3 * 4096).fill(0xAB));
    }
    {
      using journal = open();
      assert.match(journal.notice!, /was damaged/);
      await Promise.all(use(journal, "new"));
    }
    using journal = open();
    assert.deepEqual(bodies(journal), ["new"]);
  },
  POSIX,
);

homeTest(
  "a database of another program is moved aside, not filled with our tables",
  async (home) => {
    const { journal } = await createFiles(home);
    Deno.renameSync(journal, `${journal}.saved`);
    {
      using other = new DatabaseSync(journal);
      other.exec("CREATE TABLE theirs (a)");
    }
    using opened = Journal.open({ home, name: "Alice" });
    assert.match(opened.notice!, /It is kept as (\S+);/);
    const [, aside] = /It is kept as (\S+);/.exec(opened.notice!)!;
    using other = new DatabaseSync(aside);
    assert.deepEqual(
      other.prepare("SELECT name FROM sqlite_schema").all().map(({ name }) => name),
      ["theirs"],
    );
  },
  POSIX,
);

homeTest("a home directory may be a symbolic link", async (home) => {
  const real = join(dirname(home), "elsewhere");
  Deno.mkdirSync(real, { mode: 0o700 });
  Deno.symlinkSync(real, home);
  {
    using journal = Journal.open({ home, name: "Alice" });
    await Promise.all(use(journal, "kept"));
  }
  using journal = Journal.open({ home: real, name: "Alice" });
  assert.deepEqual(bodies(journal), ["kept"]);
}, POSIX);

Deno.test("known peers that become unreadable are reported to us, and not to callers", async () => {
  const [a, b] = freePorts();
  await using home = temporaryHome();
  await using alice = new Bot(["Alice", a, b, "--tls"], home);
  await using bobsHome = temporaryHome();
  {
    await using bob = new Bot(["Bob", b, a, "--tls"], bobsHome);
    await Promise.all([alice.until("welcome"), bob.until("welcome")]);
    await bob.program.leave();
    await alice.until("left");
  }
  const file = join(home.env.GREET_HOME, "known_peers");
  await Deno.remove(file);
  await Deno.mkdir(file);
  await using bob = new Bot(["Bob", b, a, "--tls"], bobsHome);
  await bob.say("Hello?");
  const [error] = await alice.until("error");
  assert.equal(error.message, `${file} cannot be read: Is a directory`);
  await Deno.remove(file);
  await bob.until("delivered");
  assert.equal(alice.program.err.text, "");
  assert.doesNotMatch(bob.program.out.text + bob.program.err.text, /known_peers/);
});
