/**
 * Greets with nothing but the runtime's HTTP/2: the upper bound for any gRPC server in this runtime.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import http2 from "node:http2";

/** What precedes a name in a frame: gRPC's prefix, and the tag and length of field 1. */
const PREFIX_BYTES = 7;

const server = http2.createServer();
server.on("stream", (stream: http2.ServerHttp2Stream) => {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  stream.on("end", () => {
    const name = Buffer.concat(chunks).subarray(PREFIX_BYTES);
    const text = Buffer.from(`Hello, ${name}.`);
    stream.respond({ "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(Buffer.concat([Buffer.of(0, 0, 0, 0, text.length + 2, 0x0a, text.length), text]));
  });
});
server.listen(Number(Deno.args.at(-1)), "127.0.0.1");
