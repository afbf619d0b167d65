/** What stands below a conversation, row by row. */
import assert from "node:assert/strict";
import { EMPTY } from "../../src/terminal/line_editor.ts";
import { compose, type Held } from "../../src/terminal/layout.ts";

const PROMPT = [{ text: "Al> ", look: "plain" }] as const;

interface Case {
  text?: string;
  cursor?: number;
  held?: readonly Held[];
  columns?: number;
  rows?: number;
}

/** The rows, with `|` where the cursor is. */
function shown({ text = "", cursor = text.length, held = [], columns = 21, rows = 24 }: Case) {
  const editor = { ...EMPTY, text, cursor };
  const below = compose({ held, prompt: PROMPT, editor }, { columns, rows });
  return below.rows.map((cells, row) => {
    const texts = cells.map(({ text }) => text);
    return row === below.cursor.row
      ? texts.toSpliced(below.cursor.cell, 0, "|").join("")
      : texts.join("");
  });
}

const CASES: readonly [what: string, content: Case, rows: readonly string[]][] = [
  ["nothing is typed", {}, ["Al> |"]],
  ["a cursor in the text", { text: "hello", cursor: 1 }, ["Al> h|ello"]],
  ["a text that just fits", { text: "0123456789abcdef" }, ["Al> 0123456789abcdef|"]],
  ["one character more", { text: "0123456789abcdefg" }, ["Al> 0123456789abcdef", "g|"]],
  ["a cursor where a row begins", { text: "0123456789abcdefg", cursor: 16 }, [
    "Al> 0123456789abcdef",
    "|g",
  ]],
  ["wide characters do not hang over", { text: "0123456789abcde日本" }, [
    "Al> 0123456789abcde",
    "日本|",
  ]],
  ["several lines", { text: "one\ntwo\n", cursor: 5 }, ["Al> one", "        t|wo", "        "]],
  ["what could steer the terminal is shown", { text: "\x1b[2J\t\u202e!" }, [
    "Al> ␛[2J    <U+202E>",
    "!|",
  ]],
  ["a terminal of no size", { text: "ab", columns: 1, rows: 1 }, ["(…", "b|"]],
  ["what is held", { held: [{ text: "said", end: " (waiting)" }] }, ["said (waiting)", "Al> |"]],
  ["what is held is cut, its end is not", {
    held: [{ text: "a long 日本 message", end: " (waiting)" }],
  }, ["a long 日… (waiting)", "Al> |"]],
  ["an end that is too long is cut", {
    held: [{ text: "said", end: " (waiting for everybody)" }],
  }, ["s… (waiting for eve…", "Al> |"]],
  ["only the first line is held", { held: [{ text: "one\n  two" }] }, ["one…", "Al> |"]],
  ["the last of what is held has room", {
    held: ["one", "two", "three"].map((text) => ({ text })),
    rows: 6,
  }, ["two", "three", "Al> |"]],
  [
    "a long text shows the rows up to the cursor",
    {
      text: "0123456789".repeat(8),
      rows: 7,
    },
    ["(rows 4 to 5 of 5)", "6789012345678901", "23456789|"].with(1, "67890123456789012345").with(
      2,
      "6789|",
    ),
  ],
  ["a long text shows its beginning, if the cursor is there", {
    text: "0123456789".repeat(8),
    cursor: 0,
    rows: 7,
  }, ["(rows 1 to 2 of 5)", "Al> |0123456789012345", "67890123456789012345"]],
];

for (const [what, content, rows] of CASES) {
  Deno.test(`layout: ${what}`, () => assert.deepEqual(shown(content), rows));
}

Deno.test("layout: rows that were wrapped on a narrow terminal could all be taken away", () => {
  const held = Array.from({ length: 20 }, () => ({ text: "x".repeat(300) }));
  const editor = { ...EMPTY, text: "y".repeat(5_000), cursor: 2_500 };
  for (const columns of [40, 80, 120, 200]) {
    for (const rows of [10, 24, 60]) {
      const below = compose({ held, prompt: PROMPT, editor }, { columns, rows });
      const wrapped = below.rows.map((cells) => Math.ceil(cells.length / 40));
      assert(wrapped.reduce((sum, count) => sum + count) < rows, `${columns} × ${rows}`);
    }
  }
});
