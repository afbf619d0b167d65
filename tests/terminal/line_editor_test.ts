/** The effect of keys on the line being typed. */
import assert from "node:assert/strict";
import { type Editor, type EditorContext, EMPTY } from "../../src/terminal/editor.ts";
import { press } from "../../src/terminal/line_editor.ts";
import { randomNumbers } from "../support/random.ts";
import { type Key, KeyReader } from "../../src/terminal/keys.ts";

const CONTEXT: EditorContext = {
  commands: ["/who", "/history", "/help"],
  names: () => ["Bob", "Bea", "Anna Lena"],
  earlier: () => ["one", "two", "two"],
  objection: (line) =>
    line.startsWith("too long")
      ? { reason: "too long", isQuestion: false }
      : line.startsWith(" /")
      ? { reason: "sure?", isQuestion: true }
      : undefined,
};

/** The names of keys in the tables below, and what a terminal sends for them. */
const SENT: Readonly<Record<string, string>> = {
  Left: "\x1b[D",
  Right: "\x1b[C",
  Up: "\x1b[A",
  Down: "\x1b[B",
  Home: "\x1b[H",
  End: "\x1b[F",
  Del: "\x1b[3~",
  BS: "\x7f",
  Tab: "\t",
  Enter: "\r",
  Esc: "\x1b\x1b", // twice, so that it cannot be the start of a sequence
};

function keysOf(script: string): Key[] {
  const sent = script.replace(
    /<(?:C-([\w_])|M-(\w+|[.<>])|(\w+))>/g,
    (_, ctrl?: string, alt?: string, name?: string) =>
      ctrl
        ? String.fromCharCode(ctrl.toUpperCase().charCodeAt(0) - 0x40)
        : alt
        ? `\x1b${SENT[alt] ?? alt}`
        : SENT[name!],
  );
  const reader = new KeyReader();
  return [...reader.read(sent), ...reader.endPartial()];
}

/** Types a script such as `abc<Left>` and returns the results. */
function type(script: string, editor: Editor = EMPTY) {
  const lines: string[] = [];
  const actions: string[] = [];
  const objections: string[] = [];
  for (const key of keysOf(script)) {
    const result = press(editor, key, CONTEXT);
    editor = result.editor;
    if (result.line !== undefined) lines.push(result.line);
    if (result.action !== undefined) actions.push(result.action);
    if (result.objection !== undefined) objections.push(result.objection);
  }
  return { editor, lines, actions, objections };
}

/** The text, with `|` at the cursor. */
function seen({ text, cursor }: Editor): string {
  return `${text.slice(0, cursor)}|${text.slice(cursor)}`;
}

