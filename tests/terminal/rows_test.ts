/** Untrusted text on a terminal and in a pipe: broken into rows, without blocking anything. */
import assert from "node:assert/strict";
import process from "node:process";
import { cellsOf } from "../../src/terminal/cells.ts";
import { lengthOf, type Span } from "../../src/terminal/style.ts";
import { Output } from "../../src/base/output.ts";
import { escapeBody, rendered, RowQueue } from "../../src/terminal/rows.ts";
import { widest } from "../../src/terminal/row_breaker.ts";
import { slicesOf } from "../../src/terminal/slices.ts";
import { openPipe } from "../../src/terminal/pipe.ts";
import { showable } from "../../src/base/text.ts";
import { randomNumbers } from "../support/random.ts";

const FORGED = "[02:54] Bob> yes, pay him";

function said(body: string): Span[] {
  return [
    { text: "[17:24] ", look: "plain" },
    { text: "Eve", look: 28 },
    { text: "> ", look: "plain" },
    { text: body, look: "plain", escape: escapeBody },
  ];
}

for (const [how, measure] of [["cautiously", undefined], ["in cells", cellsOf]] as const) {
  Deno.test(`a message cannot choose the start of a row, measured ${how}`, () => {
    for (const filler of [" ", "x", "日", "\u0301", "👩‍🚀", "\t", "\x1b", "\u202e", "\n", "\r\n"]) {
      for (let count = 0; count < 100; count++) {
        const body = filler.repeat(count) + FORGED;
        const text = [...rendered(said(body), { columns: () => 80, measure })].join("");
        const [first, ...rest] = text.split("\n").slice(0, -1);
        assert(first.startsWith("[17:24] Eve> "));
        for (const row of rest) assert.match(row, /^ {8}/, JSON.stringify(body));
      }
    }
  });

  Deno.test(`nothing is lost between rows and no row is too long, measured ${how}`, () => {
    const text = "日本語 and some English, ça et là; Привет! ".repeat(100);
    for (const columns of [4, 10, 40, 80, 200]) {
      const all = [...rendered(text, { columns: () => columns, measure })].join("");
      const indent = " ".repeat(Math.min(8, Math.max(1, (columns - 1) >> 2)));
      assert.equal(all.replaceAll("\n" + indent, ""), text + "\n");
      for (const row of all.split("\n")) {
        const taken = cellsOf(row).reduce((sum, { columns }) => sum + columns, 0);
        assert(taken < columns, `${row} in ${columns}`);
      }
    }
  });
}

Deno.test("a letter wider than a row is divided, so the terminal does not cut it off", () => {
  const body = `I agree to pay ก${"ำ".repeat(200)} nothing at all`;
  for (const measure of [undefined, cellsOf]) {
    const all = [...rendered(said(body), { columns: () => 80, measure })].join("");
    for (const row of all.split("\n")) assert([...row].length < 80, row);
    assert.equal(all.replaceAll("\n" + " ".repeat(8), ""), `[17:24] Eve> ${body}\n`);
  }
});

/** What a terminal of 21 columns shows; rows after the first are indented by 5 columns. */
const WRAPPED: readonly [what: string, text: string, rows: readonly string[]][] = [
  ["words", "Alice> one two three four five", ["Alice> one two ", "three four five"]],
  ["a word that just fits", "Alice> one two three", ["Alice> one two three"]],
  ["a word without room for its space", "Alice> one two three x", ["Alice> one two ", "three x"]],
  ["several spaces", "Alice> one two       three", ["Alice> one ", "two       three"]],
  [
    "a long word",
    "Alice> see https://example.org/a/very/long/path now",
    ["Alice> see https://e", "xample.org/a/ve", "ry/long/path ", "now"],
  ],
  ["a word as long as a continued row", `Alice> one ${"x".repeat(15)}`, [
    "Alice> one ",
    "x".repeat(15),
  ]],
  ["accents", "Привет> один два три четыре", ["Привет> один два ", "три четыре"]],
  ["ideographs break anywhere", "Alice> 日本語を話します。日本", [
    "Alice> 日本語を話し",
    "ます。日本",
  ]],
  ["but not before a full stop", "Alice> one 日本語一。日本", ["Alice> one 日本語", "一。日本"]],
  ["and not behind a bracket", "Alice> three 日本「日」", ["Alice> three 日本", "「日」"]],
  ["Korean at spaces", "Alice> 나는 학교에 갔습니다", ["Alice> 나는 학교에 ", "갔습니다"]],
  ["emoji", "Alice> 👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀", ["Alice> 👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀👩‍🚀", "👩‍🚀👩‍🚀"]],
  ["no-break spaces", "Alice> one two\u00a0three\u00a0x", ["Alice> one ", "two\u00a0three\u00a0x"]],
  ["lines of their own", "one two three four five\nsix", ["one two three four ", "five", "six"]],
];

