/** Messages for a peer are never delivered to another peer that takes its place. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { Journal, type Meeting } from "../../src/peer/journal.ts";
import { journalFile } from "../../src/peer/journal_file.ts";
import { type NewcomerEvent, Newcomers, type NewcomersOptions } from "../../src/peer/newcomers.ts";
import { type Identity, KnownPeers, newIdentity, Peer } from "../../mod.ts";
import { Bot } from "../support/bot.ts";
import { homeTest, temporaryHome } from "../support/home.ts";
import { freePorts } from "../support/ports.ts";
import { Program, run } from "../support/program.ts";
import { inTime } from "../support/waiting.ts";
import { greetIn, Terminal, terminalTest } from "../support/terminal.ts";
import { VirtualNetwork } from "../support/virtual_network.ts";
import { settle, VirtualTime } from "../support/virtual_time.ts";
import { openWitnessed as open, Witness } from "../support/witness.ts";

// ---------------------------------------------------------------- detection

const [B, C] = ["127.0.0.1:2", "127.0.0.1:3"];
const BOB = { name: "Bob", fingerprint: "SHA256:bob" };
const CAROL = { name: "Carol", fingerprint: "SHA256:carol" };
const DAVE = { name: "Dave", fingerprint: "SHA256:dave" };

/** Detection in a chat where Bob and Carol were met before, and the events. */
function detection(
  options: Partial<NewcomersOptions> = {},
  meetings: readonly Meeting[] = [{ target: B, ...BOB }, { target: C, ...CAROL }],
) {
  const events: NewcomerEvent[] = [];
  const newcomers = new Newcomers({
    policy: "admit",
    keysOf: () => [],
    announce: (event) => events.push(event),
    ...options,
  });
  for (const meeting of meetings) newcomers.recall(meeting);
  return { newcomers, events };
}

Deno.test("known peers may swap targets, and a first peer may come to a new one, without an announcement", () => {
  const { newcomers, events } = detection({ policy: "refuse" });
  for (const [target, person] of [[B, CAROL], [C, BOB], [B, BOB], ["elsewhere", DAVE]] as const) {
    newcomers.check(target, person);
    newcomers.meet(target, person);
  }
  assert.deepEqual(events, []);
});

for (
  const [what, person] of [
    ["another name", DAVE],
    ["another key", { name: "Bob", fingerprint: "SHA256:other" }],
    ["no longer a key", { name: "Bob", fingerprint: undefined }],
  ] as const
) {
  Deno.test(`a peer with ${what} is refused or announced`, () => {
    const refusing = detection({ policy: "refuse" });
    for (let i = 0; i < 3; i++) {
      assert.throws(() => refusing.newcomers.check(B, person), {
        code: "FAILED_PRECONDITION",
        message: `${B}: not the peer that was last met there, Bob`,
      });
    }
    const [{ error, ...event }, ...more] = refusing.events;
    const expected = { type: "newcomer", ...person, target: B, previous: BOB };
    assert.deepEqual([event, more], [expected, []]);
    assert.match(error!.hint!, /NAME@127\.0\.0\.1:2$/);

    const { newcomers, events } = detection();
    for (let i = 0; i < 3; i++) {
      newcomers.check(B, person);
      newcomers.meet(B, person);
    }
    assert.deepEqual(events, [expected]);
  });
}

Deno.test("a peer with another known key for its name, or with its first key, is not a newcomer", () => {
  const { newcomers } = detection({
    policy: "refuse",
    keysOf: () => [BOB.fingerprint, "SHA256:second"],
  });
  newcomers.check(B, { name: "Bob", fingerprint: "SHA256:second" });
  const plain = detection({ policy: "refuse" }, [{ target: B, name: "Bob" }]);
  plain.newcomers.check(B, BOB);
});

Deno.test("at most ten newcomers are admitted at one target in one run", () => {
  const { newcomers, events } = detection();
  for (let i = 0; i < 10; i++) {
    newcomers.check(B, { name: `${i}` });
    newcomers.meet(B, { name: `${i}` });
  }
  assert.throws(() => newcomers.check(B, { name: "10" }), { code: "RESOURCE_EXHAUSTED" });
  newcomers.check(B, BOB);
  assert.equal(events.length, 10);
});

// ---------------------------------------------------------------- the journal

