/** Claims, lists and watches on a registry, without any network. */
import assert from "node:assert/strict";
import { LIMITS, Registry } from "../../src/naming/registry.ts";
import type { WireChange, WireChanges, WireEntry } from "../../src/rpc/services.ts";
import { ClientView, key } from "../support/client_view.ts";
import { randomNumbers } from "../support/random.ts";
import { inTime } from "../support/waiting.ts";

/** The number of random tests: GREET_TEST_SEEDS=100 deno test … */
const SEEDS = Number(Deno.env.get("GREET_TEST_SEEDS") ?? 3);

interface ClaimOptions {
  address?: string;
  shared?: boolean;
  holder?: string;
  fingerprint?: string;
  owner?: string;
}

/** The fingerprints of two keys. */
const [KEY, OTHER_KEY] = ["+/", "/+"].map((pair) => `SHA256:${pair.repeat(21)}A`);

/** A registry, and the changes that it reported. */
function registry() {
  const changes: (WireChange & { entry: WireEntry })[] = [];
  const names = new Registry((change) => changes.push(change));
  return {
    names,
    changes,
    claim(name: string, options: ClaimOptions = {}) {
      const { address = "127.0.0.1:1", shared = false, holder = "", owner = "owner" } = options;
      const { fingerprint = "" } = options;
      return names.claim({ name, address, shared, holder, fingerprint }, owner);
    },
    /** The changes since the last call. */
    reported: () =>
      changes.splice(0).map(({ kind, entry: { name, address } }) => `${kind} ${name} ${address}`),
  };
}

/** A watcher that reads one answer at a time. */
function watcher(names: Registry, name = "", owner = "watcher") {
  const end = new AbortController();
  const answers = names.watch(name, owner, end.signal);
  return {
    async read(): Promise<WireChanges> {
      const { done, value } = await inTime(answers.next(), "an answer", 2_000);
      assert(!done, "the watch has ended");
      return value;
    },
    next: () => answers.next(),
    async [Symbol.asyncDispose]() {
      end.abort();
      await answers.return(undefined);
    },
  };
}

const revisionsOf = ({ changes }: WireChanges) => changes.map(({ revision }) => revision);
const namesOf = ({ changes }: WireChanges) => changes.map(({ entry }) => entry!.name);

// ---------------------------------------------------------------- claims

Deno.test("a held name is found, and is freed once when it is given back", () => {
  const { names, claim, reported } = registry();
  const before = Date.now();
  const held = claim("Bob");
  assert.deepEqual(names.lookup("Bob"), [held.entry]);
  assert(held.entry.sinceMs >= before && held.entry.sinceMs <= Date.now());
  held[Symbol.dispose]();
  held[Symbol.dispose]();
  assert.throws(() => names.lookup("Bob"), {
    code: "NOT_FOUND",
    message: "Bob is not registered",
  });
  assert.equal(names.size, 0);
  assert.deepEqual(reported(), ["HELD Bob 127.0.0.1:1", "FREED Bob 127.0.0.1:1"]);
});

Deno.test("a second claim is refused, with the time of the first; nothing changes", () => {
  const { names, claim, reported } = registry();
  const { entry } = claim("Bob", { holder: "one" });
  reported();
  const since = new Date(entry.sinceMs).toISOString();
  // Two claims without a holder are never by the same one.
  for (const holder of ["two", ""]) {
    assert.throws(() => claim("Bob", { address: "127.0.0.1:2", holder }), {
      code: "ALREADY_EXISTS",
      message: `someone else has held Bob since ${since}`,
    });
  }
  assert.deepEqual(names.lookup("Bob"), [entry]);
  assert.deepEqual(reported(), []);
});

Deno.test("without a holder, a name is not given out twice, not even to the same address", () => {
  const { claim } = registry();
  claim("Bob");
  assert.throws(() => claim("Bob"), { code: "ALREADY_EXISTS" });
});

Deno.test("a shared name has several addresses, each of them once, and no exclusive holder", () => {
  const { names, claim } = registry();
  claim("svc", { address: "a:1", shared: true });
  claim("svc", { address: "b:1", shared: true });
  assert.deepEqual(names.lookup("svc").map(({ address }) => address), ["a:1", "b:1"]);
  assert.throws(() => claim("svc", { address: "a:1", shared: true }), {
    code: "ALREADY_EXISTS",
    message: /^someone else has held svc at a:1 since .+Z$/,
  });
  assert.throws(() => claim("svc", { address: "c:1" }), {
    code: "ALREADY_EXISTS",
    message: /^someone else has held svc since .+Z$/,
  });
  claim("Bob");
  assert.throws(() => claim("Bob", { address: "c:1", shared: true }), { code: "ALREADY_EXISTS" });
  assert.equal(names.size, 3);
});

