/** Messages: how long they may be, and that they mean the same on the other side. */
import assert from "node:assert/strict";
import {
  checkLength,
  fromWire,
  lengthProblem,
  type Message,
  newMessage,
  toWire,
} from "../../src/peer/messages.ts";

/** A message as it is read on the other side. */
function received(message: Message): Message {
  return fromWire(toWire(message), "Bob");
}

Deno.test("a text may have 4,000,000 bytes in UTF-8, and not one more", () => {
  for (const [character, bytes] of [["x", 1], ["ä", 2], ["漢", 3], ["😀", 4]] as const) {
    const longest = character.repeat(Math.floor(4_000_000 / bytes));
    assert.equal(lengthProblem(longest), undefined);
    const length = longest.length / character.length * bytes;
    const rest = "y".repeat(4_000_001 - length);
    assert.equal(
      lengthProblem(longest + rest),
      "the message has 4000001 bytes; the limit is 4000000",
    );
    assert.throws(() => checkLength(newMessage("Alice", { text: longest + rest })), {
      code: "RESOURCE_EXHAUSTED",
    });
    checkLength(newMessage("Alice", { text: longest }));
  }
});

Deno.test("a message is the same on the other side, to the millisecond", () => {
  const drafts = [{ text: "hi" }, { text: "waves", isAction: true }, { text: "psst", to: "Bob" }];
  for (const draft of drafts) {
    const message = newMessage("Alice", draft);
    assert.deepEqual(received(message), message);
  }
  for (const time of [0, -1, 1, 999, 1_700_000_000_123, -62_135_596_800_000]) {
    const message = { ...newMessage("Alice", { text: "" }), at: new Date(time) };
    const { timestamp } = toWire(message);
    assert(timestamp!.nanos >= 0 && timestamp!.nanos < 1e9, `${timestamp!.nanos}`);
    assert.equal(received(message).at.getTime(), time);
  }
});

Deno.test("an ordinary message says neither what it does nor whom it is for", () => {
  assert.deepEqual(Object.keys(newMessage("Alice", { text: "hi" })), ["id", "from", "body", "at"]);
  const { action, direct } = toWire(newMessage("Alice", { text: "hi", isAction: false }));
  assert.deepEqual([action, direct], [false, false]);
});

Deno.test("a message without a time, or with an impossible one, is from now", () => {
  const wire = toWire(newMessage("Alice", { text: "hi" }));
  for (const timestamp of [null, { seconds: 1e15, nanos: 0 }]) {
    const { at } = fromWire({ ...wire, timestamp }, "Bob");
    assert(Math.abs(Date.now() - at.getTime()) < 60_000, `${at}`);
  }
});

Deno.test("half a surrogate pair becomes the replacement character", () => {
  assert.equal(newMessage("Alice", { text: "a\uD83Db" }).body, "a\uFFFDb");
});

Deno.test("ids are UUIDs of version 7 that sort by time", () => {
  const ids = Array.from({ length: 100 }, () => newMessage("Alice", { text: "" }).id);
  for (const id of ids) {
    assert.match(id, /^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
    const ms = parseInt(id.replace("-", "").slice(0, 12), 16);
    assert(Math.abs(Date.now() - ms) < 60_000, id);
  }
  assert.equal(new Set(ids).size, ids.length);
  const times = ids.map((id) => id.slice(0, 13));
  assert.deepEqual(times, times.toSorted());
});