function bodies(journal: Journal, person: Parameters<Journal["waitingFor"]>[0]): string[] {
  return journal.waitingFor(person).map(({ message }) => message.body);
}

homeTest(
  "a message for a key waits for that key, or for another key of the same peer",
  async (home) => {
    using journal = Journal.open({ home, name: "Alice" });
    const message = { id: "1", from: "Alice", body: "secret", at: new Date() };
    await journal.send(message, () => [{ target: B, ...BOB }]);
    const second = { name: "Bob", fingerprint: "SHA256:second" };
    for (const other of [second, { name: "Bob", fingerprint: undefined }]) {
      journal.meet(B, other, other.fingerprint === undefined ? [] : [other.fingerprint]);
      assert.deepEqual(bodies(journal, other), []);
    }
    assert.deepEqual(bodies(journal, BOB), ["secret"]);
    const participants = { names: ["Bob"], targets: [B] };
    assert.equal(journal.isWaitingFor(participants, [second.fingerprint]), false);
    assert.equal(journal.isWaitingFor(participants, [BOB.fingerprint]), true);
    journal.meet(B, second, [BOB.fingerprint, second.fingerprint]);
    assert.deepEqual([bodies(journal, BOB), bodies(journal, second)], [[], ["secret"]]);
  },
);

/** The tables of version 1, with one message for a target where Bob was met. */
const VERSION_1 = `
  CREATE TABLE message (place INTEGER PRIMARY KEY, id TEXT NOT NULL, sender TEXT NOT NULL,
    body TEXT NOT NULL, at INTEGER NOT NULL, taken INTEGER NOT NULL, shown INTEGER NOT NULL) STRICT;
  CREATE UNIQUE INDEX message_once ON message (sender, id) WHERE id <> '';
  CREATE INDEX message_unshown ON message (place) WHERE shown = 0;
  CREATE TABLE delivery (place INTEGER NOT NULL REFERENCES message (place) ON DELETE CASCADE,
    target TEXT NOT NULL, recipient TEXT,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed', 'cancelled')),
    PRIMARY KEY (place, target)) STRICT, WITHOUT ROWID;
  CREATE INDEX delivery_waiting ON delivery (recipient, place) WHERE state = 'waiting';
  CREATE TABLE met (target TEXT PRIMARY KEY, name TEXT NOT NULL) STRICT, WITHOUT ROWID;
  INSERT INTO message VALUES (1, 'a', 'Alice', 'to the target', 0, 0, 1), (2, 'b', 'Alice', 'to Bob', 0, 0, 1);
  INSERT INTO delivery VALUES (1, '${B}', NULL, 'waiting'), (2, '${B}', 'Bob', 'waiting');
  INSERT INTO met VALUES ('${B}', 'Bob');
  PRAGMA application_id = ${0x67726574}; PRAGMA user_version = 1;`;

homeTest(
  "a journal of version 1 is upgraded, and its messages keep their addressees",
  (home) => {
    Journal.open({ home, name: "Alice" })[Symbol.dispose]();
    const path = journalFile(home, "Alice");
    Deno.removeSync(path);
    const database = new DatabaseSync(path);
    database.exec(VERSION_1);
    database.close();
    for (let i = 0; i < 2; i++) {
      using journal = Journal.open({ home, name: "Alice" });
      assert.equal(journal.notice, undefined);
      const bob = { target: B, name: "Bob", fingerprint: undefined };
      journal.beginRun();
      assert.deepEqual(journal.lastMeeting(B), bob);
      assert.deepEqual(bodies(journal, { name: "Bob" }), ["to the target", "to Bob"]);
    }
    using journal = Journal.open({ home, name: "Alice" });
    journal.meet(B, CAROL);
    journal.meet(C, BOB);
    assert.deepEqual([bodies(journal, CAROL), bodies(journal, BOB).length], [[], 2]);
    assert.deepEqual(journal.lastMeeting(B), { target: B, ...CAROL });
  },
);

// ---------------------------------------------------------------- peers

