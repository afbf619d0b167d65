/**
 * Parses a command's arguments, with options in GNU style, against its {@link Syntax}.
 *
 * Every usage error says what would be right; `option_guesses.ts` suggests an option for a mistyped one.
 * What the arguments mean is left to the command.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { GreetError } from "../base/errors.ts";
import { parseHost } from "../net/address.ts";
import { optionHint } from "./option_guesses.ts";
import { COMMON_OPTIONS, type Option, type Syntax } from "./syntax.ts";

/** An option as it was typed. */
interface OptionToken {
  readonly rawName: string;
  readonly value?: string;
  readonly inlineValue?: boolean;
}

/**
 * The parsed arguments of a command.
 *
 * @throws {GreetError} `USAGE`, from the constructor and from each method, for invalid arguments
 */
export class Arguments {
  readonly #syntax: Syntax;
  /** All commands of the program, for hints. */
  readonly commands: readonly Syntax[];
  readonly #values: ReadonlyMap<string, string | true>;
  readonly #positionals: readonly string[];

  /**
   * @param syntax the command
   * @param args what was typed after it
   * @param commands all commands, for hints
   */
  constructor(syntax: Syntax, args: readonly string[], commands: readonly Syntax[] = [syntax]) {
    this.#syntax = syntax;
    this.commands = commands;
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
      if (option === undefined) throw this.#unknown(args[token.index].replace(/=.*/s, ""));
      const value = this.#valueOf(token, option);
      if ((values.get(token.name) ?? value) !== value) {
        const message = `${token.rawName} is given twice, with different values`;
        throw this.usage(message, "leave one of them out");
      }
      values.set(token.name, value);
    }
    this.#values = values;
    this.#positionals = tokens.flatMap((token) => token.kind === "positional" ? token.value : []);
    this.#refuseOtherDashes(args);
  }

  /** The value of an option, `true` for a flag. */
  #valueOf({ rawName, value, inlineValue }: OptionToken, option: Option): string | true {
    if (!option.value) {
      if (value === undefined) return true;
      const isOff = /^(false|no|off|0)$/i.test(value);
      const hint = isOff ? `leave ${rawName} out` : `write ${rawName} alone`;
      throw this.usage(`${rawName} takes no value`, hint);
    }
    if (value !== undefined && (inlineValue || !/^--(\w|$)/.test(value))) return value;
    throw this.usage(
      `${rawName} needs a value: ${rawName} ${option.value}`,
      `${option.value}: ${option.help}`,
    );
  }

  #unknown(typed: string): GreetError {
    const message = `greet ${this.#syntax.name} has no option ${quote(typed)}`;
    const hint = optionHint(typed, this.#syntax, this.commands);
    return new GreetError("USAGE", message, { hint });
  }

  /** Word processors and web pages replace `--` with a single, longer dash. */
  #refuseOtherDashes(args: readonly string[]): void {
    const end = args.indexOf("--");
    for (const word of end === -1 ? args : args.slice(0, end)) {
      const [, name] = /^[\u2010-\u2015\u2212\uFE58\uFE63\uFF0D]+([a-z][a-z-]*)/.exec(word) ?? [];
      const known = Object.keys({ ...this.#syntax.options, ...COMMON_OPTIONS });
      if (name === undefined || !known.includes(name)) continue;
      throw this.usage(
        `${quote(word)} does not begin with the - of the keyboard`,
        `did you mean --${name}?`,
      );
    }
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

  /** The value of an option that takes a host, if given. */
  host(name: string): string | undefined {
    const text = this.string(name);
    if (text === undefined) return undefined;
    try {
      return parseHost(text);
    } catch (error) {
      const { code, message, hint } = GreetError.from(error);
      throw new GreetError(code, `--${name}: ${message}`, { hint });
    }
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
    const { value, help } = this.#syntax.options[name];
    const kind = whole ? "a whole number" : "a number";
    const least = above === undefined ? `from ${from} to` : `above ${above} and up to`;
    const message = `--${name} takes ${kind} ${least} ${max}, not ${quote(text)}`;
    throw this.usage(message, numberHint(text, whole) ?? `${value}: ${help}`);
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

  /** A usage error; without a better hint, with the command's usage. */
  usage(message: string, hint?: string): GreetError {
    const { name, usage } = this.#syntax;
    return new GreetError("USAGE", message, {
      hint: hint ?? `usage: greet ${name} ${usage} [OPTION...]`,
    });
  }
}

/** The hint for a number with a unit, or with a comma. */
function numberHint(text: string, whole: boolean): string | undefined {
  const [, typed = ""] = /^(\d+(?:[.,]\d+)?) ?(?:s|secs?|seconds?|,)?$/.exec(text) ?? [];
  const meant = typed.replace(",", ".");
  const isBetter = meant !== "" && meant !== text && !(whole && /\D/.test(meant));
  return isBetter ? `did you mean ${meant}?` : undefined;
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, change: (value: A) => B) {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}

/** Quotes typed text, with control characters escaped. */
export function quote(text: string): string {
  return JSON.stringify(text);
}
