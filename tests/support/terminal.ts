/** A real terminal for tests: tmux types, pastes, resizes, and reads the screen. */
import { pause } from "../../src/base/timing.ts";
import { greetCommand, ROOT } from "./program.ts";
import { PATIENCE_MS } from "./waiting.ts";
import { works } from "./tools.ts";

const hasTmux = await works("tmux", "-V");

/** How often tmux is asked: each time is a process, and tests share the processor. */
const POLL_MS = 10;

/** What a terminal starts with. */
interface TerminalOptions {
  columns?: number;
  rows?: number;
  shell?: readonly string[];
}

/** A terminal that runs a shell. Disposing of it ends everything that runs there. */
export class Terminal implements AsyncDisposable {
  readonly #socket = `greet-${crypto.randomUUID()}`;
  readonly home = Deno.makeTempDirSync({ prefix: "greet-home-" });

  #isOpen = true;

  private constructor(public columns: number, public rows: number) {}

  static async open(
    { columns = 80, rows = 20, shell = ["sh"] }: TerminalOptions = {},
  ): Promise<Terminal> {
    const terminal = new Terminal(columns, rows);
    const environment = ["-u", "NO_COLOR", "PS1=$ ", `GREET_HOME=${terminal.home}`];
    await terminal.#tmux(
      ...["-f", "/dev/null", "set-option", "-g", "history-limit", "100000", ";"],
      ...["new-session", "-d", "-x", `${columns}`, "-y", `${rows}`, "-c", ROOT],
      ...["env", ...environment, ...shell],
    );
    await terminal.until("$ ");
    return terminal;
  }

  /** Presses keys by name, such as Enter or C-c. Types anything that is not a key name. */
  async type(...keys: string[]): Promise<void> {
    await this.#tmux("send-keys", ...keys);
  }

  /** Types text, without looking for key names in it. */
  async write(text: string): Promise<void> {
    await this.#tmux("send-keys", "-l", "--", text);
  }

  /** Pastes text, with bracketed paste if the program asked for it. */
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

  /** Starts recording what programs write to the terminal, for {@link Terminal.recorded}. */
  async record(): Promise<void> {
    await this.#tmux("pipe-pane", "-O", `cat > '${this.home}/recording'`);
  }

  /** Waits until some text was written to the terminal. Returns the whole recording. */
  async recorded(text: string): Promise<string> {
    return await this.file("recording", text);
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

  async screen(...options: string[]): Promise<string> {
    return (await this.#tmux("capture-pane", "-p", ...options)).trimEnd();
  }

  /**
   * Waits until the screen shows something. tmux sends no notifications, so it is polled; and the
   * screen must be the same twice, because tmux also returns frames that it has read in part.
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

  async #tmux(...args: string[]): Promise<string> {
    const { stdout, stderr, success } = await new Deno.Command("tmux", {
      args: ["-L", this.#socket, ...args],
      env: { LC_ALL: "C.UTF-8" },
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  }

  /** Closes the terminal and ends its shell. */
  async close(): Promise<void> {
    if (this.#isOpen) await this.#tmux("kill-server");
    this.#isOpen = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    await Deno.remove(this.home, { recursive: true });
  }
}

/** The rows and columns of a terminal device. */
async function sizeOf(device: string): Promise<string> {
  const { stdout } = await new Deno.Command("sh", { args: ["-c", `stty size < ${device}`] })
    .output();
  return new TextDecoder().decode(stdout).trim();
}

/** A line of shell that runs `greet`. */
export function greetIn(args: readonly string[]): string {
  return [...greetCommand(), ...args].map((part) => `'${part}'`).join(" ");
}

function isOn(screen: string, text: string | RegExp | ((screen: string) => boolean)): boolean {
  if (typeof text === "string") return screen.includes(text.trimEnd());
  return text instanceof RegExp ? text.test(screen) : text(screen);
}

/** A test that is skipped without tmux. */
export function terminalTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${name} (needs tmux)`, ignore: !hasTmux, fn });
}

/** A screen with wrapped rows joined into one line again; needs `-J`, for the spaces at their ends. */
export function unbroken(screen: string): string {
  return screen.replaceAll(/\n {8}/g, "");
}

/** The rows of a screen, with every time of day replaced by 17:24. */
export function untimed(screen: string): string[] {
  return screen.replaceAll(/\[\d\d:\d\d\]/g, "[17:24]").split("\n").map((line) => line.trimEnd());
}
