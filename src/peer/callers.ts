/**
 * Announces callers that are not among our peers, which often means a wrong port in a command.
 *
 * Anyone can call, under any name, so announcements are limited.
 *
 * @module
 */

/** A peer that is not among ours has called us, and expects us to be among its peers. */
export interface CallerEvent {
  /** What kind of event it is. */
  readonly type: "caller";
  /** The name that it says it has. */
  readonly name: string;
  /** The fingerprint of its key, if the chat is encrypted. */
  readonly fingerprint?: string;
  /** Whether the key is known to belong to the name; never in an unencrypted chat. */
  readonly isKnown: boolean;
  /** The address that it listens on; only its host if it does not say on which port. */
  readonly from: string;
  /** The argument that would make it a peer of ours, if that is known. */
  readonly argument?: string;
}

/** A caller, and when it called. */
export interface Caller extends Omit<CallerEvent, "type"> {
  /** When it called last. */
  readonly at: Date;
}

/** How long a caller is not announced again, and how many are announced in that time. */
const ANNOUNCED = { everyMs: 60_000, most: 3 };

/** The last callers that are not among our peers. */
export class Callers {
  readonly #announce: (event: CallerEvent) => void;
  readonly #now: () => number;
  /** By who or where they are, in the order of their announcements. */
  readonly #recent = new Map<string, Caller & { readonly announcedMs: number }>();

  /**
   * @param announce called with each announcement
   * @param now a clock that only moves forward, in milliseconds
   */
  constructor(announce: (event: CallerEvent) => void, now = () => performance.now()) {
    this.#announce = announce;
    this.#now = now;
  }

  /** The callers that were last announced, a few at most. */
  get recent(): Caller[] {
    return [...this.#recent.values()].map(({ announcedMs: _, ...caller }) => caller);
  }

  /** Announces a caller, unless it or too many others were announced within a minute. */
  called(event: CallerEvent): void {
    const { type: _, ...caller } = event;
    const key = caller.fingerprint ?? caller.from;
    const nowMs = this.#now();
    const isRecent = (announcedMs: number) => nowMs - announcedMs < ANNOUNCED.everyMs;
    const before = this.#recent.get(key);
    if (before !== undefined && isRecent(before.announcedMs)) return;
    if (before === undefined && this.#recent.size >= ANNOUNCED.most) {
      const [[oldest, { announcedMs }]] = this.#recent;
      if (isRecent(announcedMs)) return;
      this.#recent.delete(oldest);
    }
    this.#recent.delete(key);
    this.#recent.set(key, { ...caller, at: new Date(), announcedMs: nowMs });
    this.#announce(event);
  }
}
