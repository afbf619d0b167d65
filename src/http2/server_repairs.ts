/**
 * Repairs the runtime's HTTP/2 server where it breaks a rule of HTTP/2 or an assumption of grpc-js.
 *
 * @module
 */
import type http2 from "node:http2";
import { freeClosedStreams } from "./closed_streams.ts";
import {
  COMPRESSION_ERROR,
  ENHANCE_YOUR_CALM,
  FLOW_CONTROL_ERROR,
  FRAME_SIZE_ERROR,
  PROTOCOL_ERROR,
  STREAM_CLOSED,
} from "./frames.ts";

/** The parts of a session that are repaired. */
interface Session {
  destroy(error?: Error & { errno?: number }, code?: number): void;
}

/** The errors of nghttp2 that a client causes, as error codes. Source: nghttp2's `nghttp2_error`. */
const ERROR_CODES: Readonly<Record<number, number>> = {
  [-505]: PROTOCOL_ERROR,
  [-510]: STREAM_CLOSED,
  [-522]: FRAME_SIZE_ERROR,
  [-523]: COMPRESSION_ERROR,
  [-524]: FLOW_CONTROL_ERROR,
  [-537]: ENHANCE_YOUR_CALM,
  [-903]: PROTOCOL_ERROR,
  [-904]: ENHANCE_YOUR_CALM,
  [-905]: ENHANCE_YOUR_CALM,
};

/** Decides whether a server gets a request. May answer the others, and change the headers. */
export type AcceptRequest = (
  stream: http2.ServerHttp2Stream,
  headers: http2.IncomingHttpHeaders,
) => boolean;

/**
 * Repairs a server.
 *
 * @param server a server that has accepted no connection yet
 * @param accept decides which requests it gets, of those that have not ended
 */
export function repairServer(server: http2.Http2Server, accept: AcceptRequest): void {
  server.prependListener("session", reportClientErrors);
  server.prependListener("session", freeClosedStreams);
  const emit = server.emit.bind(server) as (event: string, ...args: unknown[]) => boolean;
  server.emit = (event: string, ...args: unknown[]) => {
    if (event !== "stream") return emit(event, ...args);
    const [stream, headers] = args as Parameters<AcceptRequest>;
    // Without a listener, an error of a stream ends the process.
    stream.on("error", () => {});
    return hasEnded(stream) || !accept(stream, headers) || emit(event, ...args);
  };
}

/** Closes a connection with the client's error where the runtime would call it an internal one. */
function reportClientErrors(session: Session): void {
  const destroy = session.destroy.bind(session);
  session.destroy = (error, code) => destroy(error, code ?? ERROR_CODES[error?.errno ?? 0]);
}

/**
 * Whether a request ended before it was announced, because the client has reset it or broken the
 * connection. An answer to it would throw an error that ends the process.
 */
function hasEnded(stream: http2.ServerHttp2Stream): boolean {
  return stream.destroyed || stream.closed;
}
