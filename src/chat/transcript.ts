/**
 * A chat on a screen: what happens to a peer becomes lines of a conversation, in order.
 *
 * On a terminal, pending messages stand below the conversation and move into it when they are
 * delivered. In a pipe, where nothing can move, they are printed as waiting, and again when they
 * are delivered. The words come from `wording.ts`, the stages of a message from `pending.ts`.
 *
 * @module
 */
import { formatDay } from "../base/local_time.ts";
import { showable } from "../base/text.ts";
import type { TrustEvent } from "../identity/trust.ts";
import type { Addressee, Entry } from "../peer/journal.ts";
import { LATE_MS, type Message } from "../peer/messages.ts";
import type { Peer, PeerEvent } from "../peer/peer.ts";
import type { RosterEvent } from "../peer/roster.ts";
import type { PendingRow } from "../terminal/layout.ts";
import type { Screen } from "../terminal/screen.ts";
import type { Span } from "../terminal/style.ts";
import { mentionsOf } from "./mentions.ts";
import {
  advanced,
  isShown,
  isWithSome,
  type Pending,
  printed,
  type ProgressEvent,
  undelivered,
  waitingMark,
} from "./pending.ts";
import {
  callerText,
  cancelledMark,
  errorText,
  firstContactText,
  impostorText,
  keptText,
  lateLine,
  listOf,
  lookalikeText,
  messageLine,
  newcomerText,
  plain,
  removedText,
  textOf,
} from "./wording.ts";

/** How many pending messages, and reasons for a peer's absence, stand below the conversation. */
const MAX_PENDING_ROWS = 5;
const MAX_REASONS = 3;

/** How many undelivered messages are followed; of older ones only the outcome is shown. */
const MAX_FOLLOWED = 1_000;

/** How long a message may be in flight before it is shown as pending; most have arrived by then. */
const IN_FLIGHT_MS = 50;

/** How many UTF-16 code units of a message are considered for one row. */
const MAX_ROW_LENGTH = 2_000;

/** What a transcript needs. */
export interface TranscriptOptions {
  /** Where the chat is shown. */
  screen: Screen;
  /** The peer that chats. */
  peer: Peer;
  /** Show messages, but not who comes and goes. */
  quiet?: boolean;
  /** Which messages ring the bell (default: all). */
  bell?: "all" | "mention";
}

/** A chat on a screen. */
export class Transcript {
  readonly #screen: Screen;
  readonly #peer: Peer;
  readonly #quiet: boolean;
  readonly #isWorthRinging: (body: string) => boolean;
  readonly #pending = new Map<string, Pending>();
  readonly #reasons = new Map<string, PendingRow>();
  readonly #here = new Set<string>();
  /** Why the last impostor or newcomer was refused; the reason for waiting repeats it. */
  #refusal: string | undefined;
  /** The last day that the conversation has shown. */
  #day = formatDay(new Date());
  #hasEnded = false;

  /** Shows nothing before {@link Transcript.begin}. */
  constructor({ screen, peer, quiet = false, bell = "all" }: TranscriptOptions) {
    this.#screen = screen;
    this.#peer = peer;
    this.#quiet = quiet;
    this.#isWorthRinging = bell === "mention" ? mentionsOf(peer.name) : () => true;
  }

  /** Begins; on a terminal, with the messages that wait for the peers of this chat. */
  begin(): void {
    if (this.#screen.interactive) this.#restore();
    if (!this.#quiet) this.#screen.note(this.#firstLine());
    this.#updatePending();
  }

  #firstLine(): string {
    const { others } = this.#peer;
    const callers = others.filter(({ hasToCall }) => hasToCall).map(({ target }) => target);
    if (callers.length === 0 || callers.length < others.length) {
      return "Waiting for other peer to connect...";
    }
    return `Waiting for ${listOf(callers)} to call...`;
  }

  #restore(): void {
    const targets = this.#peer.others.map(({ target }) => target);
    for (const { message, addressees } of this.#peer.queue()) {
      if (!addressees.some(({ target }) => targets.includes(target))) continue;
      this.#pending.set(message.id, undelivered(message, addressees));
    }
  }

  /** Shows earlier messages. */
  recall(entries: readonly Entry[]): void {
    for (const { message, taken } of entries) {
      this.#showDay(taken);
      const isLate = taken.getTime() - message.at.getTime() > LATE_MS;
      this.#screen.note(isLate ? lateLine(message, taken) : messageLine(message, taken));
    }
  }

