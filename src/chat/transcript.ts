/**
 * How a chat reads: what happens to a peer, in words, on a screen.
 *
 * A {@link Transcript} puts what was said and delivered into the conversation,
 * in the order in which that happened. What is not delivered yet stands below it, on a
 * terminal, and moves up when it is; in a pipe, where nothing can move, it is
 * printed as waiting and again when it was delivered.
 *
 * @module
 */
import { hueOf, paint, type Span } from "../terminal/style.ts";
import type { GreetError } from "../base/errors.ts";
import type { Addressee, Entry, Message, Waiting } from "../peer/journal.ts";
import type { Held } from "../terminal/layout.ts";
import type { NewcomerEvent } from "../peer/newcomers.ts";
import type { Peer, PeerEvent } from "../peer/peer.ts";
import type { RosterEvent } from "../peer/roster.ts";
import { bodyShowable } from "../terminal/rows.ts";
import type { Screen } from "../terminal/screen.ts";
import { CONTINUATION, showable, showableName } from "../base/text.ts";
import type { TrustEvent } from "../identity/trust.ts";

/** How many waiting messages, and reasons why somebody is not there, stand below the conversation. */
const HELD = 5;
const EXPLAINED = 3;

/** How many it follows; of older ones it shows only how they end. */
const FOLLOWED = 1_000;

/** How long a message may be on its way before it is shown as such; most have arrived by then. */
const ON_ITS_WAY_MS = 50;

/** How much of a message is looked at for one row. */
const GLANCE = 2_000;

/** From when on it is worth telling that something took its time. */
const LATE_MS = 60_000;

/** Something of our own that somebody has not got yet. */
interface Pending {
  readonly message: Message;
  readonly waitingFor: readonly Addressee[];
  /** Whether somebody else has it. */
  readonly isWithSome: boolean;
  /** Why others will never have it. */
  readonly failures: readonly string[];
  /** Whether it is in the conversation already, marked as waiting. */
  readonly isPrinted: boolean;
}

/** What a transcript needs. */
export interface TranscriptOptions {
  /** Where it is shown. */
  screen: Screen;
  /** Whose chat it is. */
  peer: Peer;
  /** Show what is said, and nothing of who comes and goes. */
  quiet?: boolean;
}

/** A chat on a screen. */
export class Transcript {
  readonly #screen: Screen;
  readonly #peer: Peer;
  readonly #quiet: boolean;
  readonly #pending = new Map<string, Pending>();
  readonly #reasons = new Map<string, string>();
  readonly #here = new Set<string>();
  /** Why the last impostor or newcomer was refused; that is also why somebody is still waited for. */
  #exposed: string | undefined;
  /** Which day it is, as far as the conversation has told. */
  #day = dayOf(new Date());
  #hasEnded = false;

  /** Nothing is shown before {@link Transcript.begin}. */
  constructor({ screen, peer, quiet = false }: TranscriptOptions) {
    this.#screen = screen;
    this.#peer = peer;
    this.#quiet = quiet;
  }

