/** What a client does not read is bounded, whatever it is. */
import assert from "node:assert/strict";
import net from "node:net";
import { BacklogPool, SendBacklog } from "../../src/http2/send_backlog.ts";
import { inTime } from "../support/waiting.ts";
import { frame } from "./header_blocks.ts";

const PING = 6, ACK = 1;

Deno.test("a connection on which too many small frames wait is closed", async () => {
  const accepted = Promise.withResolvers<net.Socket>();
  const server = net.createServer((socket) => accepted.resolve(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const client = net.connect((server.address() as net.AddressInfo).port, "127.0.0.1");
  client.on("error", () => {}).pause();
  const socket = await inTime(accepted.promise, "a connection");
  socket.on("error", () => {});
  try {
    const connection = new SendBacklog(socket, new BacklogPool());
    const pong = frame(PING, ACK, 0, Array(8).fill(0));
    // More than the system takes while nobody reads, but less than may wait.
    socket.write(Buffer.concat(Array(1_000_000).fill(pong)));
    const before = connection.bytes;
    for (let i = 0; i < 10_000; i++) socket.write(pong);
    assert(connection.bytes - before > 10_000 * 200, "small frames count little");
    assert(!socket.destroyed);
    for (let i = 0; i < 15_000 && !socket.destroyed; i++) socket.write(pong);
    assert(socket.destroyed);
  } finally {
    socket.destroy();
    client.destroy();
    server.close();
  }
});
