/**
 * Collects what a peer has for us that cannot connect to us, over the connection that we dialled.
 *
 * @module
 */
import { GreetError, STATUS_NAMES } from "../base/errors.ts";
import { Pulse } from "../base/timing.ts";
import type { Connection } from "../rpc/client.ts";
import {
  CHAT,
  type ChatMessage,
  type Delivery,
  type Introduction,
  type Receipt,
} from "../rpc/services.ts";

/** An open `Attach` call, from the caller's side. Disposing of it ends the call. */
export class Collection implements Disposable {
  readonly #deliveries: AsyncGenerator<Delivery>;
  readonly #cancel: AbortController;
  readonly #receipts: Receipts;
  #isOpen = true;

  private constructor(
    deliveries: AsyncGenerator<Delivery>,
    receipts: Receipts,
    cancel: AbortController,
  ) {
    this.#deliveries = deliveries;
    this.#receipts = receipts;
    this.#cancel = cancel;
  }

  /**
   * Attaches to a peer.
   *
   * @param timeoutMs how long the peer may take to answer, in milliseconds
   * @throws {GreetError} if the peer refuses us, or does not know the call
   */
  static async open(
    channel: Connection,
    introduction: Introduction,
    timeoutMs: number,
  ): Promise<Collection> {
    const cancel = new AbortController();
    const receipts = new Receipts(introduction);
    const options = { timeoutMs, signal: cancel.signal };
    const deliveries = channel.stream(CHAT, "Attach", receipts, options);
    try {
      const { done } = await deliveries.next();
      if (done) throw new GreetError("UNAVAILABLE", "the other side has ended the call");
    } catch (error) {
      receipts.end();
      throw error;
    }
    receipts.push({ introduction: null, status: 0, reason: "" });
    return new Collection(deliveries, receipts, cancel);
  }

  /** Whether deliveries may still come. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /**
   * Takes deliveries one after the other, and acknowledges each, until there are no more.
   *
   * @param take resolves when messages may be acknowledged, or throws why they are not
   */
  async run(take: (messages: readonly ChatMessage[]) => Promise<unknown>): Promise<void> {
    try {
      for await (const { messages } of this.#deliveries) {
        this.#receipts.push(await receiptFor(messages, take));
      }
    } catch {
      // The connection has dropped, or we have left.
    }
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#isOpen = false;
    this.#receipts.end();
    this.#cancel.abort();
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
    const { code, message } = GreetError.from(error);
    const status = STATUS_NAMES.findIndex((name) => name === code);
    return { introduction: null, status: status > 0 ? status : 2, reason: message };
  }
}

/** The receipts of one call: there is at most one for each delivery that was read. */
class Receipts implements AsyncIterable<Receipt> {
  readonly #waiting: Receipt[];
  readonly #pushed = new Pulse();
  #isEnded = false;

  constructor(introduction: Introduction) {
    this.#waiting = [{ introduction, status: 0, reason: "" }];
  }

  push(receipt: Receipt): void {
    this.#waiting.push(receipt);
    this.#pushed.beat();
  }

  end(): void {
    this.#isEnded = true;
    this.#pushed.beat();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Receipt> {
    while (!this.#isEnded) {
      const pushed = this.#pushed.next;
      const receipt = this.#waiting.shift();
      if (receipt === undefined) await pushed;
      else yield receipt;
    }
  }
}
