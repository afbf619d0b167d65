/** What every naming service promises, tested with a naming server and with etcd. */
import assert from "node:assert/strict";
import net from "node:net";
import { printChanges } from "../../src/cli/names_output.ts";
import { greet, GreetError, type NamedEntry, Names, openNames, serveNames } from "../../mod.ts";
import type { ClaimStatus, Holders } from "../../src/naming/names.ts";
import type { NamesEvent, NamingService, WatchUpdate } from "../../src/naming/naming_service.ts";
import { Output } from "../../src/base/output.ts";
import { serve } from "../../src/rpc/server.ts";
import { implement } from "../../src/rpc/service.ts";
import { aborted } from "../../src/base/timing.ts";
import { ETCD_KV, ETCD_LEASE } from "../../src/naming/etcd_services.ts";
import {
  NAMES,
  type ServiceType,
  type WireChanges,
  type WireEntry,
} from "../../src/rpc/services.ts";
import { EtcdCluster, etcdTest } from "../support/etcd.ts";
import { GRPC_TIMERS_OUTLIVE_CHANNELS } from "../support/grpc_timers.ts";
import { Program, run } from "../support/program.ts";
import { inTime } from "../support/waiting.ts";

/** How long a silent holder keeps a name with either service, in milliseconds. */
const LEASE_MS = 5_000;

/** A naming service that can be stopped and started again. */
interface Service extends AsyncDisposable {
  readonly place: string;
  lose(): Promise<void>;
  regain(): Promise<void>;
}

async function embedded(): Promise<Service> {
  let server = await serveNames({ port: 0 });
  const { port } = server;
  return {
    place: `${port}`,
    lose: () => server.stop(0),
    regain: async () => void (server = await serveNames({ port })),
    [Symbol.asyncDispose]: () => server.stop(0),
  };
}

