/** Untrusted text: how it is shown and serialized, and which names are valid. */
import assert from "node:assert/strict";
import {
  MAX_NAME_LENGTH,
  nameProblem,
  parseName,
  showable,
  showableName,
  toJson,
} from "../../src/base/text.ts";

const SHOWN_AS: readonly [what: string, text: string, shown: string][] = [
  ["plain text", "Hello, Bob!", "Hello, Bob!"],
  ["other scripts", "Ж 漢字 العربية हिन्दी 한국어", "Ж 漢字 العربية हिन्दी 한국어"],
  ["a colour", "\x1b[31mred\x1b[0m", "␛[31mred␛[0m"],
  ["a window title", "\x1b]0;title\x07", "␛]0;title␇"],
  ["a link", "\x1b]8;;http://a\x1b\\b", "␛]8;;http://a␛\\b"],
  ["a C1 control sequence", "\x9b2J", "<U+009B>2J"],
  ["a C1 operating system command", "\x9d0;t\x9c", "<U+009D>0;t<U+009C>"],
  ["a carriage return", "safe\rrm", "safe␍rm"],
  ["a backspace", "a\b\bb", "a␈␈b"],
  ["a bell", "\x07", "␇"],
  ["NUL and DEL", "\0\x7f", "␀␡"],
  ["a tab", "a\tb", "a    b"],
  ["vertical tab and form feed", "\v\f", "␋␌"],
  ["next line, line and paragraph separator", "\x85\u2028\u2029", "<U+0085><U+2028><U+2029>"],
  ["bidi overrides", "\u202eevil\u202c", "<U+202E>evil<U+202C>"],
  ["bidi isolates and marks", "\u2066\u2069\u200f\u061c", "<U+2066><U+2069><U+200F><U+061C>"],
  ["zero-width characters", "a\u200bb\u2060c\ufeff", "a<U+200B>b<U+2060>c<U+FEFF>"],
  ["a joiner between letters", "a\u200db\u200cc", "a<U+200D>b<U+200C>c"],
  ["a soft hyphen", "a\u00adb", "a<U+00AD>b"],
  ["a Hangul filler", "\u3164", "<U+3164>"],
  ["hidden tags", "a\u{e0041}", "a<U+E0041>"],
  ["annotation marks", "\ufff9a\ufffb", "<U+FFF9>a<U+FFFB>"],
  ["a lone surrogate", "\ud800", "<U+D800>"],
  ["a noncharacter", "\uffff", "<U+FFFF>"],
  ["a variation selector on a letter", "a\ufe0f", "a<U+FE0F>"],
  ["emoji", "👍🏽 👨‍👩‍👧 🏳️‍🌈 ❤️ 1️⃣ 🇩🇪 👩🏽‍🚀", "👍🏽 👨‍👩‍👧 🏳️‍🌈 ❤️ 1️⃣ 🇩🇪 👩🏽‍🚀"],
  ["a flag in tags", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🏴󠁧󠁢󠁳󠁣󠁴󠁿"],
  ["combining marks", "e\u0301 ก็", "e\u0301 ก็"],
  ["Persian with its non-joiner", "می\u200cخواهم", "می\u200cخواهم"],
  ["Sinhala with its joiner", "ක්\u200dෂ", "ක්\u200dෂ"],
  [
    "a blank letter, mark, symbol and control",
    "\u{13441}\u{16FE4}\u{1D159}\u{13430}",
    "<U+13441><U+16FE4><U+1D159><U+13430>",
  ],
  ["a line break in a single line", "a\nb", "a␊b"],
];

for (const [what, text, shown] of SHOWN_AS) {
  Deno.test(`showable: ${what}`, () => assert.equal(showable(text), shown));
}

Deno.test("showable: continuation lines are indented, after any kind of line break", () => {
  assert.equal(
    showable("one\ntwo\r\n[17:24] Alice> three\rfour", "  "),
    "one\n  two\n  [17:24] Alice> three␍four",
  );
});

Deno.test("showable: no code point survives that could control a terminal", () => {
  for (let codePoint = 0; codePoint <= 0x10FFFF; codePoint++) {
    const shown = showable(`a${String.fromCodePoint(codePoint)}b`);
    // deno-lint-ignore no-control-regex
    assert(!/[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/.test(shown), codePoint.toString(16));
  }
});

Deno.test("showable: a megabyte is rendered in full", () => {
  assert.equal(showable("\x1b".repeat(1_000_000)), "␛".repeat(1_000_000));
});

const VALID_NAMES = [
  "Bob",
  "Anna Lena",
  "O'Neil <3",
  "José",
  "漢字",
  "👩‍🚀",
  "greeter:v1",
  "Nguyễn Thị",
  "l’été",
  "می\u200cخواهم",
  "❤️",
  "x".repeat(MAX_NAME_LENGTH),
  "🦕".repeat(MAX_NAME_LENGTH),
];

for (const name of VALID_NAMES) {
  Deno.test(`a valid name: ${name}`, () => assert.equal(nameProblem(name), undefined));
}

const INVALID_NAMES: readonly [name: string, problem: RegExp][] = [
  ["", /is empty/],
  ["x".repeat(MAX_NAME_LENGTH + 1), /longer than 64/],
  ["a/b", /has a '\/'/],
  ["a\x1b[31m", /control or invisible/],
  ["a\nb", /control or invisible/],
  ["a\tb", /control or invisible/],
  ["Bo\u200bb", /control or invisible/],
  ["\u202eBob", /control or invisible/],
  ["Bo\ufffd", /not valid Unicode/],
  [" Bob", /white space/],
  ["Bob\u00a0", /white space/],
  ["Jose\u0301", /normalization form C/],
  ["\u2800", /no visible characters/],
  ["Bob> yes, pay him", /has a '>', which marks a speaker/],
  ["Bob＞ yes", /has a '>'/],
  ["Bob› yes", /has a '›'/],
  ["[17:24] Bob", /has a '\['/],
  ["Bob (sent 17:24)", /has a '\('/],
  ["Bob【x】", /has a '【'/],
  ["Bob: yes", /has a ':'/],
  ["Bob:", /has a ':'/],
  ["* Bob", /has a '\*', which marks a speaker/],
  ["\u2217 Bob", /has a '∗'/],
  ["Anna  Lena", /two spaces in a row/],
  ["Anna\u00a0Lena", /white space other than plain spaces/],
  ["Anna\u3000Lena", /white space other than plain spaces/],
  ["Bo\u2800b", /white space other than plain spaces/],
  ["Bo\u{16FE4}b", /control or invisible/],
  ["Bo\u{1D159}b", /control or invisible/],
  ["Bo\u{13430}b", /control or invisible/],
  ["Bob\ufe0f", /control or invisible/],
  ["Bo\ue000b", /private-use/],
  ["Bo\u0603b", /format/],
  ["x\u0301\u0302\u0303\u0304\u0305", /more than four accents/],
];

for (const [name, problem] of INVALID_NAMES) {
  Deno.test(`an invalid name: ${JSON.stringify(name)}`, () => {
    assert.match(nameProblem(name) ?? "valid", problem);
  });
}

Deno.test("our own name is trimmed and normalized before it is checked", () => {
  assert.equal(parseName("  Jose\u0301 "), "José");
  assert.throws(() => parseName("   "), { code: "USAGE", message: /is empty/ });
});

Deno.test("a name from an old journal cannot pose as a speaker", () => {
  assert.equal(showableName("Bob"), "Bob");
  assert.equal(showableName("Bob> yes [x]"), "Bob<U+003E> yes <U+005B>x<U+005D>");
});

Deno.test("any value becomes JSON that is safe to print and parses to the same value", () => {
  for (let codePoint = 0; codePoint <= 0x10FFFF; codePoint++) {
    const text = `a${String.fromCodePoint(codePoint)}b`;
    const json = toJson(text);
    assert.equal(showable(json), json, codePoint.toString(16));
    assert.equal(JSON.parse(json), text);
  }
  const mixed = { "\u202ekey": ["\ud800 \x9b2J 👩‍🚀", { "\u2028": "می\u200cخواهم" }] };
  assert.deepEqual(JSON.parse(toJson(mixed)), mixed);
  assert.equal(toJson("👩‍🚀 می\u200cخواهم"), JSON.stringify("👩‍🚀 می\u200cخواهم"));
});
