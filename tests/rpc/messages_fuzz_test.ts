/** Servers answer any bytes in place of a message, and then answer everyone else as before. */
import assert from "node:assert/strict";
import * as grpc from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { greet, Peer, serveGreeter, serveNames } from "../../mod.ts";
import { definitionOf } from "../../src/rpc/service_definition.ts";
import { CHAT, GREETER, NAMES } from "../../src/rpc/services.ts";
import { GRPC_TIMERS_OUTLIVE_CHANNELS } from "../support/grpc_timers.ts";
import { type Damage, damaged, damages } from "../support/properties.ts";

const RUNS = 300 * Number(Deno.env.get("GREET_TEST_SEEDS") ?? 1);

/** A valid message of each call, to be damaged. */
const VALID: readonly [
  definition: ReturnType<typeof definitionOf>,
  call: string,
  message: object,
][] = [
  [definitionOf(GREETER), "Greet", { name: "Bob" }],
  [definitionOf(CHAT), "GetInfo", {}],
  [definitionOf(CHAT), "Meet", { sender: "Bob" }],
  [definitionOf(CHAT), "SendMessage", { sender: "Bob", body: "Hello!", id: "1" }],
  [definitionOf(CHAT), "SendMessages", { messages: [{ sender: "Bob", body: "a" }, { body: "b" }] }],
  [definitionOf(NAMES), "Register", { name: "Bob", address: "127.0.0.1:1", holder: "x" }],
  [definitionOf(NAMES), "Lookup", { name: "Bob" }],
  [definitionOf(NAMES), "List", { pageToken: "x" }],
  [definitionOf(NAMES), "Watch", { name: "Bob" }],
];

const inputs = fc.record({
  which: fc.nat(VALID.length - 1),
  bytes: fc.oneof(damages, fc.uint8Array({ maxLength: 200 })),
});

/** Calls with raw bytes. Resolves with the status, or `OK` at the first answer. */
function callRaw(client: grpc.Client, path: string, bytes: Uint8Array): Promise<grpc.status> {
  const { promise, resolve } = Promise.withResolvers<grpc.status>();
  const raw = (value: Buffer) => value;
  const call = client.makeServerStreamRequest(path, raw, raw, Buffer.from(bytes), {
    deadline: Date.now() + 10_000,
  });
  call.on("data", () => {
    call.cancel();
    resolve(grpc.status.OK);
  });
  call.on("error", ({ code }: grpc.ServiceError) => resolve(code));
  call.on("end", () => resolve(grpc.status.OK));
  return promise;
}

/** What a caller may be told about a message that it got wrong. */
const ANSWERS = new Set([
  ...[grpc.status.OK, grpc.status.INTERNAL, grpc.status.INVALID_ARGUMENT],
  ...[grpc.status.PERMISSION_DENIED, grpc.status.RESOURCE_EXHAUSTED, grpc.status.NOT_FOUND],
  ...[grpc.status.ALREADY_EXISTS, grpc.status.CANCELLED],
]);

Deno.test({
  name: "any bytes in place of a message get a status, and the servers live on",
  ...GRPC_TIMERS_OUTLIVE_CHANNELS,
  async fn() {
    const faults: unknown[] = [];
    await using greeter = await serveGreeter({ onFault: (error) => faults.push(error) });
    await using names = await serveNames({ port: 0 });
    await using peer = await Peer.open({ name: "Alice", targets: ["1"] });
    const ports = [
      greeter.port,
      peer.port,
      peer.port,
      peer.port,
      peer.port,
      ...Array(4).fill(names.port),
    ];
    const clients = new Map<number, grpc.Client>();
    for (const port of ports) {
      clients.set(port, new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure()));
    }
    const property = fc.asyncProperty(inputs, async ({ which, bytes }) => {
      const [definition, call, message] = VALID[which];
      const { path, requestSerialize } = definition[call];
      const content = bytes instanceof Uint8Array
        ? bytes
        : damaged(requestSerialize(message), bytes as Damage[]);
      const status = await callRaw(clients.get(ports[which])!, path, content);
      assert(ANSWERS.has(status), `${call}: ${grpc.status[status]}`);
    });
    try {
      await fc.assert(property, { numRuns: RUNS, seed: 1 });
    } finally {
      for (const client of clients.values()) client.close();
    }
    assert.deepEqual(faults, []);
    assert.equal(await greet(`${greeter.port}`, "Bob"), "Hello, Bob.");
  },
});
