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

/**
 * Formats a date, a time with seconds, and how far it is from UTC: `2026-11-23 17:24:09 +01:00`.
 * Unambiguous for readers elsewhere, and when clocks are set back.
 */
export function formatMoment(at: Date): string {
  const minutes = -at.getTimezoneOffset();
  const offset = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60].map(twoDigits);
  const time = `${formatDate(at)} ${formatClock(at)}:${twoDigits(at.getSeconds())}`;
  return `${time} ${minutes < 0 ? "-" : "+"}${offset.join(":")}`;
}

function twoDigits(n: number): string {
  return `${n}`.padStart(2, "0");
}
