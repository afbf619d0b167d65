import assert from "node:assert/strict";
import { type ByteSink, Output } from "../../src/base/output.ts";

/** Takes what it is given only as fast as it is told to. */
class SlowSink implements ByteSink {
  text = "";
  writes = 0;
  open = Promise.withResolvers<void>();

  async write(bytes: Uint8Array): Promise<number> {
    await this.open.promise;
    this.writes++;
    const taken = bytes.subarray(0, 1000);
    this.text += new TextDecoder().decode(taken);
    return taken.length;
  }
}

Deno.test("lines come out in order, and all of them are out after a flush", async () => {
  const sink = new SlowSink();
  const output = new Output(sink);
  const lines = Array.from({ length: 1000 }, (_, i) => `line ${i}`);
  lines.forEach((line) => output.line(line));
  sink.open.resolve();
  await output.flush();
  assert.equal(sink.text, lines.join("\n") + "\n");
  assert(sink.writes < 20, "many lines go out in one write");
});

Deno.test("what is logged a bit at a time is written together, in order with lines", async () => {
  const sink = new SlowSink();
  sink.open.resolve();
  const output = new Output(sink);
  for (let i = 0; i < 10; i++) {
    output.log(`${i}`);
    await new Promise((resolve) => setTimeout(resolve));
  }
  output.line("a line that waits for nobody");
  await output.flush();
  assert.equal(sink.text, "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\na line that waits for nobody\n");
  assert(sink.writes < 10, `${sink.writes} writes`);
});

Deno.test("what is logged is written by itself, and at once where everything is to be out", async () => {
  const sink = new SlowSink();
  sink.open.resolve();
  const output = new Output(sink);
  output.log("before the end");
  await output.flush();
  assert.equal(sink.text, "before the end\n");
  output.log("some time");
  while (sink.writes < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(sink.text, "before the end\nsome time\n");
});

Deno.test("who prints too much for a slow reader is told to wait", async () => {
  const sink = new SlowSink();
  const output = new Output(sink);
  assert.equal(output.ready(), undefined);
  output.line("x".repeat(2 << 20));
  const ready = output.ready();
  assert(ready !== undefined);
  sink.open.resolve();
  await ready;
  assert.equal(output.ready(), undefined);
});

Deno.test("a reader who has gone is noticed once, and nothing is kept for him", async () => {
  const broken: unknown[] = [];
  const reason = new Deno.errors.BrokenPipe();
  const output = new Output({ write: () => Promise.reject(reason) }, (error) => broken.push(error));
  output.line("a");
  await output.flush();
  output.line("b");
  await output.flush();
  assert.deepEqual(broken, [reason]);
});
