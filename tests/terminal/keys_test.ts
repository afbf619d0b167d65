/** Decoding what a terminal sends into keys. */
import assert from "node:assert/strict";
import { type Key, KeyReader } from "../../src/terminal/keys.ts";

const press = (name: string): Key => ({ type: "press", name });
const text = (text: string): Key => ({ type: "text", text });
const paste = (text: string): Key => ({ type: "paste", text });

const KEYS: readonly [what: string, sent: string, keys: readonly Key[]][] = [
  ["text", "héllo 日本 👩‍🚀", [text("héllo 日本 👩‍🚀")]],
  ["text and Enter", "hi\r", [text("hi"), press("enter")]],
  ["a line feed", "\n", [press("ctrl-j")]],
  ["controls", "\x01\x05\x17", [press("ctrl-a"), press("ctrl-e"), press("ctrl-w")]],
  ["Tab, Ctrl-H, Backspace", "\t\x08\x7f", [press("tab"), press("backspace"), press("backspace")]],
  ["NUL and Ctrl-\\ are ignored", "a\0\x1cb", [text("a"), text("b")]],
  ["arrows", "\x1b[A\x1b[B\x1b[C\x1b[D", ["up", "down", "right", "left"].map(press)],
  ["keypad arrows", "\x1bOA\x1bOD", [press("up"), press("left")]],
  ["Home and End of xterm", "\x1b[H\x1b[F", [press("home"), press("end")]],
  ["Home and End of VT220 and rxvt", "\x1b[1~\x1b[4~\x1b[7~\x1b[8~", [
    ...["home", "end", "home", "end"].map(press),
  ]],
  ["Delete", "\x1b[3~", [press("delete")]],
  ["Delete and Ctrl-Delete of st", "\x1b[P\x1b[M", [press("delete"), press("ctrl-delete")]],
  ["F1, also with Shift, is not Delete", "\x1bOP\x1b[1;2P", []],
  ["with Ctrl, Alt, Shift", "\x1b[1;5C\x1b[1;3D\x1b[1;2A", [
    ...["ctrl-right", "alt-left", "up"].map(press),
  ]],
  ["Alt and a letter", "\x1bb\x1bF\x1bé", [press("alt-b"), press("alt-f"), press("alt-é")]],
  ["Alt-Enter, Alt-Backspace", "\x1b\r\x1b\x7f", [press("alt-enter"), press("alt-backspace")]],
  ["Escape, then an arrow", "\x1b\x1b[A", [press("escape"), press("up")]],
  ["Ctrl-_, Alt-. and Alt-<", "\x1f\x1b.\x1b<", ["ctrl-_", "alt-.", "alt-<"].map(press)],
  ["unsolicited reports", "a\x1b[?62;22c\x1b[<0;3;4M\x1b[I\x1b[15~b", [
    text("a"),
    text("b"),
  ]],
  ["a cursor position report", "\x1b[5;10R", [{ type: "cursor", row: 4, column: 9 }]],
  ["a paste", "\x1b[200~one\rtwo\r\nthree\nfour\x1b[201~!", [
    paste("one\ntwo\nthree\nfour"),
    text("!"),
  ]],
  ["a paste containing key sequences", "\x1b[200~\x04\x1b[A\x1b\t\x1b[201~", [
    paste("\x04\x1b[A\x1b\t"),
  ]],
  ["an empty paste", "\x1b[200~\x1b[201~", [paste("")]],
];

for (const [what, sent, keys] of KEYS) {
  Deno.test(`keys: ${what}`, () => assert.deepEqual(new KeyReader().read(sent), keys));

  Deno.test(`keys: ${what}, character by character`, () => {
    const reader = new KeyReader();
    const read = Array.from(sent, (character) => reader.read(character)).flat();
    assert.deepEqual(joined(read), joined(keys));
    assert.equal(reader.isAmbiguous, false);
  });
}

/** Joins neighboring pieces of text, which may arrive in any number. */
function joined(keys: readonly Key[]): Key[] {
  return keys.reduce<Key[]>((all, key) => {
    const last = all.at(-1);
    if (key.type !== "text" || last?.type !== "text") return [...all, key];
    return [...all.slice(0, -1), text(last.text + key.text)];
  }, []);
}

Deno.test("keys: Escape is a key when nothing follows, and takes nothing with it", () => {
  const reader = new KeyReader();
  assert.deepEqual(reader.read("a\x1b"), [text("a")]);
  assert(reader.isAmbiguous);
  assert.deepEqual(reader.endPartial(), [press("escape")]);
  assert.deepEqual(reader.endPartial(), []);
  assert.deepEqual(reader.read("b"), [text("b")]);
});

Deno.test("keys: a sequence that is cut short is dropped", () => {
  const reader = new KeyReader();
  assert.deepEqual(reader.read("\x1b["), []);
  assert.deepEqual(reader.endPartial(), []);
  assert.deepEqual(reader.read("b"), [text("b")]);
});

Deno.test("keys: Ctrl-C ends a paste that is never completed", () => {
  const reader = new KeyReader();
  assert.deepEqual(reader.read("\x1b[200~one"), []);
  assert.deepEqual(reader.read("\x03"), [press("ctrl-c")]);
  assert.deepEqual(reader.read("two"), [text("two")]);
});

Deno.test("keys: a slow paste is not dropped", () => {
  const reader = new KeyReader();
  assert.deepEqual(reader.read("\x1b[200~one\x1b"), []);
  assert.equal(reader.isAmbiguous, false);
  assert.deepEqual(reader.endPartial(), []);
  assert.deepEqual(reader.read("[201~"), [paste("one")]);
});