  /** Begins; on a terminal with what still waits for those who are expected. */
  begin(): void {
    if (this.#screen.interactive) this.#restore();
    if (!this.#quiet) this.#screen.note("Waiting for other peer to connect...");
    this.#hold();
  }

  #restore(): void {
    const targets = this.#peer.others.map(({ target }) => target);
    for (const { message, addressees } of this.#peer.queue()) {
      if (!addressees.some(({ target }) => targets.includes(target))) continue;
      this.#pending.set(message.id, { ...this.#known(message), waitingFor: addressees });
    }
  }

  /** Shows what was said before. */
  recall(entries: readonly Entry[]): void {
    for (const { message, taken } of entries) {
      this.#tellDay(taken);
      const isLate = taken.getTime() - message.at.getTime() > LATE_MS;
      this.#screen.note(line(message, taken, isLate));
    }
  }

  /** Shows what happened. */
  show(event: PeerEvent): void {
    switch (event.type) {
      case "message":
        this.#screen.ring();
        return this.#say(line(event.message, new Date(), event.late));
      case "trouble":
        return this.#screen.warn(sentence(event.error));
      case "met":
      case "lookalike":
      case "impostor":
        return this.#showTrust(event);
      case "newcomer":
        // A refusal is also why the other peer is still waited for.
        this.#exposed = event.error?.message ?? this.#exposed;
        return this.#screen.warn(replacement(event));
      case "queued":
      case "delivered":
      case "failed":
      case "cancelled":
        this.#showProgress(event);
        break;
      default:
        this.#showPresence(event);
        for (const pending of this.#pending.values()) this.#print(pending);
    }
    this.#hold();
  }

  /** Ends with what is kept, if anything. */
  end(): void {
    this.#screen.below([]);
    this.#hasEnded = true;
    const queue = this.#peer.queue();
    if (queue.length === 0) return;
    const unprinted = [...this.#pending.values()].filter(({ isPrinted }) => !isPrinted);
    for (const pending of unprinted.slice(-HELD)) {
      this.#screen.note([...lineOf(pending.message), plain(waitingMark(pending))]);
    }
    this.#screen.warn(kept(queue));
  }

  // ---------------------------------------------------------------- the conversation

  #say(line: readonly Span[]): void {
    this.#tellDay(new Date());
    this.#screen.show(line);
  }

  #tellDay(at: Date): void {
    const day = dayOf(at);
    if (day === this.#day) return;
    this.#day = day;
    this.#screen.note(`--- ${day} ---`);
  }

  // ---------------------------------------------------------------- who is there

  #showPresence(event: RosterEvent): void {
    if (event.type === "waiting") this.#reasons.set(event.target, whyWaiting(event));
    if (event.type === "welcome") event.names.forEach((name) => this.#here.add(name));
    if (event.type === "joined") this.#here.add(event.name);
    if (event.type === "left") this.#here.delete(event.name);
    if (this.#quiet) return;
    switch (event.type) {
      case "waiting":
        // That nobody is there yet is why we wait; a log need not say it twice.
        if (this.#screen.interactive || event.nobodyThere || event.reason === this.#exposed) return;
        return this.#screen.warn(whyWaiting(event));
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

  // ---------------------------------------------------------------- who is who

  #showTrust(event: TrustEvent): void {
    const name = showable(event.name);
    switch (event.type) {
      case "met": {
        if (this.#quiet) return;
        const also = event.aliases.length === 0 ? "" : ` (${listOf(event.aliases)} has it, too)`;
        return this.#screen.note(
          `${name} is new to you. From now on, only this key is ${name}: ${event.fingerprint}${also}\n` +
            "/verify tells how to be sure that nobody is in between.",
        );
      }
      case "lookalike":
        return this.#screen.alarm(
          `Take care: ${name} is not ${showable(event.like)}, and only looks like that.`,
        );
      case "impostor":
        this.#exposed = event.error.message;
        this.#screen.ring();
        return this.#screen.alarm(exposure(event));
    }
  }

  // ---------------------------------------------------------------- what we said

  #known(message: Message): Pending {
    return this.#pending.get(message.id) ??
      { message, waitingFor: [], isWithSome: false, failures: [], isPrinted: false };
  }

  #showProgress(
    event: Extract<PeerEvent, { type: "queued" | "delivered" | "failed" | "cancelled" }>,
  ): void {
    const known = this.#known(event.message);
    switch (event.type) {
      case "queued":
        if (this.#screen.interactive) setTimeout(() => this.#hold(), ON_ITS_WAY_MS);
        return this.#follow({ ...known, waitingFor: event.waitingFor });
      case "delivered":
        return this.#follow({
          ...known,
          waitingFor: event.waitingFor,
          isWithSome: true,
          // As waiting for everybody, which is over.
          isPrinted: known.isPrinted && known.isWithSome,
        });
      case "failed":
        return this.#follow({
          ...known,
          waitingFor: event.waitingFor,
          failures: [...known.failures, failure(event, known)],
        });
      case "cancelled":
        this.#pending.delete(event.message.id);
        return this.#screen.note([...lineOf(event.message), plain(" (cancelled)")]);
    }
  }

  #follow(pending: Pending): void {
    const { id } = pending.message;
    if (pending.waitingFor.length > 0) {
      this.#pending.set(id, pending);
      if (this.#pending.size > FOLLOWED) {
        this.#pending.delete(this.#pending.keys().next().value!);
      }
      this.#print(pending);
    } else {
      this.#pending.delete(id);
      this.#finish(pending);
    }
  }

  /** It goes no further: everybody has it, or never will. */
  #finish({ message, isWithSome, failures, isPrinted }: Pending): void {
    const isLate = isWithSome && Date.now() - message.at.getTime() > LATE_MS;
    const said = line(message, new Date(), isLate);
    if (failures.length > 0) this.#say([...said, plain(` (${failures.join("; ")})`)]);
    // The terminal has shown it when it was typed.
    else if (this.#screen.echoes && !isPrinted) return;
    else if (!isPrinted || !this.#screen.interactive) this.#say(said);
    else if (this.#isCaughtUp()) this.#screen.note("What waited for others has been delivered.");
  }

  #isCaughtUp(): boolean {
    return [...this.#pending.values()].every(({ isPrinted }) => !isPrinted);
  }

  /**
   * Puts what waits for nobody but those who are away into the conversation: where
   * others have it, because that is where it belongs, and in a pipe, because it has no below.
   */
  #print(pending: Pending): void {
    if (pending.isPrinted || !this.#isStuck(pending)) return;
    if (this.#screen.interactive && !pending.isWithSome) return;
    this.#pending.set(pending.message.id, { ...pending, isPrinted: true });
    this.#say([...lineOf(pending.message), plain(waitingMark(pending))]);
  }

  /** Whether all those are away whom it waits for; while one is called, nobody knows. */
  #isStuck({ waitingFor }: Pending): boolean {
    return waitingFor.every(({ name, target }) =>
      !(name !== undefined && this.#here.has(name)) &&
      !this.#peer.others.some(({ target: at, presence }) =>
        at === target &&
        (presence.state === "connecting" ||
          presence.state === "here" && presence.name === (name ?? presence.name))
      )
    );
  }

  /** Keeps below the conversation what belongs to no place in it yet, and why. */
  #hold(): void {
    if (!this.#screen.interactive || this.#hasEnded) return;
    const pending = [...this.#pending.values()].filter((one) => !one.isPrinted);
    const more = pending.length - HELD;
    this.#screen.below([
      ...(more > 0 ? [{ text: `${more} more before that: see /queue` }] : []),
      ...pending.slice(-HELD).flatMap((one) => this.#heldRow(one) ?? []),
      ...this.#whyAbsent(),
    ]);
  }

  #whyAbsent(): Held[] {
    const absent = this.#peer.others.filter(({ presence }) => presence.state !== "here");
    const reasons = absent.flatMap(({ target }) => this.#reasons.get(target) ?? []);
    if (reasons.length > EXPLAINED) return [{ text: `${reasons.length} are away: see /who` }];
    return reasons.map((text) => ({ text }));
  }

  #heldRow(pending: Pending): Held | undefined {
    const { message } = pending;
    const text = textOf(lineOf({ ...message, body: message.body.slice(0, GLANCE) }));
    if (this.#isStuck(pending)) return { text, end: waitingMark(pending) };
    if (Date.now() - message.at.getTime() >= ON_ITS_WAY_MS) return { text };
  }
}

// ---------------------------------------------------------------- wording

/**
 * A line of the conversation.
 *
 * @param day when it becomes one: what the date above it says
 * @param isLate whether that is much later than it was said; then it has both times
 */
function line({ at, from, body }: Message, day: Date, isLate: boolean): Span[] {
  const sent = clock(at, day);
  const when = isLate ? clock(day) : sent;
  return [
    plain(`[${when}] `),
    { text: showableName(from), look: hueOf(from) },
    plain(`${isLate ? ` (sent ${sent})` : ""}> `),
    { text: body, look: "plain", safely: bodyShowable },
  ];
}

/** A line that is none of the conversation, or not yet. */
function lineOf(message: Message): Span[] {
  return line(message, new Date(), false);
}

function plain(text: string): Span {
  return { text, look: "plain" };
}

function textOf(line: readonly Span[]): string {
  return paint(
    line.map((span) => ({ ...span, text: span.safely?.(span.text) ?? span.text })),
    false,
  );
}

function waitingMark({ waitingFor, isWithSome }: Pending): string {
  return isWithSome ? ` (waiting for ${listOf(waitingFor.map(labelOf))})` : " (waiting)";
}

function failure(
  { to, error, waitingFor }: Extract<PeerEvent, { type: "failed" }>,
  { isWithSome }: Pending,
): string {
  const isAllThereIs = to === undefined || (waitingFor.length === 0 && !isWithSome);
  const whom = isAllThereIs ? "" : ` to ${showable(to)}`;
  return `not delivered${whom}: ${showable(error.message)}`;
}

/** Who is not who they say, key by key. */
function exposure(
  { name, target, fingerprint, known, error }: Extract<TrustEvent, { type: "impostor" }>,
): string {
  return showable(
    [
      `Somebody else says to be ${name}! Nothing is sent to them.`,
      `${fingerprint} is at ${target}`,
      ...known.map((key) => `${key} is ${name}`),
      error.hint,
    ].join("\n"),
    CONTINUATION,
  );
}

/** Who is where another peer was met before, and what that means for what is said. */
function replacement({ name, fingerprint, target, previous, error }: NewcomerEvent): string {
  const [now, before] = [showable(name), showable(previous.name)];
  const [what, waiting] = name !== previous.name
    ? [`${now} is at ${target}, where you last met ${before}.`, before]
    : fingerprint === undefined
    ? [`${now} at ${target} shows no key, unlike when you last met.`, "that key"]
    : [
      `${now} at ${target} has another key than when you last met: ${fingerprint}, ` +
      `not ${previous.fingerprint}.`,
      "the other key",
    ];
  return error === undefined
    ? `${what} What you type from now on goes to ${now}; what waits for ${waiting} keeps waiting.`
    : `${what} Nothing is sent to ${now} (${error.hint}).`;
}

/** What went wrong and, where something can be done about it, what. */
function sentence({ message, hint }: Pick<GreetError, "message" | "hint">): string {
  return showable(hint === undefined ? message : `${message} (${hint})`);
}

function whyWaiting({ reason, hint }: Extract<RosterEvent, { type: "waiting" }>): string {
  return sentence({ message: reason, hint });
}

/** What is told of what is kept. */
export function kept(queue: readonly Waiting[]): string {
  const everybody = queue.flatMap(({ addressees }) => addressees.map(labelOf));
  const whom = listOf([...new Set(everybody)]);
  return queue.length === 1
    ? `1 message for ${whom} is kept. It goes out when you meet again.`
    : `${queue.length} messages for ${whom} are kept. They go out when you meet again.`;
}

/** A line of the list of what waits. */
export function queueLine({ message, addressees }: Waiting, number: number): string {
  return `${number}. ${textOf(lineOf(message))} (waiting for ${listOf(addressees.map(labelOf))})`;
}

function labelOf({ name, target }: Addressee): string {
  return name ?? target;
}

/** `Bob`, `Bob and Carol`, `Bob, Carol and Dave`. */
function listOf(names: readonly string[]): string {
  const shown = names.map((name) => showable(name));
  const last = shown.pop() ?? "";
  return shown.length === 0 ? last : `${shown.join(", ")} and ${last}`;
}

/** Hours and minutes in local time, and the date where it is not that of `day`. */
function clock(at: Date, day: Date = at): string {
  const time = `${twoDigits(at.getHours())}:${twoDigits(at.getMinutes())}`;
  return at.toDateString() === day.toDateString() ? time : `${dateOf(at)} ${time}`;
}

/** `Monday, 2026-11-23`. `Intl` would take 10 ms to say as much. */
function dayOf(at: Date): string {
  return `${WEEKDAYS[at.getDay()]}, ${dateOf(at)}`;
}

const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

function dateOf(at: Date): string {
  return [at.getFullYear(), at.getMonth() + 1, at.getDate()].map(twoDigits).join("-");
}

function twoDigits(n: number): string {
  return `${n}`.padStart(2, "0");
}