const EDITS: readonly [script: string, expected: string][] = [
  ["abc", "abc|"],
  ["abc<Left><Left>x", "ax|bc"],
  ["abc<Home>x<End>y", "xabcy|"],
  ["abc<C-a>x<C-e>y", "xabcy|"],
  ["abc<C-b><C-b><C-f>x", "abx|c"],
  ["<Left><BS><Del><C-w><C-k><C-u><M-b><M-f>", "|"],
  ["abc<BS>", "ab|"],
  ["abc<Left><Del>", "ab|"],
  ["abc<Left><C-d>", "ab|"],
  ["abc<Right><Del>", "abc|"],
  // One key press removes one character, however many code points it has.
  ["a👩‍🚀<BS>", "a|"],
  ["👩‍🚀e\u0301🇩🇪<Left><Left>x", "👩‍🚀x|e\u0301🇩🇪"],
  ["日本<Home><Del>", "|本"],
  // Words.
  ["one two, three<M-b><M-b>", "one |two, three"],
  ["one two<Home><M-f>", "one| two"],
  ["one two<Home><M-f><M-f>", "one two|"],
  ["größe_1 x<M-b><M-b>", "|größe_1 x"],
  ["one two.three  <C-w>", "one |"],
  ["one two.three<M-BS>", "one two.|"],
  ["one two<Home><M-d>", "| two"],
  // Cutting and pasting back.
  ["one two<C-w><Home><C-y>", "two|one "],
  ["one two<M-b><C-k><C-y><C-y>", "one twotwo|"],
  ["one two<M-b><C-u>", "|two"],
  ["one<C-u><C-k><C-y>", "one|"],
  ["one two three<C-w><C-w><C-y>", "one two three|"],
  ["one two<Home><M-d><M-d><C-y>", "one two|"],
  ["one two three<M-b><C-w><C-k><C-y>", "one two three|"],
  ["one two<C-w><Left><C-w><C-y><M-y>", "two| "],
  ["one two<C-w><Left><C-w><C-y><M-y><M-y>", "one| "],
  ["one two<C-w><C-y><Left><M-y>", "one tw|o"],
  ["one<M-y><C-y>", "one|"],
  // Changing what is typed already.
  ["abc<C-t>", "acb|"],
  ["abc<Left><Left><C-t>", "ba|c"],
  ["a<C-t><Home><C-t>", "|a"],
  ["a👩‍🚀<C-t>", "👩‍🚀a|"],
  ["ab<M-Enter>c<C-t><Home><C-t>", "ab\n|c"],
  ["one two<M-t>", "two one|"],
  ["one, two three<M-b><Left><M-t>", "one, three two|"],
  ["one, two three<M-b><M-b><M-t>", "two, one| three"],
  ["one<M-t>", "one|"],
  ["größe x<Home><M-u>", "GRÖSSE| x"],
  ["ONE two<Home><M-l>", "one| two"],
  ["éa bO<Home><M-c><M-c>", "Éa Bo|"],
  ["one<M-u>", "one|"],
  // Undoing; what was typed in a row is undone together.
  ["one two<C-_>", "|"],
  ["one<Left>x<C-_>", "on|e"],
  ["one<Left>x<C-_><C-_>", "|"],
  ["one two<C-w><C-_>", "one two|"],
  ["one two<Home><M-u><C-_>", "|one two"],
  ["one<BS><BS><C-_>", "on|"],
  ["<C-_>", "|"],
  ["b<Tab><C-_>", "b|"],
  ["one<C-_>x<C-_>", "|"],
  ["<Up>x<Up>y<C-_>", "one|"],
  ["<Up>x<Up>y<Down><C-_>", "two|"],
  // Several lines in one text.
  ["one<M-Enter>two<C-a>x", "one\nx|two"],
  ["one<C-j>two<C-a>x", "one\nx|two"],
  ["one<M-Enter>two<Home><Left><C-a>", "|one\ntwo"],
  ["one<M-Enter>two<Up>x", "onex|\ntwo"],
  ["one<M-Enter>t<Up>x", "ox|ne\nt"],
  ["one<M-Enter>two<Up><C-e><C-k>", "one|two"],
  ["one<M-Enter>two<Home><C-u>", "one|two"],
  ["o<M-Enter>two<Up><Down>x", "o\ntx|wo"],
  ["one<M-Enter>日<Up><Home><Right><Down>", "one\n日|"],
  // Recalling earlier lines; equal neighbors count as one.
  ["<Up>", "two|"],
  ["<Up><Up>", "one|"],
  ["<C-p><C-p><C-p><C-n>", "two|"],
  ["half<Up><Down>", "half|"],
  ["half<Up><Up><Down><Down><Down>", "half|"],
  ["<Up>x<Up><Down>", "twox|"],
  ["three<Enter><Up><Up>", "two|"],
  ["three<Enter>three<Enter><Up><Up>", "two|"],
  ["<Up>x<Enter><Up><Up>", "two|"],
  ["half<C-c><Up><Down>", "|"],
  ["a<M-Enter>b<Enter><Up><Up>", "two|"],
  ["a<M-Enter>b<Enter><Up><Left><Up>", "|a\nb"],
  ["a<M-Enter>b<Enter><Up><Up><Down><Down>", "|"],
  ["half<M-<>", "one|"],
  ["half<M-<><M->>", "half|"],
  ["one last<Enter>hi <M-.>", "hi last|"],
  ["one last<Enter><M-.><M-.>", "two|"],
  ["one last<Enter><M-.><M-.><M-.><M-.>!", "one!|"],
  // Searching.
  ["three<Enter>two more<Enter><C-r>t", "|two more"],
  ["three<Enter>two more<Enter><C-r>TW<C-r><Enter>", "|two"],
  ["three<Enter>two more<Enter><C-r>hr<Enter>!", "t!|hree"],
  ["three<Enter>two more<Enter><C-r>o<C-r><C-r><C-s><Esc>", "tw|o"],
  ["half<C-r>tw<C-g>", "half|"],
  ["half<C-r>tw<C-c>", "half|"],
  ["half<Left><C-r>tw<BS><BS><C-g>", "hal|f"],
  ["half<C-r>twx<Right>", "t|wo"],
  ["half<C-r>twx<BS><Enter>", "|two"],
  ["two more<Enter><C-r>o<C-r><BS><Enter>", "tw|o more"],
  ["half<C-r>tw<End>!<Up>", "one|"],
  ["half<C-r>tw<Esc><Down>", "half|"],
  ["half<C-r>nothing<Enter>", "o|ne"],
  ["half<C-r>xyz<Enter>", "half|"],
  ["<C-r>tw<Enter><C-c><C-r><C-r><Enter>", "|two"],
  ["<C-r><C-r><C-r><BS><Enter>", "|"],
  ["two<Enter><C-r>t<C-r><Enter>", "|two"],
  ["a.b<Enter>aXb<Enter><C-r>.b<Enter>", "a|.b"],
  ["e\u0301x<Enter><C-r>\u0301<Enter>", "|e\u0301x"],
  // Completion.
  ["/w<Tab>", "/who |"],
  ["/h<Tab>", "/history |"],
  ["/h<Tab><Tab>", "/help |"],
  ["/h<Tab><Tab><Tab>", "/h|"],
  ["/h<Tab><Tab><Tab><Tab>", "/history |"],
  ["/h<Tab>x<Tab>", "/history x|"],
  ["hello b<Tab>", "hello Bob |"],
  ["hello b<Tab><Tab>", "hello Bea |"],
  ["hello be<Tab>!", "hello Bea !|"],
  ["for anna l<Tab>", "for Anna Lena |"],
  ["bo?<Left><Tab>", "Bob |?"],
  ["nobody<Tab>", "nobody|"],
  ["<Tab>", "|"],
  ["hello <Tab>", "hello |"],
  ["/nothing<Tab>", "/nothing|"],
];

