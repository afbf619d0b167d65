/** Who is taken for whom: the first key counts, and every other one is refused. */
import assert from "node:assert/strict";
import { GreetError } from "../../src/base/errors.ts";
import { KnownPeers } from "../../src/identity/known_peers.ts";
import { lookalikeOf } from "../../src/identity/lookalikes.ts";
import { Trust, type TrustEvent, type TrustOptions } from "../../src/identity/trust.ts";
import { homeTest } from "../support/home.ts";
import { inTime } from "../support/waiting.ts";

/** A fingerprint for each number. */
function key(number: number): string {
  return `SHA256:${`${number}`.padStart(43, "0")}`;
}

const [OURS, OTHER, THIRD] = [key(1), key(2), key(3)];
const TARGET = "10.0.0.1:55555";

/** Trust, and what it told. */
class WatchUpdate {
  readonly known: KnownPeers;
  readonly trust: Trust;
  readonly events: TrustEvent[] = [];
  readonly troubles: GreetError[] = [];
  #more = Promise.withResolvers<void>();

  constructor(options: Partial<TrustOptions> = {}) {
    this.known = options.known ?? KnownPeers.inMemory();
    this.trust = new Trust({
      name: "Alice",
      known: this.known,
      acquainted: [],
      announce: (event) => {
        this.events.push(event);
        this.#more.resolve();
        this.#more = Promise.withResolvers();
      },
      onTrouble: (error) => this.troubles.push(error),
      ...options,
    });
  }

  /** Somebody answers at a target, and may be there. */
  arrive(name: string, fingerprint: string | undefined, registered?: string): void {
    this.trust.meet(name, { target: TARGET, fingerprint, registered });
  }

  /** Somebody answers at a target, and is refused. */
  refused(name: string, fingerprint: string, registered?: string, target = TARGET): GreetError {
    try {
      this.trust.check(name, { target, fingerprint, registered });
    } catch (error) {
      assert(error instanceof GreetError, String(error));
      assert.equal(error.code, "UNAUTHENTICATED");
      return error;
    }
    assert.fail(`${name} is taken for ${fingerprint}`);
  }

  of<T extends TrustEvent["type"]>(type: T): Extract<TrustEvent, { type: T }>[] {
    return this.events.filter((event) => event.type === type) as Extract<TrustEvent, { type: T }>[];
  }

  /**
   * The names that looked like others. They are compared later, one after the other: so a last one
   * that is sure to be told shows that all before it have been.
   */
  async lookalikes(): Promise<[name: string, like: string][]> {
    const last = "\u{1F680} 1ast";
    this.trust.meet("\u{1F680} last", { target: TARGET, fingerprint: undefined });
    this.trust.meet(last, { target: TARGET, fingerprint: undefined });
    const wait = async () => {
      while (!this.of("lookalike").some(({ name }) => name === last)) await this.#more.promise;
    };
    await inTime(wait(), () => `the last lookalike in ${JSON.stringify(this.events)}`, 2_000);
    return this.of("lookalike")
      .filter(({ name }) => name !== last)
      .map(({ name, like }) => [name, like]);
  }
}

// ---------------------------------------------------------------- keys

Deno.test("who is met first is remembered with their key, and that is told once", async () => {
  const told = new WatchUpdate();
  assert(!told.trust.isKnown(OTHER));
  for (let i = 0; i < 3; i++) told.arrive("Bob", OTHER);
  assert.deepEqual(told.known.peers, [{ name: "Bob", fingerprint: OTHER }]);
  assert(told.trust.isKnown(OTHER) && !told.trust.isKnown(THIRD));
  assert.deepEqual(await told.lookalikes(), []);
  const met = { type: "met", name: "Bob", fingerprint: OTHER, aliases: [] };
  assert.deepEqual(told.events.filter(({ type }) => type !== "lookalike"), [met]);
});

Deno.test("who was known before and has the same key is not worth a word", async () => {
  const known = KnownPeers.inMemory();
  known.remember({ name: "A1ice", fingerprint: OTHER });
  const told = new WatchUpdate({ known });
  for (let i = 0; i < 3; i++) told.arrive("A1ice", OTHER, OTHER);
  assert.deepEqual(await told.lookalikes(), []);
  assert.deepEqual(told.of("met"), []);
  assert.equal(known.peers.length, 1);
});

