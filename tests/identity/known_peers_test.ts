/** Known peers: a file that people can edit, and that never loses a peer. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { GreetError } from "../../src/base/errors.ts";
import { type KnownPeer, KnownPeers } from "../../src/identity/known_peers.ts";
import { homeTest } from "../support/home.ts";
import { isPosix, works } from "../support/tools.ts";
import { Program } from "../support/program.ts";

/** Makes a fingerprint from a number and the letter of a writer. */
function key(number: number, writer = "A"): string {
  return `SHA256:${writer}${`${number}`.padStart(42, "0")}`;
}

const BOB: KnownPeer = { fingerprint: key(1), name: "Bob" };
const CAROL: KnownPeer = { fingerprint: key(2), name: "Carol Ann of the Hill" };

/** Runs a test with a home that does not exist yet, and the path of the file in it. */
function knownTest(
  name: string,
  fn: (home: string, file: string) => void | Promise<void>,
  needs?: Parameters<typeof homeTest>[2],
): void {
  homeTest(name, (home) => fn(home, join(home, "known_peers")), needs);
}

const MODES = { what: "file modes", isThere: isPosix };

/** Edits the file in place, as some editors do. */
function edit(file: string, change: (text: string) => string): void {
  const text = Deno.readTextFileSync(file);
  assert.notEqual(change(text), text);
  Deno.writeTextFileSync(file, change(text));
}

/** All methods, which must fail while the file is invalid. */
function allMethods(known: KnownPeers): (() => unknown)[] {
  return [
    () => known.peers,
    () => known.keysOf("Bob"),
    () => known.keysOf("unknown"),
    () => known.namesOf(BOB.fingerprint),
    () => known.remember({ fingerprint: key(9), name: "Dave" }),
  ];
}

/** Checks that a function throws one sentence, and returns the error. */
function failureOf(fn: () => unknown): GreetError {
  try {
    fn();
  } catch (error) {
    assert(error instanceof GreetError, String(error));
    assert.equal(error.code, "FAILED");
    assert.doesNotMatch(error.message, /\n|\.$|\. |os error/);
    return error;
  }
  assert.fail("it was accepted");
}

// ---------------------------------------------------------------- the file

knownTest("peers are stored in a readable file that explains itself", (home, file) => {
  const known = KnownPeers.in(home);
  assert.deepEqual(known.peers, []);
  assert.throws(() => Deno.statSync(home), Deno.errors.NotFound);
  known.remember(BOB);
  known.remember(CAROL);
  const lines = Deno.readTextFileSync(file).split("\n");
  const header = lines.filter((line) => line.startsWith("#"));
  assert(header.length > 0 && lines[0] === header[0], lines[0]);
  assert.match(header.join(" "), /remembered .* remove the line/);
  assert.deepEqual(lines.slice(header.length), [
    `${BOB.fingerprint} Bob`,
    `${CAROL.fingerprint} Carol Ann of the Hill`,
    "",
  ]);
});

knownTest("a remembered peer is known at the next start, by name and by key", (home, file) => {
  const peers = [BOB, CAROL, { fingerprint: BOB.fingerprint, name: "#1 Bób 👩‍🚀" }];
  const known = KnownPeers.in(home);
  assert.equal(known.file, file);
  for (const peer of peers) known.remember(peer);
  for (const reader of [known, KnownPeers.in(home)]) {
    assert.deepEqual(reader.peers, peers);
    assert.deepEqual(reader.keysOf("Bob"), [BOB.fingerprint]);
    assert.deepEqual(reader.keysOf("bob"), []);
    assert.deepEqual(reader.keysOf("Carol Ann of the Hill"), [CAROL.fingerprint]);
    assert.deepEqual(reader.keysOf("Carol"), []);
    assert.deepEqual(reader.namesOf(BOB.fingerprint), ["Bob", "#1 Bób 👩‍🚀"]);
    assert.deepEqual(reader.namesOf(key(7)), []);
  }
});

knownTest("only the owner can read the known peers", (home, file) => {
  KnownPeers.in(home).remember(BOB);
  const modes = [home, file].map((path) => (Deno.statSync(path).mode! & 0o777).toString(8));
  assert.deepEqual(modes, ["700", "600"]);
}, MODES);