async function etcd(): Promise<Service> {
  const cluster = await EtcdCluster.start();
  return {
    place: cluster.place(),
    lose: () => cluster.kill(0),
    regain: () => cluster.startNode(0),
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}

/** Runs a test on a naming server, and on etcd. */
function onBoth(name: string, run: (service: Service) => Promise<void>): void {
  Deno.test(`${name}, with greet names`, async () => {
    await using service = await embedded();
    await run(service);
  });
  etcdTest(`${name}, with etcd`, async () => {
    await using service = await etcd();
    await run(service);
  });
}

const BOB = { name: "Bob", address: "127.0.0.1:55555" };

/** The fingerprints of two keys. */
const [KEY, OTHER_KEY] = ["+/", "/+"].map((pair) => `SHA256:${pair.repeat(21)}A`);

/** A watch whose events are read one by one. */
class Watching implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #events: AsyncGenerator<NamesEvent>;

  constructor(names: Names, name?: string) {
    this.#events = names.watch(name, this.#stop.signal);
  }

  async next(): Promise<NamesEvent> {
    const { value, done } = await inTime(this.#events.next(), "the next event");
    assert(!done, "the watch has ended");
    return value;
  }

  /** The next event as text. */
  async nextText(): Promise<string> {
    return textOf(await this.next());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#events.return(undefined);
  }
}

function textOf(event: NamesEvent): string {
  if (event.type === "lost") return "lost";
  if (event.type === "state") return `state: ${event.entries.map(place).join(" ")}`;
  return `${event.type}: ${place(event.entry)}`;
}

function place({ name, address }: NamedEntry): string {
  return `${name}@${address}`;
}

/** The changes of a claim's status, one by one. */
function statuses() {
  let changed = Promise.withResolvers<ClaimStatus>();
  return {
    onChange: (status: ClaimStatus) => {
      changed.resolve(status);
      changed = Promise.withResolvers();
    },
    next: () => inTime(changed.promise, "a change of the claim's status"),
    /** Waits for a state; on the way, a lost service may be reported with another reason. */
    async until(state: ClaimStatus["state"]): Promise<void> {
      const wait = async () => {
        while ((await changed.promise).state !== state);
      };
      await inTime(wait(), `the state ${state}`);
    },
  };
}

onBoth("a registered name is found and listed", async ({ place }) => {
  await using names = openNames(place);
  await using _bob = await names.register(BOB);
  await using _alice = await names.register({ name: "Alice", address: "[::1]:55556" });
  await using others = openNames(place);
  const [entry] = await others.lookup("Bob");
  assert.equal(entry.address, BOB.address);
  assert.equal(entry.shared, false);
  assert(Math.abs(Date.now() - entry.since!.getTime()) < 60_000);
  assert.deepEqual((await others.list()).map(({ name }) => name), ["Alice", "Bob"]);
  await assert.rejects(others.lookup("Carol"), {
    code: "NOT_FOUND",
    message: /^Carol is not registered at \S+$/,
  });
});

onBoth("a list is ordered by name", async ({ place }) => {
  await using names = openNames(place);
  for (const name of ["a-b", "a", "b", "ä", "a b"]) await names.register({ ...BOB, name });
  assert.deepEqual((await names.list()).map(({ name }) => name), ["a", "a b", "a-b", "b", "ä"]);
});

onBoth(
  "a name is refused to others, with the time since when it has been held",
  async ({ place }) => {
    await using names = openNames(place);
    await using bob = await names.register(BOB);
    assert.equal(bob.status.state, "held");
    await using others = openNames(place);
    await using _carol = await others.register({ ...BOB, name: "Carol" });
    await assert.rejects(others.register({ ...BOB, address: "127.0.0.1:1" }), {
      code: "ALREADY_EXISTS",
      message: /: someone else has held Bob since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d\d:\d\d$/,
    });
    assert.equal((await others.lookup("Bob"))[0].address, BOB.address);
  },
);

onBoth("a name that is given back is free at once", async ({ place }) => {
  await using others = openNames(place);
  const names = openNames(place);
  await using alice = await names.register({ ...BOB, name: "Alice" });
  const bob = await names.register(BOB);
  await using watching = new Watching(others);
  await watching.nextText();
  const begun = Date.now();
  await bob[Symbol.asyncDispose]();
  assert.equal(await watching.nextText(), "freed: Bob@127.0.0.1:55555");
  await using _again = await others.register(BOB);
  assert.equal(await watching.nextText(), "held: Bob@127.0.0.1:55555");
  assert.equal(alice.status.state, "held");
  await names[Symbol.asyncDispose]();
  assert.equal(await watching.nextText(), "freed: Alice@127.0.0.1:55555");
  await using _alice = await others.register({ ...BOB, name: "Alice" });
  assert(Date.now() - begun < LEASE_MS, "it took long");
});

onBoth("once a name has been given back, the next claim gets it", async ({ place }) => {
  await using names = openNames(place);
  await using others = openNames(place);
  for (let round = 0; round < 20; round++) {
    for (const next of [names, others]) {
      const bob = await next.register(BOB);
      await bob[Symbol.asyncDispose]();
    }
  }
  const last = openNames(place);
  await last.register(BOB);
  await last[Symbol.asyncDispose]();
  await assert.rejects(others.lookup("Bob"), { code: "NOT_FOUND" });
});

onBoth("a watch reports the state, then every change in order", async ({ place }) => {
  const rounds = 200;
  await using names = openNames(place);
  await using others = openNames(place);
  await using _alice = await names.register({ ...BOB, name: "Alice" });
  await using one = new Watching(others, "Bob");
  await using all = new Watching(names);
  assert.equal(await one.nextText(), "state: ");
  assert.equal(await all.nextText(), "state: Alice@127.0.0.1:55555");
  const expected: string[] = [];
  for (let port = 1; port <= rounds; port++) {
    const address = `127.0.0.1:${port}`;
    const bob = await names.register({ name: "Bob", address });
    assert.equal(await one.nextText(), `held: Bob@${address}`);
    await bob[Symbol.asyncDispose]();
    assert.equal(await one.nextText(), `freed: Bob@${address}`);
    expected.push(`held: Bob@${address}`, `freed: Bob@${address}`);
  }
  // This watch has not been read so far.
  const seen: string[] = [];
  while (seen.length < expected.length) seen.push(await all.nextText());
  assert.deepEqual(seen, expected);
});

onBoth(
  "of 20 claimants, one gets the name, and another one when it is free again",
  async (service) => {
    await using claimants = new AsyncDisposableStack();
    let holders = 0;
    const turns = Array.from({ length: 20 }, async (_, index) => {
      const names = claimants.use(openNames(service.place));
      for (let hasHeld = false; !hasHeld;) {
        try {
          await using bob = await names.register({
            name: "Bob",
            address: `127.0.0.1:${index + 1}`,
            fingerprint: [undefined, KEY, OTHER_KEY][index % 3],
          });
          assert.equal(bob.status.state, "held");
          assert.equal(++holders, 1, "two claimants hold one name");
          assert.equal((await names.lookup("Bob"))[0].address, bob.claim.address);
          holders--;
          hasHeld = true;
        } catch (error) {
          assert.equal((error as { code: string }).code, "ALREADY_EXISTS");
        }
      }
    });
    await inTime(Promise.all(turns), "20 holders, one after the other");
  },
);

onBoth("a shared name has several addresses, and no exclusive holder", async ({ place }) => {
  await using one = openNames(place);
  await using two = openNames(place);
  await using three = openNames(place);
  const greeter = { name: "Greeter", shared: true };
  await using _first = await one.register({ ...greeter, address: "127.0.0.1:1" });
  await using second = await two.register({ ...greeter, address: "127.0.0.1:2" });
  const addresses = async () =>
    (await three.lookup("Greeter")).map(({ address }) => address).sort();
  assert.deepEqual(await addresses(), ["127.0.0.1:1", "127.0.0.1:2"]);
  await using _bob = await one.register(BOB);
  await Promise.all([
    assert.rejects(three.register({ name: "Greeter", address: "127.0.0.1:3" }), {
      code: "ALREADY_EXISTS",
    }),
    assert.rejects(three.register({ ...BOB, shared: true }), { code: "ALREADY_EXISTS" }),
  ]);
  await using watching = new Watching(three, "Greeter");
  assert.match(await watching.nextText(), /^state: Greeter@127.0.0.1:[12] Greeter@127.0.0.1:[12]$/);
  await second[Symbol.asyncDispose]();
  assert.equal(await watching.nextText(), "freed: Greeter@127.0.0.1:2");
  assert.deepEqual(await addresses(), ["127.0.0.1:1"]);
});

onBoth(
  "a registered fingerprint is in lookups, lists, watches and JSON",
  async ({ place }) => {
    await using names = openNames(place);
    await using others = openNames(place);
    await using watching = new Watching(others, "Bob");
    await watching.next();
    await using printing = Program.greet(["names", "watch", "Bob", "--json", "--names", place]);
    await printing.out.until('{"type":"state","names":[]}\n');
    await using _alice = await names.register({ ...BOB, name: "Alice" });
    const bob = await names.register({ ...BOB, fingerprint: KEY });
    const [found] = await others.lookup("Bob");
    assert.deepEqual({ ...found, since: 0 }, { ...BOB, shared: false, since: 0, fingerprint: KEY });
    const [alice, listed] = await others.list();
    assert(!("fingerprint" in alice));
    assert.deepEqual(listed, found);
    await using later = new Watching(others);
    assert.deepEqual(await later.next(), { type: "state", entries: [alice, found] });
    const list = await run(["names", "list", "--json", "--names", place]);
    const printed = list.out.trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(printed.map(({ fingerprint }) => fingerprint), [undefined, KEY]);
    await bob[Symbol.asyncDispose]();
    for (const type of ["held", "freed"]) {
      assert.deepEqual(await watching.next(), { type, entry: found });
      const [line] = await printing.out.until(new RegExp(`{"type":"${type}".*}\n`));
      assert.equal(JSON.parse(line).fingerprint, KEY);
    }
  },
);

onBoth(
  "another key at the same address is reported as another holder",
  async ({ place }) => {
    await using names = openNames(place);
    await using others = openNames(place);
    const followed = others.follow("Bob");
    const known = async () => {
      const { value } = await inTime(followed.next(), "the holders");
      const { entries }: Holders = value;
      return entries.map(({ address, fingerprint }) => ({ address, fingerprint }));
    };
    const { address } = BOB;
    assert.deepEqual(await known(), []);
    for (const fingerprint of [KEY, OTHER_KEY, undefined, KEY]) {
      await using _bob = await names.register({ ...BOB, fingerprint });
      assert.deepEqual(await known(), [{ address, fingerprint }]);
      await _bob[Symbol.asyncDispose]();
      assert.deepEqual(await known(), []);
    }
    await followed.return(undefined);
  },
);

onBoth("a name has one holder, with or without a fingerprint", async ({ place }) => {
  await using one = openNames(place);
  await using _keyed = await one.register({ ...BOB, fingerprint: KEY });
  await using _plain = await one.register({ ...BOB, name: "Alice" });
  await using _shared = await one.register({ ...BOB, name: "Greeter", shared: true });
  const address = "127.0.0.1:1";
  const refused = async (claim: Partial<NamedEntry>) => {
    await using two = openNames(place);
    await assert.rejects(two.register({ ...BOB, address, ...claim }), {
      code: "ALREADY_EXISTS",
      message: /: someone else has held (Bob|Alice|Greeter) since /,
    });
  };
  await Promise.all([
    refused({}),
    refused({ fingerprint: KEY }),
    refused({ fingerprint: OTHER_KEY }),
    refused({ shared: true }),
    refused({ name: "Alice", fingerprint: KEY }),
    refused({ name: "Alice", shared: true }),
    refused({ name: "Greeter" }),
    refused({ name: "Greeter", fingerprint: KEY }),
  ]);
  const entries = (await one.list()).map(({ name, address, fingerprint }) => [
    name,
    address,
    fingerprint,
  ]);
  assert.deepEqual(entries, [
    ["Alice", BOB.address, undefined],
    ["Bob", BOB.address, KEY],
    ["Greeter", BOB.address, undefined],
  ]);
});

/** Names on a service that reports given events, and then aborts the watch. */
function reporting(events: readonly WatchUpdate[], end: AbortController): Names {
  return new Names({
    address: "somewhere",
    hold: () => Promise.reject(new Error("not implemented")),
    list: () => Promise.reject(new Error("not implemented")),
    watch: () => ({
      async *run() {
        yield* events;
        end.abort();
      },
    }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}

Deno.test("the end of a former hold does not affect the present holder, in any order of events", async () => {
  const former: NamedEntry = { ...BOB, shared: false, fingerprint: KEY };
  const alice: NamedEntry = { ...former, name: "Alice" };
  const freed: WatchUpdate = { type: "freed", entry: former };
  for (const fingerprint of [OTHER_KEY, undefined]) {
    const entry: NamedEntry = { ...BOB, shared: false, fingerprint };
    const held: WatchUpdate = { type: "held", entry };
    for (const changes of [[freed, held], [held, freed]]) {
      const end = new AbortController();
      await using names = reporting([{ type: "state", entries: [former] }, ...changes], end);
      const known = await Array.fromAsync(names.follow("Bob", end.signal));
      assert.deepEqual(known.at(-1)?.entries, [entry]);

      // A change that was printed is not printed again with the next state.
      const printed: string[] = [];
      const stdout = new Output({
        write: (bytes) => {
          printed.push(new TextDecoder().decode(bytes));
          return Promise.resolve(bytes.length);
        },
      });
      const stop = new AbortController();
      const states = [former, entry].map((one): WatchUpdate => ({
        type: "state",
        entries: [alice, one],
      }));
      await using again = reporting([states[0], ...changes, states[1]], stop);
      const { signal } = stop;
      const options = { stdout, stderr: stdout, signal, json: false, quiet: false };
      await printChanges(again, undefined, options);
      await stdout.flush();
      const lines = printed.join("").match(/\w+ is (at|gone)/g)?.sort();
      assert.deepEqual(lines, ["Alice is at", "Bob is at", "Bob is at", "Bob is gone"]);
    }
  }
});

Deno.test("entries with an invalid fingerprint are left out", async () => {
  const entry = { name: "Bob", address: BOB.address, shared: false, sinceMs: 1 };
  const entries: WireEntry[] = [
    { ...entry, fingerprint: KEY },
    { ...entry, name: "Mallory", fingerprint: "\x1b[2J" },
    { ...entry, name: "Carol", fingerprint: "" },
  ];
  const changes = entries.map((entry, revision) => ({ kind: "HELD" as const, entry, revision }));
  const service = implement(NAMES, {
    async *Register() {},
    Lookup: ({ name }) => ({ entries: entries.filter((one) => one.name === name) }),
    List: () => ({ entries, nextPageToken: "" }),
    async *Watch(_, { signal }) {
      yield { state: true, more: false, revision: 0, changes: [] };
      yield { state: false, more: false, revision: 2, changes };
      await aborted(signal);
    },
  });
  await using server = await serve({ host: "127.0.0.1", port: 0, services: [service] });
  await using names = openNames(`${server.port}`);
  const expected = [["Bob", KEY], ["Carol", undefined]];
  const fingerprints = (entries: readonly NamedEntry[]) =>
    entries.map(({ name, fingerprint }) => [name, fingerprint]);
  assert.deepEqual(fingerprints(await names.lookup("Bob")), [expected[0]]);
  await assert.rejects(names.lookup("Mallory"), { code: "NOT_FOUND" });
  assert.deepEqual(fingerprints(await names.list()), expected);
  await using watching = new Watching(names);
  assert.equal(await watching.nextText(), "state: ");
  const held = [await watching.next(), await watching.next()];
  assert.deepEqual(
    fingerprints(held.flatMap((event) => event.type === "held" ? [event.entry] : [])),
    expected,
  );
});

// ---------------------------------------------------------------- services that misbehave

/** A naming server with its own handlers. */
async function customServer(
  handlers: Partial<Parameters<typeof implement<CallsOf<typeof NAMES>>>[1]>,
) {
  const service = implement(NAMES, {
    async *Register() {},
    Lookup: () => ({ entries: [] }),
    List: () => ({ entries: [], nextPageToken: "" }),
    async *Watch() {},
    ...handlers,
  });
  const server = await serve({ host: "127.0.0.1", port: 0, services: [service] });
  const names = openNames(`${server.port}`);
  const prefix = `the naming service at 127.0.0.1:${server.port}: it`;
  return {
    names,
    prefix,
    async [Symbol.asyncDispose]() {
      await names[Symbol.asyncDispose]();
      await server.stop(0);
    },
  };
}

/** The calls of a service. */
type CallsOf<T> = T extends ServiceType<infer C> ? C : never;

/** New entries. */
function freshEntries(count: number, name?: string): WireEntry[] {
  return Array.from({ length: count }, () => ({
    name: name ?? `name ${serial++}`,
    address: `host-${serial++}:1`,
    shared: true,
    sinceMs: 1,
    fingerprint: "",
  }));
}
let serial = 0;

/** A state that never ends. */
async function* endlessState(count: number, name?: string): AsyncGenerator<WireChanges> {
  for (let state = true;; state = false) {
    const entries = freshEntries(count, name);
    const changes = entries.map((entry) => ({ kind: "HELD" as const, entry, revision: 1 }));
    yield { state, more: true, revision: 1, changes };
    await new Promise((resolve) => setTimeout(resolve));
  }
}

Deno.test("a list that never ends is refused, with and without entries", async () => {
  await using names = await customServer({
    List: () => ({ entries: freshEntries(20_000), nextPageToken: "more" }),
  });
  await assert.rejects(names.names.list(), {
    code: "INTERNAL",
    message: `${names.prefix} sent more than 100000 names`,
  });
  await using nothing = await customServer({
    List: () => ({ entries: [], nextPageToken: "more" }),
  });
  await assert.rejects(nothing.names.list({ maxTime: 2 }), {
    code: "DEADLINE_EXCEEDED",
    message: `${nothing.prefix} kept sending names for too long`,
  });
});

Deno.test("a lookup accepts up to a thousand addresses, and ignores other names", async () => {
  await using many = await customServer({
    Lookup: () => ({ entries: freshEntries(1_001, "Bob") }),
  });
  await assert.rejects(many.names.lookup("Bob"), {
    code: "INTERNAL",
    message: `${many.prefix} sent more than 1000 addresses for Bob`,
  });
  await using others = await customServer({
    Lookup: () => ({ entries: [...freshEntries(1_001), ...freshEntries(2, "Bob")] }),
  });
  assert.equal((await others.names.lookup("Bob")).length, 2);
});

Deno.test("a watch whose state never ends is lost", async () => {
  for (const [name, what] of [["Bob", "1000 addresses for Bob"], [undefined, "100000 names"]]) {
    await using names = await customServer({
      Watch: () => endlessState(name === undefined ? 10_000 : 100, name),
    });
    await using watching = new Watching(names.names, name);
    const event = await watching.next();
    assert.equal(
      event.type === "lost" && event.error.message,
      `${names.prefix} sent more than ${what}`,
    );
  }
});

Deno.test("following a name fails after more than a thousand addresses, one by one", async () => {
  await using names = await customServer({
    async *Watch() {
      yield { state: true, more: false, revision: 0, changes: [] };
      for (;;) {
        const [entry] = freshEntries(1, "Bob");
        yield {
          state: false,
          more: false,
          revision: 1,
          changes: [{ kind: "HELD", entry, revision: 1 }],
        };
      }
    },
  });
  await assert.rejects(Array.fromAsync(names.names.follow("Bob")), { code: "INTERNAL" });
});

Deno.test("an etcd that reports ever more keys is refused, with and without keys", async () => {
  const encoder = new TextEncoder();
  let keysEach = 5_000;
  let calls = 0;
  const kv = implement(ETCD_KV, {
    Range: () => {
      calls++;
      const kvs = freshEntries(keysEach).map(({ name, address }) => ({
        key: encoder.encode(`${name}/${address}`),
        value: encoder.encode(JSON.stringify({ Op: 0, Addr: address })),
        modRevision: "1",
        lease: "0",
      }));
      return { kvs, more: true, header: { revision: "1" } };
    },
    Txn: () => ({ succeeded: false, responses: [], header: { revision: "1" } }),
  });
  await using server = await serve({ host: "127.0.0.1", port: 0, services: [kv] });
  const place = `etcd://127.0.0.1:${server.port}`;
  await using names = openNames(place);
  await assert.rejects(names.list(), {
    code: "INTERNAL",
    message: `the naming service at 127.0.0.1:${server.port}: it sent more than 100000 keys`,
  });
  assert(calls < 50, `${calls} calls`);
  keysEach = 0;
  assert.deepEqual(await names.list(), []);
});

/** An etcd that grants every lease, and says of each how often it may be kept alive. */
async function leasing(keptAlive: number) {
  const leases: { id: string; keptAt: number[] }[] = [];
  const revoked: string[] = [];
  const replaced = Promise.withResolvers<void>();
  const lease = implement(ETCD_LEASE, {
    LeaseGrant({ ID, TTL }) {
      if (leases.push({ id: ID, keptAt: [performance.now()] }) === 2) replaced.resolve();
      return { ID, TTL: `${TTL}` };
    },
    LeaseRevoke: ({ ID }) => (revoked.push(ID), {}),
    async *LeaseKeepAlive(requests) {
      for await (const { ID } of requests) {
        const { keptAt } = leases.find(({ id }) => id === ID)!;
        keptAt.push(performance.now());
        yield { ID, TTL: keptAt.length <= keptAlive + 1 ? "5" : "0" };
      }
    },
  });
  const kv = implement(ETCD_KV, {
    Range: () => ({ kvs: [], more: false, header: { revision: "1" } }),
    Txn: () => ({ succeeded: true, responses: [], header: { revision: "1" } }),
  });
  const server = await serve({ host: "127.0.0.1", port: 0, services: [kv, lease] });
  return {
    leases,
    revoked,
    /** Resolves when there is a second lease. */
    replaced: replaced.promise,
    place: `etcd://127.0.0.1:${server.port}`,
    [Symbol.asyncDispose]: () => server.stop(0),
  };
}

Deno.test("a lease is kept alive a few times while it lasts, and a name is claimed again when it is over", async () => {
  await using etcd = await leasing(1);
  await using names = openNames(etcd.place);
  const reported: string[] = [];
  await using bob = await names.register(BOB, ({ state }) => reported.push(state));
  await inTime(etcd.replaced, "another lease");
  assert.deepEqual([bob.status.state, reported], ["held", []]);
  const [first, second] = etcd.leases;
  assert.notEqual(first.id, second.id);
  // What is over need not be given back; what is held must be.
  assert.deepEqual(etcd.revoked, []);
  // It lasts 5 s. A timer may be a little early.
  const pauses = first.keptAt.slice(1).map((at, i) => at - first.keptAt[i]);
  assert.equal(pauses.length, 2);
  for (const pause of pauses) assert(pause > 1_500, `${pauses}`);
  await bob[Symbol.asyncDispose]();
  assert.deepEqual(etcd.revoked, [second.id]);
});

Deno.test({
  name: "of a thousand servers that share a name, a client connects to a hundred (needs Linux)",
  // On other systems, only 127.0.0.1 is a loopback address.
  ignore: Deno.build.os !== "linux",
  async fn() {
    using listener = Deno.listen({ hostname: "0.0.0.0", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    const called = new Set<string>();
    const connections: Deno.Conn[] = [];
    const accepting = (async () => {
      for await (const connection of listener) {
        connections.push(connection);
        called.add((connection.localAddr as Deno.NetAddr).hostname);
      }
    })();
    const entries = freshEntries(1_000, "greeter").map((entry, i) => ({
      ...entry,
      address: `127.0.${1 + i % 4}.${1 + i % 250}:${port}`,
    }));
    await using names = await customServer({
      Lookup: () => ({ entries }),
      async *Watch(_, { signal }) {
        const changes = entries.map((entry) => ({ kind: "HELD" as const, entry, revision: 1 }));
        yield { state: true, more: false, revision: 1, changes };
        await aborted(signal);
      },
    });
    const greeting = greet("greeter", "Bob", { names: names.names, maxTime: 4 });
    await assert.rejects(greeting, { code: "DEADLINE_EXCEEDED" });
    listener.close();
    await accepting;
    connections.forEach((connection) => connection.close());
    assert.equal(called.size, 100);
  },
});

Deno.test("an invalid time is left out", async () => {
  const times = [-1, 0, Date.UTC(2026), Date.UTC(10_000), Number.MAX_SAFE_INTEGER];
  await using names = await customServer({
    Lookup: () => ({
      entries: freshEntries(times.length, "Bob").map((entry, i) => ({
        ...entry,
        sinceMs: times[i],
      })),
    }),
  });
  const found = await names.names.lookup("Bob");
  assert.deepEqual(found.map(({ since }) => since?.getTime()), [
    undefined,
    0,
    Date.UTC(2026),
    undefined,
    undefined,
  ]);
});

Deno.test("a repeated state of 60,000 names is compared quickly", async () => {
  const entries = freshEntries(60_000).map(({ name, address, shared }) => ({
    name,
    address,
    shared,
  }));
  const stop = new AbortController();
  const state: WatchUpdate = { type: "state", entries };
  await using names = reporting([state, { ...state, entries: entries.slice(1) }], stop);
  let bytes = 0;
  const stdout = new Output({
    write: (chunk) => {
      bytes += chunk.length;
      return Promise.resolve(chunk.length);
    },
  });
  const options = { stdout, stderr: stdout, signal: stop.signal, json: false, quiet: false };
  const start = performance.now();
  await printChanges(names, undefined, options);
  await stdout.flush();
  assert(performance.now() - start < 10_000, "it took too long");
  assert(bytes > 60_000);
});

/** A service that fails in place of each attempt to hold a name, unless it is told not to. */
function failing(): NamingService & { attempts: number; isBack: boolean } {
  return {
    attempts: 0,
    isBack: false,
    address: "test",
    async hold(_claim, held, signal) {
      this.attempts++;
      if (!this.isBack) throw new GreetError("UNAVAILABLE", "connection refused");
      held();
      await aborted(signal);
    },
    list: () => Promise.resolve([]),
    watch: () => assert.fail("nothing is watched"),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

Deno.test("a service that fails at once is asked again after ever longer pauses", async () => {
  const service = failing();
  await using names = new Names(service);
  const start = performance.now();
  const { promise: held, resolve } = Promise.withResolvers<void>();
  await using _bob = await names.register(BOB, ({ state }) => state === "held" && resolve());
  const hold = service.hold.bind(service);
  service.hold = (...args) => {
    service.isBack = service.attempts === 3;
    return hold(...args);
  };
  await inTime(held, "the name to be held");
  // Three pauses of at least half of 100, 160 and 256 ms; a timer may be a little early.
  assert(performance.now() - start > 240, `${performance.now() - start} ms`);
  assert.equal(service.attempts, 4);
});

Deno.test("a claim reports later changes of its status, but not the first one", async () => {
  const service = failing();
  service.isBack = true;
  await using names = new Names(service);
  const reported: string[] = [];
  await using bob = await names.register(BOB, ({ state }) => reported.push(state));
  assert.deepEqual([bob.status.state, reported], ["held", []]);
});

onBoth("bad names, addresses and fingerprints are refused", async ({ place }) => {
  await using names = openNames(place);
  for (const name of ["", "a/b", "a\u202Eb", " a", "a".repeat(65)]) {
    await assert.rejects(names.register({ ...BOB, name }), { code: "USAGE" });
  }
  await assert.rejects(names.register({ ...BOB, address: "55555" }), { code: "USAGE" });
  for (const fingerprint of ["", "SHA256:", `${KEY}=`, KEY.slice(7), `${KEY}\n`]) {
    await assert.rejects(names.register({ ...BOB, fingerprint }), {
      code: "USAGE",
      message: "the fingerprint is not SHA256:…",
    });
  }
  await assert.rejects(names.register({ ...BOB, shared: true, fingerprint: KEY }), {
    code: "USAGE",
    message: "a shared name has no fingerprint",
  });
  await assert.rejects(names.lookup("a/b"), { code: "INVALID_ARGUMENT", message: /a '\/'/ });
});

onBoth("after the service was lost and comes back, names are held as before", async (service) => {
  await using names = openNames(service.place);
  const { onChange, until } = statuses();
  await using bob = await names.register(BOB, onChange);
  await using others = openNames(service.place);
  await using watching = new Watching(others);
  assert.equal(await watching.nextText(), "state: Bob@127.0.0.1:55555");
  const lost = until("lost");
  await service.lose();
  assert.equal(await watching.nextText(), "lost");
  await lost;
  await assert.rejects(others.lookup("Bob"), { code: "UNAVAILABLE" });
  const held = until("held");
  await service.regain();
  const regained = Date.now();
  await held;
  assert.equal(bob.status.state, "held");
  assert(Date.now() - regained < LEASE_MS, "it waited for its own former lease");
  assert.equal((await others.lookup("Bob"))[0].address, BOB.address);
  const alice = await others.register({ ...BOB, name: "Alice" });
  // The events before Alice depend on how much the service remembers.
  const known = new Set<string>();
  while (!known.has("Alice")) {
    const event = await watching.next();
    if (event.type === "state") known.clear();
    if (event.type === "state") event.entries.forEach(({ name }) => known.add(name));
    if (event.type === "held") known.add(event.entry.name);
    if (event.type === "freed") known.delete(event.entry.name);
  }
  await alice[Symbol.asyncDispose]();
  assert.equal(await watching.nextText(), "freed: Alice@127.0.0.1:55555");
});

Deno.test("a watch that begins while a look-up fails on the same connection goes on afterwards", {
  ...GRPC_TIMERS_OUTLIVE_CHANNELS,
}, async () => {
  const server = await embedded();
  const probed = Promise.withResolvers<void>();
  let connections = 0;
  const between = net.createServer((caller) => {
    caller.on("error", () => {});
    // The second connection only finds out why the first one failed, and waits for an answer.
    if (++connections === 1) return caller.resetAndDestroy();
    if (connections === 2) return probed.resolve();
    const callee = net.connect(Number(server.place), "127.0.0.1").on("error", () => {});
    caller.pipe(callee).pipe(caller);
  });
  await new Promise<void>((resolve) => between.listen(0, "127.0.0.1", resolve));
  const { port } = between.address() as net.AddressInfo;
  {
    await using names = openNames(`${port}`);
    const failure = assert.rejects(names.lookup("Bob"), { code: "UNAVAILABLE" });
    await probed.promise;
    await using watching = new Watching(names);
    assert.equal(await watching.nextText(), "lost");
    assert.equal(await watching.nextText(), "state: ");
    await failure;
  }
  between.close();
  await server[Symbol.asyncDispose]();
});

onBoth(
  "a claim without a reachable service is made once the service is there",
  async (service) => {
    await service.lose();
    await using names = openNames(service.place);
    const { onChange, next } = statuses();
    await using bob = await names.register(BOB, onChange);
    assert.equal(bob.status.state, "lost");
    const status = next();
    await service.regain();
    assert.equal((await status).state, "held");
  },
);

onBoth(
  "a watch ends when its signal is aborted, or the names are disposed of",
  async ({ place }) => {
    const names = openNames(place);
    const stop = new AbortController();
    const aborted = names.watch("Bob", stop.signal);
    const open = names.watch();
    for (const watch of [aborted, open]) assert.equal((await watch.next()).value?.type, "state");
    stop.abort();
    assert.equal((await inTime(aborted.next(), "the end")).done, true);
    const end = open.next();
    await names[Symbol.asyncDispose]();
    assert.equal((await inTime(end, "the end")).done, true);
  },
);
