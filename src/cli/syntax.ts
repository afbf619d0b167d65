/**
 * What a command looks like on the command line: its name, arguments and options.
 *
 * @module
 */

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
