/** Acknowledged messages are shown, and lateness does not depend on clocks that are set. */
import assert from "node:assert/strict";
import { GreetError } from "../../src/base/errors.ts";
import { Inbox } from "../../src/peer/inbox.ts";
import { type Entry, Journal } from "../../src/peer/journal.ts";
import type { Message } from "../../src/peer/messages.ts";
import { pause } from "../../src/base/timing.ts";
import { temporaryHome } from "../support/home.ts";
import { settle, VirtualTime } from "../support/virtual_time.ts";
import { inTime } from "../support/waiting.ts";

const HOUR_MS = 3_600_000;

function message(body: string): Message {
  return { id: `id of ${body}`, from: "Bob", body, at: new Date() };
}

/** An open inbox on a journal on disk, and the messages that its reader was shown. */
function openInbox(
  read: (entry: Entry) => boolean | Promise<boolean> = () => true,
  onTrouble: (error: GreetError) => void = (error) => assert.fail(error),
) {
  const home = temporaryHome();
  const journal = Journal.open({ home: home.env.GREET_HOME, name: "Alice" });
  const shown: string[] = [];
  const inbox = new Inbox({
    journal,
    async *show(entries) {
      for (const entry of entries) {
        const isRead = await read(entry);
        if (isRead) shown.push(entry.message.body);
        yield isRead;
      }
    },
    onTrouble,
  });
  inbox.open();
  return {
    inbox,
    journal,
    shown,
    async [Symbol.asyncDispose]() {
      await inbox[Symbol.asyncDispose]();
      journal[Symbol.dispose]();
      await home[Symbol.asyncDispose]();
    },
  };
}

Deno.test("a message that is stored as the inbox closes is shown, or not acknowledged", async () => {
  await using alice = openInbox();
  const taken = alice.inbox.take([message("too late")]);
  const closed = alice.inbox[Symbol.asyncDispose]();
  await assert.rejects(taken, { code: "UNAVAILABLE" });
  await closed;
  assert.deepEqual(alice.shown, []);
});

Deno.test("a message that could not be marked as shown is marked together with the next one", async () => {
  const trouble = Promise.withResolvers<string>();
  await using alice = openInbox(undefined, ({ message }) => trouble.resolve(message));
  const { inbox, journal, shown } = alice;
  const mark = journal.markShown.bind(journal);
  journal.markShown = () => {
    journal.markShown = mark;
    throw new GreetError("FAILED", "the disk fails");
  };
  await inbox.take([message("one")]);
  assert.equal(await inTime(trouble.promise, "a report"), "the disk fails");
  await inbox.take([message("two")]);
  await inbox[Symbol.asyncDispose]();
  assert.deepEqual(shown, ["one", "two"]);
  // Otherwise the next run would show it again.
  assert.deepEqual(journal.unshown(0).map(({ message: { body } }) => body), []);
});

Deno.test("a reader that goes away in the middle has what it has read, and nothing more", async () => {
  await using alice = openInbox(({ message: { body } }) => body !== "third");
  const { inbox, journal } = alice;
  await inbox.take(["first", "second", "third", "fourth"].map(message));
  await inbox[Symbol.asyncDispose]();
  const unshown = journal.unshown(0).map(({ message: { body } }) => body);
  assert.deepEqual([alice.shown, unshown], [["first", "second"], ["third", "fourth"]]);
});

Deno.test("what an earlier run left over is shown at once, new messages when the inbox is opened", async () => {
  await using home = temporaryHome();
  using journal = Journal.open({ home: home.env.GREET_HOME, name: "Alice" });
  await journal.receive([message("left over")]);
  const shown: string[] = [];
  await using inbox = new Inbox({
    journal,
    async *show(arrivals) {
      for (const { message } of arrivals) {
        shown.push(message.body);
        yield true;
      }
    },
    onTrouble: (error) => assert.fail(error),
  });
  await inbox.take([message("new")]);
  await settle();
  assert.deepEqual(shown, ["left over"]);
  inbox.open();
  await inbox[Symbol.asyncDispose]();
  assert.deepEqual(shown, ["left over", "new"]);
});

Deno.test("a journal that cannot be read is read again after a second, not all the time", async () => {
  using time = new VirtualTime();
  const troubles: string[] = [];
  await using alice = openInbox(undefined, ({ message }) => troubles.push(message));
  const { inbox, journal, shown } = alice;
  const { unshown } = journal;
  let failures = 5;
  journal.unshown = (...args) => {
    if (failures-- > 0) throw new GreetError("FAILED", "the disk fails");
    return unshown.apply(journal, args);
  };
  await inbox.take([message("kept")]);
  await settle();
  assert.deepEqual([troubles.length, shown], [1, []]);
  await time.pass(5_000);
  assert.deepEqual([troubles.length, shown], [5, ["kept"]]);
});

Deno.test("a closed inbox stores nothing", async () => {
  await using alice = openInbox();
  await alice.inbox[Symbol.asyncDispose]();
  await assert.rejects(alice.inbox.take([message("too late")]), { code: "UNAVAILABLE" });
  assert.equal(alice.journal.lastPlace(), 0);
});

