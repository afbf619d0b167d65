/** Whatever a terminal sends, however it arrives in pieces, is decoded, and the line stays sound. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Editor, type EditorContext, EMPTY } from "../../src/terminal/editor.ts";
import { type Key, KeyReader } from "../../src/terminal/keys.ts";
import { press } from "../../src/terminal/line_editor.ts";
import { propertyTest, texts } from "../support/properties.ts";

/** Without Ctrl-C, which ends an unfinished paste only if it arrives alone. */
const INPUT = texts(
  ...["\x1b", "[", "O", "1", ";", "5", "~", "A", "R", "200~", "201~", "\x1b[200~", "\x1b[201~"],
  ...[
    "\r",
    "\n",
    "\t",
    "\x7f",
    "\x12",
    "\x13",
    "\x1f",
    "\x00",
    "\x9b",
    "é",
    "👩‍🚀",
    "\ud83d",
    "\ude80",
  ],
).map((text) => text.replaceAll("\x03", ""));

/** Adjacent texts are one: how typing is divided means nothing. */
function joined(keys: readonly Key[]): Key[] {
  const result: Key[] = [];
  for (const key of keys) {
    const last = result.at(-1);
    if (key.type === "text" && last?.type === "text") {
      result.splice(-1, 1, { type: "text", text: last.text + key.text });
    } else {
      result.push(key);
    }
  }
  return result;
}

propertyTest(
  "keys are the same however their characters arrive in pieces",
  fc.tuple(INPUT, fc.array(fc.nat(20), { minLength: 1, maxLength: 20 })),
  ([input, lengths]) => {
    const [whole, pieces] = [new KeyReader(), new KeyReader()];
    const expected = joined(whole.read(input));
    const keys: Key[] = [];
    // Pieces come from a decoder of UTF-8, so no character is divided.
    const characters = [...input];
    for (let at = 0, i = 0; at < characters.length; i++) {
      const length = 1 + lengths[i % lengths.length];
      keys.push(...pieces.read(characters.slice(at, at + length).join("")));
      at += length;
    }
    assert.deepEqual(joined(keys), expected);
    assert.deepEqual(pieces.endPartial(), whole.endPartial());
  },
  5_000,
);

const CONTEXT: EditorContext = {
  commands: ["/who", "/history", "/help"],
  names: () => ["Bob", "Zoë"],
  earlier: () => ["one", "two\nlines", "👩‍🚀"],
  objection: (line) => line.startsWith("x") ? { reason: "too long", isQuestion: false } : undefined,
};

const SENT = [
  ...Array.from({ length: 32 }, (_, i) => String.fromCharCode(i)),
  ..."bdftulcy.,<>_".split("").map((letter) => `\x1b${letter}`),
  ...[
    "\x1b[A",
    "\x1b[B",
    "\x1b[C",
    "\x1b[D",
    "\x1b[H",
    "\x1b[F",
    "\x1b[3~",
    "\x1b[1;5C",
    "\x1b[1;5D",
  ],
  ...["\x7f", "a b", "é", "e\u0301", "👩‍🚀", "\u202e", "/h", "@B", "x"],
];

propertyTest(
  "any keys leave a line whose cursor is in it, between two characters",
  fc.array(fc.constantFrom(...SENT), { maxLength: 60 }),
  (sent) => {
    let editor: Editor = EMPTY;
    const reader = new KeyReader();
    for (const key of sent.flatMap((text) => [...reader.read(text), ...reader.endPartial()])) {
      editor = press(editor, key, CONTEXT).editor;
      const { text, cursor } = editor;
      assert(cursor >= 0 && cursor <= text.length, `${cursor} in ${JSON.stringify(text)}`);
      assert(text.slice(0, cursor).isWellFormed(), `${cursor} in ${JSON.stringify(text)}`);
    }
  },
);
