/**
 * How the messages of a journal are printed: as the lines of a conversation, or as JSON.
 *
 * @module
 */
import { formatDay } from "../base/local_time.ts";
import type { Delivery, RecordedEntry } from "../peer/journal_reader.ts";
import { LATE_MS } from "../peer/messages.ts";
import { type Span, type Styled, withLook } from "../terminal/style.ts";
import { jsonSpans, messageObject } from "./json_lines.ts";
import { lateLine, listOf, messageLine, plain } from "./wording.ts";

/**
 * Returns a function that turns one message after the other into lines, with a heading where a day
 * begins. A message of our own that not everyone got says so.
 */
export function recordLines(): (entry: RecordedEntry) => Styled[] {
  let today: string | undefined;
  return (entry) => {
    const { message, taken, deliveries } = entry;
    const day = formatDay(taken);
    const heading = day === today ? [] : [withLook(`--- ${day} ---`, "dim")];
    today = day;
    const line = isLate(entry) ? lateLine(message, taken) : messageLine(message, taken);
    return [...heading, [...line, plain(outcomeMark(deliveries))]];
  };
}

/** A message as one line of JSON. */
export function recordObject(entry: RecordedEntry): Span[][] {
  const { message, taken, deliveries } = entry;
  const outcomes = deliveries.length === 0 ? {} : {
    deliveredTo: namesOf(deliveries, "delivered"),
    waitingFor: namesOf(deliveries, "waiting"),
    failedFor: namesOf(deliveries, "failed"),
    cancelledFor: namesOf(deliveries, "cancelled"),
  };
  return [
    jsonSpans({
      type: "message",
      ...messageObject(message),
      taken: taken.toISOString(),
      ...outcomes,
    }),
  ];
}

function isLate({ message, taken }: RecordedEntry): boolean {
  return taken.getTime() - message.at.getTime() > LATE_MS;
}

function outcomeMark(deliveries: readonly Delivery[]): string {
  const phrases = [
    ["waiting", "waiting for"],
    ["failed", "not delivered to"],
    ["cancelled", "cancelled for"],
  ] as const;
  const parts = phrases.flatMap(([state, phrase]) => {
    const names = namesOf(deliveries, state);
    return names.length === 0 ? [] : `${phrase} ${listOf(names)}`;
  });
  return parts.length === 0 ? "" : ` (${parts.join("; ")})`;
}

function namesOf(deliveries: readonly Delivery[], wanted: Delivery["state"]): string[] {
  return deliveries.flatMap(({ to, state }) => state === wanted ? to : []);
}
