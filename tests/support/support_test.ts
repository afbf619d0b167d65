/** What tests rely on: missing tools are noticed without an error, and ports are never shared. */
import assert from "node:assert/strict";
import { freePorts } from "./ports.ts";
import * as other from "./ports.ts?as-in-another-test-file";
import { wronglySkipped } from "./skipped.ts";
import { hasCommand, outputOf, works } from "./tools.ts";

Deno.test("a missing command is reported as missing, and running it does not throw", async () => {
  assert.equal(hasCommand("no-such-command"), false);
  assert.equal(await works("no-such-command", "--version"), false);
  assert.equal(await outputOf("no-such-command"), undefined);
});

Deno.test("free ports differ, and two test files never get the same", () => {
  const ours = Array.from({ length: 10 }, () => freePorts()).flat();
  const theirs = other.freePorts(20);
  assert.equal(new Set([...ours, ...theirs]).size, 40);
});

Deno.test("a port in use is not free", () => {
  const [port] = freePorts(1);
  using _listener = Deno.listen({ hostname: "127.0.0.1", port: Number(port) + 1 });
  assert(!freePorts(45).includes(`${Number(port) + 1}`));
});

Deno.test("a test that is skipped although its system can run it is reported", () => {
  const output = `one (needs tmux) ... ignored (0ms)
two (needs Linux, root and setpriv) ... ignored (0ms)
three ... ignored (0ms)
four (needs openssl) ... ok (1ms)
`;
  assert.deepEqual(wronglySkipped(output, "linux"), ["one (needs tmux)", "three"]);
  assert.deepEqual(wronglySkipped(output, "darwin"), ["three"]);
  const openssl = "five (needs a shell and openssl) ... ignored (0ms)";
  assert.deepEqual(wronglySkipped(openssl, "windows"), []);
  assert.deepEqual(wronglySkipped(openssl, "darwin"), ["five (needs a shell and openssl)"]);
});
