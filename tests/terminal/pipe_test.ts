/** Lines read from a pipe. */
import assert from "node:assert/strict";
import { Output } from "../../src/base/output.ts";
import { openPipe } from "../../src/terminal/pipe.ts";

const NO_CONTEXT = {
  commands: [],
  names: () => [],
  earlier: () => [],
  objection: () => undefined,
};

async function linesOf(chunks: Iterable<string>): Promise<string[]> {
  const input = ReadableStream.from(chunks).pipeThrough(new TextEncoderStream());
  const out = new Output({ write: ({ length }) => Promise.resolve(length) });
  const options = { input, out, err: out, color: false, columns: () => 80, echoes: false };
  await using screen = openPipe(options);
  return await Array.fromAsync(screen.read(NO_CONTEXT));
}

Deno.test("lines are put together from chunks of any size, and lose their line ends", async () => {
  const text = "one\r\ntwo\n\n日本\nlast";
  for (let size = 1; size <= text.length; size++) {
    const chunks = Array.from(
      { length: Math.ceil(text.length / size) },
      (_, i) => text.slice(i * size, (i + 1) * size),
    );
    assert.deepEqual(await linesOf(chunks), ["one", "two", "", "日本", "last"]);
  }
  assert.deepEqual(await linesOf(["one\n"]), ["one"]);
});

Deno.test("a line that never ends is cut, and the next one is read", async () => {
  const part = "x".repeat(1 << 20);
  const [long, next] = await linesOf([...Array(80).fill(part), "\nnext\n"]);
  assert.equal(long.length, 1 << 26);
  assert.equal(next, "next");
});
