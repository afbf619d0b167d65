/**
 * Answers `Attach` calls: learns who calls, finds the link that expects this caller, and sends it what
 * waits there.
 *
 * Strangers can open such calls as well, so few may be open before the caller has said who it is.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { pause, race } from "../base/timing.ts";
import type { IncomingCall } from "../rpc/service.ts";
import type { Delivery, Introduction, Receipt } from "../rpc/services.ts";
import { Attachment } from "./attachment.ts";
import type { Reception } from "./reception.ts";

/** How long a caller may take to introduce itself, in milliseconds. */
const INTRODUCTION_MS = 5_000;

/** How many callers may be about to introduce themselves; the one that came first makes room. */
const MAX_UNKNOWN = 100;

/** The `Attach` calls of one peer. */
export class AttachCalls {
  readonly #reception: Reception;
  /** The calls whose callers have not introduced themselves, oldest first. */
  readonly #unknown = new Set<AbortController>();

  constructor(reception: Reception) {
    this.#reception = reception;
  }

  /**
   * Answers a call, for as long as the caller is attached.
   *
   * @throws {GreetError} `UNAUTHENTICATED` without encryption, `INVALID_ARGUMENT` without an
   *   introduction in time, `PERMISSION_DENIED` if the caller is refused
   */
  async *answer(receipts: AsyncIterable<Receipt>, call: IncomingCall): AsyncGenerator<Delivery> {
    const iterator = receipts[Symbol.asyncIterator]();
    const introduction = await this.#introduction(iterator, call.signal);
    if (call.fingerprint === undefined) {
      const message = "only a peer with a key can attach: start both sides with --tls";
      throw new GreetError("UNAUTHENTICATED", message);
    }
    const attachment = new Attachment({
      name: introduction.sender,
      fingerprint: call.fingerprint,
    });
    call.signal.addEventListener("abort", () => attachment.end());
    void attachment.read(iterator);
    try {
      await this.#reception.attach(attachment, introduction, call);
      yield* attachment.deliveries();
    } finally {
      attachment.end();
    }
  }

  async #introduction(
    receipts: AsyncIterator<Receipt>,
    signal: AbortSignal,
  ): Promise<Introduction> {
    const ended = new AbortController();
    this.#unknown.add(ended);
    const [oldest] = this.#unknown;
    if (this.#unknown.size > MAX_UNKNOWN) oldest.abort();
    const first = receipts.next().then(({ value }) => value?.introduction, () => undefined);
    const late = pause(INTRODUCTION_MS, AbortSignal.any([ended.signal, signal]));
    const introduction = await race([first, late]);
    this.#unknown.delete(ended);
    ended.abort();
    if (introduction) return introduction;
    throw new GreetError("INVALID_ARGUMENT", "the caller has not introduced itself");
  }
}
