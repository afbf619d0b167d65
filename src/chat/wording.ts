/**
 * The words of a chat: what messages, announcements and warnings look like on a screen.
 *
 * Pure functions; `transcript.ts` decides what is shown, and when.
 *
 * @module
 */
import type { GreetError } from "../base/errors.ts";
import { formatClock, formatDate } from "../base/local_time.ts";
import { CONTINUATION, showable, showableName } from "../base/text.ts";
import type { TrustEvent } from "../identity/trust.ts";
import type { Addressee, Entry, Message, Waiting } from "../peer/journal.ts";
import type { Caller, CallerEvent } from "../peer/callers.ts";
import type { NewcomerEvent } from "../peer/newcomers.ts";
import type { PeerEvent } from "../peer/peer.ts";
import { escapeBody } from "../terminal/rows.ts";
import { boundaryBefore } from "../terminal/slices.ts";
import { hueOf, paint, type Span } from "../terminal/style.ts";

/** How much of a long message an excerpt has, in UTF-16 code units. */
const MAX_EXCERPT = 500;

/** How much of a text is repeated in an answer, in UTF-16 code units. */
const MAX_QUOTED = 40;

// ---------------------------------------------------------------- messages

/** How much of a message is shown where it is not the matter: in UTF-16 code units, and in lines. */
const MAX_EXCERPT_LENGTH = 500;
const MAX_EXCERPT_LINES = 5;

/**
 * A line of the conversation with a single time.
 *
 * @param day the day that the conversation is at; a message of another day shows its date
 */
export function messageLine(message: Message, day: Date = new Date()): Span[] {
  return lineAt(clock(message.at, day), [], message);
}

/**
 * A line of the conversation with two times, for a message that arrived long after it was sent.
 *
 * @param arrived when it became a line of the conversation
 */
export function lateLine(message: Message, arrived: Date): Span[] {
  return lineAt(clock(arrived), [`sent ${clock(message.at, arrived)}`], message);
}

function lineAt(
  time: string,
  remarks: readonly string[],
  { from, body, isAction, to, isDamaged }: Message,
): Span[] {
  const kind = [
    ...to === undefined ? [] : [`only to ${showableName(to)}`],
    ...isDamaged ? ["damaged on the disk"] : [],
  ];
  const all = [...kind, ...remarks];
  const remark = all.length === 0 ? "" : ` (${all.join(", ")})`;
  const text: Span = { text: body, look: "plain", escape: escapeBody };
  const name = (shown: string): Span => ({ text: shown, look: hueOf(from) });
  return isAction
    ? [plain(`[${time}]${remark} * `), name(actorText(from)), plain(" "), text]
    : [plain(`[${time}] `), name(showableName(from)), plain(`${remark}> `), text];
}

/** A name that what its owner does cannot seem to be a part of: brackets are not allowed in names. */
function actorText(from: string): string {
  const name = showableName(from);
  return name.includes(" ") ? `[${name}]` : name;
}

/** A message with no more of its body than leaves room for others on a screen. */
export function shortened(message: Message): Message {
  const { body } = message;
  const start = body.slice(0, boundaryBefore(body, MAX_EXCERPT_LENGTH));
  const end = start.split("\n", MAX_EXCERPT_LINES).join("\n").length;
  if (end === body.length) return message;
  const more = `… (${body.length - end} more characters: see /history)`;
  return { ...message, body: body.slice(0, end) + more };
}

/** A span of text in the plain look. */
export function plain(text: string): Span {
  return { text, look: "plain" };
}

/** The escaped text of a line, without colors. */
export function textOf(line: readonly Span[]): string {
  return paint(
    line.map((span) => ({ ...span, text: span.escape?.(span.text) ?? span.text })),
    false,
  );
}

/** The mark of a message that some addressees have and others do not. */
export function waitingForMark(addressees: readonly Addressee[]): string {
  return ` (waiting for ${listOf(shownLabelsOf(addressees))})`;
}

