/** Headers are measured as they arrive, and never underestimated. */
import assert from "node:assert/strict";
import { HeaderGauge } from "../../src/http2/header_gauge.ts";
import { HpackGauge } from "../../src/http2/hpack_gauge.ts";
import {
  DATA_FRAME_BYTES,
  ORDINARY_HEADER_BYTES,
  STREAM_OVERHEAD_BYTES,
} from "../../src/http2/open_streams.ts";
import { type Below, frame, integer, RandomBlocks, text } from "./header_blocks.ts";
import { randomNumbers } from "../support/random.ts";
import { findPython } from "../support/tools.ts";

const DATA = 0, HEADERS = 1, PUSH_PROMISE = 5, PING = 6, CONTINUATION = 9;
const END_HEADERS = 4, PADDED = 8, PRIORITY = 32;

/** How many bytes an ordinary call counts as in these tests. */
const CALL_BYTES = 100;

/** A client's preface. Source: RFC 9113, section 3.4. */
const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

function below(seed: number): Below {
  const random = randomNumbers(seed);
  return (bound) => Math.floor(random() * bound);
}

/** Puts a block into frames: split at random, some padded, some with a priority. */
function framesOf(block: readonly number[], stream: number, random: Below) {
  const cuts = Array.from({ length: random(4) }, () => random(block.length + 1)).sort((a, b) =>
    a - b
  );
  const pieces = [0, ...cuts].map((start, i) => block.slice(start, cuts[i]));
  return pieces.map((piece, i) => {
    const ends = i === pieces.length - 1 ? END_HEADERS : 0;
    if (i > 0) return frame(CONTINUATION, ends, stream, piece);
    const padding = random(2) * random(256);
    const isFirst = random(2) === 0;
    return frame(HEADERS, ends | (padding && PADDED) | (isFirst ? PRIORITY : 0), stream, [
      ...padding ? [padding] : [],
      ...isFirst ? [0, 0, 0, 0, 16] : [],
      ...piece,
      ...Array(padding).fill(0),
    ]);
  });
}

/** Passes bytes to a gauge in random pieces. */
function receiveInPieces(gauge: HeaderGauge, bytes: Uint8Array, random: Below): boolean {
  for (let at = 0; at < bytes.length;) {
    const end = at + 1 + random(random(2) === 0 ? 10 : 5_000);
    if (!gauge.receive(bytes.subarray(at, end))) return false;
    at = end;
  }
  return true;
}

Deno.test("calls with large headers count as their actual size, however the headers are sent", () => {
  for (let seed = 0; seed < 300; seed++) {
    const random = below(seed);
    const blocks = new RandomBlocks(random);
    const gauge = new HeaderGauge("server", CALL_BYTES);
    const sent = [PREFACE];
    let held = 0;
    for (let stream = 1; stream < 80; stream += 2) {
      const { bytes, size } = blocks.next();
      held += size <= ORDINARY_HEADER_BYTES ? CALL_BYTES : size + STREAM_OVERHEAD_BYTES;
      sent.push(
        ...framesOf(bytes, stream, random),
        frame(DATA, 0, stream, Array(random(300)).fill(5)),
      );
      sent.push(frame(PING, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]));
    }
    assert(receiveInPieces(gauge, Buffer.concat(sent), random), `seed ${seed}`);
    assert.equal(gauge.heldBytes, held, `seed ${seed}`);
  }
});

/** Measures one block; `undefined` if it is refused. */
function measure(block: readonly number[]): number | undefined {
  const gauge = new HpackGauge();
  gauge.begin();
  const isAcceptable = gauge.read(Uint8Array.from(block), 0, block.length);
  return isAcceptable && gauge.isBetweenFields ? gauge.bytes : undefined;
}

const python = await findPython("hpack");

