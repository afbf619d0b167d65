/**
 * What tests do with a terminal, whichever program it is: run `greet`, type, and wait for a screen.
 * How a terminal is started, typed on and read is in the files of the programs, such as `terminal.ts`.
 */
import { pause } from "../../src/base/timing.ts";
import { greetCommand } from "./program.ts";
import { PATIENCE_MS } from "./waiting.ts";

/** How often a terminal is asked: each time may be a process, and tests share the processor. */
export const POLL_MS = 10;

/** What a terminal starts with. */
export interface TerminalOptions {
  columns?: number;
  rows?: number;
  shell?: readonly string[];
}

/** A cursor's position, counted from 0; `undefined` while it is hidden. */
export type Cursor = { readonly row: number; readonly column: number } | undefined;

/** A terminal that runs a shell. Disposing of it ends everything that runs there. */
export abstract class TerminalBase implements AsyncDisposable {
  readonly home = Deno.makeTempDirSync({ prefix: "greet-home-" });

  constructor(public columns: number, public rows: number) {}

  /** The variables that the shell starts with, as arguments of `env`. */
  protected get environment(): string[] {
    return ["-u", "NO_COLOR", "PS1=$ ", `GREET_HOME=${this.home}`];
  }

  /** Presses keys by their tmux names, such as Enter or C-c. Types anything that is not one. */
  abstract type(...keys: string[]): Promise<void>;

  /** Types text, without looking for key names in it. */
  abstract write(text: string): Promise<void>;

  /** Pastes text, with bracketed paste if the program asked for it. */
  abstract paste(text: string): Promise<void>;

  /** Changes the size. */
  abstract resize(columns: number, rows: number): Promise<void>;

  /** The rows of the screen, without the empty ones at its end. */
  abstract screen(): Promise<string>;

  /** Where the cursor is. */
  abstract cursor(): Promise<Cursor>;

  /** Whether any text on the screen is in color. */
  abstract hasColor(): Promise<boolean>;

  /** Closes the terminal and ends its shell. */
  abstract close(): Promise<void>;

  /** Runs `greet` on an empty screen, and prints its exit code. */
  async greet(...args: string[]): Promise<void> {
    await this.run(greetIn(args));
  }

  /** Runs a line of shell on an empty screen, and prints its exit code. */
  async run(line: string): Promise<void> {
    await this.clear();
    await this.type(`clear; ${line}; echo "exit $?"`, "Enter");
  }

  /** Clears the screen. Resolves when only the prompt is left. */
  async clear(): Promise<void> {
    await this.type("clear", "Enter");
    await this.until((screen) => screen === "$");
  }

  /** The terminal's settings, as `stty` prints them. */
  async settings(): Promise<string> {
    await this.type(`clear; stty -a; echo "end"`, "Enter");
    return await this.until(/\nend\n\$$/);
  }

  /** Waits until a file in the home directory contains some text. Returns the whole file. */
  async file(name: string, text: string): Promise<string> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const content = await Deno.readTextFile(`${this.home}/${name}`).catch(() => "");
      if (content.includes(text)) return content;
      if (Date.now() > deadline) throw new Error(`no ${text} in ${JSON.stringify(content)}`);
      await pause(POLL_MS);
    }
  }

  /**
   * Waits until the screen shows something. Terminals send no notifications, so they are polled; and
   * the screen must be the same twice, because one may be read while a frame is being drawn.
   */
  async until(text: string | RegExp | ((screen: string) => boolean)): Promise<string> {
    const deadline = Date.now() + PATIENCE_MS;
    let former: string | undefined;
    for (;;) {
      const screen = await this.screen();
      if (isOn(screen, text) && screen === former) return screen;
      former = screen;
      if (Date.now() > deadline) throw new Error(`no ${text} on the screen:\n${screen}`);
      await pause(POLL_MS);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    await Deno.remove(this.home, { recursive: true });
  }
}

/** A line of shell that runs `greet`. */
export function greetIn(args: readonly string[]): string {
  return [...greetCommand(), ...args].map((part) => `'${part}'`).join(" ");
}

function isOn(screen: string, text: string | RegExp | ((screen: string) => boolean)): boolean {
  if (typeof text === "string") return screen.includes(text.trimEnd());
  return text instanceof RegExp ? text.test(screen) : text(screen);
}

/** A screen with wrapped rows joined into one line again; needs `-J`, for the spaces at their ends. */
export function unbroken(screen: string): string {
  return screen.replaceAll(/\n {8}/g, "");
}

/** The rows of a screen, with every time of day replaced by 17:24. */
export function untimed(screen: string): string[] {
  return screen.replaceAll(/\[\d\d:\d\d\]/g, "[17:24]").split("\n").map((line) => line.trimEnd());
}
