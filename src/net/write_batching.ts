/**
 * Batches small writes to a socket.
 *
 * HTTP/2 writes each frame to its socket separately, and each write is a system call, a fifth of
 * the cost of a short answer. {@link batchWrites} lets frames wait for those that follow
 * immediately.
 *
 * @module
 */
import type net from "node:net";
import { setImmediate } from "node:timers";

/**
 * Batches all further writes to a socket: what is written within two turns of the event loop leaves
 * together. One turn is not enough, because the runtime writes the end of an answer one turn after
 * its beginning.
 */
export function batchWrites(socket: net.Socket): void {
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  const uncork = () => socket.uncork();
  socket.write = (...args: unknown[]) => {
    if (socket.writableCorked === 0) {
      socket.cork();
      setImmediate(() => setImmediate(uncork));
    }
    return write(...args);
  };
}