Deno.test("the same holder takes over: the earlier claim ends, its time stays, and no change is reported", () => {
  const { names, claim, reported } = registry();
  const earlier = claim("Bob", { holder: "secret", owner: "old connection" });
  reported();
  const later = claim("Bob", { holder: "secret", owner: "new connection" });
  assert(earlier.superseded.aborted && !later.superseded.aborted);
  assert.equal(later.entry.sinceMs, earlier.entry.sinceMs);
  // When the old connection ends later, nothing changes.
  earlier[Symbol.dispose]();
  assert.deepEqual(names.lookup("Bob"), [later.entry]);
  assert.deepEqual(reported(), []);
});

Deno.test("the same holder moves to another address: the old one is freed, then the new one held", () => {
  const { names, claim, reported } = registry();
  const earlier = claim("Bob", { address: "a:1", holder: "secret" });
  reported();
  const later = claim("Bob", { address: "b:1", holder: "secret" });
  assert(earlier.superseded.aborted);
  assert.deepEqual(reported(), ["FREED Bob a:1", "HELD Bob b:1"]);
  assert.deepEqual(names.lookup("Bob"), [later.entry]);
  assert.equal(later.entry.sinceMs, earlier.entry.sinceMs);
});

Deno.test("the same holder changes its key: the old entry is freed, then the new one held", () => {
  const { names, claim, changes } = registry();
  const options = { holder: "secret" };
  const earlier = claim("Bob", { ...options, fingerprint: KEY });
  assert.equal(names.lookup("Bob")[0].fingerprint, KEY);
  claim("Bob", { ...options, fingerprint: KEY });
  assert.equal(changes.splice(0).length, 1, "the same key is not a change");
  for (const [former, fingerprint] of [[KEY, OTHER_KEY], [OTHER_KEY, ""], ["", KEY]]) {
    const { entry } = claim("Bob", { ...options, fingerprint });
    assert.deepEqual(names.lookup("Bob"), [entry]);
    assert.equal(entry.sinceMs, earlier.entry.sinceMs);
    assert.deepEqual(changes.splice(0).map(({ kind, entry }) => [kind, entry.fingerprint]), [
      ["FREED", former],
      ["HELD", fingerprint],
    ]);
  }
});

Deno.test("a holder of a shared name moves only its own address, and not to one that is taken", () => {
  const { names, claim, reported } = registry();
  claim("svc", { address: "a:1", shared: true, holder: "one" });
  const two = claim("svc", { address: "b:1", shared: true, holder: "two" });
  reported();
  assert.throws(() => claim("svc", { address: "a:1", shared: true, holder: "two" }), {
    code: "ALREADY_EXISTS",
  });
  assert.throws(() => claim("svc", { address: "b:1", holder: "two" }), { code: "ALREADY_EXISTS" });
  assert(!two.superseded.aborted);
  claim("svc", { address: "c:1", shared: true, holder: "two" });
  assert.deepEqual(reported(), ["FREED svc b:1", "HELD svc c:1"]);
  assert.deepEqual(names.lookup("svc").map(({ address }) => address), ["a:1", "c:1"]);
});

Deno.test("bad names and addresses are refused, in one sentence each", () => {
  const { names, claim, reported } = registry();
  for (
    const [name, message] of [
      ["", "the name is empty"],
      ["a/b", "the name has a '/'"],
      ["x".repeat(65), "the name is longer than 64 characters"],
      ["a\x1b[2J", "the name has control or invisible characters"],
      ["\ud800", "the name has control or invisible characters"],
    ]
  ) {
    assert.throws(() => claim(name), { code: "INVALID_ARGUMENT", message });
    assert.throws(() => names.lookup(name), { code: "INVALID_ARGUMENT", message });
  }
  for (
    const [name, what] of [["55", "a port"], ["a:b", "an address"], ["a@5", "an address"]] as const
  ) {
    const message = `the name would be taken for ${what}`;
    assert.throws(() => claim(name), { code: "INVALID_ARGUMENT", message });
  }
  for (const address of ["", "55555", "unix:/tmp/socket", "host:0", "host:65536", "a b:1"]) {
    assert.throws(() => claim("Bob", { address }), {
      code: "INVALID_ARGUMENT",
      message: "the address is not host:port or [v6]:port",
    });
  }
  assert.deepEqual(reported(), []);
});

