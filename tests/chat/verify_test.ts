/** How a chat tells who is who: on a screen, and by /verify. */
import assert from "node:assert/strict";
import { temporaryHome } from "../support/home.ts";
import { freePorts } from "../support/ports.ts";
import { Program, run } from "../support/program.ts";

const NEW_KEY = (name: string) =>
  new RegExp(
    `^${name} is new to you\\. From now on, only this key is ${name}: (SHA256:\\S{43})\\n` +
      "/verify tells how to be sure that nobody is in between\\.\\n",
    "m",
  );
const CODES =
  /^Read these to each other.*\n(?<own>\d{5}(?: \d{5}){5}) {2}(\w+) \(you\)\n(?<other>\d{5}(?: \d{5}){5}) {2}(\w+)\n/m;

Deno.test("both sides of /verify show the same two codes, which are those of greet id", async () => {
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
  const [, bobsKey] = await alice.out.until(NEW_KEY("Bob"));
  assert((await run(["id", "Bob", "--home", bob.home])).out.includes(bobsKey));
  const known = await Deno.readTextFile(`${alice.home}/known_peers`);
  assert(known.endsWith(`\n${bobsKey} Bob\n`));
});

Deno.test("/verify says what is missing where nothing is encrypted, or nobody is there", async () => {
  const [a, b] = freePorts();
  for (
    const [option, answer] of [
      ["--plaintext", /^This chat is not encrypted.*--tls/m],
      ["--tls", /^Nobody is here whose code/m],
    ] as const
  ) {
    await using alice = Program.greet(["chat", "Alice", a, b, option]);
    await alice.write("/verify\n/quit\n");
    await alice.out.until(answer);
    assert.equal(await alice.code(), 0);
  }
});

Deno.test("an impostor is told of on stderr, key by key, and once; who looks alike as well", async () => {
  const [a, b, c] = freePorts(3);
  await using home = temporaryHome();
  await using alice = Program.greet(["chat", "Alice", a, b, c, "--tls", "--no-journal"], home);
  let right: string;
  {
    await using bob = Program.greet(["chat", "Bob", b, a, "--tls", "--no-journal"]);
    [, right] = await alice.out.until(NEW_KEY("Bob"));
    await bob.out.until("Welcome");
  }
  await alice.out.until("Bob has left.");
  await using mallory = Program.greet(["chat", "Bob", b, a, "--tls"]);
  await alice.err.until(
    new RegExp(
      "^Somebody else says to be Bob! Nothing is sent to them\\.\n" +
        `        SHA256:\\S{43} is at 127\\.0\\.0\\.1:${b}\n` +
        `        ${right.replaceAll(/[+/]/g, "\\$&")} is Bob\n` +
        "        if Bob told you of a new key, remove the line with the old one from " +
        `${home.env.GREET_HOME}/known_peers\n`,
      "m",
    ),
  );
  await mallory.write("open the door\n");
  await mallory.err.until("Alice knows Bob by another key");
  await using _other = Program.greet(["chat", "B0b", c, a, "--tls", "--no-journal"]);
  await alice.err.until("Take care: B0b is not Bob, and only looks like that.\n");
  assert.equal(alice.err.text.match(/says to be Bob/g)?.length, 1);
  assert.doesNotMatch(alice.out.text, /open the door/);
});

Deno.test("a known_peers that makes no sense keeps a chat from trusting anybody", async () => {
  await using home = temporaryHome();
  await Deno.writeTextFile(`${home.env.GREET_HOME}/known_peers`, "# mine\nSHA256:abc Bob\n");
  const [a, b] = freePorts();
  const { code, out, err } = await run(["chat", "Alice", a, b, "--tls"], home);
  assert.deepEqual([code, out], [1, ""]);
  assert.match(err, /^greet: error: line 2 of \S+known_peers is not SHA256:… and a name\n/);
});

Deno.test("a chat with another machine is encrypted unasked, and needs to be reached from there", async () => {
  const { out, err } = await run(["chat", "Alice", "0", "bob.invalid:55555", "--linger", "0.1"]);
  assert.match(err, /^greet: hint: nobody on another machine can call 127\.0\.0\.1; see --host\n/);
  assert.doesNotMatch(out + err, /not encrypted/);
  const plain = await run(
    ["chat", "Alice", "0", "bob.invalid:55555", "--linger", "0.1", "--plaintext"],
  );
  assert.match(plain.err, /^greet: warning: not encrypted: /);
});
