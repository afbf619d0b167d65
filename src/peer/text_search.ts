/**
 * Finds text in messages, whatever the case of its letters, by reading them all: an index would cost
 * more with each message than it saves (docs/architecture.md has the figures).
 *
 * @module
 */

/** How much of a text is compared by SQLite, in UTF-16 code units; it limits its patterns. */
const MAX_PATTERN = 1_000;

/** The condition that bodies with U+0000 meet; the journal has an index of them. */
export const HAS_NUL = "instr(body, char(0)) > 0";

/** Returns a function that tells whether a text contains another one. */
export function matcher(text: string): (body: string) => boolean {
  const wanted = text.toLowerCase();
  return (body) => body.toLowerCase().includes(wanted);
}

/** A condition in SQL: what it says about the column `body`, and the values of its parameters. */
export interface BodyCondition {
  readonly sql: string;
  readonly values: Readonly<Record<string, string>>;
}

/**
 * The condition that all messages with a text meet, and few others: {@link matcher} decides.
 *
 * `LIKE` is the fastest but ignores only the case of ASCII; `GLOB` ignores none, so it gets both
 * cases of each letter. Neither sees anything after U+0000, so see {@link HAS_NUL} as well.
 */
export function candidates(text: string): BodyCondition {
  const characters = [...text.slice(0, MAX_PATTERN).toWellFormed()];
  return /^[\0-\x7F]*$/.test(text) ? like(characters) : glob(characters);
}

function like(characters: readonly string[]): BodyCondition {
  const escaped = characters.map((one) => /[%_\\]/.test(one) ? `\\${one}` : one);
  return { sql: String.raw`body LIKE :text ESCAPE '\'`, values: { text: `%${escaped.join("")}%` } };
}

function glob([first, ...rest]: readonly string[]): BodyCondition {
  const tail = rest.map((one) => anyOf(casesOf(one))).join("");
  // SQLite skips quickly to a first character that has one case.
  const patterns = casesOf(first).map((one) => `*${anyOf([one])}${tail}*`);
  return {
    sql: `(${patterns.map((_, i) => `body GLOB :text${i}`).join(" OR ")})`,
    values: Object.fromEntries(patterns.map((pattern, i) => [`text${i}`, pattern])),
  };
}

/** A pattern for one of several characters. */
function anyOf(characters: readonly string[]): string {
  const [only] = characters;
  return characters.length === 1 && !/[*?[]/.test(only) ? only : `[${characters.join("")}]`;
}

/** The cases of a character that are characters themselves: not those of `ß`, which has two. */
function casesOf(character: string): string[] {
  const cases = [character, character.toLowerCase(), character.toUpperCase()];
  return [...new Set(cases)].filter((one) => [...one].length === 1);
}