Deno.test("a claim whose holder is too long is refused", () => {
  const { names, claim } = registry();
  assert.throws(() => claim("Bob", { holder: "x".repeat(LIMITS.holder + 1) }), {
    code: "INVALID_ARGUMENT",
    message: "the holder is longer than 128 characters",
  });
  assert.equal(names.size, 0);
  claim("Bob", { holder: "x".repeat(LIMITS.holder) });
  assert.equal(names.size, 1);
});

Deno.test("a page token that cannot be a name is refused", () => {
  const { names } = registry();
  for (const token of ["a/b", "x".repeat(65), "x".repeat(60_000)]) {
    assert.throws(() => names.list(token), {
      code: "INVALID_ARGUMENT",
      message: "the page token is not one that List has returned",
    });
  }
});

Deno.test("a bad fingerprint is refused, and so is any fingerprint for a shared name", () => {
  const { names, claim, reported } = registry();
  const [, base64] = KEY.split(":");
  for (
    const fingerprint of [
      ...["SHA256:", base64, `SHA256:${base64}=`, `SHA256:${base64.slice(1)}`, `sha256:${base64}`],
      ...[`SHA256:${base64.slice(1)}-`, ` ${KEY}`, `${KEY}\n`, `\x1b${KEY}`, "MD5:16:27:ac:a5"],
    ]
  ) {
    assert.throws(() => claim("Bob", { fingerprint }), {
      code: "INVALID_ARGUMENT",
      message: "the fingerprint is not SHA256:…",
    });
  }
  assert.throws(() => claim("Bob", { fingerprint: KEY, shared: true }), {
    code: "INVALID_ARGUMENT",
    message: "a shared name has no fingerprint",
  });
  assert.equal(names.size, 0);
  assert.deepEqual(reported(), []);
});

// ---------------------------------------------------------------- limits

Deno.test("an owner can hold 1,000 names, not counting those of others and those given back", () => {
  const { names, claim } = registry();
  const holds = Array.from({ length: LIMITS.namesOfOne }, (_, i) => claim(`name ${i}`));
  const exhausted = {
    code: "RESOURCE_EXHAUSTED",
    message: "this connection holds 1000 names, which is the limit",
  };
  assert.throws(() => claim("one more"), exhausted);
  assert.throws(() => claim("name 0"), { code: "ALREADY_EXISTS" });
  claim("of another", { owner: "another" });
  holds[0][Symbol.dispose]();
  claim("one more");
  assert.throws(() => claim("two more"), exhausted);
  assert.equal(names.size, LIMITS.namesOfOne + 1);
});

Deno.test("an owner at the limit can still take over its own names", () => {
  const { claim } = registry();
  for (let i = 0; i < LIMITS.namesOfOne; i++) claim(`name ${i}`, { holder: "h" });
  claim("name 0", { holder: "h", address: "b:1" });
  assert.throws(() => claim("one more", { holder: "h" }), { code: "RESOURCE_EXHAUSTED" });
});

Deno.test("1,000 addresses can share a name, and no more", () => {
  const { names, claim } = registry();
  const share = (i: number) => claim("svc", { address: `a:${i}`, shared: true, owner: `${i}` });
  for (let i = 1; i <= LIMITS.addressesOfOne; i++) share(i);
  assert.throws(() => share(LIMITS.addressesOfOne + 1), {
    code: "RESOURCE_EXHAUSTED",
    message: "svc has 1000 addresses, which is the limit",
  });
  assert.equal(names.lookup("svc").length, LIMITS.addressesOfOne);
  claim("another");
});

Deno.test("a server keeps 100,000 names, and accepts another when one is given back", () => {
  const { names, claim } = registry();
  const first = claim("first");
  for (let i = 1; i < LIMITS.names; i++) claim(`name ${i}`, { owner: `${i}` });
  assert.throws(() => claim("one more"), {
    code: "RESOURCE_EXHAUSTED",
    message: "this server keeps 12000 names, which is the limit",
  });
  first[Symbol.dispose]();
  claim("one more");
  assert.equal(names.size, LIMITS.names);
});

