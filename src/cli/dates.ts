/**
 * Points in time as people type them, in local time.
 *
 * @module
 */
import { type Arguments, quote } from "./arguments.ts";

const HOUR_MS = 3_600_000;

/** The units of an age, in milliseconds. */
const UNITS: Readonly<Record<string, number>> = { h: HOUR_MS, d: 24 * HOUR_MS, w: 168 * HOUR_MS };

const DATE =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$/;

/**
 * The value of an option that takes a date: `2026-11-26`, `2026-11-26 17:00`, `today`, `yesterday`,
 * or an age such as `7d`. Times with a zone are those of `--json`.
 *
 * @returns nothing if the option was not given
 * @throws {GreetError} `USAGE` if its value is no date
 */
export function dateOption(input: Arguments, name: string): Date | undefined {
  const text = input.string(name);
  if (text === undefined) return undefined;
  const date = parseDate(text.trim(), new Date());
  if (date !== undefined) return date;
  throw input.usage(
    `--${name} takes a date such as 2026-11-26, "2026-11-26 17:00" or today, ` +
      `or an age such as 12h, 7d or 2w, not ${quote(text)}`,
  );
}

/**
 * Parses a date.
 *
 * @param text what was typed
 * @param now the present
 * @returns nothing if it is no date
 *
 * @example
 * ```ts
 * import { parseDate } from "./dates.ts";
 * import assert from "node:assert/strict";
 *
 * const now = new Date("2026-11-26T12:00:00");
 * assert.deepEqual(parseDate("yesterday", now), new Date("2026-11-25T00:00:00"));
 * assert.deepEqual(parseDate("2w", now), new Date("2026-11-12T12:00:00"));
 * assert.deepEqual(parseDate("2026-11-26 17:00", now), new Date("2026-11-26T17:00:00"));
 * assert.equal(parseDate("2026-02-30", now), undefined);
 * ```
 */
export function parseDate(text: string, now: Date): Date | undefined {
  const [, amount, unit] = /^(\d{1,5})([hdw])$/.exec(text) ?? [];
  if (unit !== undefined) return new Date(now.getTime() - Number(amount) * UNITS[unit]);
  if (text === "today") return midnight(now, 0);
  if (text === "yesterday") return midnight(now, -1);
  const [matched, ...parts] = DATE.exec(text) ?? [];
  if (matched === undefined) return undefined;
  const [year, month, day, hours, minutes, seconds] = parts.slice(0, 6).map((part) =>
    Number(part ?? 0)
  );
  // The constructor would take the 30th of February for a day in March.
  const isDay = new Date(Date.UTC(year, month - 1, day)).getUTCDate() === day && month <= 12 &&
    month > 0;
  if (!isDay || year < 100 || hours > 23 || minutes > 59 || seconds > 59) return undefined;
  if (parts[6] === undefined) return new Date(year, month - 1, day, hours, minutes, seconds);
  const date = new Date(text.replace(" ", "T"));
  return Number.isNaN(date.getTime()) ? undefined : date;
}

function midnight(now: Date, days: number): Date {
  return new Date(now.getFullYear(), now.getMonth(), now.getDate() + days);
}
