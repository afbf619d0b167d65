/** The home directory. */
import assert from "node:assert/strict";
import { fileNameOf, homeFolder, outsideProfile } from "../../src/base/home.ts";

const PROFILE = String.raw`C:\Users\Bob`;

/** A user's environment on Windows. */
const WINDOWS = {
  os: "windows",
  env: (name: string) => name === "LOCALAPPDATA" ? String.raw`${PROFILE}\AppData\Local` : undefined,
} as const;

const HOMES: readonly [home: string, profile: string | undefined][] = [
  [String.raw`C:\Users\Bob\AppData\Local\greet`, undefined],
  [String.raw`c:\users\bob\..greet`, undefined],
  [PROFILE, undefined],
  [String.raw`C:\Users\BOB~1\greet`, undefined],
  [String.raw`C:\Users\Bobby\greet`, PROFILE],
  [String.raw`C:\greet`, PROFILE],
  [String.raw`D:\greet`, PROFILE],
  [String.raw`\\server\share\greet`, PROFILE],
];

for (const [home, profile] of HOMES) {
  const where = profile === undefined ? "inside" : "outside";
  Deno.test(`on Windows, ${home} is ${where} the user's profile`, () => {
    assert.equal(outsideProfile(home, WINDOWS), profile);
  });
}

Deno.test("nothing is said about a home on other systems, or in an unknown profile", () => {
  assert.equal(outsideProfile("/srv/bob", { os: "linux", env: WINDOWS.env }), undefined);
  assert.equal(outsideProfile("D:\\greet", { os: "windows", env: () => undefined }), undefined);
});

Deno.test("the default home is where each system keeps the state of programs", () => {
  assert.equal(homeFolder(undefined, WINDOWS), String.raw`${PROFILE}\AppData\Local\greet`);
  const env = (name: string) => name === "HOME" ? "/home/bob" : undefined;
  assert.equal(homeFolder(undefined, { os: "linux", env }), "/home/bob/.local/state/greet");
  const library = "/home/bob/Library/Application Support/greet";
  assert.equal(homeFolder(undefined, { os: "darwin", env }), library);
});

/** Names that some file system would change, merge or refuse. */
const NAMES = [
  ...["con", "NUL", "aux.txt", "com1", "dots...", "space ", "a:b", "what?", "*", "a|b", '"', "<>"],
  ...["Alice", "alice", "ALICE", "É".normalize("NFC"), "É".normalize("NFD"), "ß", "ss", "ı", "i"],
];

Deno.test("every name has a file name of its own on every file system", () => {
  const files = NAMES.map(fileNameOf);
  for (const file of files) assert.match(file, /^[a-z0-9-]{1,32}-[0-9a-f]{12}$/);
  assert.equal(new Set(files).size, NAMES.length);
});