Deno.test({
  name: "blocks that Python encodes are never underestimated (needs Python with hpack)",
  ignore: python === undefined,
  async fn() {
    const script = `${import.meta.dirname}/header_blocks.py`;
    for (let seed = 0; seed < 10; seed++) {
      const { stdout } = await new Deno.Command(python!, { args: [script, `${seed}`] }).output();
      const gauge = new HpackGauge();
      const lines = new TextDecoder().decode(stdout).trim().split("\n");
      assert.equal(lines.length, 50);
      for (const line of lines) {
        const [hex, size] = line.split(" ");
        const block = Uint8Array.fromHex(hex);
        gauge.begin();
        assert(gauge.read(block, 0, block.length) && gauge.isBetweenFields, line);
        assert(gauge.bytes >= Number(size), `${gauge.bytes}: ${line}`);
        assert(gauge.bytes <= Number(size) * 8 / 5, `${gauge.bytes}: ${line}`);
      }
    }
  },
});

const GET = 0x82;
/** A literal field with a name of one byte that is added to the dynamic table. */
const kept = (length: number) => [0x40, ...text(1), ...text(length)];
const NEWEST = 0xbe;

Deno.test("a block may have 100 fields and 32 kB, and may repeat 8 kB", () => {
  assert.equal(measure(Array(100).fill(GET)), 100 * (7 + 3 + 32));
  assert.equal(measure(Array(101).fill(GET)), undefined);
  const largest = 32_768 - 32 - 1;
  assert.equal(measure([0, ...text(1), ...text(largest)]), 32_768);
  assert.equal(measure([0, ...text(1), ...text(largest + 1)]), undefined);
  assert.equal(measure([0, ...text(32_769)]), undefined);
  assert.equal(measure([...kept(1_023), ...Array(8).fill(NEWEST)]), 9 * (1_024 + 32));
  assert.equal(measure([...kept(1_023), ...Array(9).fill(NEWEST)]), undefined);
});

Deno.test("a field that is too large is refused as soon as its length is known", () => {
  const gauge = new HpackGauge();
  gauge.begin();
  const announced = Uint8Array.of(0, ...text(1), ...integer(40_000, 7, 0));
  assert(!gauge.read(announced, 0, announced.length));
});

Deno.test("Huffman-coded text counts as the longest text that it can represent", () => {
  assert.equal(measure([0, ...integer(5, 7, 0x80), 1, 2, 3, 4, 5, ...text(2)]), 8 + 2 + 32);
  // 16 kB that Huffman coding does not shorten, such as a token.
  const token = Array(16_384).fill(255);
  assert.equal(measure([0, ...text(13), ...integer(16_384, 7, 0x80), ...token]), 13 + 26_214 + 32);
});

Deno.test("malformed blocks are refused", () => {
  const malformed: [what: string, ...block: number[]][] = [
    ["index 0", 0x80],
    ["an entry of an empty table", NEWEST],
    ["an entry beyond the table", ...kept(1), 0xbf],
    ["a name beyond the table", 0x7f, 100],
    ["a table larger than allowed", ...integer(4_097, 5, 0x20)],
    ["an endless integer", 0xff, 0x80, 0x80, 0x80, 0x80],
    ["an integer of more than 32 bits", 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f],
    ["a name without a value", 0, ...text(3)],
    ["half of a value", 0, ...text(3), 5, 1, 2],
  ];
  for (const [what, ...block] of malformed) assert.equal(measure(block), undefined, what);
});

Deno.test("frames that HTTP/2 forbids or gRPC does not use are refused", () => {
  const refused: [what: string, ...frames: Uint8Array[]][] = [
    ["CONTINUATION without a block", frame(CONTINUATION, END_HEADERS, 1, [GET])],
    ["another frame within a block", frame(HEADERS, 0, 1, [GET]), frame(PING, 0, 0, Array(8))],
    ["another block within a block", frame(HEADERS, 0, 1, [GET]), frame(HEADERS, 4, 3, [GET])],
    ["another stream's block", frame(HEADERS, 0, 1, [GET]), frame(CONTINUATION, 4, 3, [GET])],
    ["a block that ends within a field", frame(HEADERS, END_HEADERS, 1, [0, 3])],
    ["more padding than frame", frame(HEADERS, END_HEADERS | PADDED, 1, [2, GET])],
    ["no room for padding", frame(HEADERS, END_HEADERS | PADDED, 1, [])],
    ["no room for a priority", frame(HEADERS, END_HEADERS | PRIORITY, 1, [0, 0, 0])],
    ["a pushed stream", frame(PUSH_PROMISE, END_HEADERS, 1, [0, 0, 0, 2, GET])],
    ["an endless block of empty frames", ...endless([])],
    ["an endless block of table sizes", ...endless([0x20, 0x20, 0x20])],
  ];
  for (const [what, ...frames] of refused) {
    assert(!new HeaderGauge("client", 0).receive(Buffer.concat(frames)), what);
  }
});

