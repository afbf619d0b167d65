/**
 * Puts all mutants of a file behind a switch, so that one copy of the source is every mutant and the
 * original, and tells which of them a test reaches.
 *
 * @module
 */
import type { Mutant } from "./operators.ts";

/** What the switch shares with the process that runs the tests. */
export interface Switch {
  /** The id of the active mutant; 0 for the original. */
  active: number;
  /** Not 0 at the id of each mutant that was reached. */
  readonly reached: Uint8Array;
}

/** The module that mutated files import. */
export const SWITCH_MODULE = "src/__switch.ts";

/**
 * The source of the switch.
 *
 * @param count the number of mutants, whose ids begin with 1
 * @param active the mutant that is active when a process starts
 */
export function switchSource(count: number, active: number): string {
  return `
    const state = globalThis.__switch ??= {
      active: ${active}, reached: new Uint8Array(${count + 1}),
    };
    export function __m(id) {
      state.reached[id] = 1;
      return state.active === id;
    }
  `;
}

/**
 * Puts mutants behind the switch.
 *
 * @param mutants mutants of the source, in order
 * @param firstId the id of the first of them; the others follow
 * @param path the path from the file to the switch
 */
export function switchedSource(
  source: string,
  mutants: readonly Mutant[],
  firstId: number,
  path: string,
): string {
  const queue = mutants.map((mutant, i) => ({ ...mutant, id: firstId + i }));
  let text = "";

  /** Writes the source up to an offset, with all mutants that begin before it. */
  const writeTo = (from: number, to: number): void => {
    let at = from;
    while (queue.length > 0 && queue[0].start < to) {
      const { start, end, isStatement } = queue[0];
      const same = queue.filter((one) => one.start === start && one.end === end);
      queue.splice(0, same.length);
      text += source.slice(at, start);
      text += isStatement
        ? `{ if (${same.map(({ id }) => `!__m(${id})`).join(" && ")}) `
        : `(${same.map(({ id, replacement }) => `__m(${id}) ? (${replacement}) : `).join("")}(`;
      writeTo(start, end);
      text += isStatement ? " }" : "))";
      at = end;
    }
    text += source.slice(at, to);
  };

  writeTo(0, source.length);
  return `import { __m } from "${path}"; ${text}`;
}
