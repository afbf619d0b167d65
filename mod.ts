/**
 * Greetings over gRPC, and peer-to-peer chats.
 *
 * This is the library behind the `greet` command. The examples below use real connections, and run
 * as tests.
 *
 * ## Serve and greet
 *
 * A server answers any gRPC client that calls `Greet`. By default it listens on a free port, and
 * `await using` stops it at the end of the block.
 *
 * ```ts
 * import { greet, serveGreeter } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * const names: string[] = [];
 * await using server = await serveGreeter({ onRequest: ({ name }) => void names.push(name) });
 *
 * assert.equal(await greet(`127.0.0.1:${server.port}`, "Bob"), "Hello, Bob.");
 * assert.deepEqual(names, ["Bob"]);
 * ```
 *
 * Errors are {@link GreetError}s. Their `code` is the gRPC status of a failed call or, for what fails
 * on this side, `USAGE` (an invalid argument), `FAILED` or `INTERRUPTED`:
 *
 * ```ts
 * import { greet, GreetError, serveGreeter } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * await using server = await serveGreeter();
 * await assert.rejects(
 *   greet(`${server.port}`, ""),
 *   (error) => error instanceof GreetError && error.code === "INVALID_ARGUMENT",
 * );
 * ```
 *
 * ## Chat
 *
 * A {@link Peer} is a server and a client at once: it listens on its own port and calls the ports of
 * others. Keep reading its `events`: a message counts as delivered only when the receiver has read
 * it.
 *
 * ```ts
 * import { Peer } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * // Two free ports. People would agree on two.
 * const [a, b] = [1, 2].map(() => {
 *   using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 *   return (listener.addr as Deno.NetAddr).port;
 * });
 * await using alice = await Peer.open({ name: "Alice", port: a, targets: [`${b}`] });
 * await using bob = await Peer.open({ name: "Bob", port: b, targets: [`${a}`] });
 *
 * assert.equal(await alice.joined(), "Bob");
 * const said = alice.send("Hello, Bob!");
 * for await (const event of bob.events) {
 *   if (event.type !== "message") continue;
 *   assert.equal(event.message.from, "Alice");
 *   assert.equal(event.message.body, "Hello, Bob!");
 *   break;
 * }
 * await said; // delivered
 * ```
 *
 * ## Keep a journal
 *
 * With a {@link Journal}, messages for an absent peer wait on disk, even after the process has
 * ended, and are delivered once, when the two meet again. {@link Peer.send} then resolves when the
 * message is stored, and {@link Peer.drained} when all messages are delivered.
 *
 * ```ts
 * import { Journal, Peer } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * const [a, b] = [1, 2].map(() => {
 *   using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 *   return (listener.addr as Deno.NetAddr).port;
 * });
 * const home = await Deno.makeTempDir();
 * {
 *   using journal = Journal.open({ home, name: "Alice" });
 *   await using alice = await Peer.open({ name: "Alice", port: a, targets: [`${b}`], journal });
 *   await alice.send("Call me when you are back."); // Bob is away
 * }
 * {
 *   using journal = Journal.open({ home, name: "Alice" });
 *   await using bob = await Peer.open({ name: "Bob", port: b, targets: [`${a}`] });
 *   await using alice = await Peer.open({ name: "Alice", port: a, targets: [`${b}`], journal });
 *   for await (const event of bob.events) {
 *     if (event.type !== "message") continue;
 *     assert.equal(event.message.body, "Call me when you are back.");
 *     break;
 *   }
 *   await alice.drained();
 * }
 * await Deno.remove(home, { recursive: true });
 * ```
 *
 * ## Use names instead of ports
 *
 * With {@link Names}, on the built-in naming server ({@link serveNames}) or on etcd, peers find each
 * other by name and follow each other to new ports and machines. Servers that share a name are
 * called in turn.
 *
 * ```ts
 * import { greet, openNames, Peer, serveGreeter, serveNames } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * await using server = await serveNames({ port: 0 });
 * await using names = openNames(`${server.port}`);
 *
 * await using alice = await Peer.open({ name: "Alice", targets: ["Bob"], names });
 * await using bob = await Peer.open({ name: "Bob", targets: ["Alice"], names });
 * assert.deepEqual(await Promise.all([alice.joined(), bob.joined()]), ["Bob", "Alice"]);
 *
 * await using greeter = await serveGreeter();
 * const address = `127.0.0.1:${greeter.port}`;
 * await using _registration = await names.register({ name: "greeter", address, shared: true });
 * assert.equal(await greet("greeter", "Bob", { names }), "Hello, Bob.");
 * ```
 *
 * ## Prove who you are
 *
 * With an {@link Identity}, everything is encrypted, and no one can pose as a peer that you know: the
 * key of each peer is remembered on first contact, here in memory, with {@link KnownPeers} in a file.
 * Chats beyond this machine need an identity unless they ask for plaintext.
 *
 * ```ts
 * import { newIdentity, Peer } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * const [a, b] = [1, 2].map(() => {
 *   using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 *   return (listener.addr as Deno.NetAddr).port;
 * });
 * const [alices, bobs] = await Promise.all([newIdentity("Alice"), newIdentity("Bob")]);
 * await using alice = await Peer.open({ name: "Alice", port: a, targets: [`${b}`], identity: alices });
 * await using _bob = await Peer.open({ name: "Bob", port: b, targets: [`${a}`], identity: bobs });
 * for await (const event of alice.events) {
 *   if (event.type !== "met") continue;
 *   assert.equal(event.name, "Bob");
 *   assert.equal(event.fingerprint, bobs.fingerprint);
 *   break;
 * }
 * ```
 *
 * ## Print what others sent
 *
 * Names and messages are passed on exactly as they were sent. Make them {@link showable} before
 * printing them on a terminal:
 *
 * ```ts
 * import { showable } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * assert.equal(showable("\x1b[2Jboo"), "␛[2Jboo");
 * ```
 *
 * @module
 */
export * from "./greeter.ts";
export * from "./peer.ts";
export {
  type ErrorCode,
  GreetError,
  type PlainError,
  STATUS_NAMES,
  type StatusName,
} from "./src/base/errors.ts";
export { type HomeEnvironment, homeFolder } from "./src/base/home.ts";
export { nameProblem, showable } from "./src/base/text.ts";
export { type KeyPair, readKeyPair } from "./src/net/certificates.ts";
export { Names } from "./src/naming/names.ts";
export type { ClaimStatus, Holders, LookupOptions, Registration } from "./src/naming/names.ts";
export type {
  NameClaim,
  NamedEntry,
  NamesEvent,
  NamesWatch,
  NamingService,
  WatchUpdate,
} from "./src/naming/naming_service.ts";
export { serveNames } from "./src/naming/names_server.ts";
export { NAMES_PORT } from "./src/naming/service_url.ts";
export type { NameNews, ServeNamesOptions } from "./src/naming/names_server.ts";
export { type Naming, type NamingOptions, openNames } from "./src/naming/open.ts";
export type { EtcdOptions } from "./src/naming/etcd_client.ts";