Deno.test({
  name: "peers in memory are neither written nor read",
  permissions: { read: false, write: false },
  fn() {
    const known = KnownPeers.inMemory();
    assert.equal(known.file, undefined);
    assert.deepEqual(known.peers, []);
    known.remember(BOB);
    known.remember({ ...BOB, name: "Bobby" });
    assert.deepEqual(known.keysOf("Bob"), [key(1)]);
    assert.deepEqual(known.namesOf(key(1)), ["Bob", "Bobby"]);
    assert.deepEqual(KnownPeers.inMemory().peers, []);
  },
});

// ---------------------------------------------------------------- edits

knownTest("edits take effect at once, in every process that has the file open", (home, file) => {
  const known = KnownPeers.in(home);
  const other = KnownPeers.in(home);
  const expectPeers = (...peers: KnownPeer[]) => {
    assert.deepEqual(known.peers, peers);
    assert.deepEqual(other.peers, peers);
  };
  for (const peer of [BOB, CAROL]) known.remember(peer);
  expectPeers(BOB, CAROL);
  edit(file, (text) => text.replace(/.* Bob\n/, ""));
  expectPeers(CAROL);
  edit(file, (text) => `${text}${key(3)} Bob\n`);
  expectPeers(CAROL, { ...BOB, fingerprint: key(3) });
  edit(file, (text) => `${text}${key(4)} Bob\n`);
  assert.deepEqual(known.keysOf("Bob"), [key(3), key(4)]);
  edit(file, (text) => text.replaceAll(/^.*Bob\n/gm, `# $&`));
  expectPeers(CAROL);
  known.remember(BOB);
  expectPeers(CAROL, BOB);
  Deno.removeSync(file);
  expectPeers();
  other.remember(BOB);
  expectPeers(BOB);
  assert.equal(Deno.readTextFileSync(file).startsWith("#"), true);
});

knownTest("an edit of the same length takes effect, even right after another one", (home, file) => {
  KnownPeers.in(home).remember(BOB);
  const known = KnownPeers.in(home);
  for (let i = 0; i < 200; i++) {
    edit(file, (text) => text.replace(/SHA256:\S+/, key(i + 10)));
    assert.deepEqual(known.keysOf("Bob"), [key(i + 10)]);
  }
});

knownTest(
  "a replaced file takes effect, and so does an edit with an old timestamp",
  (home, file) => {
    const old = new Date("2020-01-01T00:00:00Z");
    KnownPeers.in(home).remember(BOB);
    Deno.utimeSync(file, old, old);
    const known = KnownPeers.in(home);
    assert.deepEqual(known.peers, [BOB]);
    // With the same length and time, as restored from an archive.
    const restored = `${file}.restored`;
    const text = Deno.readTextFileSync(file);
    Deno.writeTextFileSync(restored, text.replace(key(1), key(2)));
    Deno.utimeSync(restored, old, old);
    Deno.renameSync(restored, file);
    assert.deepEqual(known.keysOf("Bob"), [key(2)]);
    Deno.writeTextFileSync(file, text.replace(key(1), key(3)));
    const later = new Date("2020-01-01T00:00:01Z");
    Deno.utimeSync(file, later, later);
    assert.deepEqual(known.keysOf("Bob"), [key(3)]);
    Deno.writeTextFileSync(file, text.replace(/.*\n$/, ""));
    Deno.utimeSync(file, later, later);
    assert.deepEqual(known.keysOf("Bob"), []);
  },
);

/** Files as people and their editors write them. */
const FILES: readonly [what: string, text: string, peers: readonly KnownPeer[]][] = [
  ["no content", "", []],
  ["only comments", "# empty\n#\n", []],
  ["empty lines and lines of white space", `\n\n${key(1)} Bob\n \t \n\n`, [BOB]],
  ["comments between the lines", `# my Bob\n${key(1)} Bob\n#${key(2)} Carol\n`, [BOB]],
  ["Windows line ends", `# hi\r\n${key(1)} Bob\r\n\r\n`, [BOB]],
  ["a byte order mark", `\uFEFF# hi\n${key(1)} Bob\n`, [BOB]],
  ["a byte order mark and no comment", `\uFEFF${key(1)} Bob\n`, [BOB]],
  ["no newline at the end", `${key(1)} Bob`, [BOB]],
  ["white space around the name", `${key(1)} \t Bob \t\n`, [BOB]],
  ["the same line twice", `${key(1)} Bob\n${key(1)} Bob\n`, [BOB, BOB]],
  ["names of several words", `${key(2)} Carol Ann of the Hill\n`, [CAROL]],
];

