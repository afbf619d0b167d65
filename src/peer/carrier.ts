/**
 * What carries messages to a peer: calls on a connection that we have dialled, or an attachment.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { Connection } from "../rpc/client.ts";
import { CHAT } from "../rpc/services.ts";
import { type Message, toWire } from "./messages.ts";

/** Carries messages to one peer. */
export interface Carrier {
  /** Whether the other side is believed to take several messages at once. */
  readonly acceptsBatches: boolean;
  /** Whether it still reaches the peer, as far as is known. */
  readonly isOpen: boolean;
  /** Ends deliveries that are in flight: their connection is of no more use. */
  end(): void;
  /**
   * Delivers messages in order.
   *
   * @param messages at least one
   * @param timeoutMs how long it may take, in milliseconds, where no other bound applies
   * @returns how many of them were delivered, counted from the first
   * @throws {GreetError} if none was
   */
  deliver(messages: readonly Message[], timeoutMs: number): Promise<number>;
}

/** Carries messages with calls on a connection that we have dialled. */
export class DialledCarrier implements Carrier {
  readonly #channel: Connection;
  readonly #ended = new AbortController();
  #acceptsBatches = true;

  constructor(channel: Connection) {
    this.#channel = channel;
  }

  get acceptsBatches(): boolean {
    return this.#acceptsBatches;
  }

  get isOpen(): boolean {
    return !this.#ended.signal.aborted;
  }

  end(): void {
    this.#ended.abort(new GreetError("UNAVAILABLE", "the connection is given up"));
  }

  async deliver(messages: readonly Message[], timeoutMs: number): Promise<number> {
    const options = { timeoutMs, signal: this.#ended.signal };
    if (this.#acceptsBatches && messages.length > 1) {
      const request = { messages: messages.map(toWire) };
      try {
        await this.#channel.call(CHAT, "SendMessages", request, options);
        return messages.length;
      } catch (error) {
        if (!isTooMuch(error)) throw error;
        this.#acceptsBatches = false;
      }
    }
    await this.#channel.call(CHAT, "SendMessage", toWire(messages[0]), options);
    return 1;
  }
}

/** Whether the other side cannot handle several messages in one call. */
function isTooMuch(error: unknown): boolean {
  const { code } = GreetError.from(error);
  return code === "UNIMPLEMENTED" || code === "RESOURCE_EXHAUSTED";
}
