/** A disk that is full, or cannot be written: one clear line, and nothing is lost. */
import assert from "node:assert/strict";
import { journalFile } from "../journal.ts";
import { Bot, freePorts, greetCommand, Program, run, temporaryHome } from "./program.ts";

/** A namespace of our own, in which anybody may mount. */
const UNSHARE = ["unshare", "--map-root-user", "--mount", "--"];

const canMount = await new Deno.Command(UNSHARE[0], {
  args: [...UNSHARE.slice(1), "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
  stderr: "null",
}).output().then(({ success }) => success, () => false);

Deno.test({
  name:
    "a full disk: one line says so, others keep what they say, and it works again later (needs unshare)",
  ignore: !canMount,
  async fn() {
    const [a, b] = freePorts();
    await using home = temporaryHome();
    const { GREET_HOME } = home.env;
    // A disk of 1 MB, and a way to fill it and to make room again from outside.
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
  name:
    "a home that cannot be written: one line and a hint, and --no-journal goes on (needs unshare)",
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

Deno.test("a home that is no folder, a name that is taken: one line and a hint, exit 1", async () => {
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

Deno.test("a damaged journal is moved aside and said; the chat goes on with a new one", async () => {
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
