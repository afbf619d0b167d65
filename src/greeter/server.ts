/**
 * The greeting server.
 *
 * {@link serveGreeter} answers `Greet` with `Hello, NAME.` Requests are passed to a callback; nothing
 * is printed here.
 *
 * @module
 */
import { GreetError, type PlainError } from "../base/errors.ts";
import { implement, type IncomingCall } from "../rpc/service.ts";
import { serve, type Server } from "../rpc/server.ts";
import { health } from "../rpc/health.ts";
import type { ServerTls } from "../net/server_tls.ts";
import { LOOPBACK } from "../net/address.ts";
import { nameProblem } from "../base/text.ts";
import { GREETER } from "../rpc/services.ts";

/** A request to a greeting server. */
export interface GreetRequest {
  /** When it arrived. */
  readonly at: Date;
  /** The name in it, exactly as it was sent. Use `showable` before printing it. */
  readonly name: string;
  /** The caller's address, such as `127.0.0.1:41234`. */
  readonly from: string;
  /** Why it was refused, if it was. */
  readonly error?: PlainError;
}

/** How to serve greetings. */
export interface ServeGreeterOptions {
  /** The address to listen on (default `127.0.0.1`). */
  host?: string;
  /** The port to listen on, 0 for a free one (default 0). */
  port?: number;
  /**
   * Called with each request. The answer waits until the returned promise has settled, so a log
   * that cannot keep up slows callers down instead of filling the memory.
   */
  onRequest?: (request: GreetRequest) => void | Promise<void>;
  /** Called with unexpected failures inside the server (default: print them to the console). */
  onFault?: (error: unknown) => void;
  /** Uses TLS, and refuses plaintext. */
  tls?: ServerTls;
  /** Called when a caller fails the handshake, with what has to change. */
  onRefused?: (error: GreetError) => void;
  /** Shares the port with other servers that do the same; Linux spreads connections over them. */
  sharesPort?: boolean;
}

/**
 * Starts a greeting server, with health checking and reflection.
 *
 * @param options where to listen, and callbacks
 * @returns the running server; its `port` is the one it listens on
 * @throws {GreetError} `FAILED` if the port, the host or the certificate cannot be used
 *
 * @example
 * ```ts
 * import { greet, serveGreeter } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * await using server = await serveGreeter();
 * assert.equal(await greet(`${server.port}`, "Bob"), "Hello, Bob.");
 * ```
 */
export async function serveGreeter(options: ServeGreeterOptions = {}): Promise<Server> {
  const { host = LOOPBACK, port = 0, onRequest, onFault, tls, onRefused, sharesPort } = options;
  const greeter = implement(GREETER, {
    async Greet({ name }, call) {
      const problem = nameProblem(name);
      const error = problem === undefined
        ? undefined
        : new GreetError("INVALID_ARGUMENT", `the name ${problem}`);
      await onRequest?.(record(name, call, error));
      if (error !== undefined) throw error;
      return { greeting: `Hello, ${name}.` };
    },
  });
  const { reflection } = await import("../rpc/reflection.ts");
  const services = [greeter, health([greeter])];
  return await serve({
    host,
    port,
    services: [...services, ...reflection(services)],
    onFault,
    tls,
    onRefused,
    maxRequestBytes: MAX_REQUEST_BYTES,
    sharesPort,
  });
}

/** Names are short; this leaves room for fields that are unknown here. */
const MAX_REQUEST_BYTES = 64_000;

function record(name: string, { from }: IncomingCall, error?: GreetError): GreetRequest {
  return { at: new Date(), name, from, ...error && { error: error.toJSON() } };
}
