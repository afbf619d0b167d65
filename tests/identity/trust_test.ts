/** Trust: the first key of a name is remembered, and any other is refused. */
import assert from "node:assert/strict";
import { GreetError } from "../../src/base/errors.ts";
import { Pulse } from "../../src/base/timing.ts";
import { KnownPeers } from "../../src/identity/known_peers.ts";
import { lookalikeOf } from "../../src/identity/lookalikes.ts";
import { Trust, type TrustEvent, type TrustOptions } from "../../src/identity/trust.ts";
import { homeTest } from "../support/home.ts";
import { inTime } from "../support/waiting.ts";

/** Makes a fingerprint from a number. */
function key(number: number): string {
  return `SHA256:${`${number}`.padStart(43, "0")}`;
}

const [OURS, OTHER, THIRD] = [key(1), key(2), key(3)];
const TARGET = "10.0.0.1:55555";

/** Records the events of a {@link Trust}. */
class Recorder {
  readonly known: KnownPeers;
  readonly trust: Trust;
  readonly events: TrustEvent[] = [];
  readonly troubles: GreetError[] = [];
  readonly #changed = new Pulse();

  constructor(options: Partial<TrustOptions> = {}) {
    this.known = options.known ?? KnownPeers.inMemory();
    this.trust = new Trust({
      name: "Alice",
      known: this.known,
      announce: (event) => {
        this.events.push(event);
        this.#changed.beat();
      },
      onTrouble: (error) => this.troubles.push(error),
      ...options,
    });
  }

  /** A peer is met at the target, and is accepted. */
  meet(name: string, fingerprint: string | undefined, registered?: string): void {
    this.trust.meet(name, { target: TARGET, fingerprint, registered });
  }

  /** A peer is checked at a target and refused; returns the error. */
  refuse(name: string, fingerprint: string, registered?: string, target = TARGET): GreetError {
    try {
      this.trust.check(name, { target, fingerprint, registered });
    } catch (error) {
      assert(error instanceof GreetError, String(error));
      assert.equal(error.code, "UNAUTHENTICATED");
      return error;
    }
    assert.fail(`${fingerprint} is accepted for ${name}`);
  }

  eventsOf<T extends TrustEvent["type"]>(type: T): Extract<TrustEvent, { type: T }>[] {
    return this.events.filter((event) => event.type === type) as Extract<TrustEvent, { type: T }>[];
  }

  /**
   * Waits for all lookalikes and returns them. Names are compared asynchronously, in order, so the
   * event for a final name that is sure to cause one shows that all comparisons are done.
   */
  async lookalikes(): Promise<[name: string, like: string][]> {
    const last = "\u{1F680} 1ast";
    this.trust.meet("\u{1F680} last", { target: TARGET, fingerprint: undefined });
    this.trust.meet(last, { target: TARGET, fingerprint: undefined });
    const wait = async () => {
      while (!this.eventsOf("lookalike").some(({ name }) => name === last)) {
        await this.#changed.next;
      }
    };
    await inTime(wait(), () => `the last lookalike in ${JSON.stringify(this.events)}`);
    return this.eventsOf("lookalike")
      .filter(({ name }) => name !== last)
      .map(({ name, like }) => [name, like]);
  }
}

// ---------------------------------------------------------------- keys

Deno.test("a new peer is remembered with its key and announced once", async () => {
  const recorder = new Recorder();
  assert(!recorder.trust.isKnown(OTHER));
  for (let i = 0; i < 3; i++) recorder.meet("Bob", OTHER);
  assert.deepEqual(recorder.known.peers, [{ name: "Bob", fingerprint: OTHER }]);
  assert.deepEqual(recorder.trust.keysOf("Bob"), [OTHER]);
  assert.deepEqual(recorder.trust.keysOf("Carol"), []);
  assert(recorder.trust.isKnown(OTHER) && !recorder.trust.isKnown(THIRD));
  assert.deepEqual(await recorder.lookalikes(), []);
  const met = { type: "met", name: "Bob", fingerprint: OTHER, aliases: [] };
  assert.deepEqual(recorder.events.filter(({ type }) => type !== "lookalike"), [met]);
});

