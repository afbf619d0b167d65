/** A terminal without a window for tests: pyte, a library in Python, in a process that it needs. */
import { fileURLToPath } from "node:url";
import { Program } from "./program.ts";
import { type Cursor, TerminalBase, type TerminalOptions } from "./terminal_base.ts";
import { findPython } from "./tools.ts";

const SCRIPT = fileURLToPath(new URL("pyte_terminal.py", import.meta.url));

const python = await findPython("pyte");

export const hasPyte = python !== undefined;

/** What keys send, by their tmux names; `C-x` and `M-x` aside. */
const KEYS: Readonly<Record<string, string>> = {
  Enter: "\r",
  Escape: "\x1b",
  BSpace: "\x7f",
  DC: "\x1b[3~",
  Home: "\x1b[1~",
  End: "\x1b[4~",
  Up: "\x1b[A",
  Down: "\x1b[B",
  Right: "\x1b[C",
  Left: "\x1b[D",
};

interface State {
  readonly rows: readonly string[];
  readonly cursor: { readonly row: number; readonly column: number } | null;
  readonly hasColor: boolean;
}

/** A terminal in pyte, with the keys of the Linux console. */
export class PyteTerminal extends TerminalBase {
  readonly #program: Program;

  private constructor(columns: number, rows: number, shell: readonly string[]) {
    super(columns, rows);
    this.#program = new Program(
      [python!, SCRIPT, `${columns}`, `${rows}`, "env", ...this.environment, ...shell],
      { env: { GREET_HOME: this.home } },
    );
  }

  static async open(
    { columns = 80, rows = 20, shell = ["sh"] }: TerminalOptions = {},
  ): Promise<PyteTerminal> {
    const terminal = new PyteTerminal(columns, rows, shell);
    await terminal.until("$ ");
    return terminal;
  }

  async type(...keys: string[]): Promise<void> {
    await this.write(keys.map(sentBy).join(""));
  }

  async write(text: string): Promise<void> {
    await this.#tell({ write: text });
  }

  async paste(text: string): Promise<void> {
    await this.#tell({ paste: text });
  }

  async resize(columns: number, rows: number): Promise<void> {
    this.columns = columns;
    this.rows = rows;
    await this.#tell({ resize: [columns, rows] });
  }

  screen(): Promise<string> {
    const rows = this.#state.rows.map((row) => row.trimEnd());
    return Promise.resolve(rows.join("\n").trimEnd());
  }

  cursor(): Promise<Cursor> {
    return Promise.resolve(this.#state.cursor ?? undefined);
  }

  hasColor(): Promise<boolean> {
    return Promise.resolve(this.#state.hasColor);
  }

  async #tell(command: unknown): Promise<void> {
    await this.#program.write(JSON.stringify(command) + "\n");
  }

  /** The last state that was printed as a whole. */
  get #state(): State {
    const { text } = this.#program.out;
    const end = text.lastIndexOf("\n");
    if (end === -1) return { rows: [], cursor: null, hasColor: false };
    return JSON.parse(text.slice(text.lastIndexOf("\n", end - 1) + 1, end));
  }

  async close(): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
  }
}

function sentBy(key: string): string {
  const [, modifier, character] = /^([CM])-(.)$/.exec(key) ?? [];
  if (modifier === "C") return String.fromCharCode(character.toUpperCase().charCodeAt(0) & 0x1f);
  if (modifier === "M") return `\x1b${character}`;
  return KEYS[key] ?? key;
}
