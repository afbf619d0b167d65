/**
 * A greeting server and client in Node, as its users would write them.
 *
 *     node greeter.mjs serve PORT
 *     node greeter.mjs greet PORT NAME
 *
 * It runs in a folder with `greeting.proto` and its `node_modules`.
 *
 * @module
 */
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";
import process from "node:process";
import { fileURLToPath } from "node:url";

const proto = fileURLToPath(new URL("greeting.proto", import.meta.url));
const { Greeter } = grpc.loadPackageDefinition(loader.loadSync(proto)).greet.v1;

function serve(port) {
  const server = new grpc.Server();
  server.addService(Greeter.service, {
    Greet: ({ request }, answer) => answer(null, { greeting: `Hello, ${request.name}.` }),
  });
  server.bindAsync(
    `127.0.0.1:${port}`,
    grpc.ServerCredentials.createInsecure(),
    (error, chosen) => {
      if (error) throw error;
      console.log(`Server started, listening on ${chosen}`);
    },
  );
}

function greet(port, name) {
  const client = new Greeter(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  client.Greet({ name }, { deadline: Date.now() + 10_000 }, (error, response) => {
    if (error) throw error;
    console.log(`[${name}] Message received from server: "${response.greeting}"`);
    client.close();
  });
}

const [, , what, port, name] = process.argv;
if (what === "serve") serve(port);
else greet(port, name);
