/** A real terminal for tests: tmux types, resizes and pastes, and reads the screen. */
import { greetCommand, PATIENCE_MS, ROOT } from "./program.ts";

const hasTmux = await new Deno.Command("tmux", { args: ["-V"] })
  .output().then(({ success }) => success, () => false);

/** How a terminal begins. */
interface TerminalOptions {
  columns?: number;
  rows?: number;
  /** The shell in it. */
  shell?: readonly string[];
}

/** A terminal with a shell in it. Disposing of it ends what runs there. */
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

  /** Types keys by their names, such as Enter or C-c; what is none is typed as it is. */
  async type(...keys: string[]): Promise<void> {
    await this.#tmux("send-keys", ...keys);
  }

  /** Types text, none of which is the name of a key. */
  async write(text: string): Promise<void> {
    await this.#tmux("send-keys", "-l", "--", text);
  }

  /** Pastes, as a terminal does that was asked to mark what is pasted. */
  async paste(text: string): Promise<void> {
    const file = await Deno.makeTempFile();
    await Deno.writeTextFile(file, text);
    await this.#tmux("load-buffer", file, ";", "paste-buffer", "-p", "-d");
    await Deno.remove(file);
  }

  async resize(columns: number, rows: number): Promise<void> {
    this.columns = columns;
    this.rows = rows;
    await this.#tmux("resize-window", "-x", `${columns}`, "-y", `${rows}`);
  }

  /** Runs a chat, or whatever it is, and tells how it ended. */
  async greet(...args: string[]): Promise<void> {
    await this.run(greetIn(args));
  }

  /** Runs a line of shell on an empty screen, and tells how it ended. */
  async run(line: string): Promise<void> {
    await this.clear();
    await this.type(`clear; ${line}; echo "exit $?"`, "Enter");
  }

  /** Waits for the shell, and for an empty screen. */
  async clear(): Promise<void> {
    await this.type("clear", "Enter");
    await this.until((screen) => screen === "$");
  }

  /** How the terminal is set, as `stty` tells. */
  async settings(): Promise<string> {
    await this.type(`clear; stty -a; echo "those"`, "Enter");
    return await this.until(/\nthose\n\$$/);
  }

  /** From here on, what programs write to the terminal is kept: see {@link Terminal.recorded}. */
  async record(): Promise<void> {
    await this.#tmux("pipe-pane", "-O", `cat > '${this.home}/recording'`);
  }

  /** Waits until something was written to the terminal, and gives all of it. */
  async recorded(text: string): Promise<string> {
    return await this.file("recording", text);
  }

  /** Waits until something is in a file in the home directory, and gives all of it. */
  async file(name: string, text: string): Promise<string> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const content = await Deno.readTextFile(`${this.home}/${name}`).catch(() => "");
      if (content.includes(text)) return content;
      if (Date.now() > deadline) throw new Error(`no ${text} in ${JSON.stringify(content)}`);
    }
  }

  async screen(...options: string[]): Promise<string> {
    return (await this.#tmux("capture-pane", "-p", ...options)).trimEnd();
  }

  /**
   * Waits until the screen shows something. tmux tells nobody, so it is asked; and twice, because it
   * also shows a frame of which it has read only a part.
   */
  async until(text: string | RegExp | ((screen: string) => boolean)): Promise<string> {
    const deadline = Date.now() + PATIENCE_MS;
    let former: string | undefined;
    for (;;) {
      const screen = await this.screen();
      if (isOn(screen, text) && screen === former) return screen;
      former = screen;
      if (Date.now() > deadline) throw new Error(`no ${text} on the screen:\n${screen}`);
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

  /** Ends the terminal and the shell in it. */
  async close(): Promise<void> {
    if (this.#isOpen) await this.#tmux("kill-server");
    this.#isOpen = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    await Deno.remove(this.home, { recursive: true });
  }
}

/** A line of shell that runs the program. */
export function greetIn(args: readonly string[]): string {
  return [...greetCommand(), ...args].map((part) => `'${part}'`).join(" ");
}

function isOn(screen: string, text: string | RegExp | ((screen: string) => boolean)): boolean {
  if (typeof text === "string") return screen.includes(text.trimEnd());
  return text instanceof RegExp ? text.test(screen) : text(screen);
}

/** A test that is skipped where there is no tmux. */
export function terminalTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${name} (needs tmux)`, ignore: !hasTmux, fn });
}

/** The rows of a screen, with rows put together again that belong to one line. */
export function unbroken(screen: string): string {
  return screen.replaceAll(/\n {8}/g, "");
}

/** The rows of a screen, with another time of day. */
export function untimed(screen: string): string[] {
  return screen.replaceAll(/\[\d\d:\d\d\]/g, "[17:24]").split("\n").map((line) => line.trimEnd());
}
