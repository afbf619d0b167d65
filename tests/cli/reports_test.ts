import assert from "node:assert/strict";
import { reportUncaught } from "../../src/cli/reports.ts";
import { Output } from "../../src/base/output.ts";
import type { Io } from "../../src/cli/io.ts";

Deno.test("an error that nothing catches is reported in one sentence while greetings go on", async () => {
  let printed = "";
  const stderr = new Output({
    write(bytes) {
      printed += new TextDecoder().decode(bytes);
      return Promise.resolve(bytes.length);
    },
  });
  const uncaught = () => new ErrorEvent("error", { error: new Error("boom"), cancelable: true });
  {
    using _ = reportUncaught({ stderr } as Io);
    const error = uncaught();
    globalThis.dispatchEvent(error);
    assert(error.defaultPrevented);
    const reason = new Deno.errors.NotCapable(
      'Requires read access to "x", run again with the --allow-read flag',
    );
    const rejection = new PromiseRejectionEvent("unhandledrejection", {
      promise: Promise.resolve(),
      reason,
      cancelable: true,
    });
    globalThis.dispatchEvent(rejection);
    assert(rejection.defaultPrevented);
  }
  await stderr.flush();
  assert.equal(
    printed,
    'greet: error: unexpected: boom\ngreet: error: unexpected: read access to "x" is not allowed\n',
  );
});
