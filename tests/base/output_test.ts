import assert from "node:assert/strict";
import { type ByteSink, Output } from "../../src/base/output.ts";

/** A sink that takes nothing until it is opened, and at most 1,000 bytes in one write. */
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

Deno.test("lines are written in order, all of them before a flush resolves", async () => {
  const sink = new SlowSink();
  const output = new Output(sink);
  const lines = Array.from({ length: 1000 }, (_, i) => `line ${i}`);
  lines.forEach((line) => output.line(line));
  sink.open.resolve();
  await output.flush();
  assert.equal(sink.text, lines.join("\n") + "\n");
  assert(sink.writes < 20, "many lines share a write");
});

Deno.test("log lines are written together, in order with other lines", async () => {
  const sink = new SlowSink();
  sink.open.resolve();
  const output = new Output(sink);
  for (let i = 0; i < 10; i++) {
    output.log(`${i}`);
    await new Promise((resolve) => setTimeout(resolve));
  }
  output.line("an urgent line");
  await output.flush();
  assert.equal(sink.text, "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\nan urgent line\n");
  assert(sink.writes < 10, `${sink.writes} writes`);
});

Deno.test("log lines are written after a moment, or at once by a flush", async () => {
  const sink = new SlowSink();
  sink.open.resolve();
  const output = new Output(sink);
  output.log("flushed");
  await output.flush();
  assert.equal(sink.text, "flushed\n");
  output.log("later");
  while (sink.writes < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(sink.text, "flushed\nlater\n");
});

Deno.test("a caller that prints too much for a slow reader is told to wait", async () => {
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

Deno.test("a broken pipe is reported once, and nothing is buffered after it", async () => {
  const broken: unknown[] = [];
  const reason = new Deno.errors.BrokenPipe();
  const output = new Output({ write: () => Promise.reject(reason) }, (error) => broken.push(error));
  output.line("a");
  await output.flush();
  output.line("b");
  await output.flush();
  assert.deepEqual(broken, [reason]);
});
