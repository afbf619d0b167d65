/**
 * Greets once with nothing but grpc-js, and no message codec: the lower bound for `greet greet`.
 *
 * @module
 */
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import { Buffer } from "node:buffer";

/** Greets, and prints the answer. */
export function greet(port: string, name: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
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
      if (error) return reject(error);
      console.log(`"${answer!.subarray(2)}"`);
      client.close();
      resolve();
    },
  );
  return promise;
}

if (import.meta.main) {
  const [port, name] = Deno.args.slice(-2);
  await greet(port, name);
}