for (const [script, expected] of EDITS) {
  Deno.test(`editor: ${script}`, () => assert.equal(seen(type(script).editor), expected));
}

const LINES: readonly [script: string, lines: readonly string[]][] = [
  ["hello<Enter>", ["hello"]],
  ["hello<Home><Enter>", ["hello"]],
  ["<Enter>", []],
  ["   <Enter>x<Enter>", ["x"]],
  ["  indented<Enter>", ["  indented"]],
  ["one<M-Enter>two<M-Enter><Enter>", ["one\ntwo"]],
  ["<M-Enter><M-Enter><Enter>", []],
  ["typed away<C-c>sent<Enter>", ["sent"]],
];

for (const [script, lines] of LINES) {
  Deno.test(`editor: ${script} completes ${JSON.stringify(lines)}`, () => {
    const typed = type(script);
    assert.deepEqual(typed.lines, lines);
    assert.equal(seen(typed.editor), "|");
  });
}

const ACTIONS: readonly [script: string, actions: readonly string[], seen: string][] = [
  ["<C-c>", ["leave"], "|"],
  ["abc<C-c>", [], "|"],
  ["abc<C-c><C-c>", ["leave"], "|"],
  ["<C-d>", ["leave"], "|"],
  ["abc<C-d>", [], "abc|"],
  ["abc<C-z>", ["suspend"], "abc|"],
  ["abc<C-l>", ["redraw"], "abc|"],
  ["abc<C-o><Esc><C-g>", [], "abc|"],
  ["<C-r>tw<C-c>", [], "|"],
  ["<C-r>tw<C-d>", [], "|wo"],
  ["<C-r>tw<C-z>", ["suspend"], "|two"],
];

