/**
 * Greets once with nothing but the runtime's HTTP/2: the lower bound for any gRPC client.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import http2 from "node:http2";

const [port, name] = Deno.args.slice(-2);
const session = http2.connect(`http://127.0.0.1:${port}`);
const stream = session.request({
  ":method": "POST",
  ":path": "/greet.v1.Greeter/Greet",
  "content-type": "application/grpc",
  "te": "trailers",
});
const text = Buffer.from(name);
// A gRPC frame that contains field 1 of a message, each with its length.
stream.end(Buffer.concat([Buffer.of(0, 0, 0, 0, text.length + 2, 0x0a, text.length), text]));
stream.on("data", (frame: Buffer) => console.log(`"${frame.subarray(7)}"`));
stream.on("end", () => session.close());
