/**
 * Parses a command's arguments, with options in GNU style, against its {@link Syntax}.
 *
 * Every usage error says what would be right, and suggests the nearest option for a mistyped one.
 * What the arguments mean is left to the command.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { GreetError } from "../base/errors.ts";

/** An option of a command. */
export interface Option {
  /** The placeholder of its value in the help; undefined for a flag. */
  readonly value?: string;
  /** One line of help. */
  readonly help: string;
}

/** A command's name, arguments and options. */
export interface Syntax {
  readonly name: string;
  /** Its arguments besides options, such as `TARGET NAME...`. */
  readonly usage: string;
  readonly options: Readonly<Record<string, Option>>;
}

/** The options of every command. */
export const COMMON_OPTIONS: Syntax["options"] = {
  help: { help: "show this help" },
  version: { help: "show the version" },
};

/**
 * The parsed arguments of a command.
 *
 * @throws {GreetError} `USAGE`, from the constructor and from each method, for invalid arguments
 */
export class Arguments {
  readonly #syntax: Syntax;
  readonly #values: ReadonlyMap<string, string | true>;
  readonly #positionals: readonly string[];

  constructor(syntax: Syntax, args: readonly string[]) {
    this.#syntax = syntax;
    const options = { ...syntax.options, ...COMMON_OPTIONS };
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
      if (option === undefined) throw unknownOption(token.rawName, options, syntax);
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

  /** The value of an option, if given. */
  string(name: string): string | undefined {
    const value = this.#values.get(name);
    return value === true ? undefined : value;
  }

  /** The value of a numeric option, if given. The limit below is either `above` or `from`. */
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
   * The arguments besides options.
   *
   * @param min the smallest number of them
   * @param max the largest number of them
   * @param usage their placeholders, if those depend on the options
   */
  positionals(min: number, max: number, usage = this.#syntax.usage): readonly string[] {
    const { length } = this.#positionals;
    if (length < min) {
      const missing = usage.split(" ").slice(length, min).join(" ");
      throw this.usage(`greet ${this.#syntax.name} needs ${missing.replaceAll("...", "")}`);
    }
    if (length > max) throw this.usage(`unexpected argument ${quote(this.#positionals[max])}`);
    return this.#positionals;
  }

  /** A usage error, with the command's usage as the hint. */
  usage(message: string): GreetError {
    const { name, usage } = this.#syntax;
    return new GreetError("USAGE", message, { hint: `usage: greet ${name} ${usage} [OPTION...]` });
  }
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, change: (value: A) => B) {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}

/** Quotes typed text, with control characters escaped. */
export function quote(text: string): string {
  return JSON.stringify(text);
}

function unknownOption(
  typed: string,
  options: Syntax["options"],
  { name: command }: Syntax,
): GreetError {
  const known = Object.keys(options).map((name) => `--${name}`);
  return new GreetError("USAGE", `greet ${command} has no option ${quote(typed)}`, {
    hint: didYouMean(typed, known) ?? `see greet ${command} --help`,
  });
}

/** A hint with the candidate nearest to what was typed, if any is near. */
export function didYouMean(typed: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: editDistance(typed, candidate) }))
    .sort((a, b) => a.distance - b.distance);
  const [nearest] = ranked;
  if (nearest.distance > Math.max(2, nearest.candidate.length / 3)) return undefined;
  return `did you mean ${nearest.candidate}?`;
}

/** The Levenshtein distance. */
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
