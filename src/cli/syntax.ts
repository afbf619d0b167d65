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
  /** Values that completions offer: all that there are, or usual ones. */
  readonly values?: readonly string[];
}

/** Names that completions can offer: of our own identities and journals, or of a naming service. */
export type NameSource = "own names" | "registered names";

/** A command's name, arguments and options. */
export interface Syntax {
  readonly name: string;
  /** What it does, in one line. */
  readonly summary?: string;
  /** Its arguments besides options, such as `TARGET NAME...`; alternatives stand between ` | `. */
  readonly usage: string;
  /** Which placeholders in the usage completions offer names for. */
  readonly names?: Readonly<Record<string, NameSource>>;
  readonly options: Readonly<Record<string, Option>>;
}

/** The options of every command. */
export const COMMON_OPTIONS: Syntax["options"] = {
  help: { help: "show this help" },
  version: { help: "show the version" },
};
