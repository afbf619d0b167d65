/**
 * Terminals in a window of an X server that has no display (Xvfb): xterm and st. Keys go through the
 * X server, as from a keyboard; the terminal itself prints its screen as text; and the cursor, which
 * no terminal prints, is found in the picture by its color.
 */
import { pause } from "../../src/base/timing.ts";
import { Program } from "./program.ts";
import { type Cursor, POLL_MS, TerminalBase, type TerminalOptions } from "./terminal_base.ts";
import { hasCommand } from "./tools.ts";
import { PATIENCE_MS } from "./waiting.ts";

/** The tools that both terminals need. */
const TOOLS = ["Xvfb", "xdotool", "xclip"];

/** How a terminal is started, and told to print its screen. */
interface Kind {
  readonly command: string;
  /** Its options, up to the command to run. */
  options(geometry: string, printed: string): readonly string[];
  /** The key that prints the screen. */
  readonly printKey: string;
  /** What to press at the start. */
  readonly firstKeys: readonly string[];
  /** A line of shell that sets the cursor's color, if no option does. */
  readonly setsCursor?: string;
  /** The space around the rows, in pixels. */
  readonly border: number;
  /** Cells that only continue a wide character. */
  readonly filler: string;
}

/** The color of the cursor, which nothing else has. */
const CURSOR = "#ff00ff";
const CURSOR_PIXEL = 0xff00ff;

const XTERM: Kind = {
  command: "xterm",
  options: (geometry, printed) => [
    ...["-u8", "+sb", "-b", "2", "-cr", CURSOR, "-geometry", geometry],
    ...["-xrm", `XTerm*printerCommand: cat >> '${printed}'`],
    ...["-xrm", "XTerm*printerAutoClose: true", "-xrm", "XTerm*printAttributes: 0"],
    ...["-xrm", "XTerm.VT100.translations: #override <Key>F12: print()", "-e"],
  ],
  printKey: "F12",
  firstKeys: [],
  border: 2,
  filler: "\uffff",
};

const ST: Kind = {
  command: "stterm",
  options: (geometry, printed) => ["-g", geometry, "-o", printed, "-e"],
  printKey: "shift+Print",
  // With -o, it also copies everything that programs write, until it is told not to.
  firstKeys: ["ctrl+Print"],
  setsCursor: `printf '\\033]12;${CURSOR}\\007'`,
  border: 2,
  filler: "\0",
};

/** X's names for keys, by their tmux names. */
const KEYS: Readonly<Record<string, string>> = {
  Enter: "Return",
  Escape: "Escape",
  BSpace: "BackSpace",
  DC: "Delete",
  Home: "Home",
  End: "End",
  Up: "Up",
  Down: "Down",
  Right: "Right",
  Left: "Left",
};

/** A terminal in a window. */
export class WindowTerminal extends TerminalBase {
  readonly #kind: Kind;
  readonly #server: Program;
  #client: Program | undefined;
  #display = "";
  #window = "";
  /** How much of the printed text has been read. */
  #read = 0;

  private constructor(columns: number, rows: number, kind: Kind) {
    super(columns, rows);
    this.#kind = kind;
    const screen = ["-screen", "0", "1600x900x24", "-fbdir", this.home];
    const command = ["Xvfb", "-displayfd", "1", ...screen, "-nolisten", "tcp", "-noreset"];
    this.#server = new Program(command, { env: { GREET_HOME: this.home } });
  }

  static xterm(options: TerminalOptions = {}): Promise<WindowTerminal> {
    return WindowTerminal.#open(XTERM, options);
  }

  static st(options: TerminalOptions = {}): Promise<WindowTerminal> {
    return WindowTerminal.#open(ST, options);
  }

