/** The footer below a conversation, row by row. */
import assert from "node:assert/strict";
import { type Editor, EMPTY } from "../../src/terminal/editor.ts";
import { composeFooter, type PendingRow } from "../../src/terminal/layout.ts";

const PROMPT = [{ text: "Al> ", look: "plain" }] as const;

interface Case {
  text?: string;
  cursor?: number;
  pending?: readonly PendingRow[];
  columns?: number;
  rows?: number;
}

/** The rows, with `|` at the cursor. */
function shown({ text = "", cursor = text.length, pending = [], columns = 21, rows = 24 }: Case) {
  const editor = { ...EMPTY, text, cursor };
  const footer = composeFooter({ pending, prompt: PROMPT, editor }, { columns, rows });
  return footer.rows.map((cells, row) => {
    const texts = cells.map(({ text }) => text);
    return row === footer.cursor.row
      ? texts.toSpliced(footer.cursor.cell, 0, "|").join("")
      : texts.join("");
  });
}

const CASES: readonly [what: string, content: Case, rows: readonly string[]][] = [
  ["an empty line", {}, ["Al> |"]],
  ["a cursor in the text", { text: "hello", cursor: 1 }, ["Al> h|ello"]],
  ["a text that just fits", { text: "0123456789abcdef" }, ["Al> 0123456789abcdef|"]],
  ["one character more", { text: "0123456789abcdefg" }, ["Al> 0123456789abcdef", "g|"]],
  ["a cursor at the start of a row", { text: "0123456789abcdefg", cursor: 16 }, [
    "Al> 0123456789abcdef",
    "|g",
  ]],
  ["wide characters are not split between rows", { text: "0123456789abcde日本" }, [
    "Al> 0123456789abcde",
    "日本|",
  ]],
  ["several lines", { text: "one\ntwo\n", cursor: 5 }, ["Al> one", "        t|wo", "        "]],
  ["control characters are made visible", { text: "\x1b[2J\t\u202e!" }, [
    "Al> ␛[2J    <U+202E>",
    "!|",
  ]],
  ["joiners that a word is spelled with stay", { text: "می\u200cخواهم \u200c!" }, [
    "Al> می\u200cخواهم <U+200C>",
    "!|",
  ]],
  ["a cursor after escaped characters", { text: "\x1b\u202eශ්\u200dරී!", cursor: 7 }, [
    "Al> ␛<U+202E>ශ්\u200dරී|!",
  ]],
  ["letters that many terminals do not combine are counted one by one", { text: "क्ष".repeat(9) }, [
    "Al> " + "क्ष".repeat(8),
    "क्ष|",
  ]],
  ["a terminal of the smallest size", { text: "ab", columns: 1, rows: 1 }, ["(…", "b|"]],
  ["a pending row", { pending: [{ text: "said", end: " (waiting)" }] }, [
    "said (waiting)",
    "Al> |",
  ]],
  ["a long pending row is truncated, its ending is not", {
    pending: [{ text: "a long 日本 message", end: " (waiting)" }],
  }, ["a long 日… (waiting)", "Al> |"]],
  ["an ending that is too long is truncated", {
    pending: [{ text: "said", end: " (waiting for everybody)" }],
  }, ["s… (waiting for eve…", "Al> |"]],
  ["a text with a hint is not truncated, and the hint begins a row", {
    pending: [{
      text: "Bob does not speak TLS",
      hint: "turn it on over there: --tls-on-this-side",
    }],
  }, [
    "Bob does not speak",
    "TLS",
    "  turn it on over",
    "  there:",
    "  --tls-on-this-side",
    "Al> |",
  ]],
  ["a hint is shown whole or not at all", {
    pending: [{ text: "said" }, { text: "why", hint: "what can be done" }],
    rows: 6,
  }, ["why", "  what can be done", "Al> |"]],
  ["of several pending lines only the first is shown", { pending: [{ text: "one\n  two" }] }, [
    "one…",
    "Al> |",
  ]],
  ["the last pending rows are shown if not all fit", {
    pending: ["one", "two", "three"].map((text) => ({ text })),
    rows: 6,
  }, ["two", "three", "Al> |"]],
  [
    "of a long text, the rows up to the cursor are shown",
    {
      text: "0123456789".repeat(8),
      rows: 7,
    },
    ["(rows 4 to 5 of 5)", "6789012345678901", "23456789|"].with(1, "67890123456789012345").with(
      2,
      "6789|",
    ),
  ],
  ["of a long text, the beginning is shown if the cursor is there", {
    text: "0123456789".repeat(8),
    cursor: 0,
    rows: 7,
  }, ["(rows 1 to 2 of 5)", "Al> |0123456789012345", "67890123456789012345"]],
];