for (const [what, text, peers] of FILES) {
  knownTest(`a file with ${what} can be read and extended`, (home, file) => {
    Deno.mkdirSync(home);
    Deno.writeTextFileSync(file, text);
    const known = KnownPeers.in(home);
    assert.deepEqual(known.peers, peers);
    const dave = { fingerprint: key(4), name: "Dave" };
    known.remember(dave);
    assert.deepEqual(known.peers, [...peers, dave]);
    // The existing text is unchanged, and the new peer has a line of its own.
    const now = Deno.readTextFileSync(file);
    assert(now.startsWith(text) && now.endsWith(`\n${key(4)} Dave\n`) || text === "", now);
    assert.equal(now.match(/Dave/g)?.length, 1);
    assert.deepEqual(KnownPeers.in(home).peers, [...peers, dave]);
  });
}

// ---------------------------------------------------------------- invalid files

const INVALID_LINES = [
  key(1),
  `${key(1)} `,
  "Bob",
  `Bob ${key(1)}`,
  `${key(1).slice(0, -1)} Bob`,
  `${key(1)}0 Bob`,
  `${key(1)}= Bob`,
  `${key(1).replace("SHA256:", "")} Bob`,
  `${key(1).replace("SHA256", "sha256")} Bob`,
  "MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48 Bob",
  `${key(1)}\u00A0`,
  `${key(1)} Bob/Carol`,
  `${key(1)} ${"x".repeat(65)}`,
  `${key(1)} Bob\u202E`,
  `${key(1)} B\0b`,
  `${key(1)} Zoe\u0308`,
  ` ${key(1)} Bob`,
  " # not a comment, because of the space",
  "<<<<<<< HEAD",
];

knownTest("a name that an earlier version allowed can still be read", (home, file) => {
  Deno.mkdirSync(home);
  Deno.writeTextFileSync(file, `${key(1)} Bob (work)\n`);
  assert.deepEqual(KnownPeers.in(home).keysOf("Bob (work)"), [key(1)]);
});

knownTest("an invalid line is an error with its line number", (home, file) => {
  Deno.mkdirSync(home);
  for (const line of INVALID_LINES) {
    for (const end of ["\n", "\r\n", ""]) {
      Deno.writeTextFileSync(file, `# hi\n\n${key(2)} Carol\n${line}${end}`);
      const { message, hint } = failureOf(() => KnownPeers.in(home));
      assert.equal(
        message,
        `line 4 of ${file} is not a fingerprint (SHA256:…) and a name`,
        JSON.stringify(line),
      );
      assert.match(hint!, /correct the line/);
    }
  }
});

knownTest(
  "a line that becomes invalid later is an error until it is corrected",
  (home, file) => {
    const known = KnownPeers.in(home);
    known.remember(BOB);
    assert.deepEqual(known.peers, [BOB]);
    for (const line of INVALID_LINES) {
      const good = Deno.readTextFileSync(file);
      const broken = `${good}${line}\n`;
      Deno.writeTextFileSync(file, broken);
      // Every time, not only the first.
      for (const method of [...allMethods(known), ...allMethods(known)]) {
        assert.match(
          failureOf(method).message,
          /^line 5 of .* is not a fingerprint \(SHA256:…\) and a name$/,
        );
      }
      assert.equal(Deno.readTextFileSync(file), broken);
      Deno.writeTextFileSync(file, good);
      assert.deepEqual(known.peers, [BOB]);
    }
  },
);

knownTest("a file that has been invalid for a long time is still refused", (home, file) => {
  const known = KnownPeers.in(home);
  known.remember(BOB);
  assert.deepEqual(known.peers, [BOB]);
  edit(file, (text) => `${text}broken\n`);
  const old = new Date("2020-01-01T00:00:00Z");
  Deno.utimeSync(file, old, old);
  for (const method of [...allMethods(known), ...allMethods(known)]) failureOf(method);
});

knownTest(
  "an unreadable file is reported in one sentence, even if it becomes unreadable later",
  (home, file) => {
    const known = KnownPeers.in(home);
    known.remember(BOB);
    assert.deepEqual(known.peers, [BOB]);
    Deno.removeSync(file);
    Deno.mkdirSync(file);
    const message = `${file} cannot be read: Is a directory`;
    for (const method of [() => KnownPeers.in(home), ...allMethods(known), ...allMethods(known)]) {
      assert.equal(failureOf(method).message, message);
    }
    Deno.removeSync(home, { recursive: true });
    Deno.writeTextFileSync(home, "");
    if (!isPosix) return;
    for (const method of [() => KnownPeers.in(home), ...allMethods(known)]) {
      assert.equal(failureOf(method).message, `${file} cannot be read: Not a directory`);
    }
  },
);

