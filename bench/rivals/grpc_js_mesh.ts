/**
 * A peer of a full mesh with nothing but grpc-js: it serves, and calls every other peer until each has
 * answered once. The lower bound for chats that meet.
 *
 * @module
 */
import { Client, credentials, Metadata, Server, ServerCredentials } from "@grpc/grpc-js";
import { Buffer } from "node:buffer";

const SERVICE = {
  Meet: {
    path: "/mesh.Mesh/Meet",
    requestStream: false,
    responseStream: false,
    requestSerialize: (bytes: Buffer) => bytes,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: (bytes: Buffer) => bytes,
  },
};
const NOTHING = Buffer.alloc(0);

/** How often a peer is dialled that does not listen yet, and how long in all, in milliseconds. */
const PAUSE_MS = 100;
const PATIENCE_MS = 300_000;

function serve(port: string): Promise<void> {
  const server = new Server();
  server.addService(SERVICE, { Meet: (_call: unknown, answer: Answer) => answer(null, NOTHING) });
  return new Promise((resolve, reject) =>
    server.bindAsync(
      `127.0.0.1:${port}`,
      ServerCredentials.createInsecure(),
      (error) => error ? reject(error) : resolve(),
    )
  );
}

type Answer = (error: Error | null, response: Buffer) => void;

function meet(port: string): Promise<void> {
  const { path, requestSerialize, responseDeserialize } = SERVICE.Meet;
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    "grpc.initial_reconnect_backoff_ms": PAUSE_MS,
    "grpc.max_reconnect_backoff_ms": PAUSE_MS,
  });
  return new Promise((resolve, reject) =>
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      NOTHING,
      new Metadata({ waitForReady: true }),
      { deadline: Date.now() + PATIENCE_MS },
      (error) => error ? reject(error) : resolve(),
    )
  );
}

const [port, ...others] = Deno.args;
await serve(port);
await Promise.all(others.map(meet));
console.log("met all");