Deno.test("another key under a known name is refused, and told once however often it comes", () => {
  const told = new WatchUpdate();
  told.arrive("Bob", OTHER);
  const error = told.refused("Bob", THIRD);
  assert.equal(
    error.message,
    `${TARGET}: whoever is there says to be Bob and has the key ${THIRD}; Bob has ${OTHER}`,
  );
  assert.match(error.hint!, /^if Bob told you of a new key, remove the line with the old one$/);
  for (let i = 0; i < 5; i++) assert.deepEqual(told.refused("Bob", THIRD), error);
  const [event, ...more] = told.of("impostor");
  assert.deepEqual(more, []);
  assert.deepEqual(event, {
    type: "impostor",
    name: "Bob",
    target: TARGET,
    fingerprint: THIRD,
    known: [OTHER],
    error,
  });
  // Nothing of it is remembered, and Bob still is Bob.
  assert.deepEqual(told.known.peers, [{ name: "Bob", fingerprint: OTHER }]);
  assert(!told.trust.isKnown(THIRD));
  told.arrive("Bob", OTHER);
});

Deno.test("an impostor is told, but not each of their keys; another name or place is another one", () => {
  const told = new WatchUpdate();
  told.arrive("Bob", OTHER);
  told.arrive("Carol", OURS);
  told.refused("Bob", THIRD);
  told.refused("Bob", key(4));
  told.refused("Carol", THIRD);
  told.refused("Bob", THIRD, undefined, "10.0.0.2:55555");
  const who = told.of("impostor").map((event) => [event.name, event.fingerprint, event.target]);
  assert.deepEqual(who, [
    ["Bob", THIRD, TARGET],
    ["Carol", THIRD, TARGET],
    ["Bob", THIRD, "10.0.0.2:55555"],
  ]);
});

Deno.test("whoever takes ever new names at one place is remembered by ten of them", () => {
  const told = new WatchUpdate();
  for (let i = 1; i <= 10; i++) told.arrive(`Nobody ${i}`, key(i));
  const eleventh = () => told.trust.check("Nobody 11", { target: TARGET, fingerprint: key(11) });
  assert.throws(eleventh, { code: "RESOURCE_EXHAUSTED", message: /has had 10 new names already$/ });
  assert.equal(told.known.peers.length, 10);
  // Who is known is let in, and so is somebody new at another place.
  told.arrive("Nobody 1", key(1));
  const elsewhere = { target: "10.0.0.2:55555", fingerprint: key(11) };
  told.trust.check("Nobody 11", elsewhere);
  told.trust.meet("Nobody 11", elsewhere);
  assert.equal(told.known.peers.length, 11);
});

