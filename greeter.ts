/**
 * Greetings over gRPC: a server, a client, and many clients on several threads.
 *
 * @module
 */
export { serveGreeter } from "./src/greeter/server.ts";
export type { GreetRequest, ServeGreeterOptions } from "./src/greeter/server.ts";
export { greet } from "./src/greeter/client.ts";
export type { GreetOptions } from "./src/greeter/client.ts";
export { greetAll, type GreetAllOptions } from "./src/greeter/client_threads.ts";
export type { Outcome } from "./src/greeter/outcomes.ts";
export type { Server } from "./src/rpc/server.ts";
export type { ClientTls } from "./src/rpc/credentials.ts";
export type { ServerTls } from "./src/net/server_tls.ts";
