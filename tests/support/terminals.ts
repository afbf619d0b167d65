/** The terminals that run the same script, and in what their screens legitimately differ. */
import { hasPyte, PyteTerminal } from "./pyte_terminal.ts";
import { hasTmux, Terminal } from "./terminal.ts";
import type { TerminalBase } from "./terminal_base.ts";
import { hasCommand } from "./tools.ts";
import { hasSt, hasXterm, WindowTerminal } from "./window_terminal.ts";

/** A terminal, and what it does in its own way; `docs/terminals.md` has the same in words. */
export interface TerminalKind {
  readonly name: string;
  /** What it needs, as in the name of a test that is skipped without it. */
  readonly needs: string;
  readonly isHere: boolean;
  open(): Promise<TerminalBase>;
  /** What it shows of a text that is written at once. */
  shown(text: string): string;
  /** The columns that it gives to a woman astronaut, who consists of two emoji. */
  readonly astronautColumns: number;
  /** What Alt-B types, if it does not send Escape before the letter. */
  readonly altB?: string;
  /** Whether it breaks rows again that no longer fit, instead of cutting them. */
  readonly rewraps: boolean;
}

/** A line of shell that starts screen with settings of its own, and ends it with its terminal. */
const SCREEN = [
  'umask 077; mkdir "$GREET_HOME/screens"',
  'printf "startup_message off\\nautodetach off\\ndefutf8 on\\n" > "$GREET_HOME/screenrc"',
  'export SCREENDIR="$GREET_HOME/screens"',
  'exec screen -U -c "$GREET_HOME/screenrc" sh',
].join("; ");

/** A login starts in the home directory; the tests start in the repository. */
const MOSH = [
  "export LC_ALL=C.UTF-8 MOSH_SERVER_NETWORK_TMOUT=60",
  `start='cd "$0"; exec sh'`,
  'set -- $(mosh-server new -i 127.0.0.1 -- sh -c "$start" "$PWD" | grep "MOSH CONNECT")',
  "MOSH_KEY=$4 exec mosh-client 127.0.0.1 $3",
].join("; ");

/** What xterm prints of its screen. */
function shownByXterm(text: string): string {
  return text.normalize("NFC").replaceAll("\u200d", "");
}

export const TERMINALS: readonly TerminalKind[] = [
  {
    name: "tmux",
    needs: "tmux",
    isHere: hasTmux,
    open: () => Terminal.open(),
    shown: (text) => text,
    astronautColumns: 2,
    rewraps: true,
  },
  {
    name: "GNU screen",
    needs: "screen, xterm, Xvfb, xdotool and xclip",
    isHere: hasXterm && hasCommand("screen"),
    // In xterm, because it has to agree on widths with the terminal that it is shown in.
    open: () => WindowTerminal.xterm({ shell: ["sh", "-c", SCREEN] }),
    shown: shownByXterm,
    astronautColumns: 4,
    altB: "â",
    rewraps: true,
  },
  {
    name: "mosh",
    needs: "tmux and mosh",
    isHere: hasTmux && hasCommand("mosh-server") && hasCommand("mosh-client"),
    open: () => Terminal.open({ shell: ["sh", "-c", MOSH] }),
    shown: (text) => text,
    astronautColumns: 2,
    rewraps: false,
  },
  {
    name: "pyte",
    needs: "pyte",
    isHere: hasPyte,
    open: () => PyteTerminal.open(),
    // It combines where Unicode has one code point for the result, and stops at a joiner.
    shown: (text) => text.normalize("NFC").replace(/[\u200d\ufe0f].*/, ""),
    astronautColumns: 2,
    rewraps: false,
  },
  {
    name: "xterm",
    needs: "xterm, Xvfb, xdotool and xclip",
    isHere: hasXterm,
    open: () => WindowTerminal.xterm(),
    shown: shownByXterm,
    astronautColumns: 4,
    altB: "â",
    rewraps: false,
  },
  {
    name: "st",
    needs: "stterm, Xvfb, xdotool and xclip",
    isHere: hasSt,
    open: () => WindowTerminal.st(),
    // One code point for each cell: what has no width of its own is not kept.
    shown: (text) => text.replaceAll(/[\p{Mn}\p{Me}\u200d]/gu, ""),
    astronautColumns: 4,
    rewraps: false,
  },
];