  /** Shows an event. */
  show(event: PeerEvent): void {
    switch (event.type) {
      case "message": {
        const { message, late } = event;
        if (this.#isWorthRinging(message.body)) this.#screen.ring();
        return this.#say(late ? lateLine(message, new Date()) : messageLine(message));
      }
      case "trouble":
        this.#screen.warn(errorText(event.error));
        // Messages may be waiting for a peer that is here.
        this.#printStuck();
        break;
      case "met":
      case "lookalike":
      case "impostor":
        return this.#showTrust(event);
      case "caller":
        if (!this.#quiet) this.#screen.warn(callerText(event));
        return;
      case "newcomer":
        this.#refusal = event.error?.message ?? this.#refusal;
        return this.#screen.warn(newcomerText(event));
      case "queued":
      case "delivered":
      case "failed":
        this.#showProgress(event);
        break;
      case "cancelled":
        this.#pending.delete(event.message.id);
        this.#screen.note([...messageLine(event.message), plain(cancelledMark(event))]);
        break;
      case "added":
        this.#screen.note(`${showable(event.target)} was added and gets what you say from now on.`);
        break;
      case "removed":
        this.#removed(event);
        break;
      default:
        this.#showPresence(event);
        this.#printStuck();
    }
    this.#updatePending();
  }

  /** Ends with a summary of the messages that are kept, if any. */
  end(): void {
    this.#screen.showPending([]);
    this.#hasEnded = true;
    const queue = this.#peer.queue();
    if (queue.length === 0) return;
    for (const pending of this.#unshown().slice(-MAX_PENDING_ROWS)) {
      this.#screen.note([...messageLine(pending.message), plain(waitingMark(pending))]);
    }
    this.#screen.warn(keptText(queue));
  }

  // ---------------------------------------------------------------- the conversation

  #say(line: readonly Span[]): void {
    this.#showDay(new Date());
    this.#screen.show(line);
  }

  #showDay(at: Date): void {
    const day = formatDay(at);
    if (day === this.#day) return;
    this.#day = day;
    this.#screen.note(`--- ${day} ---`);
  }

  // ---------------------------------------------------------------- presence

  #showPresence(event: RosterEvent): void {
    this.#followPresence(event);
    if (this.#quiet) return;
    switch (event.type) {
      case "waiting":
        // A terminal shows the reason below; in a log, an ordinary or repeated one says nothing new.
        if (this.#screen.interactive || event.absent || event.reason === this.#refusal) return;
        return this.#screen.warn(reasonText(event));
      case "welcome":
        return this.#screen.show(
          `\nWelcome, ${this.#peer.name}. You are chatting with ${listOf(event.names)}.\n`,
        );
      case "joined":
        return this.#screen.note(`${showable(event.name)} is ${event.back ? "back" : "here"}.`);
      case "left":
        return this.#screen.note(`${showable(event.name)} has left.`);
    }
  }

  #followPresence(event: RosterEvent): void {
    switch (event.type) {
      case "waiting":
        return void this.#reasons.set(event.target, { text: event.reason, hint: event.hint });
      case "welcome":
        return event.names.forEach((name) => this.#here.add(name));
      case "joined":
        return void this.#here.add(event.name);
      case "left":
        return void this.#here.delete(event.name);
    }
  }

  /** Messages that wait for no other peer are shown for the last time. */
  #removed(event: Extract<PeerEvent, { type: "removed" }>): void {
    this.#here.delete(event.name ?? event.target);
    const targets = this.#peer.others.map(({ target }) => target);
    for (const [id, pending] of this.#pending) {
      if (pending.waitingFor.some(({ target }) => targets.includes(target))) continue;
      this.#pending.delete(id);
      if (!isShown(pending)) {
        this.#say([...messageLine(pending.message), plain(waitingMark(pending))]);
      }
    }
    this.#screen.note(removedText(event));
  }

  // ---------------------------------------------------------------- identities

  #showTrust(event: TrustEvent): void {
    switch (event.type) {
      case "met":
        if (!this.#quiet) this.#screen.note(firstContactText(event));
        return;
      case "lookalike":
        return this.#screen.alarm(lookalikeText(event));
      case "impostor":
        this.#refusal = event.error.message;
        this.#screen.ring();
        return this.#screen.alarm(impostorText(event));
    }
  }

  // ---------------------------------------------------------------- own messages

