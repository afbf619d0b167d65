/** Which word a mistyped one was meant to be. */
import assert from "node:assert/strict";
import { nearest } from "../../src/base/nearest.ts";

const OPTIONS = ["--json", "--names", "--no-journal", "--plaintext", "--tls", "--threads"];

const MISTYPED: readonly [typed: string, meant: string | undefined][] = [
  ["--JSON", "--json"],
  ["-json", "--json"],
  ["--jsno", "--json"],
  ["--sjon", "--json"],
  ["--jso", "--json"],
  ["--tsl", "--tls"],
  ["--no_journal", "--no-journal"],
  ["--nojournal", "--no-journal"],
  ["--plain", "--plaintext"],
  ["--name", "--names"],
  ["--port", undefined],
  ["--as", undefined],
  ["-", undefined],
  ["", undefined],
  ["--verbose", undefined],
];

for (const [typed, meant] of MISTYPED) {
  Deno.test(`nearest to ${JSON.stringify(typed)}: ${meant ?? "nothing"}`, () => {
    assert.equal(nearest(typed, OPTIONS), meant);
  });
}

Deno.test("nothing is near where there is nothing", () =>
  assert.equal(nearest("a", []), undefined));
