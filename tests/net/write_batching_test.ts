/** Small writes to a socket leave together, and none is lost. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import net from "node:net";
import { setImmediate } from "node:timers";
import { batchWrites } from "../../src/net/write_batching.ts";
import { inTime } from "../support/waiting.ts";

/** The two ends of a connection; writes to the first are batched. */
async function connection(): Promise<[net.Socket, net.Socket] & AsyncDisposable> {
  const server = net.createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  const accepted = once(server, "connection");
  const far = net.connect((server.address() as net.AddressInfo).port, "127.0.0.1");
  const [near] = await inTime(accepted, "a connection") as [net.Socket];
  batchWrites(near);
  const dispose = async () => {
    const ends = [once(near, "close"), once(far, "close")];
    near.destroy();
    far.destroy();
    await Promise.all(ends);
    server.close();
    await once(server, "close");
  };
  return Object.assign([near, far] as [net.Socket, net.Socket], { [Symbol.asyncDispose]: dispose });
}

Deno.test("frames that are written in immediate succession arrive together", async () => {
  await using ends = await connection();
  const [near, far] = ends;
  for (let round = 0; round < 20; round++) {
    const came = once(far, "data");
    near.write("headers,");
    near.write("data,");
    // The runtime writes the end of an answer one turn later.
    setImmediate(() => near.write("trailers"));
    const [piece] = await inTime(came, "a piece");
    assert.equal(`${piece}`, "headers,data,trailers");
  }
});

/** An empty HEADERS frame. */
const frame = (flags: number) => Uint8Array.of(0, 0, 0, 1, flags, 0, 0, 0, 1);
const BEGIN = frame(4);
const END = frame(5);

Deno.test("an answer on its own leaves in one piece, although its end comes two turns later", async () => {
  await using ends = await connection();
  const [near, far] = ends;
  for (let round = 0; round < 20; round++) {
    const came = once(far, "data");
    near.write(BEGIN);
    setImmediate(() => setImmediate(() => near.write(END)));
    const [piece] = await inTime(came, "a piece");
    assert.deepEqual(piece, Buffer.concat([BEGIN, END]));
  }
});

Deno.test("an answer without an end leaves, and so do frames without answers", async () => {
  await using ends = await connection();
  const [near, far] = ends;
  for (const piece of [BEGIN, Uint8Array.of(0, 0, 0, 4, 1, 0, 0, 0, 0)]) {
    const came = once(far, "data");
    near.write(piece);
    assert.deepEqual((await inTime(came, "a piece"))[0], Buffer.from(piece));
  }
});

Deno.test("data that was written before the end arrives before the end", async () => {
  await using ends = await connection();
  const [near, far] = ends;
  let text = "";
  far.on("data", (piece) => text += piece);
  near.write("last ");
  near.end("words");
  await inTime(once(far, "end"), "the end");
  assert.equal(text, "last words");
});

Deno.test("write callbacks are called in order", async () => {
  await using ends = await connection();
  const [near, far] = ends;
  far.resume();
  const left: number[] = [];
  const all = Array.from(
    { length: 5 },
    (_, i) => new Promise<void>((resolve) => near.write(`${i}`, () => (left.push(i), resolve()))),
  );
  await inTime(Promise.all(all), "all five");
  assert.deepEqual(left, [0, 1, 2, 3, 4]);
});
