/** No text from outside can act on a terminal, and names that look alike to a reader are one. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  nameProblem,
  parseName,
  showable,
  showableName,
  showableParts,
  toJson,
} from "../../src/base/text.ts";
import { oneSentence, propertyTest, texts } from "../support/properties.ts";

/** Characters with which terminals are told what to do, or readers are deceived. */
const HARMFUL = /[\p{Cc}\u202A-\u202E\u2066-\u2069\u2028\u2029\u{E0001}]|\p{Cs}/u;

const TEXT = texts(
  ...["\x1b[31m", "\x9b2J", "\x07", "\r", "\n", "\r\n", "\t", "\x7f", "\u202e", "\u2066", "\u2028"],
  ...[
    "\u200d",
    "\u200b",
    "\ufe0f",
    "👩",
    "\u{E0061}",
    "\ud800",
    "\udc00",
    "e",
    "\u0301",
    "> ",
    "[",
    ":",
  ],
);

propertyTest("no text acts on a terminal", TEXT, (text) => {
  assert.doesNotMatch(showable(text), HARMFUL);
  for (const line of showable(text, "  ").split("\n")) assert.doesNotMatch(line, HARMFUL);
  assert.doesNotMatch(showableName(text), HARMFUL);
}, 5_000);

propertyTest("the parts of a line add up to it", TEXT, (text) => {
  const line = text.replaceAll(/[\r\n]/g, "");
  const parts = showableParts(line);
  assert.equal(parts.map(({ text }) => text).join(""), line);
  assert.equal(parts.map(({ shown }) => shown).join(""), showable(line));
}, 5_000);

propertyTest("JSON is printable and restores the exact value", fc.jsonValue(), (value) => {
  const json = toJson(value);
  assert.doesNotMatch(json, HARMFUL);
  assert.deepEqual(JSON.parse(json), JSON.parse(JSON.stringify(value)));
}, 2_000);

propertyTest("a name that is accepted stays the same when it is typed again", TEXT, (text) => {
  const name = oneSentence(() => parseName(text));
  if (name === undefined) return;
  assert.equal(parseName(name), name);
  assert.equal(nameProblem(name), undefined);
  assert.equal(showableName(name), name);
}, 5_000);
