/**
 * Finds what the runtime stores in its HTTP/2 objects under symbols that it does not export.
 *
 * @module
 */

/**
 * The symbol with a description among an object's own ones, or `undefined` if there is none, as in
 * another version of the runtime.
 */
export function symbolIn(object: object, description: string): symbol | undefined {
  return Object.getOwnPropertySymbols(object).find((symbol) => symbol.description === description);
}
