/**
 * Checks histories of concurrent operations for linearizability: whether each operation can have
 * taken effect at one moment between its begin and its end, so that all results are right.
 *
 * Wing & Gong's search with Lowe's cache of configurations, as in anishathalye/porcupine.
 * Operations may be optional, or exist only if another one took effect.
 *
 * @module
 */

/** One operation of a history. */
export interface Operation<Action> {
  readonly action: Action;
  /** When it was begun, by any one clock. */
  readonly begin: number;
  /** When it was known to have ended; `Infinity` if that is not known. */
  readonly end: number;
  /** Whether it may never take effect: its outcome is not known. */
  readonly isOptional?: boolean;
  /** An operation that takes effect first; if that one never does, neither does this one. */
  readonly requires?: Operation<Action>;
}

/** What operations do, one after another. */
export interface Model<State, Action> {
  readonly initial: State;
  /** The state after an action with the result it had; undefined if it cannot have that result. */
  step(state: State, action: Action): State | undefined;
  /** The state as text: equal for equal states only. */
  textOf(state: State): string;
  /** Whether an action never changes the state. */
  isRead(action: Action): boolean;
  /** The time at which a state must have been left (default: it may last). */
  deadline?(state: State): number;
}

/** The outcome of a check. */
export interface Verdict<Action> {
  readonly isLinearizable: boolean;
  /** The operations in an order that explains the results, or that explains them for longest. */
  readonly order: readonly Operation<Action>[];
  /** The operations that cannot follow that order, although they must. */
  readonly stuck: readonly Operation<Action>[];
}

/** How many configurations to try before a check is given up. */
const MAX_CONFIGURATIONS = 100_000;

/** The search was given up, without a verdict. */
export class Undecided extends Error {}

/**
 * Finds an order of all operations that agrees with their times and explains their results.
 *
 * @throws {Undecided} if the search takes too long
 */
export function check<State, Action>(
  model: Model<State, Action>,
  history: readonly Operation<Action>[],
): Verdict<Action> {
  return new Search(model, history).run();
}

/** How far a search has come: which operations took effect, and what state they led to. */
interface Configuration<State> {
  readonly done: bigint;
  readonly state: State;
  /** The latest begin of an operation that took effect: time has passed that far. */
  readonly now: number;
  /** Every operation before this one took effect. */
  readonly first: number;
}

class Search<State, Action> {
  readonly #model: Model<State, Action>;
  readonly #operations: readonly Operation<Action>[];
  readonly #required: readonly (number | undefined)[];
  /** Optional operations that no other one requires: the fewer a search needs, the better. */
  readonly #spare: bigint;
  /** For each state and set of other operations: the spare ones with which it was reached. */
  readonly #seen = new Map<string, bigint[]>();
  #tried = 0;
  readonly #order: number[] = [];
  /** The order that explains the longest time. */
  #longest = { order: [] as number[], stuck: [] as number[], now: -Infinity };

  constructor(model: Model<State, Action>, history: readonly Operation<Action>[]) {
    this.#model = model;
    this.#operations = history.toSorted((a, b) => a.begin - b.begin);
    const indexes = new Map(this.#operations.map((operation, index) => [operation, index]));
    this.#required = this.#operations.map(({ requires }) => requires && indexes.get(requires)!);
    const isSpare = ({ isOptional }: Operation<Action>, index: number) =>
      isOptional && !this.#required.includes(index);
    this.#spare = this.#operations.reduce(
      (all, operation, index) => isSpare(operation, index) ? all | 1n << BigInt(index) : all,
      0n,
    );
  }

  run(): Verdict<Action> {
    const { initial } = this.#model;
    const isLinearizable = this.#explore({ done: 0n, state: initial, now: -Infinity, first: 0 });
    const { order, stuck } = isLinearizable ? { order: this.#order, stuck: [] } : this.#longest;
    const operations = (indexes: number[]) => indexes.map((index) => this.#operations[index]);
    return { isLinearizable, order: operations(order), stuck: operations(stuck) };
  }

  #explore(configuration: Configuration<State>): boolean {
    const { state, now } = configuration;
    if (now > (this.#model.deadline?.(state) ?? Infinity)) return false;
    if (this.#isKnown(configuration)) return false;
    const { waiting, possible } = this.#pending(configuration);
    const furthest = this.#longest.now;
    if (now > furthest || now === furthest && waiting.length <= this.#longest.stuck.length) {
      this.#longest = { order: [...this.#order], stuck: waiting, now };
    }
    if (waiting.length === 0) return true;
    if (waiting.some((index) => this.#operations[index].end < now)) return false;
    for (const index of possible) {
      const { action, begin } = this.#operations[index];
      const next = this.#model.step(state, action);
      if (next === undefined) continue;
      this.#order.push(index);
      const isFound = this.#explore({
        done: configuration.done | 1n << BigInt(index),
        state: next,
        now: Math.max(now, begin),
        first: index === configuration.first ? index + 1 : configuration.first,
      });
      if (isFound) return true;
      this.#order.pop();
      if (this.#isBest(index, configuration)) return false;
    }
    return false;
  }

  /** Whether this state was reached before, with no more spare operations. */
  #isKnown({ done, state }: Configuration<State>): boolean {
    const spare = done & this.#spare;
    const key = `${(done ^ spare).toString(36)} ${this.#model.textOf(state)}`;
    const known = this.#seen.get(key) ?? [];
    if (known.some((fewer) => (fewer & ~spare) === 0n)) return true;
    this.#seen.set(key, [...known, spare]);
    if (++this.#tried > MAX_CONFIGURATIONS) throw new Undecided("too many configurations");
    return false;
  }

  /** The operations that must still take effect, and those that may be the next one. */
  #pending({ done, now, first }: Configuration<State>): { waiting: number[]; possible: number[] } {
    const waiting: number[] = [];
    const possible: number[] = [];
    let firstEnd = Infinity;
    for (let index = first; index < this.#operations.length; index++) {
      const { begin, end, isOptional = false } = this.#operations[index];
      if (begin > firstEnd) break;
      if (isDone(done, index) || end < now && isOptional) continue;
      const required = this.#required[index];
      if (required !== undefined && !isDone(done, required)) continue;
      if (!isOptional) {
        waiting.push(index);
        firstEnd = Math.min(firstEnd, end);
      }
      possible.push(index);
    }
    const candidates = possible.filter((index) => this.#operations[index].begin <= firstEnd);
    // Reads come first, then what must happen; what may never happen comes last.
    return { waiting, possible: candidates.sort((a, b) => this.#rank(a) - this.#rank(b)) };
  }

  /**
   * Whether no other operation needs to be tried in the place of this one: a read changes nothing,
   * so it may always come first, unless time then passes the end of another operation. An optional
   * read may be one that others require.
   */
  #isBest(index: number, { done, now, state }: Configuration<State>): boolean {
    const { action, begin, isOptional = false } = this.#operations[index];
    if (isOptional || !this.#model.isRead(action)) return false;
    if (begin > (this.#model.deadline?.(state) ?? Infinity)) return false;
    const isPassed = ({ end }: Operation<Action>, other: number) =>
      end >= now && end < begin && !isDone(done, other);
    return begin <= now || !this.#operations.some(isPassed);
  }

  #rank(index: number): number {
    const { action, isOptional, end } = this.#operations[index];
    if (this.#model.isRead(action)) return -1;
    return isOptional || end === Infinity ? 1 : 0;
  }
}

function isDone(done: bigint, index: number): boolean {
  return (done >> BigInt(index) & 1n) === 1n;
}
