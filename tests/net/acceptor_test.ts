/** Running out of file descriptors. */
import assert from "node:assert/strict";
import net from "node:net";
import { freePorts } from "../support/ports.ts";
import { greetCommand, Program } from "../support/program.ts";
import { inTime } from "../support/waiting.ts";

/** Starts `greet` with at most 200 file descriptors. */
function startWithFewDescriptors(args: readonly string[]): Program {
  return new Program(["sh", "-c", 'ulimit -n 200; exec "$@"', "sh", ...greetCommand(), ...args]);
}

function connect(port: string): net.Socket {
  return net.connect(Number(port), "127.0.0.1").on("error", () => {});
}

async function close(socket: net.Socket): Promise<void> {
  if (socket.closed) return;
  await new Promise((resolve) => socket.once("close", resolve).destroy());
}

/**
 * The opening bytes of an HTTP/2 client: the preface and empty settings. Source: RFC 9113, section
 * 3.4.
 */
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/** Whether a new connection is accepted and answered, not refused or reset. */
async function isAnswered(port: string): Promise<boolean> {
  const socket = connect(port);
  socket.write(PREFACE);
  const answered = await new Promise<boolean>((resolve) =>
    socket.once("data", () => resolve(true)).once("close", () => resolve(false))
  );
  await close(socket);
  return answered;
}

const COMMANDS: Record<string, (port: string, other: string) => string[]> = {
  serve: (port) => ["serve", port],
  "serve --threads": (port) => ["serve", port, "--threads", "2"],
  names: (port) => ["names", port],
  chat: (port, other) => ["chat", "Alice", port, other],
};

for (const [name, args] of Object.entries(COMMANDS)) {
  Deno.test({
    name:
      `${name}: running out of file descriptors is reported once, and clients are served when some are free again (needs Linux)`,
    // Other systems have no such limit, or cannot share a port.
    ignore: Deno.build.os !== "linux",
    async fn() {
      const [port, other] = freePorts();
      await using greet = startWithFewDescriptors(args(port, other));
      await greet.out.until(/listening|Waiting/);
      const crowd = Array.from({ length: 250 }, () => connect(port));
      await greet.err.until("out of file descriptors");
      await Promise.all(crowd.map(close));
      const untilAnswered = async () => {
        while (!await isAnswered(port));
      };
      await inTime(untilAnswered(), "an answer");
      assert.equal(greet.err.text.match(/out of file descriptors/g)?.length, 1);
    },
  });
}
