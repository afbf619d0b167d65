/** What every naming service promises, whatever keeps the names. */
import assert from "node:assert/strict";
import { type NamedEntry, type Names, openNames, serveNames } from "../mod.ts";
import type { NamesEvent, Standing } from "../names.ts";
import { EtcdCluster, etcdTest } from "./etcd.ts";
import { inTime } from "./program.ts";

/** A naming service that can be taken away and given back. */
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

/** Runs a test on a server of ours, and on etcd. */
function onBoth(name: string, run: (service: Service) => Promise<void>): void {
  Deno.test(`${name}, by greet names`, async () => {
    await using service = await embedded();
    await run(service);
  });
  etcdTest(`${name}, by etcd`, async () => {
    await using service = await etcd();
    await run(service);
  });
}

const BOB = { name: "Bob", address: "127.0.0.1:55555" };

/** What is told, in order, as it is waited for. */
class Watching implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #events: AsyncGenerator<NamesEvent>;

  constructor(names: Names, name?: string) {
    this.#events = names.watch(name, this.#stop.signal);
  }

  async next(): Promise<NamesEvent> {
    const { value, done } = await inTime(this.#events.next(), "what happens next");
    assert(!done, "the watch has ended");
    return value;
  }

  /** The same, in few words. */
  async told(): Promise<string> {
    return told(await this.next());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#events.return(undefined);
  }
}

function told(event: NamesEvent): string {
  if (event.type === "lost") return "lost";
  if (event.type === "state") return `state: ${event.entries.map(place).join(" ")}`;
  return `${event.type}: ${place(event.entry)}`;
}

function place({ name, address }: NamedEntry): string {
  return `${name}@${address}`;
}

/** How a claim stands, as it is waited for. */
function standings() {
  let changed = Promise.withResolvers<Standing>();
  return {
    onChange: (standing: Standing) => {
      changed.resolve(standing);
      changed = Promise.withResolvers();
    },
    next: () => inTime(changed.promise, "a change of how the claim stands"),
  };
}

onBoth("a name that is registered is found, and listed", async ({ place }) => {
  await using names = openNames(place);
  await using _bob = await names.register(BOB);
  await using _alice = await names.register({ name: "Alice", address: "[::1]:55556" });
  await using others = openNames(place);
  const [entry] = await others.lookup("Bob");
  assert.equal(entry.address, BOB.address);
  assert.equal(entry.shared, false);
  assert(Math.abs(Date.now() - entry.since!.getTime()) < 60_000);
  assert.deepEqual((await others.list()).map(({ name }) => name), ["Alice", "Bob"]);
  await assert.rejects(others.lookup("Carol"), { code: "NOT_FOUND", message: /nobody.*Carol/ });
});

onBoth("a list is ordered by name", async ({ place }) => {
  await using names = openNames(place);
  for (const name of ["a-b", "a", "b", "ä", "a b"]) await names.register({ ...BOB, name });
  assert.deepEqual((await names.list()).map(({ name }) => name), ["a", "a b", "a-b", "b", "ä"]);
});

onBoth("a name is refused to anyone else, saying since when it is held", async ({ place }) => {
  await using names = openNames(place);
  await using bob = await names.register(BOB);
  assert.equal(bob.standing.state, "held");
  await using others = openNames(place);
  await using _carol = await others.register({ ...BOB, name: "Carol" });
  await assert.rejects(others.register({ ...BOB, address: "127.0.0.1:1" }), {
    code: "ALREADY_EXISTS",
    message: /: somebody else has held Bob since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC$/,
  });
  assert.equal((await others.lookup("Bob"))[0].address, BOB.address);
});

onBoth("a name that is given back is free at once", async ({ place }) => {
  await using others = openNames(place);
  const names = openNames(place);
  await using alice = await names.register({ ...BOB, name: "Alice" });
  const bob = await names.register(BOB);
  await using watching = new Watching(others);
  await watching.told();
  const begun = Date.now();
  await bob[Symbol.asyncDispose]();
  assert.equal(await watching.told(), "freed: Bob@127.0.0.1:55555");
  await using _again = await others.register(BOB);
  assert.equal(await watching.told(), "held: Bob@127.0.0.1:55555");
  assert.equal(alice.standing.state, "held");
  await names[Symbol.asyncDispose]();
  assert.equal(await watching.told(), "freed: Alice@127.0.0.1:55555");
  await using _alice = await others.register({ ...BOB, name: "Alice" });
  assert(Date.now() - begun < 2_000, "it took long");
});