homeTest(
  "messages for one key are not delivered to the next one until both are known",
  async (home) => {
    const [a, b] = freePorts();
    const [ours, first, second] = await Promise.all(["Alice", "Bob", "Bob"].map(newIdentity));
    const known = KnownPeers.in(home);
    using journal = Journal.open({ home, name: "Alice" });
    const options = {
      name: "Alice",
      port: Number(a),
      targets: [b],
      identity: ours,
      known,
      journal,
    };
    const bob = (identity: Identity) =>
      open({ name: "Bob", port: Number(b), targets: [a], identity });
    await using alice = await open(options);
    {
      await using before = await bob(first);
      await Promise.all([alice, before].map(({ witness }) => witness.until("welcome")));
    }
    await alice.witness.until("left");
    await alice.peer.send("for the first key");
    // Alice removes Bob's old key, because he has told her about a new one.
    const line = `${first.fingerprint} Bob\n`;
    Deno.writeTextFileSync(known.file!, Deno.readTextFileSync(known.file!).replace(line, ""));
    {
      await using after = await bob(second);
      const [{ name, previous, error }] = await alice.witness.until("newcomer");
      assert.deepEqual([name, previous.fingerprint, error], ["Bob", first.fingerprint, undefined]);
      await alice.peer.send("for the second key");
      const [{ message }] = await after.witness.until("message");
      assert.equal(message.body, "for the second key");
      await inTime(alice.peer.drained(), "the messages for the second key");
      assert.deepEqual(alice.peer.queue().map(({ message }) => message.body), [
        "for the first key",
      ]);
    }
    await alice.witness.until("left", 2);
    Deno.writeTextFileSync(known.file!, line, { append: true });
    await using both = await bob(second);
    const [{ message }] = await both.witness.until("message");
    assert.equal(message.body, "for the first key");
  },
);

Deno.test("what is said while a connection is broken does not go to another peer that comes", async () => {
  using time = new VirtualTime();
  const network = new VirtualNetwork(() => Promise.resolve());
  const openOn = async (name: string, port: number, targets: readonly string[]) => {
    const host = network.host(name);
    const peer = await Peer.openOn(host, { name, port, targets });
    return { host, peer, witness: new Witness(peer) };
  };
  const pass = async (ms: number) => {
    await settle();
    await time.pass(ms);
  };
  const alice = await openOn("Alice", 1, ["2"]);
  const bob = await openOn("Bob", 2, ["1"]);
  await pass(1_000);
  network.setPath("Alice", "Bob", "silent");
  network.break("Alice", "Bob");
  await settle();
  const outcome = alice.peer.send("for Bob").then(() => "sent", ({ code }) => code);
  bob.host.die();
  const dave = await openOn("Dave", 2, ["1"]);
  network.heal();
  await pass(3_000);
  assert.equal(await outcome, "UNAVAILABLE");
  assert.equal(alice.peer.others[0].lastName, "Dave");
  assert.deepEqual(dave.witness.seen.filter(({ type }) => type === "message"), []);
  const left = [alice, bob, dave].map(({ peer }) => peer[Symbol.asyncDispose]());
  await pass(10_000);
  await Promise.all([...left, ...[alice, bob, dave].map(({ witness }) => witness.done)]);
});

Deno.test("a target with NAME@ in front accepts no other peer", async () => {
  const [a] = freePorts();
  await using carol = await open({ name: "Carol", targets: [a] });
  await using alice = await open({ name: "Alice", targets: [`Bob@${carol.peer.port}`] });
  const [{ reason }] = await alice.witness.until("waiting");
  assert.match(reason, /name is Carol, not Bob$/);
  await using other = await open({
    name: "Alice",
    port: Number(a),
    targets: [`Carol@${carol.peer.port}`],
  });
  assert.equal(await other.peer.joined(), "Carol");
});

// ---------------------------------------------------------------- in pipes

/** Lets Alice meet a peer at port `b`; both leave. */
async function meet(
  a: string,
  b: string,
  name: string,
  tls: string[],
  home: { env: { GREET_HOME: string } },
) {
  await using other = new Bot([name, b, a, ...tls]);
  await using alice = new Bot(["Alice", a, `${name}@${b}`, ...tls], home);
  await Promise.all([other.until("welcome"), alice.until("welcome")]);
  await alice.program.end();
  await alice.program.code();
}

