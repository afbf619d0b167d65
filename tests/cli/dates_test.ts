/** Dates as people type them. */
import assert from "node:assert/strict";
import { parseDate } from "../../src/cli/dates.ts";

const NOW = new Date("2026-11-26T12:30:00");

for (
  const [text, expected] of [
    ["2026-11-26", "2026-11-26T00:00:00"],
    ["2026-11-26 17:00", "2026-11-26T17:00:00"],
    ["2026-11-26T17:00:05", "2026-11-26T17:00:05"],
    ["2026-11-26T16:24:05.123Z", "2026-11-26T16:24:05.123Z"],
    ["2026-11-26 16:24+05:45", "2026-11-26T16:24:00+05:45"],
    ["2024-02-29", "2024-02-29T00:00:00"],
    ["today", "2026-11-26T00:00:00"],
    ["yesterday", "2026-11-25T00:00:00"],
    ["0h", "2026-11-26T12:30:00"],
    ["12h", "2026-11-26T00:30:00"],
    ["7d", "2026-11-19T12:30:00"],
    ["2w", "2026-11-12T12:30:00"],
  ]
) {
  Deno.test(`a date: ${text}`, () => {
    assert.deepEqual(parseDate(text, NOW), new Date(expected));
  });
}

for (
  const text of [
    ..."2026-02-30 2026-13-01 2026-00-10 2026-11-00 26-11-2026 2025-02-29 0050-01-01".split(" "),
    ..."7 d 7m -7d 999999d tomorrow 2026-11-26T24:00 2026-11-26T10:60 2026-11".split(" "),
    ...["", "7d ago", "2026-11-26T10:00+99:00", "٧d"],
  ]
) {
  Deno.test(`no date: ${JSON.stringify(text)}`, () => {
    assert.equal(parseDate(text, NOW), undefined);
  });
}