for (const [script, actions, expected] of ACTIONS) {
  Deno.test(`editor: ${script} results in ${actions.join() || "no action"}`, () => {
    const typed = type(script);
    assert.deepEqual(typed.actions, actions);
    assert.equal(seen(typed.editor), expected);
  });
}

const OBJECTIONS: readonly [
  script: string,
  objections: readonly string[],
  lines: readonly string[],
][] = [
  [" /quit<Enter>", ["sure?"], []],
  [" /quit<Enter><Enter>", ["sure?"], [" /quit"]],
  [" /quit<Enter><End><Enter>", ["sure?", "sure?"], []],
  [" /quit<Enter><Home><Del><Enter>", ["sure?"], ["/quit"]],
  ["too long<Enter><Enter>", ["too long", "too long"], []],
];

for (const [script, objections, lines] of OBJECTIONS) {
  Deno.test(`editor: ${script} is objected to ${objections.length}×`, () => {
    const typed = type(script);
    assert.deepEqual(typed.objections, objections);
    assert.deepEqual(typed.lines, lines);
    if (lines.length === 0) assert.equal(typed.editor.text, script.replaceAll(/<\w+>/g, ""));
  });
}

for (const portion of [1, 7, 45]) {
  Deno.test(`editor: what is typed in a row is undone in groups of 20, ${portion} at a time`, () => {
    let editor = EMPTY;
    for (let left = 45; left > 0; left -= portion) {
      const text = "x".repeat(Math.min(left, portion));
      editor = press(editor, { type: "text", text }, CONTEXT).editor;
    }
    for (const left of [40, 20, 0, 0]) {
      editor = press(editor, { type: "press", name: "ctrl-_" }, CONTEXT).editor;
      assert.equal(editor.text.length, left);
    }
  });
}

Deno.test("editor: undoing everything gives an empty line, whatever was done", () => {
  const random = randomNumbers(1);
  const scripts = EDITS.map(([script]) => script).filter((script) => !/Enter>|<C-c>/.test(script));
  for (let run = 0; run < 50; run++) {
    const script = Array.from({ length: 5 }, () => scripts[Math.floor(random() * scripts.length)]);
    const { editor } = type(script.join("").replaceAll(/<(Up|Down|C-[prns]|M-[<>])>/g, ""));
    const undone = type("<C-_>".repeat(200), editor).editor;
    assert.equal(seen(undone), "|", script.join(" "));
  }
});

Deno.test("editor: a paste is inserted unchanged, line ends included, and completes as one line", () => {
  const pasted = "one\n\ttwo \x1b[31m\n/quit";
  const { editor } = press(type("><Left>").editor, { type: "paste", text: pasted }, CONTEXT);
  assert.equal(seen(editor), `${pasted}|>`);
  assert.deepEqual(type("<Enter>", editor).lines, [`${pasted}>`]);
});

Deno.test("editor: a hundred thousand empty lines take no extra time", () => {
  const text = `a${"\n".repeat(100_000)}b\n`;
  assert.deepEqual(type("<Enter>", { ...EMPTY, text, cursor: 0 }).lines, [text.slice(0, -1)]);
});

Deno.test("editor: a word of a hundred thousand characters can be cut like any other", () => {
  const text = "x".repeat(100_000) + " y";
  const { editor } = type("<C-w><C-w>", { ...EMPTY, text, cursor: text.length });
  assert.equal(seen(editor), "|");
});

Deno.test("of long lines, only the last are recalled", () => {
  const enter = (editor: Editor, text: string) =>
    press({ ...editor, text }, { type: "press", name: "enter" }, CONTEXT).editor;
  const lines = ["a", "b", "c", "d"].map((letter) => letter.repeat(1_500_000));
  assert.deepEqual(lines.reduce(enter, EMPTY).completed.map(([first]) => first), ["c", "d"]);
  assert.deepEqual(enter(enter(EMPTY, "1"), "2").completed, ["1", "2"]);
});
