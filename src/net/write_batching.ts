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
import { clearImmediate, setImmediate } from "node:timers";

/** Where a frame has its type and its flags. Source: RFC 9113, section 4.1. */
const TYPE = 3;
const FLAGS = 4;

/** The type of the frames that begin and end an answer, and the flag of those that end it. */
const HEADERS = 1;
const END_STREAM = 1;

/**
 * Batches all further writes to a socket: what is written within two turns of the event loop leaves
 * together. Longer waits make several answers slower, because clients send their next requests later.
 *
 * An answer on its own leaves when it is complete, because the runtime writes its end two turns after
 * its beginning; if it has no end in the third turn, as a stream of answers, its beginning leaves.
 */
export function batchWrites(socket: net.Socket): void {
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  let turn: ReturnType<typeof setImmediate>;
  let begun = 0;
  let ended = 0;
  const leave = () => {
    clearImmediate(turn);
    begun = ended = 0;
    socket.uncork();
  };
  const endWait = () => {
    if (begun === 1 && ended === 0) turn = setImmediate(leave);
    else leave();
  };
  const waitAgain = () => {
    turn = setImmediate(endWait);
  };
  socket.write = (frame: Uint8Array, ...args: unknown[]) => {
    if (socket.writableCorked === 0) {
      socket.cork();
      turn = setImmediate(waitAgain);
    }
    const mayContinue = write(frame, ...args);
    if (frame[TYPE] === HEADERS) {
      if (frame[FLAGS] & END_STREAM) ended++;
      else begun++;
      if (begun === 1 && ended === 1) leave();
    }
    return mayContinue;
  };
}