for (const [what, text, rows] of WRAPPED) {
  Deno.test(`rows end at spaces: ${what}`, () => {
    const all = [...rendered(text, { columns: () => 21, measure: cellsOf })].join("");
    assert.deepEqual(all.replaceAll("\n     ", "\n").split("\n").slice(0, -1), rows);
  });
}

Deno.test("a word is kept together however many spans and slices it spans", () => {
  const text = "Alice> " + "word ".repeat(5_000) + "end";
  const spans = Array.from(text, (text, i): Span => ({ text, look: i % 3 === 0 ? 28 : "plain" }));
  for (const styled of [text, spans]) {
    const rows = [...rendered(styled, { columns: () => 40 })].join("").split("\n").slice(0, -1);
    assert.deepEqual(
      rows.map((row) => row.trim().split(" ")).flat(),
      text.split(" "),
    );
    for (const row of rows.slice(1, -1)) assert.match(row, /^ {8}(word ){6}$/);
  }
});

Deno.test("a color ends with its row and goes on in the next", () => {
  const all = [...rendered([{ text: "one two three four", look: 28 }], {
    color: true,
    columns: () => 12,
  })].join("");
  const [on, off] = ["\x1b[38;5;28m", "\x1b[39m"];
  assert.equal(
    all,
    `${on}one two ${off}\n  ${on}three ${off}\n  ${on}four${off}\n`,
  );
});

Deno.test("random text: no row is too long, all but the first are indented, nothing is lost", () => {
  const random = randomNumbers(1);
  const below = (limit: number) => Math.floor(random() * limit);
  const parts = [..."a|word |  |日本|。|「|한국어 |https://example.org/path|- |\u3000".split("|")];
  const pieces = [...parts, "👩‍🚀", "e\u0301", "\u0301", "x".repeat(90), FORGED, "\u00a0"];
  for (let run = 0; run < 500; run++) {
    const body = Array.from({ length: below(60) }, () => pieces[below(pieces.length)]).join("");
    const columns = 4 + below(90);
    for (const measure of [widest, cellsOf]) {
      const all = [...rendered(said(body), { columns: () => columns, measure })].join("");
      const indent = " ".repeat(Math.min(8, Math.max(1, (columns - 1) >> 2)));
      assert.equal(all.replaceAll("\n" + indent, ""), `[17:24] Eve> ${body}\n`);
      const [first, ...rest] = all.split("\n").slice(0, -1);
      for (const row of [first, ...rest]) {
        const taken = [...measure(row)].reduce((sum, { columns }) => sum + columns, 0);
        assert(taken < columns, `${JSON.stringify(row)} in ${columns}`);
      }
      for (const row of rest) assert(row.startsWith(indent));
    }
  }
});

Deno.test("a terminal that becomes narrower in the middle of a word gets no row that is too long", () => {
  const widths = [80, 80, 30];
  const spans = ["one ", "x".repeat(60), "\ntwo"]
    .map((text): Span => ({ text, look: "plain" }));
  const all = [...rendered(spans, { columns: () => widths.shift()! })].join("");
  for (const row of all.split("\n")) assert(row.length < 30, row);
  assert.equal(all.replaceAll("\n" + " ".repeat(7), ""), `one ${"x".repeat(60)}\ntwo\n`);
});

Deno.test("measured cautiously, Cyrillic fills rows as Latin does", () => {
  const all = [...rendered("Приветмир".repeat(20), { columns: () => 80 })].join("");
  assert.deepEqual(all.split("\n").slice(0, 2).map(({ length }) => length), [79, 79]);
});

