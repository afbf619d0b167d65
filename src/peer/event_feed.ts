/**
 * What a peer reports to its user, as events in one order.
 *
 * @module
 */
import type { GreetError } from "../base/errors.ts";
import { HandoffQueue } from "../base/handoff_queue.ts";
import type { TrustEvent } from "../identity/trust.ts";
import type { CallerEvent } from "./callers.ts";
import type { Addressee } from "./journal.ts";
import type { Message } from "./messages.ts";
import type { NewcomerEvent } from "./newcomers.ts";
import type { RosterEvent } from "./roster.ts";

/**
 * What happens to a peer. {@link RosterEvent} reports peers that join and leave, {@link TrustEvent}
 * keys that are new or wrong, {@link NewcomerEvent} another peer that answers at a target, and
 * {@link CallerEvent} a peer that calls us and is not among ours.
 *
 * - `message`: a message arrived; `late` if it took more than a minute or is left over from an
 *   earlier run, `taken` is when it arrived, by our own clock
 * - `queued`: a message of our own is safe and on its way to `waitingFor`
 * - `delivered`: it has reached `to`, and not yet `waitingFor`
 * - `failed`: it will not reach `to` or, without `to`, anyone
 * - `cancelled`: it will not reach those that it was still `waitingFor`; `deliveredTo` has it already
 * - `added`, `removed`: a peer is in the chat from now on, or no longer; `isAwaited` if messages keep
 *   waiting for it
 * - `trouble`: something else does not work; other peers do not notice
 */
export type PeerEvent =
  | RosterEvent
  | TrustEvent
  | NewcomerEvent
  | CallerEvent
  | {
    readonly type: "message";
    readonly message: Message;
    readonly late: boolean;
    readonly taken: Date;
  }
  | {
    readonly type: "queued";
    readonly message: Message;
    readonly waitingFor: readonly Addressee[];
  }
  | {
    readonly type: "delivered";
    readonly message: Message;
    readonly to: string;
    readonly waitingFor: readonly Addressee[];
  }
  | {
    readonly type: "failed";
    readonly message: Message;
    readonly to?: string;
    readonly waitingFor: readonly Addressee[];
    readonly error: GreetError;
  }
  | {
    readonly type: "cancelled";
    readonly message: Message;
    readonly waitingFor: readonly Addressee[];
    readonly deliveredTo: readonly string[];
  }
  | { readonly type: "added"; readonly target: string }
  | {
    readonly type: "removed";
    readonly target: string;
    readonly name?: string;
    readonly isAwaited: boolean;
  }
  | { readonly type: "trouble"; readonly error: GreetError };

/** The events of one peer, in order, for one reader. It is done with one when it asks for the next. */
export interface PeerEvents extends AsyncIterable<PeerEvent> {
  /**
   * Reads together what has happened so far. The reader is done with all of it when it asks for the
   * next events, and with none if it throws an error into the generator.
   */
  inBatches(): AsyncGenerator<readonly PeerEvent[]>;
}

/** The events of one peer. */
export class EventFeed implements PeerEvents {
  readonly #queue = new HandoffQueue<PeerEvent>();
  #trouble: string | undefined;
  #last = Promise.resolve(true);

  /**
   * Adds an event.
   *
   * @returns `true` when the reader is done with it, `false` if it stopped before it
   */
  push(event: PeerEvent): Promise<boolean> {
    return this.#last = this.#queue.push(event);
  }

  /** Resolves when the reader is done with everything pushed so far, or has stopped. */
  async read(): Promise<void> {
    await this.#last;
  }

  /** Adds a `trouble` event, unless the last one said the same. */
  report(error: GreetError): void {
    if (error.message === this.#trouble) return;
    this.#trouble = error.message;
    this.push({ type: "trouble", error });
  }

  /** Something worked again, so {@link EventFeed.report} may repeat itself. */
  recovered(): void {
    this.#trouble = undefined;
  }

  /** Ends the feed; what was pushed can still be read. */
  end(): void {
    this.#queue.end();
  }

  [Symbol.asyncIterator](): AsyncIterator<PeerEvent> {
    return this.#queue[Symbol.asyncIterator]();
  }

  inBatches(): AsyncGenerator<readonly PeerEvent[]> {
    return this.#queue.inBatches();
  }
}
