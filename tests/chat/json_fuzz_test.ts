/** Any line of input is a message, or gets one sentence. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { parseJsonLine } from "../../src/chat/json_lines.ts";
import { oneSentence, propertyTest, texts } from "../support/properties.ts";

const objects = fc.dictionary(
  fc.constantFrom(
    "body",
    "action",
    "to",
    "add",
    "remove",
    "__proto__",
    "constructor",
    "toString",
    "x",
  ),
  fc.oneof(fc.string({ unit: "binary" }), fc.boolean(), fc.constant(null), fc.jsonValue()),
);
const FRAGMENTS = ["{", "}", '"body"', ":", '"', ",", "[", "\\u", "\\ud800", "true", "1e999", " "];
const LINE = fc.oneof(objects.map((object) => JSON.stringify(object)), texts(...FRAGMENTS));

propertyTest("a line is refused in one sentence, or is a message or a change", LINE, (line) => {
  const draft = oneSentence(() => parseJsonLine(line));
  if (draft === undefined) return;
  if (!("text" in draft)) return assert.deepEqual({ ...draft }, JSON.parse(line));
  assert.equal(typeof draft.text, "string");
  if (!line.trimStart().startsWith("{")) return assert.deepEqual(draft, { text: line });
  const { body, action, to } = JSON.parse(line);
  assert.equal(draft.text, body);
  assert.equal(draft.isAction ?? false, action ?? false);
  assert.equal(draft.to, to);
}, 5_000);

Deno.test("a line that is nested a hundred thousand times gets one sentence", () => {
  for (const [open, close] of [["[", "]"], ['{"x":', "}"]]) {
    const nested = `${open.repeat(100_000)}1${close.repeat(100_000)}`;
    oneSentence(() => parseJsonLine(`{"body":${nested}}`));
    oneSentence(() => parseJsonLine(`{"other":${nested}}`));
  }
});