/** The mark of a message that was cancelled before everyone had it. */
export function cancelledMark({ waitingFor, deliveredTo }: CancelledEvent): string {
  if (deliveredTo.length === 0) return " (cancelled)";
  const verb = deliveredTo.length === 1 ? "has" : "have";
  const owners = `${listOf(deliveredTo.map(showableName))} ${verb} it`;
  return ` (cancelled for ${listOf(shownLabelsOf(waitingFor))}; ${owners})`;
}

type CancelledEvent = Pick<
  Extract<PeerEvent, { type: "cancelled" }>,
  "waitingFor" | "deliveredTo"
>;

/** Why a message will not be delivered, to one peer or to anyone. */
export function failureText({ to, error }: Pick<FailedEvent, "to" | "error">): string {
  const addressee = to === undefined ? "" : ` to ${showable(to)}`;
  return `not delivered${addressee}: ${showable(error.message)}`;
}

type FailedEvent = Extract<PeerEvent, { type: "failed" }>;

/** A summary of undelivered messages. */
export function keptText(queue: readonly Waiting[]): string {
  const names = queue.flatMap(({ addressees }) => shownLabelsOf(addressees));
  const whom = listOf([...new Set(names)]);
  return queue.length === 1
    ? `1 message for ${whom} is kept and will be sent when you meet again.`
    : `${queue.length} messages for ${whom} are kept and will be sent when you meet again.`;
}

/** An entry in the list of undelivered messages. */
export function queueLine({ message, addressees }: Waiting, number: number): string {
  return `${number}. ${textOf(messageLine(shortened(message)))}${waitingForMark(addressees)}`;
}

/** Says that messages wait for peers that are not in the chat. */
export function outsidersText(outsiders: readonly Addressee[]): string {
  const labels = [...new Set(shownLabelsOf(outsiders))];
  const verb = labels.length === 1 ? "is" : "are";
  return `${listOf(labels)} ${verb} not in this chat: what waits is sent when you meet again.`;
}

/** A message that is too long for a list, cut to what surrounds a text that it contains. */
export function excerpt(entry: Entry, text: string): Entry {
  const { body } = entry.message;
  if (body.length <= MAX_EXCERPT) return entry;
  const at = Math.max(0, body.toLowerCase().indexOf(text.toLowerCase()) - MAX_EXCERPT / 2);
  const part = body.slice(at, at + MAX_EXCERPT).toWellFormed();
  const [before, after] = [at > 0 ? "…" : "", at + MAX_EXCERPT < body.length ? "…" : ""];
  return { ...entry, message: { ...entry.message, body: before + part + after } };
}

/** Typed text in quotes, shortened if it is long. */
export function quoted(text: string): string {
  return `"${showable(text.length <= MAX_QUOTED ? text : `${text.slice(0, MAX_QUOTED)}…`)}"`;
}

// ---------------------------------------------------------------- identities

/** The announcement of a peer whose key is remembered from now on. */
export function firstContactText(event: Extract<TrustEvent, { type: "met" }>): string {
  const name = showable(event.name);
  const also = event.aliases.length === 0
    ? ""
    : ` (also the key of ${listOf(event.aliases.map(showableName))})`;
  return `First contact with ${name}. From now on, only this key is accepted for ${name}: ` +
    `${event.fingerprint}${also}\nUse /verify to rule out someone in the middle.`;
}

/** The warning about a name that looks like another one. */
export function lookalikeText({ name, like }: Extract<TrustEvent, { type: "lookalike" }>): string {
  return `WARNING: ${showable(name)} is not ${showableName(like)}. The names only look alike.`;
}

