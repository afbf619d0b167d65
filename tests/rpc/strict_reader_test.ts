/** Text from a peer is what was written, whatever its length and characters, or is refused. */
import assert from "node:assert/strict";
import protobuf from "protobufjs";
import { StrictReader } from "../../src/rpc/strict_reader.ts";

const TEXTS = [
  ...["", "Bob", "\0", "\x7f", "Jürgen", "\uFEFFBob", "漢字", "👩‍🚀", "\x80"],
  ...["x".repeat(32), "x".repeat(33), `${"x".repeat(31)}é`],
];

Deno.test("text is read as it was written", () => {
  for (const text of TEXTS) {
    const bytes = protobuf.Writer.create().string(text).finish();
    assert.equal(new StrictReader(bytes, 1).string(), text);
  }
});

Deno.test("text that is not valid UTF-8 is refused, short or long", () => {
  for (
    const invalid of [[0xff], [0x42, 0xc3], [0xed, 0xa0, 0x80], [...Array(40).fill(0x42), 0x80]]
  ) {
    const bytes = protobuf.Writer.create().bytes(Uint8Array.from(invalid)).finish();
    assert.throws(() => new StrictReader(bytes, 1).string(), {
      code: "INVALID_ARGUMENT",
      message: "the message has text that is not valid UTF-8",
    });
  }
});
