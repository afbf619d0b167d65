/**
 * What others said, handed to our reader in order.
 *
 * The journal is the queue: what comes in is stored first and answered, and
 * read from there as fast as the reader takes it. So a flood fills no memory, what
 * a killed process had not shown is shown at its next start, and when the reader is too
 * far behind, answers wait for it, which slows the senders down.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { Entry, Journal, Message } from "./journal.ts";
import { within } from "../base/timing.ts";

/** How many stored messages may wait for the reader before answers wait, too. */
const BACKLOG = 1_000;

/** From when on a message is late. */
const LATE_MS = 60_000;

/** How long a leaving inbox waits for its reader to take another message before it gives up. */
const STALLED_MS = 1_000;

/** The pause before a journal that cannot be read is read again. */
const RETRY_MS = 1_000;

/** How to hand messages over. */
export interface InboxOptions {
  /** What holds the messages. Where it is not durable, every answer waits for the reader. */
  readonly journal: Journal;
  /** Hands a message over; resolves to `true` when the reader is done with it, `false` when it is gone. */
  readonly show: (entry: Entry, late: boolean) => Promise<boolean>;
  /** Gets why the journal cannot be used. */
  readonly onTrouble: (error: GreetError) => void;
}

/**
 * Takes and hands over. Disposing of it hands over what is left, unless the reader stalls; until
 * then {@link Inbox.take} answers only for what the reader has, and after that for nothing.
 */
export class Inbox implements AsyncDisposable {
  readonly #options: InboxOptions;
  readonly #running: Promise<void>;
  /** The last place that a former run filled. The clock may be set back; places only grow. */
  readonly #leftBehindUpTo: number;
  readonly #opened = Promise.withResolvers<void>();
  #woken = Promise.withResolvers<void>();
  #shownUpTo: number;
  #waiters: { place: number; resolve: () => void }[] = [];
  #state: "open" | "closing" | "closed" = "open";

  /** Hands over at once what a former run left behind. */
  constructor(options: InboxOptions) {
    this.#options = options;
    this.#shownUpTo = options.journal.shownUpTo();
    this.#leftBehindUpTo = options.journal.lastPlace();
    this.#running = this.#run();
  }

  /** From now on, what is taken in this run is handed over, too. */
  open(): void {
    this.#opened.resolve();
  }

  /**
   * Stores what was not stored before.
   *
   * @returns when it is safe: on disk and going to be shown in this run, or with the reader
   * @throws {GreetError} `FAILED` where it cannot be stored, `UNAVAILABLE` where the reader is gone
   */
  async take(messages: readonly Message[]): Promise<void> {
    if (this.#isClosed) throw readerGone();
    const { journal } = this.#options;
    const last = await journal.take(messages);
    this.#woken.resolve();
    const mayWait = journal.durable && this.#state === "open";
    await this.#shown(mayWait ? last - BACKLOG : last);
    const willBeShown = journal.durable && !this.#isClosed;
    if (!willBeShown && last > this.#shownUpTo) throw readerGone();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === "open") this.#state = "closing";
    this.open();
    this.#woken.resolve();
    let before: number;
    do {
      before = this.#shownUpTo;
      await within(STALLED_MS, this.#running);
    } while (this.#state === "closing" && this.#shownUpTo > before);
    this.#close();
  }

  get #isClosed(): boolean {
    return this.#state === "closed";
  }

  #close(): void {
    this.#state = "closed";
    this.#letGo(Infinity);
  }

  async #shown(place: number): Promise<void> {
    if (place <= this.#shownUpTo || this.#isClosed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.push({ place, resolve });
    await promise;
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      const { promise: woken } = this.#woken = Promise.withResolvers();
      // Seen before looking, so that nothing comes between the last look and the end.
      const isLeaving = this.#state === "closing";
      try {
        await this.#handOver();
      } catch (error) {
        this.#options.onTrouble(error as GreetError);
        await within(RETRY_MS, woken);
        continue;
      }
      if (isLeaving) return this.#close();
      await woken;
    }
  }

  /** Hands over what there is. */
  async #handOver(): Promise<void> {
    const { journal } = this.#options;
    for (;;) {
      const entries = journal.unshown(this.#shownUpTo);
      if (entries.length === 0) return;
      for (const entry of entries) if (!await this.#show(entry)) return;
    }
  }

  /** Hands one over, and says whether the next one can follow. */
  async #show(entry: Entry): Promise<boolean> {
    const { place, message, taken } = entry;
    const isLeftBehind = place <= this.#leftBehindUpTo;
    if (!isLeftBehind) await this.#opened.promise;
    const isLate = isLeftBehind || taken.getTime() - message.at.getTime() > LATE_MS;
    const isRead = await this.#options.show(entry, isLate);
    if (!isRead) this.#close();
    if (this.#isClosed) return false;
    // Within one run nothing is shown twice, whatever becomes of the mark.
    this.#shownUpTo = place;
    try {
      this.#options.journal.markShown(place);
    } finally {
      this.#letGo(place);
    }
    return true;
  }

  /** Lets those go on who wait until everything up to a place is shown. */
  #letGo(place: number): void {
    const isDue = (waiter: { place: number }) => waiter.place <= place;
    for (const { resolve } of this.#waiters.filter(isDue)) resolve();
    this.#waiters = this.#waiters.filter((waiter) => !isDue(waiter));
  }
}

function readerGone(): GreetError {
  return new GreetError("UNAVAILABLE", "the reader has left");
}