Deno.test("a known peer with the same key causes no event", async () => {
  const known = KnownPeers.inMemory();
  known.remember({ name: "A1ice", fingerprint: OTHER });
  const recorder = new Recorder({ known });
  for (let i = 0; i < 3; i++) recorder.meet("A1ice", OTHER, OTHER);
  assert.deepEqual(await recorder.lookalikes(), []);
  assert.deepEqual(recorder.eventsOf("met"), []);
  assert.equal(known.peers.length, 1);
});

Deno.test("another key for a known name is refused each time, and announced once", () => {
  const recorder = new Recorder();
  recorder.meet("Bob", OTHER);
  const error = recorder.refuse("Bob", THIRD);
  assert.equal(
    error.message,
    `${TARGET}: the peer there claims to be Bob but has the key ${THIRD}, not ${OTHER}`,
  );
  assert.match(error.hint!, /^if Bob told you about a new key, remove the line with the old one$/);
  for (let i = 0; i < 5; i++) assert.deepEqual(recorder.refuse("Bob", THIRD), error);
  const [event, ...more] = recorder.eventsOf("impostor");
  assert.deepEqual(more, []);
  assert.deepEqual(event, {
    type: "impostor",
    name: "Bob",
    target: TARGET,
    fingerprint: THIRD,
    known: [OTHER],
    error,
  });
  // It is not remembered, and Bob's own key is still accepted.
  assert.deepEqual(recorder.known.peers, [{ name: "Bob", fingerprint: OTHER }]);
  assert(!recorder.trust.isKnown(THIRD));
  recorder.meet("Bob", OTHER);
});

Deno.test("an impostor is announced once, whatever keys it uses, for each name and target", () => {
  const recorder = new Recorder();
  recorder.meet("Bob", OTHER);
  recorder.meet("Carol", OURS);
  recorder.refuse("Bob", THIRD);
  recorder.refuse("Bob", key(4));
  recorder.refuse("Carol", THIRD);
  recorder.refuse("Bob", THIRD, undefined, "10.0.0.2:55555");
  const impostors = recorder.eventsOf("impostor").map((
    event,
  ) => [event.name, event.fingerprint, event.target]);
  assert.deepEqual(impostors, [
    ["Bob", THIRD, TARGET],
    ["Carol", THIRD, TARGET],
    ["Bob", THIRD, "10.0.0.2:55555"],
  ]);
});

Deno.test("at most ten new names are accepted at one target", () => {
  const recorder = new Recorder();
  for (let i = 1; i <= 10; i++) recorder.meet(`Name ${i}`, key(i));
  const eleventh = () => recorder.trust.check("Name 11", { target: TARGET, fingerprint: key(11) });
  assert.throws(eleventh, {
    code: "RESOURCE_EXHAUSTED",
    message: /has used 10 new names already$/,
  });
  assert.throws(() => recorder.meet("Name 11", key(11)), { code: "RESOURCE_EXHAUSTED" });
  assert.equal(recorder.known.peers.length, 10);
  // Known names are still accepted, and so are new ones at another target.
  recorder.meet("Name 1", key(1));
  const elsewhere = { target: "10.0.0.2:55555", fingerprint: key(11) };
  recorder.trust.check("Name 11", elsewhere);
  recorder.trust.meet("Name 11", elsewhere);
  assert.equal(recorder.known.peers.length, 11);
});