knownTest("a file of megabytes is not read", (home, file) => {
  Deno.mkdirSync(home);
  Deno.writeTextFileSync(file, `${key(1)} Bob\n`.repeat(20_000));
  const { message } = failureOf(() => KnownPeers.in(home));
  assert.equal(message, `${file} cannot be read: it is larger than 1 MB`);
});

knownTest("a file that cannot be looked at for a moment is not replaced", (home, file) => {
  const known = KnownPeers.in(home);
  known.remember(BOB);
  const before = Deno.readTextFileSync(file);
  const { lstatSync } = Deno;
  Deno.lstatSync = () => {
    throw new Deno.errors.PermissionDenied("Permission denied (os error 13)");
  };
  try {
    const { message } = failureOf(() => known.remember(CAROL));
    assert.equal(message, `${file} cannot be written: Permission denied`);
  } finally {
    Deno.lstatSync = lstatSync;
  }
  assert.equal(Deno.readTextFileSync(file), before);
  assert.deepEqual(known.peers, [BOB, CAROL]);
});

knownTest("a peer that cannot be stored is known until the process ends", (home, file) => {
  Deno.mkdirSync(home);
  Deno.symlinkSync(join(home, "nowhere", "file"), file);
  const known = KnownPeers.in(home);
  assert.deepEqual(known.peers, []);
  const { message } = failureOf(() => known.remember(BOB));
  assert.equal(message, `${file} cannot be written: No such file or directory`);
  for (let i = 0; i < 2; i++) assert.deepEqual(known.keysOf("Bob"), [BOB.fingerprint]);
  assert.deepEqual(KnownPeers.in(home).peers, []);
  // This holds even after the file becomes writable again.
  Deno.removeSync(file);
  KnownPeers.in(home).remember(CAROL);
  assert.deepEqual(known.keysOf(CAROL.name), [CAROL.fingerprint]);
  assert.deepEqual(known.keysOf("Bob"), [BOB.fingerprint]);
}, { what: "symbolic links", isThere: isPosix });

const LIMITED = {
  what: "prlimit",
  isThere: isPosix && await works("prlimit", "--fsize=1000", "true"),
};

knownTest("a disk that becomes full leaves no part of a line", async (home, file) => {
  KnownPeers.in(home).remember(BOB);
  const before = Deno.readTextFileSync(file);
  // Files may grow by ten more bytes, which is less than a line.
  const limit = `trap "" XFSZ; exec prlimit --fsize=${before.length + 10} "$@"`;
  const script = `
    import { KnownPeers } from "./src/identity/known_peers.ts";
    try {
      KnownPeers.in(Deno.args[0]).remember(JSON.parse(Deno.args[1]));
    } catch ({ message }) {
      console.log(message);
    }`;
  const deno = [Deno.execPath(), "eval", "--ext=ts", script, "--", home, JSON.stringify(CAROL)];
  await using program = new Program(["sh", "-c", limit, "sh", ...deno]);
  assert.equal(await program.code(), 0, program.err.text);
  assert.equal(program.out.text, `${file} cannot be written: File too large\n`);
  assert.equal(Deno.readTextFileSync(file), before);
  assert.deepEqual([...Deno.readDirSync(home)].map(({ name }) => name).sort(), [
    "known_peers",
    "known_peers.lock",
  ]);
}, LIMITED);

// ---------------------------------------------------------------- concurrency