onBoth("watchers are told the state, then every change in order", async ({ place }) => {
  const rounds = 200;
  await using names = openNames(place);
  await using others = openNames(place);
  await using _alice = await names.register({ ...BOB, name: "Alice" });
  await using one = new Watching(others, "Bob");
  await using all = new Watching(names);
  assert.equal(await one.told(), "state: ");
  assert.equal(await all.told(), "state: Alice@127.0.0.1:55555");
  const expected: string[] = [];
  for (let port = 1; port <= rounds; port++) {
    const address = `127.0.0.1:${port}`;
    const bob = await names.register({ name: "Bob", address });
    assert.equal(await one.told(), `held: Bob@${address}`);
    await bob[Symbol.asyncDispose]();
    assert.equal(await one.told(), `freed: Bob@${address}`);
    expected.push(`held: Bob@${address}`, `freed: Bob@${address}`);
  }
  // This one has not been read so far.
  const seen: string[] = [];
  while (seen.length < expected.length) seen.push(await all.told());
  assert.deepEqual(seen, expected);
});

onBoth(
  "of 20 who claim a name at once, one gets it, and the next when it is free",
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
          });
          assert.equal(bob.standing.state, "held");
          assert.equal(++holders, 1, "two hold one name");
          assert.equal((await names.lookup("Bob"))[0].address, bob.claim.address);
          holders--;
          hasHeld = true;
        } catch (error) {
          assert.equal((error as { code: string }).code, "ALREADY_EXISTS");
        }
      }
    });
    await inTime(Promise.all(turns), "20 holders, one after the other", 30_000);
  },
);

onBoth("a name that is shared has several addresses, and no single holder", async ({ place }) => {
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
  assert.match(await watching.told(), /^state: Greeter@127.0.0.1:[12] Greeter@127.0.0.1:[12]$/);
  await second[Symbol.asyncDispose]();
  assert.equal(await watching.told(), "freed: Greeter@127.0.0.1:2");
  assert.deepEqual(await addresses(), ["127.0.0.1:1"]);
});

onBoth("what breaks the rules is refused", async ({ place }) => {
  await using names = openNames(place);
  for (const name of ["", "a/b", "a\u202Eb", " a", "a".repeat(65)]) {
    await assert.rejects(names.register({ ...BOB, name }), { code: "USAGE" });
  }
  await assert.rejects(names.register({ ...BOB, address: "55555" }), { code: "USAGE" });
  await assert.rejects(names.lookup("a/b"), { code: "INVALID_ARGUMENT", message: /a '\/'/ });
});

onBoth("a service that is lost and found again finds names held as before", async (service) => {
  await using names = openNames(service.place);
  const { onChange, next } = standings();
  await using bob = await names.register(BOB, onChange);
  await using others = openNames(service.place);
  await using watching = new Watching(others);
  assert.equal(await watching.told(), "state: Bob@127.0.0.1:55555");
  let standing = next();
  await service.lose();
  assert.equal(await watching.told(), "lost");
  assert.equal((await standing).state, "lost");
  await assert.rejects(others.lookup("Bob"), { code: "UNAVAILABLE" });
  standing = next();
  await service.regain();
  const regained = Date.now();
  assert.equal((await standing).state, "held");
  assert.equal(bob.standing.state, "held");
  assert(Date.now() - regained < 4_000, "it was waited for a lease of our own to end");
  assert.equal((await others.lookup("Bob"))[0].address, BOB.address);
  const alice = await others.register({ ...BOB, name: "Alice" });
  // What comes before Alice depends on how much the service remembers; in the end, both are there.
  const known = new Set<string>();
  while (!known.has("Alice")) {
    const event = await watching.next();
    if (event.type === "state") known.clear();
    if (event.type === "state") event.entries.forEach(({ name }) => known.add(name));
    if (event.type === "held") known.add(event.entry.name);
    if (event.type === "freed") known.delete(event.entry.name);
  }
  await alice[Symbol.asyncDispose]();
  assert.equal(await watching.told(), "freed: Alice@127.0.0.1:55555");
});

onBoth(
  "a claim that the service could not be asked for is made when it is there",
  async (service) => {
    await service.lose();
    await using names = openNames(service.place);
    const { onChange, next } = standings();
    await using bob = await names.register(BOB, onChange);
    assert.equal(bob.standing.state, "lost");
    const standing = next();
    await service.regain();
    assert.equal((await standing).state, "held");
  },
);

onBoth("an aborted signal ends a watch, and so does the end of the names", async ({ place }) => {
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
});
