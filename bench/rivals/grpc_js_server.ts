/**
 * Listens with nothing but grpc-js, and says so: the lower bound for a chat that waits.
 *
 * @module
 */
import { Server, ServerCredentials } from "@grpc/grpc-js";

const server = new Server();
server.bindAsync(`127.0.0.1:${Deno.args.at(-1)}`, ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
  console.log("Waiting");
});
