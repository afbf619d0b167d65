/** A real terminal for tests: tmux types, pastes, resizes, and reads the screen. */
import { pause } from "../../src/base/timing.ts";
import { ROOT } from "./program.ts";
import { type Cursor, POLL_MS, TerminalBase, type TerminalOptions } from "./terminal_base.ts";
import { works } from "./tools.ts";
import { PATIENCE_MS } from "./waiting.ts";

export { greetIn, unbroken, untimed } from "./terminal_base.ts";

export const hasTmux = await works("tmux", "-V");

/** A terminal in tmux. */
export class Terminal extends TerminalBase {
  readonly #socket = `greet-${crypto.randomUUID()}`;
  #isOpen = true;

  static async open(
    { columns = 80, rows = 20, shell = ["sh"] }: TerminalOptions = {},
  ): Promise<Terminal> {
    const terminal = new Terminal(columns, rows);
    await terminal.#tmux(
      ...["-f", "/dev/null", "set-option", "-g", "history-limit", "100000", ";"],
      ...["new-session", "-d", "-x", `${columns}`, "-y", `${rows}`, "-c", ROOT],
      ...["env", ...terminal.environment, ...shell],
    );
    await terminal.until("$ ");
    return terminal;
  }

  async type(...keys: string[]): Promise<void> {
    await this.#tmux("send-keys", ...keys);
  }

  async write(text: string): Promise<void> {
    await this.#tmux("send-keys", "-l", "--", text);
  }

  async paste(text: string): Promise<void> {
    const file = await Deno.makeTempFile();
    await Deno.writeTextFile(file, text);
    await this.#tmux("load-buffer", file, ";", "paste-buffer", "-p", "-d");
    await Deno.remove(file);
  }

  /**
   * Changes the size. Resolves when programs can see the new one: after an earlier change, tmux tells
   * them 250 ms later, or more if the machine is busy.
   */
  async resize(columns: number, rows: number): Promise<void> {
    this.columns = columns;
    this.rows = rows;
    await this.#tmux("resize-window", "-x", `${columns}`, "-y", `${rows}`);
    const device = (await this.#tmux("display-message", "-p", "#{pane_tty}")).trim();
    const deadline = Date.now() + PATIENCE_MS;
    while (await sizeOf(device) !== `${rows} ${columns}`) {
      if (Date.now() > deadline) throw new Error(`${device} is not ${rows} by ${columns}`);
      await pause(POLL_MS);
    }
  }

  /** Starts recording what programs write to the terminal, for {@link Terminal.recorded}. */
  async record(): Promise<void> {
    await this.#tmux("pipe-pane", "-O", `cat > '${this.home}/recording'`);
  }

  /** Waits until some text was written to the terminal. Returns the whole recording. */
  async recorded(text: string): Promise<string> {
    return await this.file("recording", text);
  }

  async screen(...options: string[]): Promise<string> {
    return (await this.#tmux("capture-pane", "-p", ...options)).trimEnd();
  }

  async cursor(): Promise<Cursor> {
    const format = "#{cursor_flag} #{cursor_y} #{cursor_x}";
    const answer = await this.#tmux("display-message", "-p", format);
    const [isVisible, row, column] = answer.trim().split(" ").map(Number);
    return isVisible ? { row, column } : undefined;
  }

  async hasColor(): Promise<boolean> {
    // deno-lint-ignore no-control-regex
    return /\x1b\[(?:3[1-7]|38;5;\d+)m/.test(await this.screen("-e"));
  }

  async #tmux(...args: string[]): Promise<string> {
    const { stdout, stderr, success } = await new Deno.Command("tmux", {
      args: ["-L", this.#socket, ...args],
      env: { LC_ALL: "C.UTF-8" },
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  }

  async close(): Promise<void> {
    if (this.#isOpen) await this.#tmux("kill-server");
    this.#isOpen = false;
  }
}

/** The rows and columns of a terminal device. */
async function sizeOf(device: string): Promise<string> {
  const { stdout } = await new Deno.Command("sh", { args: ["-c", `stty size < ${device}`] })
    .output();
  return new TextDecoder().decode(stdout).trim();
}

/** A test that is skipped without tmux. */
export function terminalTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${name} (needs tmux)`, ignore: !hasTmux, fn });
}
