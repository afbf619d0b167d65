/**
 * Formats dates and times for people, in local time.
 *
 * `Intl` is not used, because its first use takes 10 ms.
 *
 * @module
 */

const WEEKDAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/** Formats hours and minutes, such as `17:24`. */
export function formatClock(at: Date): string {
  return `${twoDigits(at.getHours())}:${twoDigits(at.getMinutes())}`;
}

/** Formats a date, such as `2026-11-23`. */
export function formatDate(at: Date): string {
  return [at.getFullYear(), at.getMonth() + 1, at.getDate()].map(twoDigits).join("-");
}

/** Formats a weekday and a date, such as `Monday, 2026-11-23`. */
export function formatDay(at: Date): string {
  return `${WEEKDAYS[at.getDay()]}, ${formatDate(at)}`;
}

/** Formats a date and a time with seconds, such as `2026-11-23 17:24:09`. */
export function formatDateTime(at: Date): string {
  return `${formatDate(at)} ${formatClock(at)}:${twoDigits(at.getSeconds())}`;
}

/** A date and a time with seconds, in UTC, such as `2026-11-23 16:24:09`. */
export function formatUtc(at: Date): string {
  return at.toISOString().replace("T", " ").slice(0, 19);
}

function twoDigits(n: number): string {
  return `${n}`.padStart(2, "0");
}
