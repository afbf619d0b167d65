import assert from "node:assert/strict";
import { GreetError, systemReason } from "../../src/base/errors.ts";

Deno.test("an error survives the way through JSON, without its cause", () => {
  const error = new GreetError("USAGE", "70000 is not a port", { hint: "try 7000", cause: "typo" });
  const copy = GreetError.fromJSON(JSON.parse(JSON.stringify(error)));
  assert.deepEqual([copy.code, copy.message, copy.hint], ["USAGE", error.message, error.hint]);
  assert.equal(copy.cause, undefined);
});

Deno.test("an unexpected error is wrapped as FAILED, and one of our own is returned unchanged", () => {
  const error = new GreetError("ABORTED", "stopped");
  assert.equal(GreetError.from(error), error);
  const unexpected = new TypeError("x is not a function");
  const { code, message, cause } = GreetError.from(unexpected);
  assert.deepEqual([code, message, cause], ["FAILED", unexpected.message, unexpected]);
});

Deno.test("the system's reason has no error number, path or advice", () => {
  const reasons: readonly [message: string, reason: string][] = [
    ["No such file or directory (os error 2): stat '/x'", "No such file or directory"],
    [
      'Requires read access to "/x", run again with the --allow-read flag',
      'read access to "/x" is not allowed',
    ],
    ["Das Gerät ist nicht bereit. (os error 21): stat 'X:'", "Das Gerät ist nicht bereit"],
    ["anything else", "anything else"],
  ];
  for (const [message, reason] of reasons) assert.equal(systemReason(new Error(message)), reason);
  assert.equal(systemReason("a string"), "a string");
});

Deno.test("an error of the system has the same reason on every system, in every language", () => {
  const path = Deno.makeTempDirSync();
  assert.throws(() => Deno.readFileSync(path), (e) => systemReason(e) === "Is a directory");
  Deno.removeSync(path);
  assert.throws(
    () => Deno.readFileSync(path),
    (e) => systemReason(e) === "No such file or directory",
  );
  // From a German Windows.
  const message = "Zugriff verweigert (os error 5): open 'C:\\greet'";
  const denied = Object.assign(new Deno.errors.PermissionDenied(message), { code: "EPERM" });
  assert.equal(systemReason(denied), "Operation not permitted");
});
