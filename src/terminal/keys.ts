/**
 * Decodes what a terminal in raw mode sends into keys.
 *
 * A {@link KeyReader} takes characters in chunks of any size and returns text, named keys and whole
 * pastes. Unknown sequences are dropped as a whole; `node:readline`, which knows no pastes, would
 * take the tail of one for text.
 *
 * @module
 */

/** A decoded key. */
export type Key =
  /** Characters to insert. */
  | { readonly type: "text"; readonly text: string }
  /** Pasted characters, line ends included; none of them acts as a key. */
  | { readonly type: "paste"; readonly text: string }
  /** A key such as `enter`, `left`, `ctrl-left`, `ctrl-a` or `alt-b`. */
  | { readonly type: "press"; readonly name: string }
  /** The answer to {@link QUERY_CURSOR}; rows and columns are counted from 0. */
  | { readonly type: "cursor"; readonly row: number; readonly column: number };

/** Switches the marking of pastes on and off (xterm's bracketed paste mode). */
export const BRACKETED_PASTE = { on: "\x1b[?2004h", off: "\x1b[?2004l" } as const;

/** Asks the terminal for the cursor's position (ECMA-48, device status report). */
export const QUERY_CURSOR = "\x1b[6n";

const CTRL_C = "\x03";
const ESCAPE = "\x1b";

const PASTE_BEGINS = "\x1b[200~";
const PASTE_ENDS = "\x1b[201~";

/** ECMA-48 control sequences, and the keypad's (SS3); complete or cut short. */
const SEQUENCE = String.raw`\x1b\[[0-?]*[ -/]*[@-~]|\x1bO[ -~]`;
const UNFINISHED = String.raw`\x1b(?:\[[0-?]*[ -/]*|O)?$`;

/** One key: a sequence, a character with Alt, a control character, or a run of text. */
const NEXT = new RegExp(
  String.raw`(?<unfinished>${UNFINISHED})|(?<sequence>${SEQUENCE})|\x1b(?<alt>[^\x1b])|` +
    String.raw`(?<control>[\x00-\x1f\x7f])|(?<text>[^\x00-\x1f\x7f]+)`,
  "uy",
);

/** Keys by the final character of their sequence, as sent by xterm, VT100 and the Linux console. */
const BY_LETTER: Readonly<Record<string, string>> = {
  A: "up",
  B: "down",
  C: "right",
  D: "left",
  F: "end",
  H: "home",
};

/** Keys by the number before `~`. */
const BY_NUMBER: Readonly<Record<string, string>> = {
  1: "home",
  3: "delete",
  4: "end",
  7: "home",
  8: "end",
};

/** Keys by their whole sequence, as sent by st: with other parameters, it means another key. */
const BY_SEQUENCE: Readonly<Record<string, string>> = {
  "\x1b[P": "delete",
  "\x1b[M": "ctrl-delete",
};

const BY_CONTROL: Readonly<Record<string, string>> = {
  "\r": "enter",
  "\t": "tab",
  "\x08": "backspace",
  "\x7f": "backspace",
  [ESCAPE]: "escape",
};

/** Decodes a stream of characters into keys. */
export class KeyReader {
  #rest = "";
  /** The pasted text so far, during a paste. */
  #pasted: string[] | undefined;

  /** Whether the last characters may be an incomplete sequence. */
  get isAmbiguous(): boolean {
    return this.#pasted === undefined && this.#rest !== "";
  }

  /**
   * Decodes the next characters.
   *
   * @param chunk may end in the middle of a sequence
   * @returns the keys that are now complete
   */
  read(chunk: string): Key[] {
    if (chunk === CTRL_C) this.#abandonPaste();
    const input = this.#rest + chunk;
    this.#rest = "";
    const keys: Key[] = [];
    for (let at = 0; at < input.length;) {
      at = this.#pasted === undefined ? this.#next(input, at, keys) : this.#paste(input, at, keys);
    }
    return keys;
  }

  /**
   * Ends an incomplete sequence that nothing followed.
   *
   * @returns Escape, if that is what it was; anything else has no meaning
   */
  endPartial(): Key[] {
    if (!this.isAmbiguous) return [];
    const isEscape = this.#rest === ESCAPE;
    this.#rest = "";
    return isEscape ? [{ type: "press", name: "escape" }] : [];
  }

  /** Lets a lone Ctrl-C end a paste that is never completed and would swallow every key. */
  #abandonPaste(): void {
    if (this.#pasted === undefined) return;
    this.#pasted = undefined;
    this.#rest = "";
  }

  #next(input: string, at: number, keys: Key[]): number {
    NEXT.lastIndex = at;
    const groups = NEXT.exec(input)!.groups!;
    if (groups.unfinished !== undefined) {
      this.#rest = input.slice(at);
      return input.length;
    }
    if (groups.sequence === PASTE_BEGINS) this.#pasted = [];
    else keys.push(...keyOf(groups));
    return NEXT.lastIndex;
  }

  #paste(input: string, at: number, keys: Key[]): number {
    const end = input.indexOf(PASTE_ENDS, at);
    if (end === -1) {
      // The end marker may be split between two chunks.
      const tail = Math.max(at, input.length - PASTE_ENDS.length + 1);
      const cut = input.indexOf("\x1b", tail);
      this.#rest = cut === -1 ? "" : input.slice(cut);
      this.#pasted!.push(input.slice(at, input.length - this.#rest.length));
      return input.length;
    }
    const pasted = [...this.#pasted!, input.slice(at, end)].join("");
    this.#pasted = undefined;
    keys.push({ type: "paste", text: pasted.replace(/\r\n?/g, "\n") });
    return end + PASTE_ENDS.length;
  }
}

function keyOf({ sequence, alt, control, text }: Record<string, string | undefined>): Key[] {
  if (text !== undefined) return [{ type: "text", text }];
  const cursor = /^.\[(\d+);(\d+)R$/.exec(sequence ?? "");
  if (cursor) {
    return [{ type: "cursor", row: Number(cursor[1]) - 1, column: Number(cursor[2]) - 1 }];
  }
  const name = sequence === undefined ? characterName(alt, control) : sequenceName(sequence);
  return name === undefined ? [] : [{ type: "press", name }];
}

function characterName(alt: string | undefined, control = alt!): string | undefined {
  const name = controlName(control);
  if (alt === undefined) return name;
  return `alt-${name ?? alt.toLowerCase()}`;
}

function controlName(character: string): string | undefined {
  if (Object.hasOwn(BY_CONTROL, character)) return BY_CONTROL[character];
  if (character === "\x1f") return "ctrl-_";
  if (character < "\x01" || character > "\x1a") return undefined;
  return `ctrl-${String.fromCharCode(character.charCodeAt(0) + 0x60)}`;
}

/** `ESC [ 1 ; 5 C` is the right arrow with Ctrl: 1 + 1 for Shift, 2 for Alt, 4 for Ctrl. */
function sequenceName(sequence: string): string | undefined {
  if (Object.hasOwn(BY_SEQUENCE, sequence)) return BY_SEQUENCE[sequence];
  const last = sequence.at(-1)!;
  const [number, modifiers = "1"] = sequence.slice(2, -1).split(";");
  const name = last === "~" ? BY_NUMBER[number] : BY_LETTER[last];
  if (name === undefined) return undefined;
  const bits = Number(modifiers) - 1;
  const prefix = bits & 4 ? "ctrl-" : bits & 2 ? "alt-" : "";
  return prefix + name;
}