Deno.test("an owner can have 1,000 watches, 10 of them of all names, and another when one has ended", async () => {
  const { names } = registry();
  await using stack = new AsyncDisposableStack();
  const ofAll = Array.from({ length: LIMITS.watchesOfAllOfOne }, () => stack.use(watcher(names)));
  for (const one of ofAll) await one.read();
  await assert.rejects(stack.use(watcher(names)).read(), {
    code: "RESOURCE_EXHAUSTED",
    message: "this connection has 10 watches of all names, which is the limit",
  });
  const rest = LIMITS.watchesOfOne - LIMITS.watchesOfAllOfOne;
  const ofBob = Array.from({ length: rest }, () => stack.use(watcher(names, "Bob")));
  await Promise.all(ofBob.map((one) => one.read()));
  await assert.rejects(stack.use(watcher(names, "Bob")).read(), {
    code: "RESOURCE_EXHAUSTED",
    message: "this connection has 1000 watches, which is the limit",
  });
  await stack.use(watcher(names, "", "another")).read();
  await ofAll[0][Symbol.asyncDispose]();
  await stack.use(watcher(names)).read();
});

Deno.test("a server has 6,000 watches, and accepts another when one has ended", async () => {
  const { names } = registry();
  await using stack = new AsyncDisposableStack();
  const open = (owner: number) => stack.use(watcher(names, "Bob", `owner ${owner}`));
  const all = Array.from(
    { length: LIMITS.watches },
    (_, i) => open(Math.floor(i / LIMITS.watchesOfOne)),
  );
  await Promise.all(all.map((one) => one.read()));
  await assert.rejects(open(1_000).read(), {
    code: "RESOURCE_EXHAUSTED",
    message: "this server has 6000 watches, which is the limit",
  });
  await all[0][Symbol.asyncDispose]();
  await open(1_000).read();
});

Deno.test("many watches of one owner get several changes of a busy name in one answer", async () => {
  const { names, claim } = registry();
  await using stack = new AsyncDisposableStack();
  const watchers = Array.from({ length: 500 }, () => stack.use(watcher(names, "Bob")));
  const few = stack.use(watcher(names, "Bob", "another"));
  await Promise.all([few, ...watchers].map((one) => one.read()));
  const last = 200;
  const answersTo = async (one: typeof few) => {
    for (let answers = 1;; answers++) {
      if ((await one.read()).revision === last) return answers;
    }
  };
  const counts = Promise.all([few, ...watchers].map(answersTo));
  for (let i = 0; i < last / 2; i++) {
    claim("Bob")[Symbol.dispose]();
    await new Promise((resolve) => setTimeout(resolve));
  }
  const [alone, ...together] = await inTime(counts, "the last change");
  assert(alone > last / 4, `a single watch got ${alone} answers`);
  const total = together.reduce((sum, count) => sum + count);
  assert(total < last * 500 / 20, `${total} answers`);
});

// ---------------------------------------------------------------- listing

Deno.test("a list is ordered by name, and divided into pages", () => {
  const { names, claim } = registry();
  const [address, fingerprint] = [`${"a".repeat(240)}:1`, KEY];
  // Names of the greatest length in bytes.
  const expected = Array.from({ length: LIMITS.names }, (_, i) => `${i}`.padStart(64, "漢"));
  for (const [i, name] of expected.entries()) {
    claim(name, { address, fingerprint, owner: `${i}` });
  }
  expected.sort();
  const found: string[] = [];
  let pages = 0;
  for (let after = "";;) {
    const { entries, nextPageToken } = names.list(after);
    found.push(...entries.map(({ name }) => name));
    pages++;
    const bytes = entries.reduce(
      (sum, { name, address, fingerprint }) =>
        sum + new TextEncoder().encode(name + address + fingerprint).length,
      0,
    );
    assert(bytes < LIMITS.bytes, `${bytes} bytes`);
    if ((after = nextPageToken) === "") break;
  }
  assert.deepEqual(found, expected);
  assert(pages > 1, "one page");
});

Deno.test("an empty list is one page; a name may be freed between two pages", () => {
  const { names, claim } = registry();
  assert.deepEqual(names.list(""), { entries: [], nextPageToken: "" });
  const held = ["a", "b", "c"].map((name) => claim(name));
  held[1][Symbol.dispose]();
  assert.deepEqual(names.list("b").entries.map(({ name }) => name), ["c"]);
});

// ---------------------------------------------------------------- watching

