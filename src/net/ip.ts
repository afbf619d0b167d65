/**
 * Recognizes IP addresses. `node:net` does the same, but to load it takes as long as half of
 * `greet --help`.
 *
 * @module
 */

const V4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** The characters of a v6 address, and the zone behind it. */
const V6 = /^([\da-f:.]+)(?:%[\da-z.:-]+)?$/i;

/**
 * Recognizes an IP address, exactly like `isIP` of `node:net`.
 *
 * @param text an address without brackets; a v6 address may name its zone, as in `fe80::1%eth0`
 * @returns the version, or 0 if it is not an address
 *
 * @example
 * ```ts
 * import { isIP } from "./ip.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(["127.0.0.1", "::1", "localhost"].map(isIP), [4, 6, 0]);
 * ```
 */
export function isIP(text: string): 0 | 4 | 6 {
  if (V4.test(text)) return 4;
  const [, v6 = ""] = V6.exec(text) ?? [];
  return URL.canParse(`http://[${v6}]`) ? 6 : 0;
}
