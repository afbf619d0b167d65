/** A disk that is full or cannot be written: one clear line, and nothing is lost. */
import assert from "node:assert/strict";
import { journalFile } from "../../src/peer/journal_file.ts";
import { Bot } from "../support/bot.ts";
import { changeInFile } from "../support/damage.ts";
import { temporaryHome } from "../support/home.ts";
import { freePorts } from "../support/ports.ts";
import { greetCommand, Program, run } from "../support/program.ts";
import { works } from "../support/tools.ts";

/** Runs a command in a namespace in which any user may mount. */
const UNSHARE = ["unshare", "--map-root-user", "--mount", "--"] as const;

const canMount = await works(...UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt");

Deno.test("a message that the disk has changed is not sent, and the others are", async () => {
  const [a, b] = freePorts();
  await using home = temporaryHome();
  {
    await using alice = new Bot(["Alice", a, b], home);
    await alice.say("first", "second", "third");
    await alice.until("queued", 3);
    await alice.program.write("/quit\n");
    assert.equal(await alice.program.code(), 0);
  }
  await changeInFile(journalFile(home.env.GREET_HOME, "Alice"), "second", "secoNd");
  await using alice = new Bot(["Alice", a, b], home);
  await using bob = new Bot(["Bob", b, a]);
  const received = await bob.until("message", 2);
  assert.deepEqual(received.map(({ body }) => body), ["first", "third"]);
  const [{ code, message, to }] = await alice.until("error");
  assert.deepEqual({ code, to }, { code: "DATA_LOSS", to: "Bob" });
  assert.match(String(message), /damaged on the disk/);
  await alice.until("delivered", 2);
});

Deno.test({
  name:
    "a full disk is reported once, senders keep their messages, and it works again later (needs unshare)",
  ignore: !canMount,
  async fn() {
    const [a, b] = freePorts();
    await using home = temporaryHome();
    const { GREET_HOME } = home.env;
    // A disk of 1 MB that can be filled and emptied from outside.
    const script = `
      mount -t tmpfs -o size=1m tmpfs "$GREET_HOME"
      (read fill; head -c 2000000 /dev/zero >"$GREET_HOME/filler" 2>/dev/null; echo filled >&2
       read empty; rm "$GREET_HOME/filler"; echo emptied >&2) <"${"$"}1" &
      shift; exec "$@"`;
    const fifo = `${GREET_HOME}.fifo`;
    await new Deno.Command("mkfifo", { args: [fifo] }).output();
    const greet = [...greetCommand(), "chat", "Alice", a, b, "--json"];
    await using alice = new Program(
      [...UNSHARE, "bash", "-c", script, "bash", fifo, ...greet],
      home,
    );
    using control = await Deno.open(fifo, { write: true });
    const tell = (word: string) => control.write(new TextEncoder().encode(`${word}\n`));
    await using bob = new Bot(["Bob", b, a]);
    await alice.out.until('"welcome"');
    await tell("fill");
    await alice.err.until("filled");

    await bob.say("x".repeat(10_000), "after that");
    await alice.out.until(
      /"error","code":"FAILED","message":"the journal cannot be used: the disk is full"/,
    );
    assert.equal(bob.all("delivered").length, 0);
    await alice.write("y".repeat(10_000) + "\n");
    await alice.out.until(/"error","code":"FAILED".*"id":/);

    await tell("empty");
    await alice.err.until("emptied");
    await bob.until("delivered", 2);
    await alice.out.until('"body":"after that"');
    await alice.write("it works again\n");
    await bob.until("message");
    assert.equal(alice.out.text.match(/"code":"FAILED"/g)?.length, 2);
    await alice.write("/quit\n");
    await alice.code();
    await Deno.remove(fifo);
  },
});

Deno.test({
  name: "a read-only home: one line and a hint, and --no-journal works (needs unshare)",
  ignore: !canMount,
  async fn() {
    const [a, b] = freePorts();
    await using home = temporaryHome();
    const script = 'mount -t tmpfs -o ro tmpfs "$GREET_HOME"; exec "$@"';
    const inReadOnly = (...args: string[]) =>
      new Program(
        [
          ...UNSHARE,
          "bash",
          "-c",
          script,
          "bash",
          ...greetCommand(),
          "chat",
          "Alice",
          a,
          b,
          ...args,
        ],
        home,
      );
    await using refused = inReadOnly();
    assert.equal(await refused.code(), 1);
    assert.match(
      refused.err.text,
      /^greet: error: cannot keep a journal in \S+: Read-only file system\ngreet: hint: .*--no-journal\n$/,
    );
    await using alice = inReadOnly("--no-journal");
    await using bob = new Bot(["Bob", b, a]);
    await bob.until("welcome");
    await alice.out.until("Welcome");
  },
});

/** A small disk mounted at a folder; nothing if that is not allowed. */
async function mountedDisk(folder: string): Promise<AsyncDisposable | undefined> {
  const image = await Deno.makeTempFile();
  await Deno.truncate(image, 4_000_000);
  const isMounted = await works("mkfs.ext4", "-q", image) &&
    await works("mount", "-o", "loop", image, folder);
  const remove = async () => {
    if (isMounted) await works("umount", folder);
    await Deno.remove(image);
  };
  if (isMounted) return { [Symbol.asyncDispose]: remove };
  await remove();
}

const canMountDisk = await (async () => {
  const folder = await Deno.makeTempDir();
  const disk = await mountedDisk(folder);
  await disk?.[Symbol.asyncDispose]();
  await Deno.remove(folder);
  return disk !== undefined;
})();

Deno.test({
  name:
    "a disk that becomes read-only during a chat: it is reported once, and nothing is lost (needs mount)",
  ignore: !canMountDisk,
  async fn() {
    const [a, b] = freePorts();
    await using home = temporaryHome();
    const { GREET_HOME } = home.env;
    await using bob = new Bot(["Bob", b, a]);
    {
      await using _disk = await mountedDisk(GREET_HOME);
      await using alice = new Bot(["Alice", a, b], home);
      await Promise.all([alice.until("welcome"), bob.until("welcome")]);
      await alice.say("before");
      await bob.until("message");
      // The kernel does the same after an error, even if files are open for writing.
      assert(await works("mount", "-o", "remount,abort", GREET_HOME));
      await bob.say("one", "two");
      await alice.until("error");
      await alice.say("ours");
      const [theirs, ours] = await alice.until("error", 2);
      const message = "the journal cannot be used: reading or writing the disk failed";
      assert.deepEqual(theirs, { type: "error", code: "FAILED", message });
      assert.deepEqual(ours, { ...theirs, id: ours.id });
      assert.equal(bob.all("delivered").length, 0);
      await alice.program.write("/quit\n");
      await alice.program.code();
      assert.equal(alice.program.err.text, "");
    }
    await using alice = new Bot(["Alice", a, b]);
    await alice.until("message", 2);
    assert.deepEqual(alice.all("message").map(({ body }) => body), ["one", "two"]);
  },
});

Deno.test({
  name: "a disk without room for another file: one line says so, exit code 1 (needs unshare)",
  ignore: !canMount,
  async fn() {
    const [a, b] = freePorts();
    // The root folder, the other folders and the lock take inodes as well.
    for (const inodes of [1, 2, 3, 4, 5, 6]) {
      await using home = temporaryHome();
      const script = `mount -t tmpfs -o nr_inodes=${inodes} tmpfs "$GREET_HOME"; exec "$@"`;
      const greet = [...greetCommand(), "chat", "Alice", a, b];
      await using alice = new Program([...UNSHARE, "bash", "-c", script, "bash", ...greet], home);
      assert.equal(await alice.code(), 1);
      assert.match(
        alice.err.text,
        /^greet: error: cannot keep a journal in \S+: [^\n:]+\ngreet: hint: .*--no-journal\n$/,
      );
    }
  },
});

Deno.test({
  name:
    "a disk that runs out of inodes during an encrypted chat: it is reported once, and the chat goes on (needs unshare)",
  ignore: !canMount,
  async fn() {
    const [a, b] = freePorts();
    await using home = temporaryHome();
    const fifo = `${home.env.GREET_HOME}.fifo`;
    assert(await works("mkfifo", fifo));
    const script = `mount -t tmpfs -o nr_inodes=20 tmpfs "$GREET_HOME"
      (read fill; for i in $(seq 30); do : >"$GREET_HOME/filler-$i"; done 2>/dev/null
       echo filled >&2) <"$1" &
      shift; exec "$@"`;
    const greet = [...greetCommand(), "chat", "Alice", a, b, "--tls"];
    await using alice = new Program(
      [...UNSHARE, "bash", "-c", script, "bash", fifo, ...greet],
      home,
    );
    using control = await Deno.open(fifo, { write: true });
    await alice.out.until("Waiting");
    await control.write(new TextEncoder().encode("fill\n"));
    await alice.err.until("filled");
    await using bob = new Bot(["Bob", b, a, "--tls"]);
    await bob.until("welcome");
    await bob.say("hello");
    await alice.out.until("] Bob> hello\n");
    await bob.until("delivered");
    await alice.write("/quit\n");
    await alice.code();
    assert.match(
      alice.err.text,
      /^filled\n.*known_peers cannot be written: No space left[^\n]*\n$/,
    );
    await Deno.remove(fifo);
  },
});

Deno.test("a home that is not a folder, or a name in use: one line and a hint, exit code 1", async () => {
  const [a, b, c] = freePorts(3);
  await using home = temporaryHome();
  const file = `${home.env.GREET_HOME}/file`;
  await Deno.writeTextFile(file, "");
  const noFolder = await run(["chat", "Alice", a, b, "--home", file]);
  assert.equal(noFolder.code, 1);
  assert.match(noFolder.err, /^greet: error: cannot keep a journal in \S+: .*\ngreet: hint: .*\n$/);

  await using alice = Program.greet(["chat", "Alice", a, b], home);
  await alice.out.until("Waiting");
  const second = await run(["chat", "Alice", c, b], home);
  assert.equal(second.code, 1);
  assert.equal(
    second.err,
    "greet: error: Alice is chatting already: another process has the journal\n" +
      "greet: hint: leave there first, take another name, or use another --home\n",
  );
  await using bob = Program.greet(["chat", "Bob", b, a], home);
  await Promise.all([alice.out.until("Welcome"), bob.out.until("Welcome")]);
});

Deno.test("a damaged journal is moved aside with a notice, and the chat goes on with a new one", async () => {
  const [a, b] = freePorts();
  await using home = temporaryHome();
  const path = journalFile(home.env.GREET_HOME, "Alice");
  await Deno.mkdir(path.replace(/[^/\\]*$/, ""));
  await Deno.writeTextFile(path, "garbage ".repeat(1_000), { mode: 0o600 });
  await using alice = Program.greet(["chat", "Alice", a, b], home);
  await alice.err.until(/^The journal was damaged\. It is kept as \S+; a new one was begun\.\n/);
  await using bob = Program.greet(["chat", "Bob", b, a]);
  await alice.write("still here\n");
  await bob.out.until("] Alice> still here\n");
});
