/**
 * Collects what a peer has for us that cannot connect to us, over the connection that we dialled.
 *
 * @module
 */
import { GreetError, STATUS_NAMES } from "../base/errors.ts";
import { HandoffQueue } from "../base/handoff_queue.ts";
import { aborted, race } from "../base/timing.ts";
import type { Limits } from "./acceptance.ts";
import { Breach } from "./presence.ts";
import type { Connection } from "../rpc/client.ts";
import {
  CHAT,
  type ChatMessage,
  type Delivery,
  type Introduction,
  type Receipt,
} from "../rpc/services.ts";

/** How many deliveries without messages may come, and in what time. */
const MAX_EMPTY = { count: 100, withinMs: 10_000 };

/** An open `Attach` call, from the caller's side. Disposing of it ends the call. */
export class Collection implements Disposable {
  readonly #deliveries: AsyncGenerator<Delivery>;
  readonly #cancel: AbortController;
  readonly #ended: Promise<void>;
  /** Handed over when they are written, so that a peer that does not read gets no more of them. */
  readonly #receipts: HandoffQueue<Receipt>;
  readonly #signs = new SignsOfLife();
  #isOpen = true;

  private constructor(
    deliveries: AsyncGenerator<Delivery>,
    receipts: HandoffQueue<Receipt>,
    cancel: AbortController,
  ) {
    this.#deliveries = deliveries;
    this.#receipts = receipts;
    this.#cancel = cancel;
    this.#ended = aborted(cancel.signal);
  }

  /**
   * Attaches to a peer.
   *
   * @param limits how long the peer may take to answer, and what ends the call
   * @throws {GreetError} if the peer refuses us, or does not know the call
   */
  static async open(
    channel: Connection,
    introduction: Introduction,
    { timeoutMs, signal }: Limits,
  ): Promise<Collection> {
    const cancel = new AbortController();
    const receipts = new HandoffQueue<Receipt>();
    void receipts.push({ introduction, status: 0, reason: "" });
    const options = { timeoutMs, signal: AbortSignal.any([cancel.signal, signal]) };
    const deliveries = channel.stream(CHAT, "Attach", receipts, options);
    try {
      const { done } = await deliveries.next();
      if (done) throw new GreetError("UNAVAILABLE", "the other side has ended the call");
    } catch (error) {
      receipts.end();
      throw error;
    }
    void receipts.push({ introduction: null, status: 0, reason: "" });
    return new Collection(deliveries, receipts, cancel);
  }

  /** Whether deliveries may still come. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * Takes deliveries one after the other, and acknowledges each, until there are no more or it is
   * disposed of.
   *
   * @param from the name of the peer
   * @param take resolves when messages may be acknowledged, or throws why they are not; a
   *   {@link Breach} ends the call
   * @throws {Breach} also if deliveries without messages do not end, one cannot be read, or the peer
   *   ends the call with an error
   */
  async run(
    from: string,
    take: (messages: readonly ChatMessage[]) => Promise<unknown>,
  ): Promise<void> {
    try {
      for await (const { messages } of this.#deliveries) {
        if (messages.length === 0 && this.#signs.areTooMany()) throw endless(from);
        // Our reader may be stalled for longer than the call lasts.
        const receipt = await race([receiptFor(messages, take), this.#ended]);
        if (receipt === undefined) return;
        await this.#receipts.push(receipt);
      }
    } catch (error) {
      if (!this.#isOpen) return;
      const breach = error instanceof Breach ? error : breachIn(GreetError.from(error), from);
      if (breach !== undefined) throw breach;
    } finally {
      this[Symbol.dispose]();
    }
  }

  [Symbol.dispose](): void {
    this.#isOpen = false;
    this.#receipts.end();
    this.#cancel.abort();
  }
}

function endless(from: string): Breach {
  const { count, withinMs } = MAX_EMPTY;
  const time = `${withinMs / 1_000} s`;
  return new Breach(`${from} has sent more than ${count} empty deliveries within ${time}`);
}

/** What a peer has done wrong if its call fails; nothing if the connection has dropped, or we have left. */
function breachIn({ code, message }: GreetError, from: string): Breach | undefined {
  switch (code) {
    case "UNAVAILABLE":
    case "CANCELLED":
      return undefined;
    case "INTERNAL":
      return new Breach(`${from} has sent a delivery that cannot be read`);
    case "RESOURCE_EXHAUSTED":
      return new Breach(`${from} has sent a delivery that is too large`);
    default:
      return new Breach(`${from} has ended its deliveries: ${message}`);
  }
}

async function receiptFor(
  messages: readonly ChatMessage[],
  take: (messages: readonly ChatMessage[]) => Promise<unknown>,
): Promise<Receipt> {
  try {
    if (messages.length > 0) await take(messages);
    return { introduction: null, status: 0, reason: "" };
  } catch (error) {
    if (error instanceof Breach) throw error;
    const { code, message } = GreetError.from(error);
    const status = STATUS_NAMES.findIndex((name) => name === code);
    return { introduction: null, status: status > 0 ? status : 2, reason: message };
  }
}

/** Counts deliveries without messages, which only ask whether we are still there. */
class SignsOfLife {
  #sinceMs = performance.now();
  #count = 0;

  /** One has come. */
  areTooMany(): boolean {
    const nowMs = performance.now();
    if (nowMs - this.#sinceMs > MAX_EMPTY.withinMs) {
      this.#sinceMs = nowMs;
      this.#count = 0;
    }
    return ++this.#count > MAX_EMPTY.count;
  }
}