function endless(payload: number[]): Uint8Array[] {
  const next = frame(CONTINUATION, 0, 1, payload);
  return [frame(HEADERS, 0, 1, [GET]), ...Array(4_000).fill(next)];
}

Deno.test("headers count while their stream is open", () => {
  const END_STREAM = 1, RST_STREAM = 3;
  const large = [0, ...text(1), ...text(5_000)];
  const counted = 5_033 + STREAM_OVERHEAD_BYTES;
  const open = frame(HEADERS, END_HEADERS, 1, large);
  const ended = frame(DATA, END_STREAM, 1, []);
  const reset = frame(RST_STREAM, 0, 1, [0, 0, 0, 8]);

  const server = () => {
    const gauge = new HeaderGauge("server", CALL_BYTES);
    assert(gauge.receive(Buffer.concat([PREFACE, open])));
    assert.equal(gauge.heldBytes, counted);
    return gauge;
  };
  const first = server();
  // Ending twice from one side is not ending from both sides.
  assert(first.receive(Buffer.concat([ended, ended])));
  assert.equal(first.heldBytes, counted);
  first.send(ended);
  assert.equal(first.heldBytes, 0);
  // A stream that was closed is not opened again.
  assert(first.receive(open));
  assert.equal(first.heldBytes, 0);
  const second = server();
  second.receive(reset);
  assert.equal(second.heldBytes, 0);
  const third = server();
  third.send(reset);
  assert.equal(third.heldBytes, 0);

  const client = new HeaderGauge("client", 0);
  client.send(Buffer.concat([PREFACE, frame(HEADERS, END_HEADERS | END_STREAM, 1, [GET])]));
  assert(client.receive(Buffer.concat([open, open])));
  assert.equal(client.heldBytes, 2 * 5_033 + STREAM_OVERHEAD_BYTES);
  client.receive(ended);
  assert.equal(client.heldBytes, 0);
});

Deno.test("DATA frames count, however small, until their message is complete at a client or taken at a server", () => {
  const request = frame(HEADERS, END_HEADERS, 1, [GET]);
  const message = [0, 0, 0, 0, 20, ...Array(20).fill(7)];
  const pieces = message.map((byte) => frame(DATA, 0, 1, [byte]));
  // Padding is not part of a message.
  const padded = message.map((byte) => frame(DATA, 8, 1, [2, byte, 0, 0]));

  const server = new HeaderGauge("server", CALL_BYTES);
  server.receive(Buffer.concat([PREFACE, request, ...pieces.slice(0, 2)]));
  assert.equal(server.heldBytes, CALL_BYTES);
  server.receive(Buffer.concat([...pieces.slice(2), frame(DATA, 0, 1, [])]));
  assert.equal(server.heldBytes, CALL_BYTES + (message.length - 1) * DATA_FRAME_BYTES);
  server.receive(Buffer.concat(pieces));
  server.take(1);
  const complete = 2 * message.length - 1;
  assert.equal(server.heldBytes, CALL_BYTES + complete * DATA_FRAME_BYTES);
  server.take(1);
  assert.equal(server.heldBytes, CALL_BYTES);

  const client = new HeaderGauge("client", 0);
  client.send(Buffer.concat([PREFACE, request]));
  for (const frames of [pieces, padded]) {
    assert(client.receive(Buffer.concat(frames.slice(0, -1))));
    assert.equal(client.heldBytes, (message.length - 3) * DATA_FRAME_BYTES);
    assert(client.receive(frames.at(-1)!));
    assert.equal(client.heldBytes, 0);
  }
  const small = frame(DATA, 0, 1, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 5]);
  assert(client.receive(Buffer.concat(Array(1_000).fill(small))));
  assert.equal(client.heldBytes, 0);
});