for (const [what, content, rows] of CASES) {
  Deno.test(`layout: ${what}`, () => assert.deepEqual(shown(content), rows));
}

/** The row of a search in a line. */
function searched({ query = "", text = "", cursor = 0, hasFailed = false, columns = 40 }) {
  const search = { query, hasFailed, origin: EMPTY, previous: EMPTY };
  const editor = { ...EMPTY, text, cursor, search };
  const { rows, cursor: { cell } } = composeFooter({ pending: [], prompt: PROMPT, editor }, {
    columns,
    rows: 20,
  });
  assert.equal(rows.length, 1);
  return rows[0].map(({ text }) => text).toSpliced(cell, 0, "|").join("");
}

Deno.test("layout: a search takes one row, with what was found in it", () => {
  assert.equal(searched({}), "(search `') |");
  assert.equal(searched({ query: "wor", text: "a word", cursor: 2 }), "(search `wor') a |word");
  assert.equal(
    searched({ query: "no", text: "one", hasFailed: true }),
    "(failed search `no') |one",
  );
  const long = "0123456789".repeat(3) + "found" + "0123456789".repeat(3) + "\nmore";
  assert.equal(
    searched({ query: "found", text: long, cursor: 30 }),
    "(search `found') …0123456789|found01234…",
  );
  assert.match(searched({ query: "x".repeat(99) }), /^\(search `…x{16,17}'\) \|$/);
  assert.equal(searched({ query: "wor", text: "a word", cursor: 2, columns: 8 }), "(searc…|");
});

Deno.test("layout: a long line takes few rows while lines are recalled, and more once it is edited", () => {
  const text = "0123456789".repeat(50);
  const editor: Editor = { ...EMPTY, text, cursor: text.length, last: { type: "recall" } };
  const count = (editor: Editor) =>
    composeFooter({ pending: [], prompt: PROMPT, editor }, { columns: 40, rows: 20 }).rows.length;
  assert.equal(count(editor), 4);
  assert.equal(count({ ...editor, last: undefined }), 10);
  assert.equal(count({ ...editor, text: "short", cursor: 5 }), 1);
});

Deno.test("layout: of a text of megabytes, the rows around the cursor are laid out, at once", () => {
  for (const line of ["x", "one word ", "日", "a\n", "\u0301", "👩‍🚀", "\x1b"]) {
    const text = line.repeat(4_000_000 / line.length);
    const start = performance.now();
    for (const part of [0, 0.3, 0.999, 1]) {
      const cursor = Math.floor(text.length * part / line.length) * line.length;
      const rows = shown({ text, cursor, columns: 40, rows: 20 });
      assert(rows.length <= 10, `${rows.length} rows`);
      assert(rows.some((row) => row.includes("|")));
      assert.equal(rows[0], `(character ${cursor} of ${text.length})`);
    }
    assert(performance.now() - start < 20_000);
  }
});

Deno.test("layout: rows still fit on the screen after rewrapping on a narrow terminal", () => {
  const pending = Array.from({ length: 20 }, () => ({ text: "x".repeat(300) }));
  const editor = { ...EMPTY, text: "y".repeat(5_000), cursor: 2_500 };
  for (const columns of [40, 80, 120, 200]) {
    for (const rows of [10, 24, 60]) {
      const footer = composeFooter({ pending, prompt: PROMPT, editor }, { columns, rows });
      const wrapped = footer.rows.map((cells) => Math.ceil(cells.length / 40));
      assert(wrapped.reduce((sum, count) => sum + count) < rows, `${columns} × ${rows}`);
    }
  }
});
