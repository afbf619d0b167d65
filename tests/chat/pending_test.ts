/** The stages of an own message, from the first attempt to deliver it to its outcome. */
import assert from "node:assert/strict";
import { GreetError } from "../../src/base/errors.ts";
import {
  advanced,
  isShown,
  isWithSome,
  type Pending,
  printed,
  undelivered,
  waitingMark,
} from "../../src/chat/pending.ts";
import type { Addressee, Message } from "../../src/peer/journal.ts";

const MESSAGE: Message = { id: "1", from: "Alice", body: "hi", at: new Date() };
const BOB: Addressee = { target: "1", name: "Bob" };
const CAROL: Addressee = { target: "2", name: "Carol" };

const NEW = undelivered(MESSAGE, [BOB, CAROL]);

function delivered(pending: Pending, to: string, ...waitingFor: Addressee[]): Pending {
  return advanced(pending, { type: "delivered", message: MESSAGE, to, waitingFor });
}

function failed(pending: Pending, to: string | undefined, ...waitingFor: Addressee[]): Pending {
  const error = new GreetError("UNAVAILABLE", "no answer");
  return advanced(pending, { type: "failed", message: MESSAGE, to, waitingFor, error });
}

Deno.test("a new message is neither shown nor with anyone", () => {
  assert.deepEqual([isShown(NEW), isWithSome(NEW), waitingMark(NEW)], [false, false, " (waiting)"]);
});

Deno.test("the first delivery outdates a line that says the message is waiting", () => {
  const shown = printed(NEW);
  assert.equal(isShown(shown), true);
  const partial = delivered(shown, "Bob", CAROL);
  assert.deepEqual([isShown(partial), isWithSome(partial)], [false, true]);
  assert.equal(waitingMark(partial), " (waiting for Carol)");
});

Deno.test("later deliveries do not outdate a line that says for whom the message is waiting", () => {
  const shown = printed(delivered(NEW, "Bob", CAROL));
  const last = delivered(shown, "Carol");
  assert.deepEqual([isShown(last), isWithSome(last), last.waitingFor], [true, true, []]);
});

Deno.test("a failure names the peer unless no other was concerned", () => {
  assert.deepEqual(failed(NEW, "Bob", CAROL).failures, ["not delivered to Bob: no answer"]);
  assert.deepEqual(failed(NEW, "Bob").failures, ["not delivered: no answer"]);
  assert.deepEqual(failed(NEW, undefined).failures, ["not delivered: no answer"]);
  const partial = delivered(NEW, "Bob", CAROL);
  assert.deepEqual(failed(partial, "Carol").failures, ["not delivered to Carol: no answer"]);
});
