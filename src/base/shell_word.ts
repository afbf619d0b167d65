/**
 * Words of a command line, in hints that people copy into a shell.
 *
 * @module
 */

/** Quotes a word if a shell would not take it as it is. */
export function shellWord(word: string): string {
  if (/^[\p{L}\p{N}@%+=:,./_-]+$/u.test(word)) return word;
  return /^[^"$`\\!]*$/.test(word) ? `"${word}"` : `'${word.replaceAll("'", `'\\''`)}'`;
}
