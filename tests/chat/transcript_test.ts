/** How a conversation reads in situations too rare for a test to wait for. */
import assert from "node:assert/strict";
import { paint, type Styled } from "../../src/terminal/style.ts";
import { runCommand } from "../../src/chat/slash_commands.ts";
import type { Addressee, Entry, Message } from "../../src/peer/journal.ts";
import type { Other, Peer } from "../../src/peer/peer.ts";
import type { Screen } from "../../src/terminal/screen.ts";
import { shortened } from "../../src/chat/wording.ts";
import { Transcript } from "../../src/chat/transcript.ts";
import type { PendingRow } from "../../src/terminal/layout.ts";
import { GreetError } from "../../src/base/errors.ts";

/** Runs a function with the clock at noon of another day. */
function on<T>(day: string, run: () => T): T {
  const RealDate = Date;
  globalThis.Date = class extends RealDate {
    constructor(...args: [] | [number]) {
      super(...(args.length === 0 ? [`${day}T12:00:00`] as unknown as [number] : args));
    }
    static override now(): number {
      return new RealDate(`${day}T12:00:00`).getTime();
    }
  } as DateConstructor;
  try {
    return run();
  } finally {
    globalThis.Date = RealDate;
  }
}

function transcript(day: string) {
  const lines: string[] = [];
  const show = (text: Styled) => void lines.push(paint(text, false));
  const screen: Partial<Screen> = {
    interactive: true,
    show,
    note: show,
    ring() {},
    showPending() {},
  };
  const peer: Partial<Peer> = { name: "Alice", others: [], queue: () => [] };
  const options = { screen: screen as Screen, peer: peer as Peer };
  return { transcript: on(day, () => new Transcript(options)), lines };
}

function message(body: string, day: string, time = "12:00"): Message {
  return { id: body, from: "Bob", body, at: new Date(`${day}T${time}:00`) };
}

function entry(body: string, day: string, time?: string): Entry {
  return { place: 1, message: message(body, day), taken: message(body, day, time).at };
}

Deno.test("the date is shown when it changes, and only then", () => {
  const { transcript: shown, lines } = transcript("2026-11-22");
  for (const [body, day] of [["one", "22"], ["two", "23"], ["three", "23"], ["four", "25"]]) {
    const event = { message: message(body, `2026-11-${day}`), taken: new Date() };
    on(`2026-11-${day}`, () => shown.show({ type: "message", late: false, ...event }));
  }
  assert.deepEqual(lines, [
    "[12:00] Bob> one",
    "--- Monday, 2026-11-23 ---",
    "[12:00] Bob> two",
    "[12:00] Bob> three",
    "--- Wednesday, 2026-11-25 ---",
    "[12:00] Bob> four",
  ]);
});

Deno.test("recalled messages have dates, and today starts with one as well", () => {
  const { transcript: shown, lines } = transcript("2026-11-22");
  on("2026-11-22", () => {
    shown.recall([
      entry("old", "2026-11-20"),
      entry("late", "2026-11-20", "17:24"),
      entry("new", "2026-11-21"),
    ]);
    const event = { message: message("now", "2026-11-22"), taken: new Date() };
    shown.show({ type: "message", late: false, ...event });
  });
  assert.deepEqual(lines, [
    "--- Friday, 2026-11-20 ---",
    "[12:00] Bob> old",
    "[17:24] Bob (sent 12:00)> late",
    "--- Saturday, 2026-11-21 ---",
    "[12:00] Bob> new",
    "--- Sunday, 2026-11-22 ---",
    "[12:00] Bob> now",
  ]);
});

Deno.test("a message of another day shows its own date, whether late or sent by a wrong clock", () => {
  const { transcript: shown, lines } = transcript("2026-11-22");
  on("2026-11-22", () => {
    for (const late of [true, false]) {
      const event = { message: message("sent", "2026-11-19", "17:24"), taken: new Date() };
      shown.show({ type: "message", late, ...event });
    }
  });
  assert.deepEqual(lines, [
    "[12:00] Bob (sent 2026-11-19 17:24)> sent",
    "[2026-11-19 17:24] Bob> sent",
  ]);
});

/** A chat on a terminal with one pending message. */
function waiting(addressee: Addressee, others: Other[]) {
  let below: readonly PendingRow[] = [];
  const lines: string[] = [];
  const show = (text: Styled) => void lines.push(paint(text, false));
  const screen: Partial<Screen> = {
    interactive: true,
    show,
    note: show,
    warn: show,
    showPending: (rows) => void (below = rows),
  };
  const held = { ...entry("secret", "2026-11-22"), addressees: [addressee] };
  const some: Partial<Peer> = { name: "Alice", others, callers: [], queue: () => [held] };
  const peer = some as Peer;
  const transcript = new Transcript({ screen: screen as Screen, peer });
  transcript.begin();
  return { peer, transcript, lines, below: () => below };
}

Deno.test("a message for one key is pending while a peer of that name has another key, or none", () => {
  const target = "127.0.0.1:1";
  const bob = { name: "Bob", fingerprint: "SHA256:bob" };
  for (
    const [person, end] of [
      [bob, undefined],
      [{ name: "Bob" }, " (waiting)"],
      [{ name: "Bob", fingerprint: "SHA256:other" }, " (waiting)"],
    ] as const
  ) {
    const presence = { state: "here", ...person } as const;
    const chat = waiting({ target, ...bob }, [{ target, presence }]);
    chat.transcript.show({ type: "welcome", names: ["Bob"] });
    assert.deepEqual(chat.below().map(({ end }) => end), [end]);
  }
});

Deno.test("a name from an old journal cannot pose as a speaker, wherever it is shown", async () => {
  const name = "Bob> yes, pay him";
  const target = "[::1]:1";
  const presence = { state: "away", error: new GreetError("UNAVAILABLE", "gone") } as const;
  const chat = waiting({ target, name }, [{ target, presence, lastName: name }]);
  for (const command of ["/who", "/queue"]) chat.lines.push(await runCommand(command, chat));
  chat.transcript.end();
  const shown = chat.lines.join("\n");
  assert.equal(shown.match(/Bob<U\+003E> yes, pay him/g)?.length, 3, shown);
  assert.doesNotMatch(shown, /Bob> yes/);
});

Deno.test("a long message is shortened, between characters, where it is not the matter", () => {
  const bodyOf = (body: string) => shortened(message(body, "2026-11-22")).body;
  for (const short of ["hi", "x".repeat(500), "one\ntwo\nthree\nfour\nfive"]) {
    assert.equal(bodyOf(short), short);
  }
  assert.equal(bodyOf("1\n2\n3\n4\n5\n6\n7"), "1\n2\n3\n4\n5… (4 more characters: see /history)");
  assert.match(
    bodyOf("x".repeat(4_000_000)),
    /^x{499}… \(3999501 more characters: see \/history\)$/,
  );
  assert.match(bodyOf("👩‍🚀".repeat(200)), /^(👩‍🚀)+… /);
});
