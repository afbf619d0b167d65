/**
 * Passes received messages to our reader, in order.
 *
 * The journal is the queue: a message is stored, acknowledged, and read back as fast as the reader
 * takes it. When the reader is too far behind, acknowledgements wait for it, which slows the senders
 * down.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { GreetError } from "../base/errors.ts";
import { Backlog } from "./backlog.ts";
import type { Entry, Journal, ReadLimit } from "./journal.ts";
import { LATE_MS, type Message } from "./messages.ts";
import { Pulse, within } from "../base/timing.ts";

/** How long a closing inbox waits for its reader to take another message before it gives up. */
const STALLED_MS = 1_000;

/**
 * How much is with the reader at a time. If this process is killed before it has marked what the
 * reader has, so much is shown again at the next start. Writing and marking cost 150 µs each time,
 * as much as everything else costs for two messages.
 */
const PORTION: ReadLimit = { messages: 32, characters: 100_000 };

/** The pause before a failed attempt to read the journal is repeated. */
const RETRY_MS = 1_000;

/** A message that is passed on. */
export interface Arrival extends Entry {
  /** Whether it took long to arrive, or is left over from an earlier run. */
  readonly late: boolean;
}

/** How to pass messages on. */
export interface InboxOptions {
  /** Holds the messages. If it is not durable, every acknowledgement waits for the reader. */
  readonly journal: Journal;
  /**
   * Passes messages on.
   *
   * @returns for each of them, `true` when the reader is done with it, `false` if it is gone
   */
  readonly show: (entries: readonly Arrival[]) => AsyncIterable<boolean>;
  /** Called with the reason why the journal cannot be used. */
  readonly onTrouble: (error: GreetError) => void;
}

/**
 * Stores messages and passes them on. Disposing of it passes on what is left, unless the reader
 * stalls. Meanwhile {@link Inbox.take} succeeds only for what the reader has, and afterwards never.
 */
export class Inbox implements AsyncDisposable {
  readonly #options: InboxOptions;
  readonly #running: Promise<void>;
  /** The last place of an earlier run. Unlike the clock, places only move forward. */
  readonly #leftOverUpTo: number;
  readonly #opened = Promise.withResolvers<void>();
  /** There may be something to pass on. */
  readonly #work = new Pulse();
  readonly #backlog = new Backlog();
  #shownUpTo: number;
  /** Everything up to this place is marked as shown in the journal. */
  #markedUpTo: number;
  #isMarkDue = false;
  #waiters: { place: number; resolve: () => void }[] = [];
  #state: "open" | "closing" | "closed" = "open";

  /** Passes on immediately what an earlier run left over. */
  constructor(options: InboxOptions) {
    this.#options = options;
    this.#shownUpTo = this.#markedUpTo = options.journal.shownUpTo();
    this.#leftOverUpTo = options.journal.lastPlace();
    this.#running = this.#run();
  }

  /** Starts to pass on messages of this run as well. */
  open(): void {
    this.#opened.resolve();
  }

  /**
   * Stores messages, except those that are stored already.
   *
   * @returns when they may be acknowledged: on disk and to be shown in this run, or with the reader
   * @throws {GreetError} `FAILED` if they cannot be stored, `UNAVAILABLE` if the reader is gone
   */
  async take(messages: readonly Message[]): Promise<void> {
    if (this.#isClosed) throw readerGone();
    const { journal } = this.#options;
    const last = await journal.receive(messages);
    if (last > this.#shownUpTo) this.#backlog.stored(messages, last);
    this.#work.beat();
    const mayLag = journal.durable && this.#state === "open";
    await this.#untilShown(mayLag ? this.#backlog.dueBefore(last) : last);
    const willBeShown = journal.durable && !this.#isClosed;
    if (!willBeShown && last > this.#shownUpTo) throw readerGone();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === "open") this.#state = "closing";
    this.open();
    this.#work.beat();
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
    this.#mark();
    this.#state = "closed";
    this.#release(Infinity);
  }

  /** Resolves when everything up to a place has been shown, or nothing more will be. */
  async #untilShown(place: number): Promise<void> {
    if (place <= this.#shownUpTo || this.#isClosed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.push({ place, resolve });
    await promise;
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      const work = this.#work.next;
      // Read first, so that nothing can arrive between the last look and the end.
      const isClosing = this.#state === "closing";
      try {
        await this.#passOn();
      } catch (error) {
        this.#options.onTrouble(error as GreetError);
        await within(RETRY_MS, work);
        continue;
      }
      if (isClosing) return this.#close();
      await work;
    }
  }

  /** Passes on everything that is stored. */
  async #passOn(): Promise<void> {
    const { journal } = this.#options;
    for (;;) {
      const entries = journal.unshown(this.#shownUpTo, PORTION);
      if (entries.length === 0 || !await this.#show(entries)) return;
    }
  }

  /** Passes messages on, and returns whether the next ones can follow. */
  async #show(entries: readonly Entry[]): Promise<boolean> {
    const leftOver = entries.filter(({ place }) => place <= this.#leftOverUpTo);
    if (leftOver.length === 0) await this.#opened.promise;
    const arrivals = leftOver.length === 0
      ? entries.map((entry) => ({ ...entry, late: tookLong(entry) }))
      : leftOver.map((entry) => ({ ...entry, late: true }));
    let read = 0;
    for await (const isRead of this.#options.show(arrivals)) {
      if (!isRead) this.#close();
      if (this.#isClosed) return false;
      this.#shown(arrivals[read++].place);
    }
    return true;
  }

  /** The reader has everything up to a place. */
  #shown(place: number): void {
    // Within one run nothing is shown twice, even if the mark cannot be written.
    this.#shownUpTo = place;
    this.#backlog.shown(place);
    this.#release(place);
    if (this.#isMarkDue) return;
    this.#isMarkDue = true;
    setImmediate(() => this.#mark());
  }

  /** Marks what was shown in this turn of the event loop. */
  #mark(): void {
    this.#isMarkDue = false;
    const place = this.#shownUpTo;
    if (this.#isClosed || place === this.#markedUpTo) return;
    try {
      this.#options.journal.markShown(place);
      this.#markedUpTo = place;
    } catch (error) {
      this.#options.onTrouble(error as GreetError);
    }
  }

  /** Resolves what waits until everything up to a place is shown. */
  #release(place: number): void {
    const isDue = (waiter: { place: number }) => waiter.place <= place;
    for (const { resolve } of this.#waiters.filter(isDue)) resolve();
    this.#waiters = this.#waiters.filter((waiter) => !isDue(waiter));
  }
}

function readerGone(): GreetError {
  return new GreetError("UNAVAILABLE", "the reader is gone");
}

function tookLong({ message, taken }: Entry): boolean {
  return taken.getTime() - message.at.getTime() > LATE_MS;
}