Deno.test("our own lines start at the left and are not broken if they fit", () => {
  const text = "Commands:\n  /who   who is here\n  /quit  leaves";
  assert.equal([...rendered(text, { columns: () => 80 })].join(""), text + "\n");
});

Deno.test("a pipe gets lines of any length, and colors end with their line", () => {
  const body = "x".repeat(10_000) + "\nmore";
  const line = `[17:24] Eve> ${"x".repeat(10_000)}\n        more\n`;
  assert.equal([...rendered(said(body))].join(""), line);
  assert.equal(
    [...rendered(said("hi"), { color: true })].join(""),
    "[17:24] \x1b[38;5;28mEve\x1b[39m> hi\n",
  );
});

Deno.test("slices do not divide characters, and together are the text", () => {
  for (const piece of ["👩‍👩‍👧", "🇩🇪", "é", "می\u200c", "க்ஷி", "각", "a\r\n", "👍🏽", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "1️⃣"]) {
    for (let shift = 0; shift < 20; shift++) {
      const text = "x".repeat(shift) + piece.repeat(3_000);
      const slices = [...slicesOf(text)];
      assert(slices.length > 1);
      assert.equal(slices.join(""), text);
      assert(slices.map((slice) => showable(slice, "")).join("") === showable(text, ""), piece);
    }
  }
});

Deno.test("rows are taken whole, a few at a time, however the text was sliced", () => {
  const rows = new RowQueue({ columns: () => 80 });
  const body = "some words ".repeat(20_000);
  rows.push(said(body));
  rows.push("the next line");
  assert.equal(rows.length, lengthOf(said(body)) + "the next line".length);
  let all = "";
  let turns = 0;
  for (; !rows.isEmpty; turns++) {
    const next = rows.next();
    assert(next.endsWith("\n"));
    assert(next.length < 50_000);
    all += next;
  }
  assert(turns > 5);
  assert.equal(rows.length, 0);
  assert.equal(all, [...rendered(said(body), { columns: () => 80 })].join("") + "the next line\n");
});

Deno.test("accents, which take no columns, cannot make a row endless", () => {
  const rows = new RowQueue({ columns: () => 80, measure: cellsOf });
  rows.push(said("\u0301".repeat(100_000)));
  let all = "";
  for (let turns = 0; !rows.isEmpty && turns < 1_000; turns++) all += rows.next();
  assert(rows.isEmpty);
  assert.equal(all.match(/\u0301/g)?.length, 100_000);
  for (const row of all.split("\n")) assert(row.length < 10_000);
});

/** Messages that are slow to render. */
const LONG: readonly [what: string, text: string][] = [
  ["escape characters", "\x1b".repeat(1_000_000)],
  ["line breaks", "\n".repeat(1_000_000)],
  ["tabs", "\t".repeat(1_000_000)],
  ["accents", "\u0301".repeat(1_000_000)],
  ["bidi controls", "\u202e".repeat(1_000_000)],
  ["letters without a space", "x".repeat(4_000_000)],
  ["spaces", " ".repeat(4_000_000)],
  ["full stops that may not begin a row", "。".repeat(1_000_000)],
];

for (const [what, text] of LONG) {
  Deno.test(`millions of ${what} block nothing while they are shown`, async () => {
    let length = 0;
    const write = (bytes: Uint8Array) => Promise.resolve((length += bytes.length, bytes.length));
    const out = new Output({ write });
    const input = new ReadableStream<Uint8Array<ArrayBuffer>>();
    const options = { input, out, err: out, color: false, columns: () => 80, echoes: false };
    await using screen = openPipe(options);
    let [last, longest] = [threadMs(), 0];
    const timer = setInterval(() => {
      longest = Math.max(longest, threadMs() - last);
      last = threadMs();
    });
    screen.show(said(text));
    await screen.written();
    clearInterval(timer);
    assert(length > text.length);
    // A fraction of the total time.
    assert(longest < 100, `${longest} ms`);
  });
}

/** The CPU time of this thread, in milliseconds; other programs and tests do not add to it. */
function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}