  static async #open(
    kind: Kind,
    { columns = 80, rows = 20, shell = ["sh"] }: TerminalOptions,
  ): Promise<WindowTerminal> {
    const terminal = new WindowTerminal(columns, rows, kind);
    try {
      await terminal.#start(shell);
    } catch (error) {
      await terminal[Symbol.asyncDispose]();
      throw error;
    }
    return terminal;
  }

  async #start(shell: readonly string[]): Promise<void> {
    const [, number] = await this.#server.out.until(/(\d+)\n/);
    this.#display = `:${number}`;
    await Deno.writeTextFile(this.#printed, "");
    const { command, options, firstKeys, setsCursor } = this.#kind;
    this.#client = new Program(
      [
        command,
        ...options(`${this.columns}x${this.rows}`, this.#printed),
        ...["env", ...this.environment, ...shell],
      ],
      { env: { ...this.#environment, GREET_HOME: this.home } },
    );
    this.#window = (await this.#x("xdotool", "search", "--sync", "--onlyvisible", "--class", "."))
      .trim().split("\n").at(-1)!;
    await this.#x("xdotool", "windowfocus", "--sync", this.#window);
    if (firstKeys.length > 0) await this.#x("xdotool", "key", ...firstKeys);
    await this.until("$ ");
    if (setsCursor !== undefined) await this.type(setsCursor, "Enter");
  }

  async type(...keys: string[]): Promise<void> {
    for (const key of keys) {
      const name = keyName(key);
      if (name === undefined) await this.write(key);
      else await this.#x("xdotool", "key", "--clearmodifiers", name);
    }
  }

  /** Types ASCII with the keyboard; it has no other characters, so all others are pasted. */
  async write(text: string): Promise<void> {
    if (/^[ -~]*$/.test(text)) await this.#x("xdotool", "type", "--delay", "0", "--", text);
    else await this.paste(text);
  }

  async paste(text: string): Promise<void> {
    const file = `${this.home}/selection`;
    await Deno.writeTextFile(file, text);
    // In the background it keeps the selection, and would keep a pipe open, too.
    const { success } = await new Deno.Command("xclip", {
      args: ["-selection", "primary", "-i", file],
      env: this.#environment,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn().status;
    if (!success) throw new Error("xclip failed");
    await this.#x("xdotool", "key", "--clearmodifiers", "shift+Insert");
  }

  async resize(columns: number, rows: number): Promise<void> {
    this.columns = columns;
    this.rows = rows;
    await this.#x("xdotool", "windowsize", "--usehints", this.#window, `${columns}`, `${rows}`);
  }

  async screen(): Promise<string> {
    const start = this.#read;
    await this.#x("xdotool", "key", "--clearmodifiers", this.#kind.printKey);
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const printed = (await Deno.readFile(this.#printed)).subarray(start);
      const text = new TextDecoder().decode(printed);
      if (text.split("\n").length > this.rows) {
        this.#read = start + printed.length;
        const rows = text.replaceAll(this.#kind.filler, "").split("\n");
        return rows.map((row) => row.trimEnd()).join("\n").trimEnd();
      }
      if (Date.now() > deadline) throw new Error(`${this.#kind.command} prints no screen: ${text}`);
      await pause(POLL_MS);
    }
  }

  async cursor(): Promise<Cursor> {
    const geometry = await this.#x("xdotool", "getwindowgeometry", "--shell", this.#window);
    const size = (name: string) => Number(new RegExp(`^${name}=(\\d+)$`, "m").exec(geometry)![1]);
    const { border } = this.#kind;
    const cell = {
      width: Math.floor((size("WIDTH") - 2 * border) / this.columns),
      height: Math.floor((size("HEIGHT") - 2 * border) / this.rows),
    };
    const pixel = findPixel(await this.#picture(), (color) => color === CURSOR_PIXEL);
    if (pixel === undefined) return undefined;
    return {
      row: Math.floor((pixel.y - size("Y") - border) / cell.height),
      column: Math.floor((pixel.x - size("X") - border) / cell.width),
    };
  }

  async hasColor(): Promise<boolean> {
    const isColored = (color: number) => color !== CURSOR_PIXEL && !isGray(color);
    return findPixel(await this.#picture(), isColored) !== undefined;
  }

  /** What the X server shows, in X's dump format (XWD). */
  async #picture(): Promise<Uint8Array> {
    return await Deno.readFile(`${this.home}/Xvfb_screen0`);
  }

  get #printed(): string {
    return `${this.home}/printed`;
  }

  get #environment(): Record<string, string> {
    return { DISPLAY: this.#display, LC_ALL: "C.UTF-8" };
  }

  async #x(command: string, ...args: string[]): Promise<string> {
    const { stdout, stderr, success } = await new Deno.Command(command, {
      args,
      env: this.#environment,
    }).output();
    if (!success) {
      throw new Error(`${command} ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
    }
    return new TextDecoder().decode(stdout);
  }

  async close(): Promise<void> {
    await this.#client?.[Symbol.asyncDispose]();
    await this.#server[Symbol.asyncDispose]();
  }
}

export const hasXterm = [...TOOLS, "xterm"].every(hasCommand);
export const hasSt = [...TOOLS, "stterm"].every(hasCommand);

function keyName(key: string): string | undefined {
  const [, modifier, character] = /^([CM])-(.)$/.exec(key) ?? [];
  if (modifier === undefined) return KEYS[key];
  return `${modifier === "C" ? "ctrl" : "alt"}+${character}`;
}

function isGray(color: number): boolean {
  return (color >> 16) === (color >> 8 & 0xff) && (color >> 16) === (color & 0xff);
}

/** The first pixel of some color in a picture (XWD, 32 bits a pixel), from the top. */
function findPixel(
  picture: Uint8Array,
  isWanted: (color: number) => boolean,
): { x: number; y: number } | undefined {
  const view = new DataView(picture.buffer, picture.byteOffset, picture.byteLength);
  const [headerSize, bytesPerRow, colorCount] = [0, 48, 76].map((at) => view.getUint32(at));
  const start = headerSize + 12 * colorCount;
  for (let at = start; at + 4 <= picture.length; at += 4) {
    if (!isWanted(view.getUint32(at, true) & 0xffffff)) continue;
    const offset = at - start;
    return { x: offset % bytesPerRow / 4, y: Math.floor(offset / bytesPerRow) };
  }
}
