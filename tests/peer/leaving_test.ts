/** What a peer still does while it leaves, on a virtual network. */
import assert from "node:assert/strict";
import { Journal, Peer } from "../../mod.ts";
import { GreetError } from "../../src/base/errors.ts";
import { pause } from "../../src/base/timing.ts";
import { parseTarget } from "../../src/net/address.ts";
import { implement } from "../../src/rpc/service.ts";
import { type Acceptance, CHAT } from "../../src/rpc/services.ts";
import { homeTest } from "../support/home.ts";
import { VirtualNetwork } from "../support/virtual_network.ts";
import { settle, VirtualTime } from "../support/virtual_time.ts";

const accept = () => Promise.resolve<Acceptance>({ verdict: "ACCEPTED" });
const fail = () => Promise.reject(new GreetError("UNIMPLEMENTED", "what?"));

/** How long Alice's reader takes for each event, in milliseconds. */
const EVENT_MS = 10;

/**
 * Alice, who has met Bob; a connection from Bob to her; and what her reader has.
 *
 * @param meet how Bob answers whether he accepts her
 */
async function aliceWithBob(journal?: Journal, meet = accept) {
  const time = new VirtualTime();
  const network = new VirtualNetwork(() => Promise.resolve());
  const bob = network.host("Bob");
  await bob.serve({
    ...{ host: "127.0.0.1", port: 2 },
    services: [implement(CHAT, {
      GetInfo: () => ({ sender: "Bob", body: "", id: "", timestamp: null }),
      Meet: meet,
    })],
  });
  const options = { name: "Alice", port: 1, targets: ["2"], journal };
  const alice = await Peer.openOn(network.host("Alice"), options);
  const received: string[] = [];
  const read = (async () => {
    for await (const event of alice.events) {
      await pause(EVENT_MS);
      if (event.type === "message") received.push(event.message.body);
    }
  })();
  const channel = bob.dial(parseTarget("1"), {});
  const pass = async (ms: number) => {
    await settle();
    await time.pass(ms);
  };
  await pass(1_000);
  return {
    alice,
    received,
    channel,
    pass,
    async [Symbol.asyncDispose]() {
      using _ = time;
      const left = alice[Symbol.asyncDispose]();
      await pass(5_000);
      await Promise.all([left, read]);
    },
  };
}

function messages(count: number) {
  return Array.from({ length: count }, (_, i) => {
    return { sender: "Bob", body: `${i}`, id: "", timestamp: null };
  });
}

homeTest("a message that is being stored when we leave is acknowledged and shown", async (home) => {
  using journal = Journal.open({ home, name: "Alice" });
  await using chat = await aliceWithBob(journal);
  const { receive } = journal;
  const disk = Promise.withResolvers<void>();
  journal.receive = async (messages) => {
    await disk.promise;
    return await receive.call(journal, messages);
  };
  const [message] = messages(1);
  const answer = chat.channel.call(CHAT, "SendMessage", message, { timeoutMs: 5_000 })
    .then(() => "acknowledged", (error) => error);
  await settle();
  const left = chat.alice[Symbol.asyncDispose]();
  await chat.pass(500);
  disk.resolve();
  await chat.pass(5_000);
  await left;
  assert.equal(await answer, "acknowledged");
  assert.deepEqual(chat.received, ["0"]);
});

homeTest(
  "what was acknowledged is shown before we leave, to a slow reader as well",
  async (home) => {
    using journal = Journal.open({ home, name: "Alice" });
    await using chat = await aliceWithBob(journal);
    const request = { messages: messages(100) };
    await chat.channel.call(CHAT, "SendMessages", request, { timeoutMs: 5_000 });
    const left = chat.alice[Symbol.asyncDispose]();
    await chat.pass(5_000);
    await left;
    assert.deepEqual(chat.received, request.messages.map(({ body }) => body));
  },
);

Deno.test("a peer that has not asked yet whether we accept it is told so before we leave", async () => {
  await using chat = await aliceWithBob();
  const { alice, channel, pass } = chat;
  await channel.call(CHAT, "GetInfo", {}, { timeoutMs: 5_000 });
  const left = alice[Symbol.asyncDispose]();
  await pass(400);
  const introduction = { sender: "Bob", port: 2, instance: "" };
  const { verdict } = await channel.call(CHAT, "Meet", introduction, { timeoutMs: 5_000 });
  assert.equal(verdict, "ACCEPTED");
  await pass(5_000);
  await left;
});

Deno.test("we leave as soon as a peer that cannot ask whether we accept it has called us", async () => {
  await using chat = await aliceWithBob(undefined, fail);
  const { alice, channel, pass } = chat;
  let isOver = false;
  const left = alice[Symbol.asyncDispose]().then(() => isOver = true);
  await pass(200);
  assert.equal(isOver, false);
  await channel.call(CHAT, "GetInfo", {}, { timeoutMs: 5_000 });
  await pass(100);
  assert.equal(isOver, true);
  await left;
});
