/** Batches and timeouts adapt to the speed of a peer. */
import assert from "node:assert/strict";
import { AnswerTimeout } from "../../src/peer/answer_timeout.ts";
import { DELIVERY_TIMEOUT, DeliveryPace } from "../../src/peer/delivery_pace.ts";

const RANGE = { leastMs: 3_000, mostMs: 20_000 };

Deno.test("a fast peer gets the shortest timeout", () => {
  const timeout = new AnswerTimeout();
  assert.equal(timeout.within(RANGE), 3_000);
  for (let i = 0; i < 10; i++) timeout.answered(2);
  assert.equal(timeout.within(RANGE), 3_000);
});

Deno.test("a slow peer gets twice the time of its slowest answer until it is fast again", () => {
  const timeout = new AnswerTimeout();
  timeout.answered(4_100);
  timeout.answered(3_000);
  assert.equal(timeout.within(RANGE), 9_000);
  for (let i = 0; i < 3; i++) timeout.answered(2);
  assert.equal(timeout.within(RANGE), 3_000);
});

Deno.test("each expired timeout doubles the next, up to a limit and until an answer arrives", () => {
  const timeout = new AnswerTimeout();
  const given = Array.from({ length: 5 }, () => {
    const ms = timeout.within(RANGE);
    timeout.expired();
    return ms;
  });
  assert.deepEqual(given, [3_000, 6_000, 12_000, 20_000, 20_000]);
  timeout.answered(2);
  assert.equal(timeout.within(RANGE), 3_000);
});

/** A peer with a given time for each message and each round trip; calls that take too long fail. */
class SimulatedPeer {
  readonly pace = new DeliveryPace();
  readonly #perMessageMs: number;
  readonly #roundTripMs: number;
  /** The simulated time, in milliseconds. */
  ms = 0;
  delivered = 0;

  constructor(perMessageMs: number, roundTripMs = 1) {
    this.#perMessageMs = perMessageMs;
    this.#roundTripMs = roundTripMs;
  }

  /** Delivers a number of messages, or as many as it can in an hour. */
  deliver(count: number): void {
    const end = this.delivered + count;
    while (this.delivered < end && this.ms < 3_600_000) {
      const messages = Math.min(this.pace.batch, end - this.delivered);
      const load = { messages, characters: 10 * messages };
      const timeoutMs = this.pace.timeoutMs(load);
      const tookMs = this.#roundTripMs + messages * this.#perMessageMs;
      this.ms += Math.min(tookMs, timeoutMs);
      if (tookMs > timeoutMs) {
        this.pace.timedOut(load);
      } else {
        this.delivered += messages;
        this.pace.delivered(load, tookMs, this.#roundTripMs);
      }
    }
  }
}

for (const perMessageMs of [25, 300, 1_000, 6_000, 25_000]) {
  Deno.test(`a peer that takes ${perMessageMs} ms for each message gets all of them at about that pace`, () => {
    const peer = new SimulatedPeer(perMessageMs);
    peer.deliver(100);
    assert.equal(peer.delivered, 100);
    assert(peer.ms <= 100 * perMessageMs + 60_000, `${peer.ms} ms`);
  });
}

Deno.test("a fast peer gets large batches, even if it is far away", () => {
  for (const roundTripMs of [1, 3_000]) {
    const peer = new SimulatedPeer(0.1, roundTripMs);
    peer.deliver(1_000);
    assert.equal(peer.pace.batch, 256);
  }
});

Deno.test("a peer that was busy for a while gets large batches again", () => {
  const { pace } = new SimulatedPeer(0);
  for (let i = 0; i < 10; i++) pace.timedOut({ messages: pace.batch, characters: 0 });
  assert.equal(pace.batch, 1);
  for (let i = 0; i < 10; i++) pace.delivered({ messages: pace.batch, characters: 0 }, 10, 1);
  assert.equal(pace.batch, 256);
});

Deno.test("a large message gets time for its transmission, which does not count as slowness", () => {
  const pace = new DeliveryPace();
  const large = { messages: 1, characters: 1_000_000 };
  assert.equal(pace.timeoutMs(large), DELIVERY_TIMEOUT.leastMs + 20_000);
  pace.delivered(large, 15_000, 1);
  assert.equal(pace.timeoutMs({ messages: 1, characters: 10 }), DELIVERY_TIMEOUT.leastMs);
});

Deno.test("a slow peer gets more time for the next call", () => {
  const pace = new DeliveryPace();
  pace.delivered({ messages: 1, characters: 10 }, 4_000, 1);
  assert.equal(pace.timeoutMs({ messages: 1, characters: 10 }), 8_000);
});
