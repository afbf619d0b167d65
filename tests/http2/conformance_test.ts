/**
 * A server against clients that break the rules of HTTP/2 and gRPC: each case in `conformance/` with
 * the reactions that the specification allows. The tables in the docs are the expected report.
 */
import assert from "node:assert/strict";
import { ROOT, serving } from "../support/program.ts";
import { findPython } from "../support/tools.ts";
import { inTime } from "../support/waiting.ts";

/** How long all cases may take, in milliseconds. */
const ALL_CASES_MS = 300_000;

interface Result {
  readonly section: string;
  readonly what: string;
  readonly allowed: string;
  readonly seen: string;
  /** Whether the reaction is allowed, or a deviation that the docs explain. */
  readonly isExpected: boolean;
  /** What was wrong for another client at that time. */
  readonly othersProblem: string | null;
}

async function runCases(python: string, port: string): Promise<Result[]> {
  const args = ["-B", `${ROOT}tests/http2/conformance/main.py`, port];
  const child = new Deno.Command(python, { args, stdout: "piped", stderr: "piped" }).spawn();
  try {
    const { code, stdout, stderr } = await inTime(child.output(), "all cases", ALL_CASES_MS);
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    const lines = new TextDecoder().decode(stdout).trim().split("\n");
    return lines.map((line) => JSON.parse(line));
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
}

/** The rows of the tables in the docs: section, what the client sends, allowed and actual reaction. */
function documented(): string[] {
  const text = Deno.readTextFileSync(`${ROOT}docs/conformance.md`);
  const rows = text.split("\n").map((line) => line.split("|").slice(1, -1).map((c) => c.trim()));
  return rows.filter(({ length }) => length === 4).map((row) => row.join(" | ").replace("¹", ""));
}

const python = await findPython("h2", "hpack", "hyperframe");

Deno.test({
  name: "a client that breaks a rule of HTTP/2 or gRPC gets the reaction that the docs list " +
    "(needs Python with h2)",
  ignore: python === undefined,
  async fn(test) {
    await using greeter = await serving();
    const rows = new Set(documented());
    const results = await runCases(python!, greeter.port);
    for (const { section, what, allowed, seen, isExpected, othersProblem } of results) {
      await test.step(`${section}: ${what}`, () => {
        assert(isExpected, `${seen}, not ${allowed}`);
        assert.equal(othersProblem, null);
        assert(rows.delete([section, what, allowed, seen].join(" | ")), `not documented: ${seen}`);
      });
    }
    const header = /^\S+ \| the client sends|^-/;
    assert.deepEqual(
      [...rows].filter((row) => !header.test(row)),
      [],
      "documented, but not tested",
    );
    assert.equal(greeter.server.err.text, "");
  },
});
