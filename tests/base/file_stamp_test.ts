/** File stamps: equal only if the file is certainly unchanged. */
import assert from "node:assert/strict";
import { fileStamp } from "../../src/base/file_stamp.ts";

/** Runs a test with a file that was last modified at a given time. */
function withFile(modified: Date, fn: (path: string) => void): void {
  const path = Deno.makeTempFileSync();
  try {
    Deno.writeTextFileSync(path, "text");
    Deno.utimeSync(path, modified, modified);
    fn(path);
  } finally {
    Deno.removeSync(path);
  }
}

const LONG_AGO = new Date("2020-01-01T00:00:00Z");

Deno.test("an old file keeps its stamp until its time or size changes", () => {
  withFile(LONG_AGO, (path) => {
    const stamp = fileStamp(Deno.statSync(path));
    assert.equal(fileStamp(Deno.statSync(path)), stamp);
    Deno.utimeSync(path, LONG_AGO, new Date("2020-01-01T00:00:01Z"));
    assert.notEqual(fileStamp(Deno.statSync(path)), stamp);
    Deno.writeTextFileSync(path, "longer text");
    Deno.utimeSync(path, LONG_AGO, LONG_AGO);
    assert.notEqual(fileStamp(Deno.statSync(path)), stamp);
  });
});

Deno.test("a file that was just written gets a new stamp each time, because clocks are coarse", () => {
  withFile(new Date(), (path) => {
    assert.notEqual(fileStamp(Deno.statSync(path)), fileStamp(Deno.statSync(path)));
  });
});
