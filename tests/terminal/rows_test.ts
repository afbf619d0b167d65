/** Untrusted text on a terminal and in a pipe: broken into rows, without blocking anything. */
import assert from "node:assert/strict";
import { cellsOf } from "../../src/terminal/cells.ts";
import { lengthOf, type Span } from "../../src/terminal/style.ts";
import { Output } from "../../src/base/output.ts";
import { escapeBody, rendered, RowQueue, slicesOf } from "../../src/terminal/rows.ts";
import { openPipe } from "../../src/terminal/pipe.ts";
import { showable } from "../../src/base/text.ts";

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

Deno.test("measured cautiously, Cyrillic fills rows as Latin does", () => {
  const all = [...rendered("Привет, мир! ".repeat(20), { columns: () => 80 })].join("");
  assert.deepEqual(all.split("\n").slice(0, 3).map(({ length }) => length), [79, 79, 79]);
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
];

for (const [what, text] of LONG) {
  Deno.test(`a million ${what} block nothing while they are shown`, async () => {
    let length = 0;
    const write = (bytes: Uint8Array) => Promise.resolve((length += bytes.length, bytes.length));
    const out = new Output({ write });
    const input = new ReadableStream<Uint8Array<ArrayBuffer>>();
    const options = { input, out, err: out, color: false, columns: () => 80, echoes: false };
    await using screen = openPipe(options);
    let [last, longest] = [performance.now(), 0];
    const timer = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    });
    screen.show(said(text));
    await screen.written();
    clearInterval(timer);
    assert(length > text.length);
    // A fraction of the total time, but longer than any pause on a busy machine.
    assert(longest < 250, `${longest} ms`);
  });
}