for (const tls of [[], ["--tls"]]) {
  Deno.test(`in a pipe, a newcomer gets nothing unless it is named (${tls[0] ?? "plaintext"})`, async () => {
    const [a, b] = freePorts();
    await using home = temporaryHome();
    await meet(a, b, "Bob", tls, home);
    {
      await using bobby = new Bot(["Bobby", b, a, ...tls]);
      await using alice = Program.greet(["chat", "Alice", a, b, ...tls], home);
      await alice.write("for Bob's eyes only\n");
      await alice.err.until(
        `Bobby is at 127.0.0.1:${b}, where you last met Bob. Nothing will be sent to Bobby (to talk to ` +
          `another peer there, put its name in front: NAME@127.0.0.1:${b}).\n`,
      );
      // Its own messages are refused as well.
      await bobby.say("I am the new Bob");
      await bobby.until("queued");
      await alice.leave();
      assert.equal(
        alice.err.text.split("\n").slice(1).join("\n"),
        "1 message for Bob is kept and will be sent when you meet again.\n",
      );
      assert.doesNotMatch(alice.out.text, /I am the new Bob|Bobby/);

      const named = await run(["chat", "Alice", a, `Bobby@${b}`, ...tls], {
        ...home,
        input: "hi\n",
      });
      assert.equal(named.code, 0, named.err);
      const received = await bobby.until("message");
      assert.deepEqual(received.map(({ body }) => body), ["hi"]);
    }
    await using bob = new Bot(["Bob", b, a, ...tls]);
    const linger = tls.length === 0 ? "15" : "2";
    const back = await run(["chat", "Alice", a, `Bob@${b}`, ...tls, "--linger", linger], home);
    assert.equal(back.code, tls.length === 0 ? 0 : 78, back.err);
    // With --tls this Bob has another key, so Alice refuses him.
    if (tls.length === 0) assert.equal((await bob.until("message"))[0].body, "for Bob's eyes only");
    else assert.deepEqual(bob.all("message"), []);
  });
}

Deno.test("with --json, a newcomer is an event", async () => {
  const [a, b] = freePorts();
  await using home = temporaryHome();
  await meet(a, b, "Bob", ["--tls"], home);
  await using _bobby = new Bot(["Bobby", b, a, "--tls"]);
  await using alice = new Bot(["Alice", a, b, "--tls", "--linger", "0"], home);
  const [{ name, target, previous, refused, message }] = await alice.until("newcomer");
  assert.deepEqual(
    [name, target, (previous as { name: string }).name, refused],
    ["Bobby", `127.0.0.1:${b}`, "Bob", true],
  );
  const [error] = await alice.until("error");
  assert.equal(error.message, message);
  await alice.program.end();
  assert.equal(await alice.program.code(), 0);
  assert.deepEqual([alice.all("welcome"), alice.all("met")], [[], []]);
});

// ---------------------------------------------------------------- on a terminal

terminalTest(
  "on a terminal, a newcomer is announced and gets what is typed from then on",
  async () => {
    const [a, b] = freePorts();
    await using terminal = await Terminal.open({ columns: 200 });
    await terminal.run(greetIn(["chat", "Alice", a, b]));
    {
      await using _bob = new Bot(["Bob", b, a]);
      await terminal.until("Welcome, Alice");
    }
    await terminal.until("Bob has left");
    await terminal.type("for Bob", "Enter");
    await terminal.until("for Bob (waiting)");
    await using carol = new Bot(["Carol", b, a]);
    await terminal.until(
      `Carol is at 127.0.0.1:${b}, where you last met Bob. What you type from now on goes to Carol; ` +
        "messages for Bob keep waiting.",
    );
    await terminal.type("for Carol", "Enter");
    const [{ body }] = await carol.until("message");
    assert.equal(body, "for Carol");
    await terminal.until("for Bob (waiting)");
    assert.equal(carol.all("message").length, 1);
  },
);

terminalTest(
  "on a terminal a message for one key is pending while a peer of that name has none",
  async () => {
    const [a, b] = freePorts();
    await using terminal = await Terminal.open({ columns: 200 });
    const home = { env: { GREET_HOME: terminal.home } };
    await meet(a, b, "Bob", ["--tls"], home);
    const later = ["--tls", "--linger", "0"];
    await run(["chat", "Alice", a, `Bob@${b}`, ...later], { ...home, input: "for the key\n" });
    await using bob = new Bot(["Bob", b, a]);
    await terminal.run(greetIn(["chat", "Alice", a, b]));
    await terminal.until("Welcome, Alice");
    await terminal.type("for the other", "Enter");
    const [{ body }] = await bob.until("message");
    assert.equal(body, "for the other");
    await terminal.until(/Alice> for the other$[^]*Alice> for the key \(waiting\)$/m);
  },
);