  #showProgress(event: ProgressEvent): void {
    const { message } = event;
    const pending = advanced(this.#pending.get(message.id) ?? undelivered(message), event);
    if (event.type === "queued" && this.#screen.interactive) {
      setTimeout(() => this.#updatePending(), IN_FLIGHT_MS);
    }
    if (pending.waitingFor.length > 0) {
      this.#follow(pending);
    } else {
      this.#pending.delete(message.id);
      this.#finish(pending);
    }
  }

  #follow(pending: Pending): void {
    this.#pending.set(pending.message.id, pending);
    if (this.#pending.size > MAX_FOLLOWED) {
      this.#pending.delete(this.#pending.keys().next().value!);
    }
    this.#print(pending);
  }

  /** Shows the outcome for a message that no longer waits for anyone. */
  #finish(pending: Pending): void {
    const { message, failures } = pending;
    const isLate = isWithSome(pending) && Date.now() - message.at.getTime() > LATE_MS;
    const line = isLate ? lateLine(message, new Date()) : messageLine(message);
    if (failures.length > 0) this.#say([...line, plain(` (${failures.join("; ")})`)]);
    // The terminal has echoed it.
    else if (this.#screen.echoes && !isShown(pending)) return;
    else if (!isShown(pending) || !this.#screen.interactive) this.#say(line);
    else if (this.#isCaughtUp()) this.#screen.note("Everyone has the messages that were waiting.");
  }

  #isCaughtUp(): boolean {
    return !this.#pending.values().some(isShown);
  }

  /**
   * Adds a message to the conversation that only waits for peers who are away. On a terminal, that
   * is done once some peer has it; until then it stands below.
   */
  #print(pending: Pending): void {
    if (isShown(pending) || !this.#isStuck(pending)) return;
    if (this.#screen.interactive && !isWithSome(pending)) return;
    this.#pending.set(pending.message.id, printed(pending));
    this.#say([...messageLine(pending.message), plain(waitingMark(pending))]);
  }

  #printStuck(): void {
    for (const pending of this.#pending.values()) this.#print(pending);
  }

  /** Whether a message waits only for peers who are away. A peer that is being dialed is not. */
  #isStuck({ waitingFor }: Pending): boolean {
    return waitingFor.every((addressee) => this.#isAway(addressee));
  }

  /**
   * A peer of the same name but another key does not get the message, and for one that takes no
   * messages now it waits as well.
   */
  #isAway({ name, fingerprint, target }: Addressee): boolean {
    const { others } = this.#peer;
    const there = others.find((other) => other.target === target)?.presence.state;
    if (there === "connecting") return false;
    if (name === undefined) return there !== "here";
    const here = others.flatMap(({ presence, trouble }) =>
      presence.state === "here" ? { ...presence, trouble } : []
    );
    const namesake = here.find((peer) => peer.name === name);
    // A link may drop for a moment: the peer is announced as gone only after that.
    if (namesake === undefined) return !this.#here.has(name);
    if (namesake.trouble !== undefined) return true;
    return fingerprint !== undefined && fingerprint !== namesake.fingerprint;
  }

  // ---------------------------------------------------------------- below the conversation

  #unshown(): Pending[] {
    return [...this.#pending.values()].filter((pending) => !isShown(pending));
  }

  /** Updates the pending messages and the reasons for waiting. */
  #updatePending(): void {
    if (!this.#screen.interactive || this.#hasEnded) return;
    const pending = this.#unshown();
    const more = pending.length - MAX_PENDING_ROWS;
    this.#screen.showPending([
      ...(more > 0 ? [{ text: `${more} earlier messages: see /queue` }] : []),
      ...pending.slice(-MAX_PENDING_ROWS).flatMap((one) => this.#pendingRow(one) ?? []),
      ...this.#reasonRows(),
    ]);
  }

  #reasonRows(): PendingRow[] {
    const absent = this.#peer.others.filter(({ presence }) => presence.state !== "here");
    const reasons = absent.flatMap(({ target }) => this.#reasons.get(target) ?? []);
    if (reasons.length > MAX_REASONS) {
      return [{ text: `${reasons.length} peers are away: see /who` }];
    }
    return reasons;
  }

  #pendingRow(pending: Pending): PendingRow | undefined {
    const text = rowText(pending.message);
    if (this.#isStuck(pending)) return { text, end: waitingMark(pending) };
    if (Date.now() - pending.message.at.getTime() >= IN_FLIGHT_MS) return { text };
  }
}

function rowText(message: Message): string {
  return textOf(messageLine({ ...message, body: message.body.slice(0, MAX_ROW_LENGTH) }));
}

function reasonText({ reason, hint }: Extract<RosterEvent, { type: "waiting" }>): string {
  return errorText({ message: reason, hint });
}