Deno.test("what to do about a new key names the file with the old one", async () => {
  const home = await Deno.makeTempDir({ prefix: "greet-trust-" });
  try {
    const told = new WatchUpdate({ known: KnownPeers.in(home) });
    told.arrive("Bob", OTHER);
    const { file } = told.known;
    const { hint } = told.refused("Bob", THIRD);
    assert.equal(
      hint,
      `if Bob told you of a new key, remove the line with the old one from ${file}`,
    );
    // And that works, without a restart; the old key is refused from then on.
    Deno.writeTextFileSync(file!, Deno.readTextFileSync(file!).replace(/.* Bob\n/, ""));
    told.arrive("Bob", THIRD);
    assert.deepEqual(told.of("met").map(({ fingerprint }) => fingerprint), [OTHER, THIRD]);
    assert.match(told.refused("Bob", OTHER).message, new RegExp(`Bob has ${THIRD}$`));
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});

homeTest(
  "a second key that is added by hand is as good as the first, and no third one is",
  (home) => {
    const told = new WatchUpdate({ known: KnownPeers.in(home) });
    told.arrive("Bob", OTHER);
    Deno.writeTextFileSync(told.known.file!, `${THIRD} Bob\n`, { append: true });
    told.arrive("Bob", THIRD);
    told.arrive("Bob", OTHER);
    assert.equal(told.known.peers.length, 2);
    assert.equal(told.of("met").length, 1);
    const { message } = told.refused("Bob", OURS);
    assert(message.endsWith(`Bob has ${OTHER} or ${THIRD}`), message);
    assert.deepEqual(told.of("impostor")[0].known, [OTHER, THIRD]);
  },
);

Deno.test("of two keys that claim a new name at the same moment, one is refused and announced", () => {
  const told = new WatchUpdate();
  const seen = [OTHER, THIRD].map((fingerprint) => ({ target: TARGET, fingerprint }));
  // Both answer before either is met.
  for (const one of seen) told.trust.check("Bob", one);
  told.trust.meet("Bob", seen[0]);
  assert.throws(() => told.trust.meet("Bob", seen[1]), { code: "UNAUTHENTICATED" });
  assert.deepEqual(told.events.map(({ type }) => type), ["met", "impostor"]);
  assert.deepEqual(told.known.keysOf("Bob"), [OTHER]);
});

homeTest("a name that another process has bound in the meantime is bound here, too", (home) => {
  const told = new WatchUpdate({ known: KnownPeers.in(home) });
  const remember = told.known.remember.bind(told.known);
  told.known.remember = (peer) => {
    // What another process does after this one has checked the name.
    KnownPeers.in(home).remember({ name: "Bob", fingerprint: THIRD });
    return remember(peer);
  };
  assert.throws(() => told.arrive("Bob", OTHER), { code: "UNAUTHENTICATED" });
  assert.deepEqual(told.events.map(({ type }) => type), ["impostor"]);
  // The same key is no contradiction, and no news.
  told.arrive("Bob", THIRD);
  assert.deepEqual(told.known.peers, [{ name: "Bob", fingerprint: THIRD }]);
});

Deno.test("a key that is not the registered one is refused, whether the name is known or not", () => {
  for (const isKnown of [false, true]) {
    const told = new WatchUpdate();
    if (isKnown) told.arrive("Bob", OTHER);
    const before = told.known.peers;
    for (let i = 0; i < 3; i++) {
      const { message, hint } = told.refused("Bob", OTHER, THIRD);
      assert(message.includes(`has the key ${OTHER}; Bob has ${THIRD}`), message);
      assert.match(hint!, /^that is what the naming service says: /);
    }
    const [{ fingerprint, known }, ...more] = told.of("impostor");
    assert.deepEqual([fingerprint, known, more], [OTHER, [THIRD], []]);
    assert.deepEqual(told.known.peers, before);
  }
});

Deno.test("a naming service cannot vouch for another key than the one that is known", () => {
  const told = new WatchUpdate();
  told.arrive("Bob", OTHER);
  const { message } = told.refused("Bob", THIRD, THIRD);
  assert(message.endsWith(`has the key ${THIRD}; Bob has ${OTHER}`), message);
});

Deno.test("a key that is registered, or a name of which nothing is registered, is fine", () => {
  const told = new WatchUpdate();
  told.arrive("Bob", OTHER, OTHER);
  told.arrive("Carol", THIRD);
  assert.deepEqual(told.of("met").map(({ name }) => name), ["Bob", "Carol"]);
  assert.deepEqual(told.of("impostor"), []);
});

Deno.test("where nothing is encrypted there is nothing to check and nothing to remember", async () => {
  const told = new WatchUpdate();
  told.arrive("Bob", OTHER);
  told.arrive("Bob", undefined);
  told.arrive("Bob", undefined, THIRD);
  told.arrive("Carol", undefined);
  assert.deepEqual(told.known.peers, [{ name: "Bob", fingerprint: OTHER }]);
  assert(!told.trust.isImpostor("Bob", undefined));
  assert.equal(told.of("met").length, 1);
  assert.deepEqual(await told.lookalikes(), []);
  // Who was met without a key is remembered with the first one that they show.
  told.arrive("Carol", THIRD);
  assert.deepEqual(told.of("met").map(({ name }) => name), ["Bob", "Carol"]);
});

Deno.test("only a known name with another key is an impostor", () => {
  const told = new WatchUpdate();
  told.arrive("Bob", OTHER);
  assert(told.trust.isImpostor("Bob", THIRD));
  assert(!told.trust.isImpostor("Bob", OTHER));
  assert(!told.trust.isImpostor("Carol", THIRD));
  assert(!told.trust.isImpostor("bob", THIRD));
  assert.deepEqual(told.of("impostor"), []);
});

Deno.test("a key that is known under other names is told with them", () => {
  const told = new WatchUpdate();
  told.arrive("Bob", OTHER);
  told.arrive("Bob at work", OTHER);
  told.arrive("Bobby", OTHER);
  told.arrive("Carol", THIRD);
  assert.deepEqual(told.of("met").map(({ name, aliases }) => [name, aliases]), [
    ["Bob", []],
    ["Bob at work", ["Bob"]],
    ["Bobby", ["Bob", "Bob at work"]],
    ["Carol", []],
  ]);
});

/** Known peers in a file that somebody breaks. */
async function broken(fn: (told: WatchUpdate, file: string) => void): Promise<void> {
  const home = await Deno.makeTempDir({ prefix: "greet-trust-" });
  try {
    const told = new WatchUpdate({ known: KnownPeers.in(home) });
    told.arrive("Bob", OTHER);
    Deno.writeTextFileSync(told.known.file!, "broken\n", { append: true });
    fn(told, told.known.file!);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

Deno.test("where it cannot be read who is known, nobody is taken for anybody", async () => {
  await broken(({ trust, troubles, events }) => {
    for (const [name, fingerprint] of [["Bob", OTHER], ["Bob", THIRD], ["Carol", THIRD]]) {
      assert.throws(() => trust.check(name, { target: TARGET, fingerprint }), {
        code: "FAILED",
        message: /line \d+ of .* is not/,
      });
    }
    assert(!trust.isKnown(OTHER));
    assert.throws(() => trust.meet("Carol", { target: TARGET, fingerprint: THIRD }), {
      code: "FAILED",
    });
    assert.deepEqual(troubles, []);
    assert.deepEqual(events.map(({ type }) => type), ["met"]);
  });
});

// ---------------------------------------------------------------- names

/** Names to be warned about, and why. */
const ALIKE: readonly [name: string, like: string, why: string][] = [
  ["A1ice", "Alice", "one for l"],
  ["AIice", "Alice", "I for l"],
  ["A|ice", "Alice", "a bar for l"],
  ["ALICE", "Alice", "capitals"],
  ["alice", "Alice", "small letters"],
  ["aLiCe", "Alice", "both"],
  ["\u0410lice", "Alice", "Cyrillic А"],
  ["Ali\u0441e", "Alice", "Cyrillic с"],
  ["Alic\u0435", "Alice", "Cyrillic е"],
  ["\u0391lice", "Alice", "Greek Α"],
  ["\u0410\u0406\u0456\u0441\u0435", "Alice", "all of it Cyrillic"],
  ["Ａｌｉｃｅ", "Alice", "fullwidth"],
  ["𝐀𝐥𝐢𝐜𝐞", "Alice", "mathematical"],
  ["Ⓐⓛⓘⓒⓔ", "Alice", "in circles"],
  ["Alιce", "Alice", "Greek ι"],
  ["Ｂｏｂ", "Bob", "fullwidth"],
  ["B0b", "Bob", "zero for o"],
  ["B\u043Eb", "Bob", "Cyrillic о"],
  ["BOB", "Bob", "capitals"],
  ["rnodern", "modern", "rn for m"],
  ["modern", "rnodern", "m for rn"],
  ["Zo\u0451", "Zo\u00EB", "Cyrillic ё"],
  ["ﬁona", "fiona", "a ligature"],
  ["Caro1", "Carol", "one for l"],
  ["vvill", "will", "vv for w"],
  ["Dedan", "Declan", "d for cl"],
  ["Bo\u2800b", "Bob", "a Braille blank"],
  ["B\u{16FE4}ob", "Bob", "a Khitan filler"],
  ["B\u{1D159}ob", "Bob", "a null notehead"],
  ["B\u{13430}ob", "Bob", "a hieroglyph control"],
  ["❤\uFE0F", "❤", "a variation selector"],
  ["محم\u200Dد", "محمد", "a joiner where letters join anyway"],
  ["مح\u0640مد", "محمد", "a tatweel"],
  ["Anna  Lena", "Anna Lena", "two spaces"],
  ["Zoe\u0308\u0308", "Zoë", "an accent set twice"],
  ["Bob²", "Bob2", "a superscript"],
];

/** Names of people who have nothing to do with each other. */
const DIFFERENT: readonly [name: string, other: string][] = [
  ["Zoë", "Zoe"],
  ["Zoé", "Zoë"],
  ["Alicia", "Alice"],
  ["Alice", "Alic"],
  ["Alice Fox", "Alice"],
  ["Rob", "Bob"],
  ["Bobby", "Bob"],
  ["Jan", "Jon"],
  ["Иван", "Ivan"],
  ["محمد", "محمود"],
  ["王", "玉"],
  ["Bob 1", "Bob 2"],
  ["Clara", "Dara"],
];

for (const [name, like, why] of ALIKE) {
  Deno.test(`${name} is told to look like ${like}: ${why}`, async () => {
    const told = new WatchUpdate({ name: like });
    told.trust.meet(name, { target: TARGET, fingerprint: OTHER });
    assert.deepEqual(await told.lookalikes(), [[name, like]]);
    assert.equal(lookalikeOf(like, [name]), name);
  });
}

for (const [name, other] of DIFFERENT) {
  Deno.test(`${name} is not taken for ${other}`, async () => {
    const told = new WatchUpdate({ name: other });
    told.trust.meet(name, { target: TARGET, fingerprint: OTHER });
    assert.deepEqual(await told.lookalikes(), []);
    assert.equal(lookalikeOf(other, [name]), undefined);
  });
}

Deno.test("nobody looks like themselves, and of several the first is told", () => {
  assert.equal(lookalikeOf("Alice", ["Alice"]), undefined);
  assert.equal(lookalikeOf("Alice", ["Alice", "A1ice", "AIice"]), "A1ice");
  assert.equal(lookalikeOf("Alice", new Set(["Bob", "AIice", "A1ice"])), "AIice");
  assert.equal(lookalikeOf("Alice", []), undefined);
});

Deno.test("a new name is compared with our own, with all known ones, and with those met in this run", async () => {
  const known = KnownPeers.inMemory();
  known.remember({ name: "Carol", fingerprint: THIRD });
  const told = new WatchUpdate({ known, acquainted: ["Dora"] });
  told.arrive("A1ice", key(11));
  told.arrive("Caro1", key(12));
  told.arrive("D0ra", key(13));
  told.arrive("Emil", key(14));
  told.arrive("Emi1", key(15));
  told.arrive("Goran", undefined);
  told.arrive("G0ran", undefined);
  assert.deepEqual(await told.lookalikes(), [
    ["A1ice", "Alice"],
    ["Caro1", "Carol"],
    ["D0ra", "Dora"],
    ["Emi1", "Emil"],
    ["G0ran", "Goran"],
  ]);
});

Deno.test("a lookalike is told once, and remembered all the same", async () => {
  const told = new WatchUpdate();
  for (let i = 0; i < 3; i++) told.arrive("A1ice", OTHER);
  assert.deepEqual(await told.lookalikes(), [["A1ice", "Alice"]]);
  assert.equal(told.of("met").length, 1);
  assert.deepEqual(told.known.keysOf("A1ice"), [OTHER]);
});

Deno.test("names that were known before are not warned about, with a key or without", async () => {
  const known = KnownPeers.inMemory();
  known.remember({ name: "A1ice", fingerprint: OTHER });
  const told = new WatchUpdate({ known, acquainted: ["AIice"] });
  told.arrive("A1ice", OTHER);
  told.arrive("AIice", THIRD);
  assert.deepEqual(await told.lookalikes(), []);
});

Deno.test("an impostor makes nobody look like anybody", async () => {
  const told = new WatchUpdate();
  told.arrive("Bob", OTHER);
  told.refused("Bob", THIRD);
  told.refused("B0b", THIRD, OTHER);
  assert.deepEqual(await told.lookalikes(), []);
});