Deno.test("the hint about a new key names the file with the old one", async () => {
  const home = await Deno.makeTempDir({ prefix: "greet-trust-" });
  try {
    const recorder = new Recorder({ known: KnownPeers.in(home) });
    recorder.meet("Bob", OTHER);
    const { file } = recorder.known;
    const { hint } = recorder.refuse("Bob", THIRD);
    assert.equal(
      hint,
      `if Bob told you about a new key, remove the line with the old one from ${file}`,
    );
    // Following it takes effect without a restart; the old key is refused from then on.
    Deno.writeTextFileSync(file!, Deno.readTextFileSync(file!).replace(/.* Bob\n/, ""));
    recorder.meet("Bob", THIRD);
    assert.deepEqual(recorder.eventsOf("met").map(({ fingerprint }) => fingerprint), [
      OTHER,
      THIRD,
    ]);
    assert.match(recorder.refuse("Bob", OTHER).message, new RegExp(`not ${THIRD}$`));
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});

homeTest(
  "a second key that is added by hand is accepted, and a third is refused",
  (home) => {
    const recorder = new Recorder({ known: KnownPeers.in(home) });
    recorder.meet("Bob", OTHER);
    Deno.writeTextFileSync(recorder.known.file!, `${THIRD} Bob\n`, { append: true });
    recorder.meet("Bob", THIRD);
    recorder.meet("Bob", OTHER);
    assert.equal(recorder.known.peers.length, 2);
    assert.equal(recorder.eventsOf("met").length, 1);
    const { message } = recorder.refuse("Bob", OURS);
    assert(message.endsWith(`not ${OTHER} or ${THIRD}`), message);
    assert.deepEqual(recorder.eventsOf("impostor")[0].known, [OTHER, THIRD]);
  },
);

Deno.test("of two keys that claim a new name at the same moment, one is refused and announced", () => {
  const recorder = new Recorder();
  const seen = [OTHER, THIRD].map((fingerprint) => ({ target: TARGET, fingerprint }));
  // Both have answered before either is met.
  for (const one of seen) recorder.trust.check("Bob", one);
  recorder.trust.meet("Bob", seen[0]);
  assert.throws(() => recorder.trust.meet("Bob", seen[1]), { code: "UNAUTHENTICATED" });
  assert.deepEqual(recorder.events.map(({ type }) => type), ["met", "impostor"]);
  assert.deepEqual(recorder.known.keysOf("Bob"), [OTHER]);
});

homeTest("a name that another process binds in the meantime is bound for this one too", (home) => {
  const recorder = new Recorder({ known: KnownPeers.in(home) });
  const remember = recorder.known.remember.bind(recorder.known);
  recorder.known.remember = (peer) => {
    // Simulates another process that acts after this one has checked the name.
    KnownPeers.in(home).remember({ name: "Bob", fingerprint: THIRD });
    return remember(peer);
  };
  assert.throws(() => recorder.meet("Bob", OTHER), { code: "UNAUTHENTICATED" });
  assert.deepEqual(recorder.events.map(({ type }) => type), ["impostor"]);
  // The key that the other process bound is accepted, without an event.
  recorder.meet("Bob", THIRD);
  assert.deepEqual(recorder.known.peers, [{ name: "Bob", fingerprint: THIRD }]);
});

Deno.test("a key that is not the registered one is refused, whether the name is known or not", () => {
  for (const isKnown of [false, true]) {
    const recorder = new Recorder();
    if (isKnown) recorder.meet("Bob", OTHER);
    const before = recorder.known.peers;
    for (let i = 0; i < 3; i++) {
      const { message, hint } = recorder.refuse("Bob", OTHER, THIRD);
      assert(message.includes(`has the key ${OTHER}, not ${THIRD}`), message);
      assert.match(hint!, /^that is the key that the naming service has: /);
    }
    const [{ fingerprint, known }, ...more] = recorder.eventsOf("impostor");
    assert.deepEqual([fingerprint, known, more], [OTHER, [THIRD], []]);
    assert.throws(() => recorder.meet("Bob", OTHER, THIRD), { code: "UNAUTHENTICATED" });
    assert.deepEqual(recorder.known.peers, before);
  }
});

Deno.test("a naming service cannot vouch for a key other than the known one", () => {
  const recorder = new Recorder();
  recorder.meet("Bob", OTHER);
  const { message } = recorder.refuse("Bob", THIRD, THIRD);
  assert(message.endsWith(`has the key ${THIRD}, not ${OTHER}`), message);
});

Deno.test("a registered key is accepted, and so is a key for a name without one", () => {
  const recorder = new Recorder();
  recorder.meet("Bob", OTHER, OTHER);
  recorder.meet("Carol", THIRD);
  assert.deepEqual(recorder.eventsOf("met").map(({ name }) => name), ["Bob", "Carol"]);
  assert.deepEqual(recorder.eventsOf("impostor"), []);
});

Deno.test("over plaintext, nothing is checked and nothing is remembered", async () => {
  const recorder = new Recorder();
  recorder.meet("Bob", OTHER);
  recorder.meet("Bob", undefined);
  recorder.meet("Bob", undefined, THIRD);
  recorder.meet("Carol", undefined);
  assert.deepEqual(recorder.known.peers, [{ name: "Bob", fingerprint: OTHER }]);
  assert(!recorder.trust.isImpostor("Bob", undefined));
  assert.equal(recorder.eventsOf("met").length, 1);
  assert.deepEqual(await recorder.lookalikes(), []);
  // A peer that was met without a key is remembered with the first one that it shows.
  recorder.meet("Carol", THIRD);
  assert.deepEqual(recorder.eventsOf("met").map(({ name }) => name), ["Bob", "Carol"]);
});

Deno.test("a peer is an impostor only if its name is known with another key", () => {
  const recorder = new Recorder();
  recorder.meet("Bob", OTHER);
  assert(recorder.trust.isImpostor("Bob", THIRD));
  assert(!recorder.trust.isImpostor("Bob", OTHER));
  assert(!recorder.trust.isImpostor("Carol", THIRD));
  assert(!recorder.trust.isImpostor("bob", THIRD));
  assert.deepEqual(recorder.eventsOf("impostor"), []);
});

Deno.test("a key that is known under other names is announced with them", () => {
  const recorder = new Recorder();
  recorder.meet("Bob", OTHER);
  recorder.meet("Bob at work", OTHER);
  recorder.meet("Bobby", OTHER);
  recorder.meet("Carol", THIRD);
  assert.deepEqual(recorder.eventsOf("met").map(({ name, aliases }) => [name, aliases]), [
    ["Bob", []],
    ["Bob at work", ["Bob"]],
    ["Bobby", ["Bob", "Bob at work"]],
    ["Carol", []],
  ]);
});

/** Runs a test with a file of known peers that has been damaged. */
async function withDamagedFile(fn: (recorder: Recorder, file: string) => void): Promise<void> {
  const home = await Deno.makeTempDir({ prefix: "greet-trust-" });
  try {
    const recorder = new Recorder({ known: KnownPeers.in(home) });
    recorder.meet("Bob", OTHER);
    Deno.writeTextFileSync(recorder.known.file!, "damaged\n", { append: true });
    fn(recorder, recorder.known.file!);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

Deno.test("no peer is accepted while the known peers cannot be read", async () => {
  await withDamagedFile(({ trust, troubles, events }) => {
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

homeTest(
  "a peer that cannot be stored is accepted until the program ends, and that is reported",
  (home) => {
    Deno.mkdirSync(home);
    const recorder = new Recorder({ known: KnownPeers.in(home) });
    // A folder in its place cannot be opened for the lock.
    Deno.mkdirSync(`${recorder.known.file}.lock`);
    recorder.meet("Bob", OTHER);
    assert.deepEqual(recorder.troubles.map(({ code }) => code), ["FAILED"]);
    assert.match(recorder.troubles[0].message, /known_peers cannot be written: /);
    assert.deepEqual(recorder.eventsOf("met").map(({ name }) => name), ["Bob"]);
    recorder.meet("Bob", OTHER);
    recorder.refuse("Bob", THIRD);
    assert.equal(recorder.troubles.length, 1);
  },
);

homeTest("a new peer is not accepted while another process has locked the known peers", (home) => {
  const recorder = new Recorder({ known: KnownPeers.in(home) });
  recorder.meet("Bob", OTHER);
  const meet = () => recorder.meet("Carol", THIRD);
  {
    using lock = Deno.openSync(`${recorder.known.file}.lock`, { write: true });
    lock.lockSync(true);
    assert.throws(meet, { code: "UNAVAILABLE", message: /another process has locked/ });
    assert.deepEqual(recorder.troubles, []);
    assert.deepEqual(recorder.eventsOf("met").map(({ name }) => name), ["Bob"]);
  }
  meet();
  assert.deepEqual(recorder.eventsOf("met").map(({ name }) => name), ["Bob", "Carol"]);
});

Deno.test("an impostor that stays is announced once; one with yet another key, after a minute", () => {
  const recorder = new Recorder();
  recorder.meet("Bob", OTHER);
  const { now } = performance;
  const announced = (minutes: number, ...keys: string[]) => {
    performance.now = () => now.call(performance) + minutes * 60_000;
    for (const one of keys) recorder.refuse("Bob", one);
    return recorder.eventsOf("impostor").map(({ fingerprint }) => fingerprint);
  };
  try {
    assert.deepEqual(announced(0, THIRD), [THIRD]);
    assert.deepEqual(announced(2, THIRD), [THIRD]);
    assert.deepEqual(announced(4, key(4), key(5)), [THIRD, key(4)]);
    assert.deepEqual(announced(4.9, key(5)), [THIRD, key(4)]);
    assert.deepEqual(announced(5.1, key(5)), [THIRD, key(4), key(5)]);
  } finally {
    performance.now = now;
  }
});

// ---------------------------------------------------------------- names

/** Names that look alike, and why. */
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
  ["Ali\u03F2e", "Alice", "a lunate sigma"],
  ["\u03F9arol", "Carol", "a capital lunate sigma"],
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
  ["þaul", "paul", "thorn for p"],
];

/** Names that do not look alike. */
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
  Deno.test(`${name} looks like ${like}: ${why}`, async () => {
    const recorder = new Recorder({ name: like });
    recorder.trust.meet(name, { target: TARGET, fingerprint: OTHER });
    assert.deepEqual(await recorder.lookalikes(), [[name, like]]);
    assert.equal(lookalikeOf(like, [name]), name);
  });
}

for (const [name, other] of DIFFERENT) {
  Deno.test(`${name} does not look like ${other}`, async () => {
    const recorder = new Recorder({ name: other });
    recorder.trust.meet(name, { target: TARGET, fingerprint: OTHER });
    assert.deepEqual(await recorder.lookalikes(), []);
    assert.equal(lookalikeOf(other, [name]), undefined);
  });
}

Deno.test("a name does not look like itself, and the first of several lookalikes is returned", () => {
  assert.equal(lookalikeOf("Alice", ["Alice"]), undefined);
  assert.equal(lookalikeOf("Alice", ["Alice", "A1ice", "AIice"]), "A1ice");
  assert.equal(lookalikeOf("Alice", new Set(["Bob", "AIice", "A1ice"])), "AIice");
  assert.equal(lookalikeOf("Alice", []), undefined);
});

Deno.test("a new name is compared with our own, with known names, and with those met in this run", async () => {
  const known = KnownPeers.inMemory();
  known.remember({ name: "Carol", fingerprint: THIRD });
  const recorder = new Recorder({ known });
  recorder.trust.acquaint("Dora");
  recorder.meet("A1ice", key(11));
  recorder.meet("Caro1", key(12));
  recorder.meet("D0ra", key(13));
  recorder.meet("Emil", key(14));
  recorder.meet("Emi1", key(15));
  recorder.meet("Goran", undefined);
  recorder.meet("G0ran", undefined);
  assert.deepEqual(await recorder.lookalikes(), [
    ["A1ice", "Alice"],
    ["Caro1", "Carol"],
    ["D0ra", "Dora"],
    ["Emi1", "Emil"],
    ["G0ran", "Goran"],
  ]);
});

Deno.test("a lookalike is announced once, and is remembered", async () => {
  const recorder = new Recorder();
  for (let i = 0; i < 3; i++) recorder.meet("A1ice", OTHER);
  assert.deepEqual(await recorder.lookalikes(), [["A1ice", "Alice"]]);
  assert.equal(recorder.eventsOf("met").length, 1);
  assert.deepEqual(recorder.known.keysOf("A1ice"), [OTHER]);
});

Deno.test("names that were known before cause no warning, with a key or without", async () => {
  const known = KnownPeers.inMemory();
  known.remember({ name: "A1ice", fingerprint: OTHER });
  const recorder = new Recorder({ known });
  recorder.trust.acquaint("AIice");
  recorder.meet("A1ice", OTHER);
  recorder.meet("AIice", THIRD);
  assert.deepEqual(await recorder.lookalikes(), []);
});

Deno.test("a name that is only claimed is compared with others each time, and not remembered", async () => {
  const known = KnownPeers.inMemory();
  known.remember({ name: "Carol", fingerprint: THIRD });
  known.remember({ name: "D0ra", fingerprint: OURS });
  const recorder = new Recorder({ known });
  recorder.trust.acquaint("Dora");
  for (const name of ["A1ice", "A1ice", "Caro1", "Alice", "Carol", "Dora", "D0ra", "Emil"]) {
    recorder.trust.compare(name);
  }
  recorder.meet("Emi1", OTHER);
  assert.deepEqual(await recorder.lookalikes(), [
    ["A1ice", "Alice"],
    ["A1ice", "Alice"],
    ["Caro1", "Carol"],
  ]);
});

Deno.test("an impostor is not compared with other names", async () => {
  const recorder = new Recorder();
  recorder.meet("Bob", OTHER);
  recorder.refuse("Bob", THIRD);
  recorder.refuse("B0b", THIRD, OTHER);
  assert.deepEqual(await recorder.lookalikes(), []);
});