/** The warning about a peer with the wrong key for its name, key by key. */
export function impostorText(
  { name, target, fingerprint, known, error }: Extract<TrustEvent, { type: "impostor" }>,
): string {
  return showable(
    [
      `WARNING: someone else is claiming to be ${name}. Nothing will be sent to them.`,
      `${fingerprint} is the key at ${target}`,
      ...known.map((key) => `${key} is the key of ${name}`),
      error.hint,
    ].join("\n"),
    CONTINUATION,
  );
}

/** The announcement of a peer at a target where another one was last met. */
export function newcomerText(event: NewcomerEvent): string {
  const name = showable(event.name);
  const [change, formerAddressee] = changeText(event);
  return event.error === undefined
    ? `${change} What you type from now on goes to ${name}; ` +
      `messages for ${formerAddressee} keep waiting.`
    : `${change} Nothing will be sent to ${name} (${event.error.hint}).`;
}

function changeText(
  { name, fingerprint, target, previous }: NewcomerEvent,
): [change: string, formerAddressee: string] {
  const [now, before] = [showable(name), showableName(previous.name)];
  if (name !== previous.name) {
    return [`${now} is at ${target}, where you last met ${before}.`, before];
  }
  if (fingerprint === undefined) {
    return [`${now} at ${target} has no key, but had one when you last met.`, "that key"];
  }
  const change = `${now} at ${target} has a different key than when you last met: ` +
    `${fingerprint}, not ${previous.fingerprint}.`;
  return [change, "the other key"];
}

/** The announcement of a caller that is not among our peers, which may have any name. */
export function callerText(caller: Omit<CallerEvent, "type">): string {
  return `${callerName(caller)} is calling from ${caller.from}, ${strangerText(caller)}`;
}

/** The same for a list of callers, later. */
export function earlierCallerText(caller: Caller): string {
  const from = `from ${caller.from} at ${clock(caller.at, new Date())}`;
  return `${callerName(caller)} called ${from}, ${strangerText(caller)}`;
}

function callerName({ name, fingerprint, isKnown }: Omit<CallerEvent, "type">): string {
  return fingerprint === undefined || isKnown
    ? showableName(name)
    : `${showableName(name)}, whose key is new,`;
}

function strangerText({ name, argument }: Omit<CallerEvent, "type">): string {
  const shown = showableName(name);
  const remedy = argument === undefined
    ? `add where ${shown} listens`
    : `type /add ${showable(argument)}`;
  return `but is not among your peers (to chat with ${shown}, ${remedy}).`;
}

/** The announcement of a peer that was removed. */
export function removedText(
  { target, name = target, isAwaited }: Extract<PeerEvent, { type: "removed" }>,
): string {
  const shown = showable(name);
  const kept = isAwaited ? `; what waits for ${shown} is kept` : "";
  return `${shown} was removed and gets nothing more${kept}.`;
}

// ---------------------------------------------------------------- phrases

/** An error in one line, with its hint if it has one. */
export function errorText({ message, hint }: Pick<GreetError, "message" | "hint">): string {
  return showable(hint === undefined ? message : `${message} (${hint})`);
}

/** `Bob`, `Bob and Carol`, `Bob, Carol and Dave`. */
export function listOf(names: readonly string[]): string {
  const shown = names.map((name) => showable(name));
  const last = shown.pop() ?? "";
  return shown.length === 0 ? last : `${shown.join(", ")} and ${last}`;
}

/** Addressees by name, or by target if no peer was met there yet. */
export function labelsOf(addressees: readonly Addressee[]): string[] {
  return addressees.map(({ name, target }) => name ?? target);
}

/** The same for a transcript; targets may have brackets, which names may not. */
function shownLabelsOf(addressees: readonly Addressee[]): string[] {
  return addressees.map(({ name, target }) => name === undefined ? target : showableName(name));
}

/** Hours and minutes in local time, preceded by the date if it is not that of `day`. */
function clock(at: Date, day: Date = at): string {
  const time = formatClock(at);
  return at.toDateString() === day.toDateString() ? time : `${formatDate(at)} ${time}`;
}
