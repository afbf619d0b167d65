/** An attached caller that falls silent. */
import assert from "node:assert/strict";
import { Attachment } from "../../src/peer/attachment.ts";
import { newMessage } from "../../src/peer/messages.ts";
import type { Receipt } from "../../src/rpc/services.ts";
import { settle, VirtualTime } from "../support/virtual_time.ts";

const RECEIPT: Receipt = { introduction: null, status: 0, reason: "" };

/** A caller that has attached, on a clock of its own, and how many deliveries it has got. */
function attached() {
  const time = new VirtualTime();
  const attachment = new Attachment({ name: "Bob" });
  const receipts = new TransformStream<Receipt, Receipt>();
  const writer = receipts.writable.getWriter();
  void attachment.read(receipts.readable[Symbol.asyncIterator]());
  void attachment.watch();
  const caller = { deliveries: 0, answers: true };
  void (async () => {
    for await (const _ of attachment.deliveries()) {
      caller.deliveries++;
      if (caller.answers) await writer.write(RECEIPT);
    }
  })();
  return {
    attachment,
    caller,
    async pass(ms: number): Promise<void> {
      await settle();
      await time.pass(ms);
    },
    [Symbol.dispose]() {
      attachment.end();
      time[Symbol.dispose]();
    },
  };
}

Deno.test("a silent caller is asked after six seconds whether it is there, and stays if it is", async () => {
  using bob = attached();
  await bob.pass(5_000);
  assert.equal(bob.caller.deliveries, 1);
  await bob.pass(2_000);
  assert.equal(bob.caller.deliveries, 2);
  await bob.pass(60_000);
  assert(bob.attachment.isOpen);
  assert.equal(bob.caller.deliveries, 1 + 11);
});

Deno.test("a caller is asked nothing until its last sign of life is six seconds old", async () => {
  using bob = attached();
  for (let seconds = 0; seconds < 28; seconds += 4) {
    await bob.pass(4_000);
    bob.attachment.heard();
  }
  await bob.pass(5_000);
  assert.equal(bob.caller.deliveries, 1);
  await bob.pass(2_000);
  assert.equal(bob.caller.deliveries, 2);
});

Deno.test("a caller that does not answer is given up, with what is on its way to it", async () => {
  using bob = attached();
  await bob.pass(0);
  bob.caller.answers = false;
  const lost = assert.rejects(bob.attachment.deliver([newMessage("Alice", { text: "hello" })]), {
    code: "UNAVAILABLE",
    message: "Bob is no longer connected to us",
  });
  await bob.pass(8_000);
  assert(bob.attachment.isOpen);
  await bob.pass(2_000);
  assert(!bob.attachment.isOpen);
  await lost;
});