knownTest("two writers of the same file lose no peer", (home, file) => {
  const [one, other] = [KnownPeers.in(home), KnownPeers.in(home)];
  const peers = Array.from({ length: 200 }, (_, i) => ({ fingerprint: key(i), name: `Bob ${i}` }));
  peers.forEach((peer, i) => (i % 2 === 0 ? one : other).remember(peer));
  for (const known of [one, other, KnownPeers.in(home)]) assert.deepEqual(known.peers, peers);
  assert.equal(Deno.readTextFileSync(file).match(/^# Peers and/gm)?.length, 1);
});

knownTest(
  "a name that has a key is not bound to another one, in memory or in a file",
  (home, file) => {
    for (const known of [KnownPeers.inMemory(), KnownPeers.in(home)]) {
      assert.equal(known.remember(BOB), true);
      for (const number of [1, 2]) {
        assert.equal(known.remember({ ...BOB, fingerprint: key(number) }), false);
      }
      assert.deepEqual(known.peers, [BOB]);
    }
    assert.equal(KnownPeers.in(home).remember({ ...BOB, fingerprint: key(2) }), false);
    assert.equal(Deno.readTextFileSync(file).match(/ Bob\n/g)?.length, 1);
  },
);

knownTest("no peer can be added while another process has locked the file", (home, file) => {
  const known = KnownPeers.in(home);
  known.remember(CAROL);
  {
    using lock = Deno.openSync(`${file}.lock`, { write: true });
    lock.lockSync(true);
    assert.throws(() => known.remember(BOB), {
      code: "UNAVAILABLE",
      message: `another process has locked ${file}`,
    });
    assert.deepEqual(known.peers, [CAROL]);
  }
  assert.equal(known.remember(BOB), true);
});

knownTest(
  "a name that another process binds while we wait for the lock is not free",
  (home, file) => {
    const known = KnownPeers.in(home);
    const theirs = { name: BOB.name, fingerprint: key(7) };
    const { mkdirSync } = Deno;
    Deno.mkdirSync = (...args) => {
      // Simulates another process that acts between the first look at the file and the lock.
      Deno.mkdirSync = mkdirSync;
      mkdirSync(...args);
      assert.equal(KnownPeers.in(home).remember(theirs), true);
    };
    try {
      assert.equal(known.remember(BOB), false);
    } finally {
      Deno.mkdirSync = mkdirSync;
    }
    assert.deepEqual(known.peers, [theirs]);
    assert.equal(Deno.readTextFileSync(file).match(/Bob/g)?.length, 1);
  },
);

/** A program that adds peers to the home of each round that it reads. */
const WRITER = `
  import { createInterface } from "node:readline";
  import { KnownPeers } from "${import.meta.resolve("../../src/identity/known_peers.ts")}";
  console.log("ready");
  const [home, writer, count] = Deno.args;
  for await (const round of createInterface({ input: process.stdin })) {
    const known = KnownPeers.in(home + round);
    for (let i = 0; i < Number(count); i++) {
      const fingerprint = "SHA256:" + writer + String(i).padStart(42, "0");
      known.remember({ fingerprint, name: Deno.args[3] ?? writer + " " + i });
    }
    console.log("done " + round);
  }
`;

/** Lets processes add to the same files at once, and returns the contents of each file. */
async function together(
  home: string,
  { writers, rounds, count, name }: {
    writers: string[];
    rounds: number;
    count: number;
    name?: string;
  },
): Promise<KnownPeer[][]> {
  await using stack = new AsyncDisposableStack();
  const programs = writers.map((writer) =>
    stack.use(
      new Program([
        ...[Deno.execPath(), "eval", "--ext=ts", WRITER, "--", home, writer, `${count}`],
        ...(name === undefined ? [] : [name]),
      ]),
    )
  );
  await Promise.all(programs.map(({ out }) => out.until("ready\n")));
  for (let round = 0; round < rounds; round++) {
    for (const program of programs) void program.write(`${round}\n`);
    await Promise.all(programs.map(({ out }) => out.until(`done ${round}\n`)));
  }
  await Promise.all(programs.map((program) => program.end()));
  for (const program of programs) assert.equal(await program.code(), 0, program.err.text);
  return Array.from({ length: rounds }, (_, i) => [...KnownPeers.in(`${home}${i}`).peers]);
}

function ofWriter(writer: string, count: number): KnownPeer[] {
  return Array.from({ length: count }, (_, i) => ({
    fingerprint: key(i, writer),
    name: `${writer} ${i}`,
  }));
}

knownTest("processes that add to the same file at once lose no peer", async (home) => {
  const writers = ["A", "B"];
  const [peers] = await together(home, { writers, rounds: 1, count: 20 });
  assert.equal(peers.length, 40);
  for (const writer of writers) {
    const theirs = peers.filter(({ name }) => name.startsWith(writer));
    assert.deepEqual(theirs, ofWriter(writer, 20));
  }
});

knownTest("processes that create the same file at once lose no peer", async (home) => {
  const writers = ["A", "B", "C", "D"];
  for (const peers of await together(home, { writers, rounds: 100, count: 1 })) {
    const names = peers.map(({ name }) => name).sort();
    assert.deepEqual(names, writers.map((writer) => `${writer} 0`));
  }
});

knownTest("if several processes bind a name at once, one of them wins", async (home) => {
  const writers = ["A", "B", "C", "D"];
  const winners = await together(home, { writers, rounds: 100, count: 1, name: "Bob" });
  for (const peers of winners) assert.equal(peers.length, 1, JSON.stringify(peers));
  assert(new Set(winners.flat().map(({ fingerprint }) => fingerprint)).size > 1);
});
