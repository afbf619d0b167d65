/** What becomes of messages that cannot be delivered. */
import assert from "node:assert/strict";
import { type ErrorCode, GreetError } from "../../src/base/errors.ts";
import type { Entry, Journal } from "../../src/peer/journal.ts";
import type { Link } from "../../src/peer/link.ts";
import { type Message, newMessage } from "../../src/peer/messages.ts";
import { Outbox } from "../../src/peer/outbox.ts";
import { inTime } from "../support/waiting.ts";

const BOB = { name: "Bob" };

/** Delivers messages to Bob, who refuses some bodies, and tells what becomes of each. */
async function deliverAll(
  messages: readonly Message[],
  refusals: Readonly<Record<string, ErrorCode>>,
): Promise<string[]> {
  const waiting: Entry[] = messages.map((message, place) => ({
    place,
    message,
    taken: message.at,
  }));
  const outcomes: string[] = [];
  const journal = {
    durable: true,
    waitingFor: () => [...waiting],
    endDelivery: (_: string, places: readonly number[]) => void waiting.splice(0, places.length),
  };
  const link = {
    ...{ name: "Bob", peer: BOB, isClosed: false, batch: 16 },
    deliver(_: unknown, [first, ...rest]: readonly Message[]) {
      const code = refusals[first.body];
      if (code !== undefined) return Promise.reject(new GreetError(code, first.body));
      const refused = rest.findIndex(({ body }) => body in refusals);
      return Promise.resolve(1 + (refused < 0 ? rest.length : refused));
    },
  };
  const outbox = new Outbox({
    link: link as unknown as Link,
    journal: journal as unknown as Journal,
    onDelivered: (entries) => {
      outcomes.push(...entries.map(({ message }) => `delivered ${message.body}`));
      return Promise.resolve();
    },
    onFailed: (entry, _, { code }) => {
      outcomes.push(`failed ${entry.message.body} ${code}`);
      return Promise.resolve();
    },
    onTrouble: ({ code }) => outcomes.push(`trouble ${code}`),
  });
  await inTime(outbox.idle(), "the end");
  link.isClosed = true;
  await outbox[Symbol.asyncDispose]();
  return outcomes;
}

const message = (text: string) => newMessage("Alice", { text });

Deno.test("a message that the disk has damaged is not sent, wherever it is in the queue", async () => {
  const damaged = () => ({ ...message(""), isDamaged: true });
  const messages = [damaged(), message("1"), message("2"), damaged(), message("3"), damaged()];
  assert.deepEqual(await deliverAll(messages, {}), [
    "failed  DATA_LOSS",
    "delivered 1",
    "delivered 2",
    "failed  DATA_LOSS",
    "delivered 3",
    "failed  DATA_LOSS",
  ]);
});

for (
  const code of [
    "INVALID_ARGUMENT",
    "RESOURCE_EXHAUSTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
  ] satisfies ErrorCode[]
) {
  Deno.test(`a message that is refused with ${code} fails, and the others are delivered`, async () => {
    const outcomes = await deliverAll(["1", "bad", "2"].map(message), { bad: code });
    assert.deepEqual(outcomes, ["delivered 1", `failed bad ${code}`, "delivered 2"]);
  });
}

Deno.test("a message that is refused for now is kept, and tried again", async () => {
  const refusals: Record<string, ErrorCode> = { later: "UNAVAILABLE" };
  const outcomes = deliverAll(["later", "1"].map(message), refusals);
  delete refusals.later;
  assert.deepEqual(await outcomes, ["trouble UNAVAILABLE", "delivered later", "delivered 1"]);
});
