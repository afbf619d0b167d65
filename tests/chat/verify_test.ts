/** Identities in a chat: announcements, warnings and /verify. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { temporaryHome } from "../support/home.ts";
import { freePorts } from "../support/ports.ts";
import { Program, run } from "../support/program.ts";

const FIRST_CONTACT = (name: string) =>
  new RegExp(
    `^First contact with ${name}\\. From now on, only this key is accepted for ${name}: ` +
      "(SHA256:\\S{43})\\nUse /verify to rule out someone in the middle\\.\\n",
    "m",
  );
const CODES =
  /^Read these codes to each other.*\n(?<own>\d{5}(?: \d{5}){5}) {2}(\w+) \(you\)\n(?<other>\d{5}(?: \d{5}){5}) {2}(\w+)\n/m;

Deno.test("/verify shows the same two codes on both sides, and greet id shows them, too", async () => {
  const [a, b] = freePorts();
  await using alice = Program.greet(["chat", "Alice", a, b, "--tls"]);
  await using bob = Program.greet(["chat", "Bob", b, a, "--tls"]);
  await Promise.all([alice, bob].map(({ out }) => out.until("Welcome, ")));
  await Promise.all([alice, bob].map((chat) => chat.write("/verify\n")));
  const [{ groups: alices }, { groups: bobs }] = await Promise.all(
    [alice, bob].map(({ out }) => out.until(CODES)),
  );
  assert.deepEqual([alices!.own, alices!.other], [bobs!.other, bobs!.own]);
  const { out } = await run(["id", "Alice", "--home", alice.home]);
  assert(out.includes(alices!.own));
  const [, bobsKey] = await alice.out.until(FIRST_CONTACT("Bob"));
  assert((await run(["id", "Bob", "--home", bob.home])).out.includes(bobsKey));
  const known = await Deno.readTextFile(`${alice.home}/known_peers`);
  assert(known.endsWith(`\n${bobsKey} Bob\n`));
});

Deno.test("/verify explains what is missing if nothing is encrypted or no peer is here", async () => {
  const [a, b] = freePorts();
  for (
    const [option, answer] of [
      ["--plaintext", /^This chat is not encrypted.*--tls/m],
      ["--tls", /^No peer is here to compare codes with/m],
    ] as const
  ) {
    await using alice = Program.greet(["chat", "Alice", a, b, option]);
    await alice.write("/verify\n/quit\n");
    await alice.out.until(answer);
    assert.equal(await alice.code(), 0);
  }
});

Deno.test("an impostor is reported on stderr, once, with all keys; a lookalike as well", async () => {
  const [a, b, c] = freePorts(3);
  await using home = temporaryHome();
  await using alice = Program.greet(["chat", "Alice", a, b, c, "--tls", "--no-journal"], home);
  let right: string;
  {
    await using bob = Program.greet(["chat", "Bob", b, a, "--tls", "--no-journal"]);
    [, right] = await alice.out.until(FIRST_CONTACT("Bob"));
    await bob.out.until("Welcome");
  }
  await alice.out.until("Bob has left.");
  await using mallory = Program.greet(["chat", "Bob", b, a, "--tls"]);
  await alice.err.until(
    new RegExp(
      "^WARNING: someone else is claiming to be Bob\\. Nothing will be sent to them\\.\n" +
        `        SHA256:\\S{43} is the key at 127\\.0\\.0\\.1:${b}\n` +
        `        ${RegExp.escape(right)} is the key of Bob\n` +
        "        if Bob told you about a new key, remove the line with the old one from " +
        `${RegExp.escape(join(home.env.GREET_HOME, "known_peers"))}\n`,
      "m",
    ),
  );
  await mallory.write("open the door\n");
  await mallory.err.until("Alice knows Bob by another key");
  await using _other = Program.greet(["chat", "B0b", c, a, "--tls", "--no-journal"]);
  await alice.err.until("WARNING: B0b is not Bob. The names only look alike.\n");
  assert.equal(alice.err.text.match(/claiming to be Bob/g)?.length, 1);
  assert.doesNotMatch(alice.out.text, /open the door/);
});

Deno.test("a chat does not start with a malformed known_peers file", async () => {
  await using home = temporaryHome();
  await Deno.writeTextFile(`${home.env.GREET_HOME}/known_peers`, "# mine\nSHA256:abc Bob\n");
  const [a, b] = freePorts();
  const { code, out, err } = await run(["chat", "Alice", a, b, "--tls"], home);
  assert.deepEqual([code, out], [1, ""]);
  assert.match(
    err,
    /^greet: error: line 2 of \S+known_peers is not a fingerprint \(SHA256:…\) and a name\n/,
  );
});

Deno.test("a chat with another machine is encrypted by default, and hints that it cannot be reached", async () => {
  const { out, err } = await run(["chat", "Alice", "0", "bob.invalid:55555", "--linger", "0.1"]);
  assert.match(err, /^greet: hint: other machines cannot reach 127\.0\.0\.1; see --host\n/);
  assert.doesNotMatch(out + err, /not encrypted/);
  const plain = await run(
    ["chat", "Alice", "0", "bob.invalid:55555", "--linger", "0.1", "--plaintext"],
  );
  assert.match(plain.err, /^greet: warning: not encrypted: /);
});
