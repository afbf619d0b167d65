/** Messages on a connection that we have dialled: many in one call, or one by one. */
import assert from "node:assert/strict";
import { type ErrorCode, GreetError } from "../../src/base/errors.ts";
import { parseTarget } from "../../src/net/address.ts";
import { DialledCarrier } from "../../src/peer/carrier.ts";
import { newMessage } from "../../src/peer/messages.ts";
import { dial } from "../../src/rpc/client.ts";
import { serve } from "../../src/rpc/server.ts";
import { implement } from "../../src/rpc/service.ts";
import { CHAT } from "../../src/rpc/services.ts";

const TIMEOUT_MS = 60_000;

const MESSAGES = ["one", "two", "three"].map((text) => newMessage("Alice", { text }));

/** A peer that fails calls with several messages, and the texts that came in each call. */
async function peerThat(fails: { code?: ErrorCode }) {
  const calls: string[][] = [];
  const server = await serve({
    host: "127.0.0.1",
    port: 0,
    services: [implement(CHAT, {
      SendMessage: ({ body }) => (calls.push([body]), {}),
      SendMessages({ messages }) {
        if (fails.code !== undefined) throw new GreetError(fails.code, "not like this");
        calls.push(messages.map(({ body }) => body));
        return {};
      },
    })],
  });
  const channel = dial(parseTarget(`${server.port}`));
  const carrier = new DialledCarrier(channel);
  return {
    calls,
    carrier,
    async [Symbol.asyncDispose]() {
      channel[Symbol.dispose]();
      await server.stop();
    },
  };
}

Deno.test("messages are delivered in one call, and a single one in a call of its own", async () => {
  await using peer = await peerThat({});
  assert.equal(await peer.carrier.deliver(MESSAGES, TIMEOUT_MS), 3);
  assert.equal(await peer.carrier.deliver(MESSAGES.slice(0, 1), TIMEOUT_MS), 1);
  assert.deepEqual(peer.calls, [["one", "two", "three"], ["one"]]);
  assert(peer.carrier.acceptsBatches);
});

for (const code of ["UNIMPLEMENTED", "RESOURCE_EXHAUSTED"] as const) {
  Deno.test(`a peer that answers several messages with ${code} gets one at a time from then on`, async () => {
    const fails: { code?: ErrorCode } = { code };
    await using peer = await peerThat(fails);
    assert.equal(await peer.carrier.deliver(MESSAGES, TIMEOUT_MS), 1);
    assert(!peer.carrier.acceptsBatches);
    delete fails.code;
    assert.equal(await peer.carrier.deliver(MESSAGES.slice(1), TIMEOUT_MS), 1);
    assert.deepEqual(peer.calls, [["one"], ["two"]]);
  });
}

Deno.test("any other failure of several messages is one, and the next attempt is the same", async () => {
  const fails: { code?: ErrorCode } = { code: "UNAVAILABLE" };
  await using peer = await peerThat(fails);
  await assert.rejects(peer.carrier.deliver(MESSAGES, TIMEOUT_MS), { code: "UNAVAILABLE" });
  delete fails.code;
  assert.equal(await peer.carrier.deliver(MESSAGES, TIMEOUT_MS), 3);
  assert.deepEqual(peer.calls, [["one", "two", "three"]]);
});

Deno.test("a delivery fails as soon as the connection is given up", async () => {
  await using peer = await peerThat({});
  assert(peer.carrier.isOpen);
  peer.carrier.end();
  assert(!peer.carrier.isOpen);
  await assert.rejects(peer.carrier.deliver(MESSAGES, TIMEOUT_MS), {
    code: "UNAVAILABLE",
    message: /the connection is given up/,
  });
  assert.deepEqual(peer.calls, []);
});
