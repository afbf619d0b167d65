import assert from "node:assert/strict";
import { lockFile } from "../../src/base/file_lock.ts";

Deno.test("a locked file can be locked again once it is closed, and waits a moment for that", async () => {
  const path = await Deno.makeTempFile();
  const first = lockFile(path);
  assert(first !== undefined);
  assert.equal(lockFile(path), undefined);
  first.close();
  const second = lockFile(path);
  assert(second !== undefined);
  second.close();
  await Deno.remove(path);
});

Deno.test("starting child processes does not make a released lock look taken", async () => {
  const path = await Deno.makeTempFile();
  const children = [];
  for (let i = 0; i < 20; i++) {
    const file = lockFile(path);
    assert(file !== undefined, `lock ${i}`);
    children.push(new Deno.Command(Deno.execPath(), { args: ["--version"] }).output());
    file.close();
  }
  await Promise.all(children);
  await Deno.remove(path);
});
