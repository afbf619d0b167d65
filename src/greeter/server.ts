/**
 * The greeting service.
 *
 * {@link serveGreeter} answers `Greet` with `Hello, NAME.` Who was greeted is reported to whoever
 * runs the server; nothing is printed here.
 *
 * @module
 */
import { GreetError, type PlainError } from "../base/errors.ts";
import { implement, type IncomingCall } from "../rpc/service.ts";
import { serve, type Server } from "../rpc/server.ts";
import { health, reflection } from "../rpc/standard_services.ts";
import type { ServerTls } from "../net/server_tls.ts";
import { LOOPBACK } from "../net/address.ts";
import { nameProblem } from "../base/text.ts";
import { GREETER } from "../rpc/services.ts";

/** One request to a greeting server, after it was answered. */
export interface GreetRequest {
  /** When it came in. */
  readonly at: Date;
  /** The name in it, exactly as it was sent: text from somebody else. */
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
   * Gets each request. The answer goes out once what it returns has settled, so
   * a log that cannot keep up slows the callers down instead of growing.
   */
  onRequest?: (request: GreetRequest) => void | Promise<void>;
  /** Gets what failed by mistake inside the server; by default it goes to the console. */
  onFault?: (error: unknown) => void;
  /** Speaks TLS, and nothing else. */
  tls?: ServerTls;
  /** Gets who could not finish a handshake, and what they have to change. */
  onRefused?: (error: GreetError) => void;
  /** Shares its port with other servers that do; Linux shares the connections out among them. */
  sharesPort?: boolean;
}

/**
 * Serves greetings, with health checking and reflection.
 *
 * @returns the running server; its `port` is the one that was chosen
 * @throws {GreetError} `FAILED` where the port, the host or the certificate cannot be had
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
  const services = [greeter, health([greeter])];
  return await serve({
    host,
    port,
    services: [...services, ...await reflection(services)],
    onFault,
    tls,
    onRefused,
    maxRequestBytes: MAX_REQUEST_BYTES,
    sharesPort,
  });
}

/** A name is short; what else there may be in a request is no business of ours, but has to fit. */
const MAX_REQUEST_BYTES = 64_000;

function record(name: string, { from }: IncomingCall, error?: GreetError): GreetRequest {
  return { at: new Date(), name, from, ...error && { error: error.toJSON() } };
}
