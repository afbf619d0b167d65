/** Which messages mention a name. */
import assert from "node:assert/strict";
import { mentionsOf } from "../../src/chat/mentions.ts";

const MENTIONS: readonly [name: string, body: string, isMentioned: boolean][] = [
  ["Bob", "Bob", true],
  ["Bob", "hello bob", true],
  ["Bob", "BOB!", true],
  ["Bob", "@bob: look", true],
  ["Bob", "Bob's server", true],
  ["Bob", "(Bob)", true],
  ["Bob", "one\nBob\ntwo", true],
  ["Bob", "bobsled", false],
  ["Bob", "kabob", false],
  ["Bob", "bob_2", false],
  ["Bob", "bob2", false],
  ["Bob", "Bobé and Bob\u0301", false],
  ["Bob", "Bobさん、こんにちは", true],
  ["Bob", "B.ob", false],
  ["Anna Lena", "dear anna lena,", true],
  ["Anna Lena", "Anna", false],
  ["Ünal", "ünal and ÜNAL", true],
  ["Ünal", "u\u0308nal", true],
  ["Ünal", "unal", false],
  ["Ольга", "ОЛЬГА?", true],
  ["Ольга", "Ольгами", false],
  ["田中", "田中さん、いますか", true],
  ["민수", "민수야", true],
  ["สมชาย", "คุณสมชายอยู่ไหม", true],
  ["C++", "is C++ here?", true],
  ["C++", "C+", false],
  ["a.b", "axb", false],
  ["x-1", "x-12", false],
];

for (const [name, body, isMentioned] of MENTIONS) {
  Deno.test(`${JSON.stringify(body)} ${isMentioned ? "mentions" : "does not mention"} ${name}`, () => {
    assert.equal(mentionsOf(name)(body), isMentioned);
  });
}

Deno.test("a message of megabytes is searched for a name at once", () => {
  const mentions = mentionsOf("Bob");
  for (const part of ["x", "bo", "Bob", "\u0301", "日", " ", "\x1b"]) {
    const body = part.repeat(4_000_000 / part.length);
    const start = performance.now();
    mentions(body);
    assert(performance.now() - start < 5_000, JSON.stringify(part));
  }
});
