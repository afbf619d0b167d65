/**
 * Makes `docs/chat.svg`, a picture of two terminals at the end of a chat: `deno task picture`. The program,
 * the terminals and the chat are real; only the typing is scripted. Needs tmux.
 *
 * @module
 */
import { greetCommand } from "../tests/support/program.ts";
import { Terminal } from "../tests/support/terminal.ts";

const COLUMNS = 58;
const ROWS = 17;

/** The size of a character cell, and of the margin around the screens, in pixels. */
const CELL = { width: 8.4, height: 18 };
const MARGIN = 14;

// ---------------------------------------------------------------- the chat

async function open(): Promise<Terminal> {
  const terminal = await Terminal.open({ columns: COLUMNS, rows: ROWS });
  const command = greetCommand().map((part) => `'${part}'`).join(" ");
  await terminal.type(`greet() { ${command} "$@"; }; clear`, "Enter");
  await terminal.until((screen) => screen === "$");
  return terminal;
}

async function chat(alice: Terminal, bob: Terminal): Promise<void> {
  await alice.type("greet chat Alice 55555 55556", "Enter");
  await alice.until("refused");
  await bob.type("greet chat Bob 55556 55555", "Enter");
  await Promise.all([alice.until("Welcome"), bob.until("Welcome")]);
  await say(alice, "Hello, Bob!", bob);
  await say(bob, "Hello, Alice! 👋 今日は", alice);
  await alice.type("A paste of several lines is one message:", "M-Enter");
  await alice.paste("for name in Alice Bob; do\n  greet greet 55550 $name\ndone");
  await alice.type("Enter");
  await bob.until("done\nBob>");
  await say(bob, "I have to go, tell me later.", alice);
  await bob.type("/quit", "Enter");
  await alice.until("Bob has left.");
  await alice.type("It waits for you, on my disk.", "Enter");
  await alice.until("(waiting)");
  await alice.type("And what I type stays");
  await alice.until("stays");
}

async function say(terminal: Terminal, text: string, other: Terminal): Promise<void> {
  await terminal.type(text, "Enter");
  await Promise.all([terminal.until(`> ${text}`), other.until(`> ${text}`)]);
}

// ---------------------------------------------------------------- the picture

/** Consecutive characters with the same style. */
interface Run {
  readonly text: string;
  readonly column: number;
  readonly columns: number;
  readonly look: string;
}

/** Parses one row as tmux captures it: text and SGR sequences (ECMA-48). */
function runsOf(row: string, look: string): { runs: Run[]; look: string } {
  const runs: Run[] = [];
  let column = 0;
  // deno-lint-ignore no-control-regex
  for (const [, codes, text] of row.matchAll(/\x1b\[([\d;]*)m|([^\x1b]+)/g)) {
    if (codes !== undefined) look = lookAfter(codes, look);
    // Some viewers drop blanks at the ends of a text.
    for (const [piece] of (text ?? "").matchAll(/ +|[!-~]+(?: [!-~]+)*|[^ -~]/gu)) {
      const columns = /^[ -~]/.test(piece) ? piece.length : 2;
      if (piece.trim() !== "") runs.push({ text: piece, column, columns, look });
      column += columns;
    }
  }
  return { runs, look };
}

function lookAfter(codes: string, look: string): string {
  const hue = /(?:^|;)38;5;(\d+)/.exec(codes)?.[1];
  if (hue !== undefined) return `hue${hue}`;
  if (/(?:^|;)2(?:;|$)/.test(codes)) return "dim";
  return codes === "49" ? look : "";
}

function escape(text: string): string {
  return text.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** A colour of xterm's 6 × 6 × 6 cube. */
function rgb(hue: number): string {
  const levels = [0, 95, 135, 175, 215, 255];
  const index = hue - 16;
  const rgb = [Math.floor(index / 36), Math.floor(index / 6) % 6, index % 6];
  return `rgb(${rgb.map((level) => levels[level]).join()})`;
}

function drawn(screen: string, left: number): string {
  let look = "";
  const rows = screen.split("\n").map((row, i) => {
    const read = runsOf(row, look);
    look = read.look;
    const y = MARGIN + (i + 0.75) * CELL.height;
    return read.runs.map(({ text, column, columns, look }) => {
      const x = (left + column * CELL.width).toFixed(1);
      const length = `textLength="${(columns * CELL.width).toFixed(1)}"`;
      return `<text x="${x}" y="${y}" ${length} ${look && `class="${look}"`}>${
        escape(text)
      }</text>`;
    }).join("\n");
  });
  return rows.filter((row) => row !== "").join("\n");
}

function picture(screens: readonly string[]): string {
  const width = COLUMNS * CELL.width + 2 * MARGIN;
  const height = ROWS * CELL.height + 2 * MARGIN;
  const hues = [...new Set(screens.join().match(/(?<=38;5;)\d+/g))];
  const total = screens.length * width + (screens.length - 1) * MARGIN;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${total} ${height}" role="img">
<title>Alice and Bob chat, each in a terminal</title>
<style>
  rect { fill: #fff; stroke: #8888; }
  text { font: 14px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; white-space: pre; fill: #222; }
  @media (prefers-color-scheme: dark) { rect { fill: #161616; } text { fill: #ddd; } }
  .dim { opacity: 0.6; }
  ${hues.map((hue) => `.hue${hue} { fill: ${rgb(Number(hue))}; }`).join("\n  ")}
</style>
${
    screens.map((screen, i) => {
      const left = i * (width + MARGIN);
      const frame = `<rect x="${left + 0.5}" y="0.5" width="${width - 1}" height="${
        height - 1
      }" rx="6"/>`;
      return `${frame}\n${drawn(screen, left + MARGIN)}`;
    }).join("\n")
  }
</svg>
`;
}

if (import.meta.main) {
  await using alice = await open();
  await using bob = await open();
  await chat(alice, bob);
  const screens = [await alice.screen("-e"), await bob.screen("-e")];
  await Deno.writeTextFile(new URL("./chat.svg", import.meta.url), picture(screens));
}
