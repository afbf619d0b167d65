/**
 * A disk that fails while a journal with messages is opened, read or pruned takes none of them away,
 * and none is silently left out.
 */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { CountedRows } from "../../src/peer/counted_rows.ts";
import { Journal } from "../../src/peer/journal.ts";
import {
  CALLS,
  canInject,
  faultsOf,
  SEED,
  strace,
  type TracedCall,
} from "../support/disk_faults.ts";
import { temporaryHome } from "../support/home.ts";
import { greetCommand, Program } from "../support/program.ts";
import { brokenBy, KilledHome, RESTART_CALLS } from "../support/restart_faults.ts";

const PREAD = CALLS.find(({ call }) => call === "pread64")!;

for (const traced of RESTART_CALLS) {
  Deno.test({
    name: `a journal is opened, or left as it is, when ${traced.call} fails (needs strace)`,
    ignore: !canInject,
    async fn() {
      await using home = await KilledHome.make();
      const sound = await home.start(traced);
      assert(sound.calls > 0, "the call was not traced");
      assert.deepEqual(brokenBy(sound), [], "without a fault");
      for (const fault of faultsOf(traced.call, sound.calls)) {
        const which = `${fault.call} ${fault.when}: ${fault.effect}, seed ${SEED}`;
        assert.deepEqual(brokenBy(await home.start(traced, fault)), [], which);
      }
    },
  });
}

/** SQLite reports a page that it could not read as damage, so whole journals were set aside. */
Deno.test({
  name: "a page that cannot be read is not taken for damage (needs strace)",
  ignore: !canInject,
  async fn() {
    await using home = await KilledHome.make();
    const { calls } = await home.start(PREAD);
    // The log is read first; when the journal is checked, each page of it is read.
    for (const when of [`${calls - 8}`, `${calls - 10}`, `${calls - 8}+`]) {
      const start = await home.start(PREAD, { ...PREAD, effect: "error=EIO", when });
      assert.deepEqual(brokenBy(start), [], `${when} of ${calls}`);
    }
  },
});

/** Runs a command while one of its calls fails. */
async function runWith(args: string[], traced: TracedCall, home: string, nth?: number) {
  const log = await Deno.makeTempFile();
  const inject = nth === undefined ? [] : ["-e", `inject=${traced.call}:error=EIO:when=${nth}`];
  const command = [...strace(traced, home, "-o", log, ...inject), ...greetCommand(), ...args];
  await using program = new Program(command, { env: { GREET_HOME: home } });
  const code = await program.code();
  const calls = (await Deno.readTextFile(log)).split("\n").filter((line) => line.includes("("));
  await Deno.remove(log);
  return { code, out: program.out.text, err: program.err.text, calls: calls.length };
}

/** Fills a journal with messages that wait, after one that was delivered. */
async function fill(home: string, count: number, characters: number): Promise<void> {
  using journal = Journal.open({ home, name: "Alice" });
  const addressees = () => [{ target: "127.0.0.1:1", name: "Bob" }];
  const [first] = await Promise.all(
    Array.from({ length: count }, (_, i) => {
      const message = { id: `${i}`, from: "Alice", body: "x".repeat(characters), at: new Date() };
      return journal.send(message, addressees);
    }),
  );
  journal.endDelivery("Bob", [first.place], "delivered");
}

Deno.test({
  name: "history fails with a reason, or prints every message, when a page cannot be read " +
    "(needs strace)",
  ignore: !canInject,
  async fn() {
    await using owner = temporaryHome();
    const home = owner.env.GREET_HOME;
    await fill(home, 8, 3_000);
    const args = ["history", "Alice"];
    const sound = await runWith(args, PREAD, home);
    assert.equal(sound.out.match(/Alice>/g)?.length, 8);
    for (let nth = 1; nth <= sound.calls; nth++) {
      const { code, out, err } = await runWith(args, PREAD, home, nth);
      const which = `read ${nth} of ${sound.calls}: ${err}`;
      if (code === 0) assert.equal(out, sound.out, which);
      else assert.match(err, /^greet: error: the journal cannot be used: .*\n$/, which);
    }
  },
});

/** A copy without the rows that could not be read took the place of the journal. */
Deno.test({
  name: "forget keeps every message that waits when a page cannot be read (needs strace)",
  ignore: !canInject,
  async fn() {
    await using owner = temporaryHome();
    const original = owner.env.GREET_HOME;
    // More than SQLite caches, so that pages are read again after the check.
    await fill(original, 600, 6_000);
    const args = ["forget", "Alice", "--before", "2999-01-01", "--yes"];
    const forget = async (nth?: number) => {
      await using copy = temporaryHome();
      const home = copy.env.GREET_HOME;
      await new Deno.Command("cp", { args: ["-a", `${original}/.`, home] }).output();
      const result = await runWith(args, PREAD, home, nth);
      using journal = Journal.open({ home, name: "Alice" });
      return { ...result, waiting: journal.queue().length };
    };
    const { calls, code } = await forget();
    assert.equal(code, 0);
    for (const part of [0.3, 0.5, 0.6, 0.7, 0.8, 0.9]) {
      const { waiting, err } = await forget(Math.floor(calls * part));
      assert.equal(waiting, 599, `${part} of ${calls}: ${err}`);
    }
  },
});

/** Deno ends the iteration of a statement that fails as if there were no more rows. */
Deno.test("rows of a query that fails in the middle are not taken for all rows", () => {
  using database = new DatabaseSync(":memory:");
  const rows = (list: string) =>
    new CountedRows(database, `SELECT abs(value) AS v FROM json_each('${list}')`).each();
  assert.deepEqual([...rows("[1,-2]")].map(({ v }) => v), [1, 2]);
  assert.throws(() => [...rows("[1,-9223372036854775808,2]")]);
});