Deno.test("a watch begins with the state and continues with every change, each one revision higher", async () => {
  const { names, claim } = registry();
  claim("Bob");
  await using all = watcher(names);
  const state = await all.read();
  assert.deepEqual({ state: state.state, more: state.more }, { state: true, more: false });
  assert.deepEqual(namesOf(state), ["Bob"]);
  assert.deepEqual(state.changes.map(({ kind }) => kind), ["HELD"]);
  assert.equal(state.revision, 1);
  const alice = claim("Alice");
  alice[Symbol.dispose]();
  const changes = await all.read();
  assert.equal(changes.state, false);
  assert.deepEqual(changes.changes.map(({ kind }) => kind), ["HELD", "FREED"]);
  assert.deepEqual(revisionsOf(changes), [2, 3]);
  assert.equal(changes.revision, 3);
});

Deno.test("a watch of one name reports only that name, and may begin with an empty state", async () => {
  const { names, claim } = registry();
  claim("Alice");
  await using bob = watcher(names, "Bob");
  assert.deepEqual(await bob.read(), { state: true, more: false, revision: 1, changes: [] });
  claim("Carol");
  claim("Bob");
  assert.deepEqual(namesOf(await bob.read()), ["Bob"]);
});

Deno.test("a watch ends when its signal is aborted, also while it is waiting", async () => {
  const { names } = registry();
  const end = new AbortController();
  const watch = names.watch("", "me", end.signal);
  await watch.next();
  const waiting = watch.next();
  end.abort();
  assert.deepEqual(await inTime(waiting, "the end"), { done: true, value: undefined });
});

Deno.test("a slow watcher gets the whole state again, and every change after it", async () => {
  const { names, claim } = registry();
  await using slow = watcher(names);
  await slow.read();
  const churn = (count: number) => {
    for (let i = 0; i < count; i++) claim("Bob")[Symbol.dispose]();
  };
  // The most changes that may wait.
  churn(LIMITS.waiting / 2);
  const kept = await slow.read();
  assert.equal(kept.state, false);
  assert.deepEqual(revisionsOf(kept), Array.from({ length: LIMITS.waiting }, (_, i) => i + 1));
  churn(LIMITS.waiting / 2);
  claim("Alice");
  const again = await slow.read();
  assert.equal(again.state, true);
  assert.deepEqual(namesOf(again), ["Alice"]);
  assert.equal(again.revision, 2 * LIMITS.waiting + 1);
  claim("Carol");
  assert.deepEqual(revisionsOf(await slow.read()), [2 * LIMITS.waiting + 2]);
});

Deno.test("all parts of a state are from one moment; later changes follow", async () => {
  const { names, claim } = registry();
  const count = 2 * LIMITS.changes + 1;
  const nth = (i: number) => `name ${`${i}`.padStart(4, "0")}`;
  const holds = Array.from(
    { length: count },
    (_, i) => claim(nth(i), { owner: `${i}` }),
  );
  await using all = watcher(names);
  const first = await all.read();
  assert.deepEqual([first.state, first.more], [true, true]);
  holds.at(-1)![Symbol.dispose]();
  claim("new");
  const rest = [await all.read(), await all.read()];
  assert.deepEqual(rest.map(({ state, more }) => [state, more]), [[false, true], [false, false]]);
  for (const { revision } of [first, ...rest]) assert.equal(revision, count);
  assert.deepEqual(
    [first, ...rest].flatMap(namesOf),
    Array.from({ length: count }, (_, i) => nth(i)),
  );
  const changes = await all.read();
  assert.deepEqual(changes.changes.map(({ kind, entry }) => `${kind} ${entry!.name}`), [
    `FREED ${nth(count - 1)}`,
    "HELD new",
  ]);
  assert.deepEqual(revisionsOf(changes), [count + 1, count + 2]);
});

// ---------------------------------------------------------------- at random

/** A watcher that reads one answer at a time, at random. */
class RandomReader implements AsyncDisposable {
  readonly view: ClientView;
  readonly name: string;
  readonly chance: number;
  readonly #watcher: ReturnType<typeof watcher>;
  #reading: Promise<void> | undefined;
  #failed: unknown;

  constructor(names: Registry, name: string, chance: number) {
    this.name = name;
    this.chance = chance;
    this.view = new ClientView(name === "");
    this.#watcher = watcher(names, name);
  }

