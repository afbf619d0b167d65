/** A client that breaks HTTP/2 is told why, and cannot stop a server. */
import assert from "node:assert/strict";
import net from "node:net";
import { greet, serveGreeter } from "../../mod.ts";
import { frame, integer } from "./header_blocks.ts";
import { inTime } from "../support/waiting.ts";

const DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, GOAWAY = 7, WINDOW_UPDATE = 8;
const END_STREAM = 1, END_HEADERS = 4;
const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** The header block of a greeting, with some of its fields changed. */
function block(changes: Record<string, string> = {}): number[] {
  const fields = {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/greet.v1.Greeter/Greet",
    ":authority": "localhost",
    "content-type": "application/grpc",
    ...changes,
  };
  const text = (text: string) => [...integer(text.length, 7, 0), ...new TextEncoder().encode(text)];
  return Object.entries(fields).flatMap(([name, value]) => [0, ...text(name), ...text(value)]);
}

/** Sends frames on a connection of its own, and returns the answer as soon as it is closed. */
async function answerTo(port: number, ...frames: Uint8Array[]): Promise<Uint8Array> {
  const socket = net.connect(port, "127.0.0.1");
  const { promise, resolve } = Promise.withResolvers<void>();
  const chunks: Uint8Array[] = [];
  socket.on("data", (chunk: Uint8Array) => chunks.push(chunk)).on("close", resolve).on(
    "error",
    () => {},
  );
  socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0, []), ...frames]));
  await inTime(promise, "the end of the connection");
  return Buffer.concat(chunks);
}

/** The error codes of the GOAWAY frames in what a server has sent. */
function errorsIn(sent: Uint8Array): number[] {
  const view = new DataView(sent.buffer, sent.byteOffset, sent.length);
  const errors = [];
  for (let at = 0; at < sent.length; at += 9 + (view.getUint32(at) >>> 8)) {
    if (sent[at + 3] === GOAWAY) errors.push(view.getUint32(at + 13));
  }
  return errors;
}

Deno.test("a request that is refused and reset at once does not stop a server", async () => {
  await using server = await serveGreeter();
  const refused: Record<string, string>[] = [
    { "content-type": "text/plain" },
    { ":path": "/nothing" },
    { ":method": "GET" },
    { "grpc-timeout": "soon" },
    {},
  ];
  const reset = frame(RST_STREAM, 0, 1, [0, 0, 0, 8]);
  const breaking = [
    frame(WINDOW_UPDATE, 0, 0, [0, 0, 0, 0]),
    frame(HEADERS, END_HEADERS, 1, block()),
    frame(RST_STREAM, 0, 99, [0, 0, 0, 0]),
  ];
  for (const changes of refused) {
    for (const flags of [END_HEADERS, END_HEADERS | END_STREAM]) {
      for (const frames of [...breaking, Buffer.concat([reset, breaking[0]])]) {
        await answerTo(server.port, frame(HEADERS, flags, 1, block(changes)), frames);
      }
    }
  }
  assert.equal(await greet(`${server.port}`, "Bob"), "Hello, Bob.");
});

Deno.test("a client that breaks a rule of HTTP/2 is told which", async () => {
  await using server = await serveGreeter();
  const request = frame(HEADERS, END_HEADERS, 1, block());
  const cases: [error: string, code: number, ...frames: Uint8Array[]][] = [
    ["PROTOCOL_ERROR", 1, frame(WINDOW_UPDATE, 0, 0, [0, 0, 0, 0])],
    ["PROTOCOL_ERROR", 1, request, frame(9, END_HEADERS, 1, [])],
    ["FLOW_CONTROL_ERROR", 3, frame(WINDOW_UPDATE, 0, 0, [0x7f, 255, 255, 255])],
    ["FRAME_SIZE_ERROR", 6, frame(WINDOW_UPDATE, 0, 0, [0, 0, 1])],
    ["FRAME_SIZE_ERROR", 6, request, frame(DATA, 8, 1, [])],
    ["COMPRESSION_ERROR", 9, frame(HEADERS, END_HEADERS, 1, [0x80])],
    ["COMPRESSION_ERROR", 9, frame(HEADERS, END_HEADERS, 1, [0, 5])],
    ["ENHANCE_YOUR_CALM", 11, frame(HEADERS, END_HEADERS, 1, Array(101).fill(0x83))],
    ["ENHANCE_YOUR_CALM", 11, frame(HEADERS, 0, 1, []), ...Array(4_000).fill(frame(9, 0, 1, []))],
  ];
  for (const [error, code, ...frames] of cases) {
    assert.deepEqual(errorsIn(await answerTo(server.port, ...frames)), [code], error);
  }
});
