/** Lines that begin with a slash: commands, and what is said all the same. */
import assert from "node:assert/strict";
import { lineFor, objectionTo, pipedText, spokenText } from "../../src/chat/typed_lines.ts";

const TYPED: readonly [line: string, text: string | undefined][] = [
  ["hello", "hello"],
  ["/quit", undefined],
  ["/etc/passwd", undefined],
  ["//etc/passwd", "/etc/passwd"],
  ["//quit", "/quit"],
  ["///", "//"],
  ["//first\n//second", "/first\n//second"],
  [" /quit", " /quit"],
];

for (const [line, text] of TYPED) {
  Deno.test(`typed: ${JSON.stringify(line)} says ${JSON.stringify(text)}`, () => {
    assert.equal(spokenText(line), text);
    if (text !== undefined) assert.equal(lineFor(text), line);
  });
}

const PIPED: readonly [line: string, text: string][] = [
  ["hello", "hello"],
  ["/etc/passwd", "/etc/passwd"],
  ["// a comment", "// a comment"],
  ["//etc/passwd", "//etc/passwd"],
  ["//quit", "/quit"],
  ["//history 5", "/history 5"],
  ["///quit", "//quit"],
];

for (const [line, text] of PIPED) {
  Deno.test(`piped: ${JSON.stringify(line)} says ${JSON.stringify(text)}`, () => {
    assert.equal(pipedText(line), text);
  });
}

const INDENTED: readonly [line: string, command: string | undefined][] = [
  [" /quit", "/quit"],
  ["\t/who ", "/who"],
  [" /Qiut now", "/Qiut"],
  ["  /msg Bob the password", "/msg"],
  [" /etc/passwd", undefined],
  [" / ", undefined],
  [" 1/2", undefined],
  ["see /quit", undefined],
  ["// /quit", undefined],
  ["/quit", undefined],
];

for (const [line, command] of INDENTED) {
  Deno.test(`${JSON.stringify(line)} is ${command ? "" : "not "}asked about`, () => {
    const objection = objectionTo(line);
    assert.equal(objection?.isQuestion, command && true);
    if (command) assert(objection!.reason.includes(`in front, ${command} is a message`));
  });
}

Deno.test("a message of more than 4,000,000 bytes of UTF-8 is refused", () => {
  for (const character of ["x", "é", "日", "👩"]) {
    const { length } = new TextEncoder().encode(character);
    const most = character.repeat(Math.floor(4_000_000 / length));
    assert.equal(objectionTo(most), undefined);
    const reason = `Not sent: the message has ${
      new TextEncoder().encode(most + "1234").length
    } bytes; the limit is 4000000.`;
    assert.deepEqual(objectionTo(most + "1234"), { reason, isQuestion: false });
  }
});
