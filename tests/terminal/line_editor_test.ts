/** The effect of keys on the line being typed. */
import assert from "node:assert/strict";
import { type Editor, type EditorContext, EMPTY, press } from "../../src/terminal/line_editor.ts";
import { type Key, KeyReader } from "../../src/terminal/keys.ts";

const CONTEXT: EditorContext = {
  commands: ["/who", "/history", "/help"],
  names: () => ["Bob", "Bea", "Anna Lena"],
  earlier: () => ["one", "two", "two"],
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
};

function keysOf(script: string): Key[] {
  const sent = script.replace(
    /<(?:C-(\w)|M-(\w+)|(\w+))>/g,
    (_, ctrl?: string, alt?: string, name?: string) =>
      ctrl
        ? String.fromCharCode(ctrl.charCodeAt(0) - 0x60)
        : alt
        ? `\x1b${SENT[alt] ?? alt}`
        : SENT[name!],
  );
  return new KeyReader().read(sent);
}

/** Types a script such as `abc<Left>` and returns the results. */
function type(script: string, editor: Editor = EMPTY) {
  const lines: string[] = [];
  const actions: string[] = [];
  for (const key of keysOf(script)) {
    const result = press(editor, key, CONTEXT);
    editor = result.editor;
    if (result.line !== undefined) lines.push(result.line);
    if (result.action !== undefined) actions.push(result.action);
  }
  return { editor, lines, actions };
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
  // Several lines in one text.
  ["one<M-Enter>two<C-a>x", "one\nx|two"],
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
  ["abc<C-t><C-o>", [], "abc|"],
];

for (const [script, actions, expected] of ACTIONS) {
  Deno.test(`editor: ${script} results in ${actions.join() || "no action"}`, () => {
    const typed = type(script);
    assert.deepEqual(typed.actions, actions);
    assert.equal(seen(typed.editor), expected);
  });
}

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
