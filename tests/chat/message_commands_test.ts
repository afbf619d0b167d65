/** What `/me` and `/msg` send, and how it looks. */
import assert from "node:assert/strict";
import { action, commandFor, direct, requireMember } from "../../src/chat/message_commands.ts";
import { lateLine, messageLine, textOf } from "../../src/chat/wording.ts";
import type { Message } from "../../src/peer/messages.ts";
import type { Peer } from "../../src/peer/peer.ts";

/** A chat of Alice with peers of these names. */
function chatWith(...names: (string | undefined)[]): Peer {
  const others = names.map((lastName) => ({ target: "1", lastName }));
  return { name: "Alice", others } as unknown as Peer;
}

const GROUP = chatWith("Bob", "Anna", "Anna Lena", "José", undefined);

for (
  const [argument, to, text] of [
    ["Bob hi", "Bob", "hi"],
    ["Bob   two  words ", "Bob", "two  words "],
    ["Bob\nline\nby line", "Bob", "line\nby line"],
    ["Jose\u0301 hola", "José", "hola"],
    ['"Anna" Lena is late', "Anna", "Lena is late"],
    ['"Anna Lena" hi', "Anna Lena", "hi"],
    ["Anna Lenas mother", "Anna", "Lenas mother"],
    ["Bob /quit", "Bob", "/quit"],
  ] as const
) {
  Deno.test(`/msg ${JSON.stringify(argument)} is for ${to} alone`, () => {
    assert.deepEqual(direct(argument, GROUP), { to, text });
  });
}

for (
  const [argument, code, message] of [
    [
      "Carol hi",
      "NOT_FOUND",
      /^no peer in this chat is called Carol; your peers are Bob, Anna, Anna Lena and José$/,
    ],
    ["bob hi", "NOT_FOUND", /called bob/],
    ["Bobby hi", "NOT_FOUND", /called Bobby/],
    ["Alice hi", "NOT_FOUND", /^Alice is your own name$/],
    ["Anna Lena is late", "USAGE", /^that fits both Anna and Anna Lena$/],
    ["", "USAGE", /^Usage: \/msg NAME TEXT/],
    ["Bob", "USAGE", /^Usage/],
    ['"Bob"', "USAGE", /^Usage/],
    ['"" hi', "NOT_FOUND", /./],
  ] as const
) {
  Deno.test(`/msg ${JSON.stringify(argument)} is refused, and goes to no one`, () => {
    assert.throws(() => direct(argument, GROUP), { code, message });
  });
}

Deno.test("where no peer has a name yet, the hint says how to give one", () => {
  assert.throws(() => requireMember("Bob", chatWith(undefined)), {
    message: "no peer in this chat is called Bob; none has a name yet",
    hint: "say whom to expect: NAME@PEER",
  });
});

function message(from: string, body: string, kind: Partial<Message> = {}): Message {
  return { id: "1", from, body, at: new Date("2026-11-26T12:00:00"), ...kind };
}

Deno.test("what is recalled to be sent again is for the same peer, and of the same kind", () => {
  const typed = (kind: Partial<Message>) => commandFor(message("Alice", "hi there", kind));
  assert.equal(typed({}), undefined);
  assert.equal(typed({ isAction: true }), "/me hi there");
  assert.deepEqual(direct(typed({ to: "Bob" })!.slice(5), GROUP), { to: "Bob", text: "hi there" });
  assert.deepEqual(direct(typed({ to: "Anna Lena" })!.slice(5), GROUP), {
    to: "Anna Lena",
    text: "hi there",
  });
});

Deno.test("actions and messages to one peer look like nothing that a text or a name can fake", () => {
  const noon = new Date("2026-11-26T12:00:00");
  const later = new Date("2026-11-26T17:24:00");
  const line = (message: Message) => textOf(messageLine(message, noon));
  const isAction = true;
  assert.equal(line(message("Bob", "waves", { isAction })), "[12:00] * Bob waves");
  assert.equal(line(message("Alice", "* Bob waves")), "[12:00] Alice> * Bob waves");
  assert.equal(line(message("Alice", "\n* Bob waves")), "[12:00] Alice> \n        * Bob waves");
  // Bob does not hate Carol: the name of this peer is "Bob hates".
  assert.equal(line(message("Bob hates", "Carol", { isAction })), "[12:00] * [Bob hates] Carol");
  assert.equal(
    line(message("Bob", "\n[12:00] Carol> hi", { isAction })),
    "[12:00] * Bob \n        [12:00] Carol> hi",
  );
  assert.equal(line(message("Bob", "psst", { to: "Alice" })), "[12:00] Bob (only to Alice)> psst");
  assert.equal(
    textOf(lateLine(message("Bob", "waves", { isAction, to: "Alice" }), later)),
    "[17:24] (only to Alice, sent 12:00) * Bob waves",
  );
  assert.throws(() => action(""), { code: "USAGE", message: /^Usage: \/me TEXT/ });
});
