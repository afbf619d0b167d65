/**
 * Prints how many bytes of the heap each closed connection leaves behind, on both sides together.
 * Needs `--v8-flags=--expose-gc`, and an argument that names the kind of connections.
 */
import net from "node:net";
import { newIdentity } from "../../mod.ts";
import { parseTarget } from "../../src/net/address.ts";
import { dial, type DialOptions } from "../../src/rpc/client.ts";
import { serve, type ServeOptions } from "../../src/rpc/server.ts";
import { implement } from "../../src/rpc/service.ts";
import { GREETER } from "../../src/rpc/services.ts";

/** Connections until caches and compiled code have their size, and those that are measured. */
const COUNT = { before: 60, measured: 120 };

declare const gc: () => void;

const services = [implement(GREETER, { Greet: () => ({ greeting: "Hello." }) })];

/** Makes one call on a connection of its own. */
async function call(port: number, options?: DialOptions): Promise<void> {
  using channel = dial(parseTarget(`${port}`), options);
  await channel.call(GREETER, "Greet", { name: "Bob" }, { timeoutMs: 10_000 });
}

/** Makes calls to a server, one after another. All connections are closed when it resolves. */
async function callServer(
  count: number,
  { tls, own }: Pick<ServeOptions, "tls"> & Pick<DialOptions, "own"> = {},
): Promise<void> {
  await using server = await serve({ host: "127.0.0.1", port: 0, services, tls });
  for (let i = 0; i < count; i++) await call(server.port, { own });
}

/** Calls a server that closes every connection at once, before it acknowledges any settings. */
async function callClosing(count: number): Promise<void> {
  const server = net.createServer((socket) => socket.on("error", () => {}).destroy());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  for (let i = 0; i < count; i++) await call(port).catch(() => {});
  await new Promise((resolve) => server.close(resolve));
}

const own = await newIdentity("Alice");

const KINDS: Readonly<Record<string, (count: number) => Promise<void>>> = {
  plaintext: callServer,
  tls: (count) => callServer(count, { own, tls: { own, isKnown: () => true } }),
  closing: callClosing,
};

function heapBytes(): number {
  gc();
  return Deno.memoryUsage().heapUsed;
}

const makeConnections = KINDS[Deno.args[0]];
await makeConnections(COUNT.before);
const before = heapBytes();
await makeConnections(COUNT.measured);
console.log(Math.round((heapBytes() - before) / COUNT.measured));
Deno.exit();
