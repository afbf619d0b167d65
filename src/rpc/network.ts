/**
 * A way to serve others and to dial them.
 *
 * @module
 */
import type { Target } from "../net/address.ts";
import { type Connection, dial, type DialOptions } from "./client.ts";
import { serve, type ServeOptions, type Server } from "./server.ts";

/** A network. */
export interface Network {
  /** Opens a connection; it is made with the first call. */
  readonly dial: (target: Target, options: DialOptions) => Connection;
  /** Listens, and answers calls. */
  readonly serve: (options: ServeOptions) => Promise<Server>;
}

/** gRPC over TCP. */
export const GRPC: Network = { dial, serve };