  /** Reads the next answer. Never fails; see {@link check}. */
  read(): Promise<void> {
    return this.#reading ??= this.#read().catch((error) => {
      this.#failed ??= error;
    });
  }

  async #read(): Promise<void> {
    const { done, value } = await this.#watcher.next();
    this.#reading = undefined;
    if (!done) this.view.apply(value);
  }

  /** Fails if anything that was read was wrong. */
  check(): void {
    if (this.#failed !== undefined) throw this.#failed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watcher[Symbol.asyncDispose]();
  }
}

/** A name that is held, by the rules of `names.proto`. */
interface Modelled extends WireEntry {
  holder: string;
  dispose: () => void;
  superseded: AbortSignal;
}

for (let seed = 1; seed <= SEEDS; seed++) {
  Deno.test(`after random claims, every watcher knows all entries (seed ${seed})`, async () => {
    const random = randomNumbers(seed);
    const pick = (below: number) => Math.floor(random() * below);
    const { names, changes } = registry();
    const holds: Modelled[] = [];
    await using stack = new AsyncDisposableStack();
    const readers = [
      ...[1, 0.1, 0.01, 0.002, 0.0005].map((chance) => new RandomReader(names, "", chance)),
      ...[1, 0.01].map((chance) => new RandomReader(names, "name 3", chance)),
    ];
    readers.forEach((reader) => stack.use(reader));
    // Few names, so that claims conflict; or many, so that the state has several parts.
    const count = [20, 3_000][seed % 2];

    function claim(): void {
      const name = `name ${pick(count)}`;
      const address = `host:${1 + pick(4)}`;
      const shared = random() < 0.5;
      const holder = random() < 0.3 ? "" : `holder ${pick(5)}`;
      const fingerprint = shared ? "" : ["", KEY, OTHER_KEY][pick(3)];
      const same = holds.find((hold) =>
        hold.name === name && holder !== "" && hold.holder === holder
      );
      const isRefused = holds.some((hold) =>
        hold.name === name && hold !== same &&
        !(hold.shared && shared && hold.address !== address)
      );
      const wanted = { name, address, shared, holder, fingerprint };
      const make = () => names.claim(wanted, `owner ${pick(5)}`);
      if (isRefused) return assert.throws(make, { code: "ALREADY_EXISTS" });
      const { entry, superseded, [Symbol.dispose]: dispose } = make();
      if (same !== undefined) {
        holds.splice(holds.indexOf(same), 1);
        assert(same.superseded.aborted);
        assert.equal(entry.sinceMs, same.sinceMs);
        // The earlier call ends at some point; it does not matter when.
        same.dispose();
      }
      holds.push({ ...entry, holder, dispose, superseded });
    }

    for (let step = 0; step < 20_000; step++) {
      if (holds.length > 0 && random() < 0.4) holds.splice(pick(holds.length), 1)[0].dispose();
      else if (names.size < 5 * LIMITS.namesOfOne * 0.8) claim();
      for (const reader of readers) {
        if (random() < reader.chance) void reader.read();
      }
      // Lets readers run, but only sometimes, so that several changes come in one answer.
      if (random() < 0.3) { for (let turn = 0; turn < 5; turn++) await Promise.resolve(); }
    }

    assert.deepEqual(changes.map(({ revision }) => revision), changes.map((_, i) => i + 1));
    const assertSame = (a: readonly WireEntry[], b: readonly WireEntry[]) =>
      assert.deepEqual(
        a.toSorted((x, y) => key(x) < key(y) ? -1 : 1),
        b.toSorted((x, y) => key(x) < key(y) ? -1 : 1),
      );
    const listed = names.list("").entries;
    assertSame(
      listed,
      holds.map(({ holder: _1, dispose: _2, superseded: _3, ...entry }) => entry),
    );
    for (const { holder, superseded } of holds) assert(!superseded.aborted, holder);
    for (const reader of readers) {
      const { name, view } = reader;
      const about = changes.filter(({ entry }) => name === "" || entry.name === name);
      const last = about.at(-1)?.revision ?? 0;
      while (view.revision < last || view.isMore) {
        await inTime(reader.read(), `revision ${last}`);
        reader.check();
      }
      assertSame([...view.entries.values()], listed.filter((e) => name === "" || e.name === name));
    }
    const [fast, , , , slowest] = readers;
    assert.equal(fast.view.states, 1, "a watcher that always reads needs one state");
    assert(slowest.view.states > 1, "a watcher that hardly reads gets more");
  });
}