Deno.test("a repeated message is acknowledged no earlier than the first one may be", async () => {
  const reader = Promise.withResolvers<boolean>();
  await using alice = openInbox(() => reader.promise);
  await alice.inbox.take([message("first")]);
  const closed = alice.inbox[Symbol.asyncDispose]();
  let isAcknowledged = false;
  const repeated = alice.inbox.take([message("first")]).then(() => isAcknowledged = true);
  // After two more writes the repeated message is stored, and could have been acknowledged.
  await alice.journal.receive([]);
  await alice.journal.receive([]);
  assert.equal(isAcknowledged, false);
  reader.resolve(true);
  await repeated;
  await closed;
  assert.deepEqual(alice.shown, ["first"]);
});

Deno.test("nothing is acknowledged when the reader is gone", async () => {
  await using alice = openInbox(() => false);
  await alice.inbox.take([message("acknowledged before that is known")]);
  await inTime(
    assert.rejects(
      async () => {
        for (let i = 0;; i++) await alice.inbox.take([message(`${i}`)]);
      },
      { code: "UNAVAILABLE" },
    ),
    "a refusal",
  );
});

Deno.test("closing waits until a slow reader has everything that was acknowledged", async () => {
  await using alice = openInbox(async () => {
    await pause(400);
    return true;
  });
  const bodies = ["1", "2", "3", "4"];
  await alice.inbox.take(bodies.map(message));
  await alice.inbox[Symbol.asyncDispose]();
  assert.deepEqual(alice.shown, bodies);
});

Deno.test("a stalled reader does not prevent closing, and its messages are kept", async () => {
  const reader = Promise.withResolvers<boolean>();
  await using alice = openInbox(() => reader.promise);
  await alice.inbox.take([message("for the next run")]);
  await inTime(alice.inbox[Symbol.asyncDispose](), "the end");
  assert.equal(alice.journal.unshown(0).length, 1);
  reader.resolve(true);
  await settle();
  assert.equal(alice.journal.unshown(0).length, 1);
});

/** Runs a function with a clock that is off by some milliseconds. */
async function clockOffBy<T>(ms: number, run: () => Promise<T>): Promise<T> {
  const Exact = Date;
  globalThis.Date = class extends Exact {
    constructor(value: number | string | Date = Exact.now() + ms) {
      super(value);
    }
    static override now = () => Exact.now() + ms;
  } as DateConstructor;
  try {
    return await run();
  } finally {
    globalThis.Date = Exact;
  }
}

for (const [direction, ms] of [["back", -HOUR_MS], ["forward", HOUR_MS]] as const) {
  Deno.test(`a clock that was set ${direction} between two runs does not change what is late`, async () => {
    await using home = temporaryHome();
    using journal = Journal.open({ home: home.env.GREET_HOME, name: "Alice" });
    await journal.receive([message("before")]);
    await clockOffBy(ms, async () => {
      const seen = new Map<string, boolean>();
      await using inbox = new Inbox({
        journal,
        async *show(arrivals) {
          for (const { message, late } of arrivals) {
            seen.set(message.body, late);
            yield true;
          }
        },
        onTrouble: (error) => assert.fail(error),
      });
      inbox.open();
      const at = new Date(Date.now());
      await inbox.take([{ ...message("now"), at }]);
      await inbox[Symbol.asyncDispose]();
      assert.deepEqual([...seen], [["before", true], ["now", false]]);
    });
  });
}

Deno.test("a clock that is set back during a run makes nothing late", async () => {
  const seen: boolean[] = [];
  await using home = temporaryHome();
  using journal = Journal.open({ home: home.env.GREET_HOME, name: "Alice" });
  await using inbox = new Inbox({
    journal,
    async *show(arrivals) {
      for (const { late } of arrivals) {
        seen.push(late);
        yield true;
      }
    },
    onTrouble: (error) => assert.fail(error),
  });
  inbox.open();
  await clockOffBy(-HOUR_MS, async () => {
    await inbox.take([message("sent by a clock that was not set back")]);
    await inbox[Symbol.asyncDispose]();
  });
  assert.deepEqual(seen, [false]);
});

Deno.test("a reader that is behind by megabytes holds acknowledgements back, until it has read some", async () => {
  const reader = Promise.withResolvers<boolean>();
  const third = Promise.withResolvers<boolean>();
  await using alice = openInbox(({ message: { body } }) =>
    (body.startsWith("first") ? reader : third).promise
  );
  const long = (body: string) => message(body + "x".repeat(3_900_000));
  await alice.inbox.take([long("first")]);
  await alice.inbox.take([long("second")]);
  let isAcknowledged = false;
  const taken = alice.inbox.take([long("third")]).then(() => isAcknowledged = true);
  // After two more writes the message is stored, and could have been acknowledged.
  await alice.journal.receive([]);
  await alice.journal.receive([]);
  assert.equal(isAcknowledged, false);
  reader.resolve(true);
  await inTime(taken, "the acknowledgement");
  third.resolve(true);
  await alice.inbox[Symbol.asyncDispose]();
  assert.equal(alice.shown.length, 3);
});
