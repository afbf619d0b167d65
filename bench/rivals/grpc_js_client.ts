/**
 * Greets once with nothing but grpc-js, and no message codec: the lower bound for `greet greet`.
 *
 * @module
 */
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { Buffer } from "node:buffer";

const [port, name] = Deno.args.slice(-2);
const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
const text = Buffer.from(name);
client.makeUnaryRequest(
  "/greet.v1.Greeter/Greet",
  (bytes: Buffer) => bytes,
  (bytes: Buffer) => bytes,
  // Field 1 of a message, with its length.
  Buffer.concat([Buffer.of(0x0a, text.length), text]),
  new Metadata(),
  { deadline: Date.now() + 10_000 },
  (error, answer) => {
    if (error) throw error;
    console.log(`"${answer!.subarray(2)}"`);
    client.close();
  },
);
