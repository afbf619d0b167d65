/** Messages that come over our own connection, and their receipts. */
import assert from "node:assert/strict";
import { type ErrorCode, GreetError, STATUS_NAMES } from "../../src/base/errors.ts";
import { aborted } from "../../src/base/timing.ts";
import { Collection } from "../../src/peer/collection.ts";
import { newMessage, toWire } from "../../src/peer/messages.ts";
import type { Connection } from "../../src/rpc/client.ts";
import type { Delivery, Receipt } from "../../src/rpc/services.ts";
import { inTime } from "../support/waiting.ts";

const INTRODUCTION = { sender: "Alice", port: 1, instance: "" };

const DELIVERY: Delivery = { messages: [toWire(newMessage("Bob", { text: "hello" }))] };

/**
 * A connection to a peer that delivers something once, and ends the call when it has the receipt.
 *
 * @param receipts where its receipts go
 * @param onEnd called when there are no more
 */
function deliveringOnce(receipts: Receipt[], onEnd: () => void): Connection {
  async function* stream(
    _: unknown,
    _name: string,
    requests: AsyncIterable<Receipt>,
  ): AsyncGenerator<Delivery> {
    const read = async () => {
      for await (const receipt of requests) receipts.push(receipt);
      onEnd();
    };
    void read();
    yield* [{ messages: [] }, DELIVERY];
  }
  return { stream } as unknown as Connection;
}

/** The receipts for something that is taken in some way. */
async function receiptsFor(take: () => Promise<void>): Promise<Receipt[]> {
  const receipts: Receipt[] = [];
  const { promise: ended, resolve: onEnd } = Promise.withResolvers<void>();
  const connection = deliveringOnce(receipts, onEnd);
  const limits = { timeoutMs: 5_000, signal: new AbortController().signal };
  using collection = await Collection.open(connection, INTRODUCTION, limits);
  await collection.run("Bob", take);
  await ended;
  return receipts;
}

Deno.test("a message is acknowledged when it is taken, and not before", async () => {
  let isTaken = false;
  const receipts = await receiptsFor(async () => {
    await Promise.resolve();
    isTaken = true;
  });
  assert.deepEqual([isTaken, receipts.map(({ status }) => status)], [true, [0, 0, 0]]);
  assert.deepEqual(receipts[0].introduction, INTRODUCTION);
});

for (const code of ["RESOURCE_EXHAUSTED", "UNAVAILABLE"] satisfies ErrorCode[]) {
  Deno.test(`a message that is not taken is answered with the reason: ${code}`, async () => {
    const error = new GreetError(code, "not now");
    const { status, reason } = (await receiptsFor(() => Promise.reject(error))).at(-1)!;
    assert.deepEqual([STATUS_NAMES[status], reason], [code, "not now"]);
  });
}

Deno.test("a call that we end while nothing comes is not blamed on the peer", async () => {
  async function* stream(
    _: unknown,
    _name: string,
    _requests: unknown,
    { signal }: { signal: AbortSignal },
  ): AsyncGenerator<Delivery> {
    yield { messages: [] };
    await aborted(signal);
    signal.throwIfAborted();
  }
  const limits = { timeoutMs: 5_000, signal: new AbortController().signal };
  const connection = { stream } as unknown as Connection;
  using collection = await Collection.open(connection, INTRODUCTION, limits);
  const running = collection.run("Bob", () => Promise.resolve());
  collection[Symbol.dispose]();
  await inTime(running, "the end");
});

Deno.test("a call that ends while its messages are being taken is over at once", async () => {
  const limits = { timeoutMs: 5_000, signal: new AbortController().signal };
  using collection = await Collection.open(deliveringOnce([], () => {}), INTRODUCTION, limits);
  const running = collection.run("Bob", () => new Promise(() => {}));
  collection[Symbol.dispose]();
  await inTime(running, "the end");
});
