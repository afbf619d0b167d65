/**
 * What is typed after a command's name: options in GNU style, and the rest.
 *
 * Every mistake is answered with one sentence that says what would have been right;
 * a mistyped option with the nearest one. What is allowed is the command's
 * {@link Syntax}, and what it means is the command's business.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { GreetError } from "../base/errors.ts";

/** What begins with two dashes. */
export interface Option {
  /** What stands for its value in the help; a flag has none. */
  readonly value?: string;
  readonly help: string;
}

/** What a command takes. */
export interface Syntax {
  readonly name: string;
  /** What comes after it, besides options. */
  readonly usage: string;
  readonly options: Readonly<Record<string, Option>>;
}

/** What every command takes. */
export const COMMON: Syntax["options"] = {
  help: { help: "show this help" },
  version: { help: "show the version" },
};

/**
 * What was typed after the command's name.
 *
 * @throws {GreetError} `USAGE`, from the constructor and from each method, for what makes no sense
 */
export class Arguments {
  readonly #command: Syntax;
  readonly #values: ReadonlyMap<string, string | true>;
  readonly #positionals: readonly string[];

  constructor(command: Syntax, args: readonly string[]) {
    this.#command = command;
    const options = { ...command.options, ...COMMON };
    const { tokens } = parseArgs({
      args: [...args],
      options: {
        ...mapValues(options, ({ value }) => ({ type: value ? "string" : "boolean" } as const)),
        help: { type: "boolean", short: "h" },
      },
      strict: false,
      tokens: true,
    });
    const values = new Map<string, string | true>();
    for (const token of tokens) {
      if (token.kind !== "option") continue;
      const option = Object.hasOwn(options, token.name) ? options[token.name] : undefined;
      if (option === undefined) throw unknownOption(token.rawName, options, command);
      if (option.value && token.value === undefined) {
        throw this.usage(`${token.rawName} needs a value: ${token.rawName} ${option.value}`);
      }
      if (!option.value && token.value !== undefined) {
        throw this.usage(`${token.rawName} takes no value`);
      }
      values.set(token.name, token.value ?? true);
    }
    this.#values = values;
    this.#positionals = tokens.flatMap((token) => token.kind === "positional" ? token.value : []);
  }

  /** Whether a flag was given. */
  flag(name: string): boolean {
    return this.#values.has(name);
  }

  /** The value of an option, if it was given. */
  string(name: string): string | undefined {
    const value = this.#values.get(name);
    return value === true ? undefined : value;
  }

  /** The value of an option that is a number within limits. */
  number(
    name: string,
    { above, from, max, whole = false }: {
      above?: number;
      from?: number;
      max: number;
      whole?: boolean;
    },
  ): number | undefined {
    const text = this.string(name);
    if (text === undefined) return undefined;
    const number = /^\d*\.?\d+$/.test(text) ? Number(text) : NaN;
    const isEnough = above === undefined ? number >= from! : number > above;
    if (isEnough && number <= max && !(whole && !Number.isInteger(number))) return number;
    const kind = whole ? "a whole number" : "a number";
    const least = above === undefined ? `from ${from} to` : `above ${above} and up to`;
    throw this.usage(`--${name} takes ${kind} ${least} ${max}, not ${quote(text)}`);
  }

  /**
   * What is left when the options are taken away.
   *
   * @param usage what each of them is called, where that depends on the options
   */
  positionals(min: number, max: number, usage = this.#command.usage): readonly string[] {
    const { length } = this.#positionals;
    if (length < min) {
      const missing = usage.split(" ").slice(length, min).join(" ");
      throw this.usage(`greet ${this.#command.name} needs ${missing.replaceAll("...", "")}`);
    }
    if (length > max) throw this.usage(`unexpected argument ${quote(this.#positionals[max])}`);
    return this.#positionals;
  }

  /** An error that says how the command is to be used. */
  usage(message: string): GreetError {
    const { name, usage } = this.#command;
    return new GreetError("USAGE", message, { hint: `usage: greet ${name} ${usage} [OPTION...]` });
  }
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, change: (value: A) => B) {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}

/** As it was typed, and safe to show. */
export function quote(text: string): string {
  return JSON.stringify(text);
}

function unknownOption(typed: string, options: Syntax["options"], command: Syntax): GreetError {
  const known = Object.keys(options).map((name) => `--${name}`);
  return new GreetError("USAGE", `greet ${command.name} has no option ${quote(typed)}`, {
    hint: didYouMean(typed, known) ?? `see greet ${command.name} --help`,
  });
}

/** Names the candidate that is nearest to what was typed, if any is near. */
export function didYouMean(typed: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: editDistance(typed, candidate) }))
    .sort((a, b) => a.distance - b.distance);
  const [nearest] = ranked;
  if (nearest.distance > Math.max(2, nearest.candidate.length / 3)) return undefined;
  return `did you mean ${nearest.candidate}?`;
}

/** How many characters have to be added, dropped or replaced (Levenshtein). */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next[j] = Math.min(replaced, row[j] + 1, next[j - 1] + 1);
    }
    row = next;
  }
  return row[b.length];
}
