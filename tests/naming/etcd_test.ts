/** Names on etcd: addresses, keys, leases, failing nodes, passwords and TLS. */
import assert from "node:assert/strict";
import { GreetError, openNames } from "../../mod.ts";
import { Etcd } from "../../src/naming/etcd.ts";
import { parseEtcdPlace } from "../../src/naming/service_url.ts";
import type { Holders } from "../../src/naming/names.ts";
import type { WatchUpdate } from "../../src/naming/naming_service.ts";
import { pause, Pulse } from "../../src/base/timing.ts";
import { hasOpenssl } from "../support/certificates.ts";
import { EtcdCluster, etcdTest } from "../support/etcd.ts";
import { Program, ROOT } from "../support/program.ts";
import { inTime } from "../support/waiting.ts";
import { GO_PATH, hasGoPackage } from "../support/tools.ts";

const BOB = { name: "Bob", address: "127.0.0.1:55555" };

/** The fingerprints of two keys. */
const [KEY, OTHER_KEY] = ["+/", "/+"].map((pair) => `SHA256:${pair.repeat(21)}A`);

/** The lease of a name, and how late etcd may end it. */
const LEASE_MS = 5_000;
const OVERTIME_MS = 5_000;

Deno.test("an address has one or more nodes, with or without TLS and prefix", () => {
  const parsed = (place: string) => {
    const { targets, isSecure, prefix } = parseEtcdPlace(place);
    return `${isSecure} ${targets.map(({ address }) => address).join(" ")} ${prefix}`;
  };
  assert.equal(parsed("etcd://h1"), "false h1:2379 ");
  assert.equal(
    parsed("etcds://h1:1,[::1],[::1]:2,10.0.0.1/team"),
    "true h1:1 [::1]:2379 [::1]:2 10.0.0.1:2379 team/",
  );
  assert.equal(parsed("etcd://2380/"), "false 127.0.0.1:2380 ");
  assert.equal(parsed("etcd://h1/a/b//"), "false h1:2379 a/b/");
  for (
    const place of [
      "etcd://",
      "etcd:///team",
      "etcd://h1,",
      "etcd://a b",
      "etcd://h:0",
      "etcds://h1:x",
    ]
  ) {
    assert.throws(() => openNames(place), (error: GreetError) => {
      assert.equal(error.code, "USAGE");
      assert.match(error.message, /is not an etcd node$|^the address of etcd has no host$/);
      assert(error.hint, place);
      return true;
    });
  }
  assert.throws(() => openNames("etcd:///team"), { message: "the address of etcd has no host" });
  assert.throws(() => openNames("etcd://root:secret@h1"), (error: GreetError) => {
    assert.equal(error.code, "USAGE");
    assert.match(error.hint!, /GREET_ETCD_USER/);
    assert.doesNotMatch(Deno.inspect(error), /secret/);
    return true;
  });
});

etcdTest("keys and values are exactly those of etcd's naming resolver", async () => {
  await using cluster = await EtcdCluster.start();
  await using names = openNames(cluster.place(0, "team"));
  await using _bob = await names.register(BOB);
  await using _greeter = await names.register({
    name: "Greeter",
    address: "[::1]:1",
    shared: true,
  });
  await using _alice = await names.register({ ...BOB, name: "Alice", fingerprint: KEY });
  assert.equal(
    await cluster.etcdctl("get", "--prefix", ""),
    `team/Alice/holder+${KEY}\n{"Op":0,"Addr":"127.0.0.1:55555","Metadata":null}\n` +
      `team/Bob/holder\n{"Op":0,"Addr":"127.0.0.1:55555","Metadata":null}\n` +
      `team/Greeter/[::1]:1\n{"Op":0,"Addr":"[::1]:1","Metadata":null}\n`,
  );
  // Other keys and values are ignored.
  await cluster.etcdctl("put", "Carol/holder", `{"Addr":"127.0.0.1:1"}`);
  await cluster.etcdctl("put", "team/Dave/holder", `{"Addr":"nowhere"}`);
  await cluster.etcdctl("put", "team/Eve/holder", "127.0.0.1:1");
  await cluster.etcdctl("put", "team/Frank", `{"Addr":"127.0.0.1:1"}`);
  await cluster.etcdctl("put", "team/\u202eGrace/holder", `{"Addr":"127.0.0.1:1"}`);
  await cluster.etcdctl("put", `team/Heidi/holder+${KEY}=`, `{"Addr":"127.0.0.1:1"}`);
  await cluster.etcdctl("put", "team/Ivan/holder+", `{"Addr":"127.0.0.1:1"}`);
  assert.deepEqual((await names.list()).map(({ name }) => name), ["Alice", "Bob", "Greeter"]);
});

etcdTest("addresses of a shared name may look like the key of an exclusive holder", async () => {
  await using cluster = await EtcdCluster.start();
  await using names = openNames(cluster.place());
  const hosts = ["holder", "holder-1", "holder.example", "holder0", "holder_", "holderA", "a"];
  for (const host of hosts) {
    // A claim would wait for an exclusive holder.
    const address = `${host}:5`;
    const claim = names.register({ name: "Greeter", address, shared: true });
    await inTime(claim, `a claim at ${address}`, LEASE_MS / 2);
  }
  const entries = await names.lookup("Greeter");
  assert.deepEqual(entries.map(({ address, shared }) => [address, shared]).sort(), [
    ...hosts.map((host) => [`${host}:5`, true]).sort(),
  ]);
});

etcdTest("a name held by this process is refused at once, with any key", async () => {
  await using cluster = await EtcdCluster.start();
  await using names = openNames(cluster.place());
  await using bob = await names.register({ ...BOB, fingerprint: KEY });
  for (const fingerprint of [KEY, OTHER_KEY, undefined]) {
    await assert.rejects(inTime(names.register({ ...BOB, fingerprint }), "a refusal", 1_000), {
      code: "ALREADY_EXISTS",
      message: /this process has registered Bob already$/,
    });
  }
  await bob[Symbol.asyncDispose]();
  await using _again = await names.register({ ...BOB, fingerprint: OTHER_KEY });
});

etcdTest("keys that are put and deleted in any order leave the last holder", async () => {
  await using cluster = await EtcdCluster.start();
  await using names = openNames(cluster.place());
  const former = `Bob/holder+${KEY}`;
  const value = `{"Addr":"${BOB.address}"}`;
  for (const fingerprint of [OTHER_KEY, undefined]) {
    const later = fingerprint === undefined ? "Bob/holder" : `Bob/holder+${fingerprint}`;
    for (const isPutFirst of [false, true]) {
      await cluster.etcdctl("put", former, value);
      const followed = names.follow("Bob");
      const known = async () => {
        const { value } = await inTime(followed.next(), "the holders");
        const { entries }: Holders = value;
        return entries.map(({ fingerprint }) => fingerprint);
      };
      assert.deepEqual(await known(), [KEY]);
      const changes = [["put", later, value], ["del", former]];
      if (!isPutFirst) changes.reverse();
      for (const change of changes) await cluster.etcdctl(...change);
      assert.deepEqual(await known(), isPutFirst ? [fingerprint] : []);
      assert.deepEqual(await known(), [fingerprint]);
      await followed.return(undefined);
      await cluster.etcdctl("del", later);
    }
  }
});

const hasGoClient = hasGoPackage("go.etcd.io/etcd/clientv3/naming/endpoints");

etcdTest("Go's resolver and this client find each other's servers", async () => {
  await using cluster = await EtcdCluster.start();
  const folder = await Deno.makeTempDir({ prefix: "greet-go-" });
  await using _removed = { [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
  const source = `${import.meta.dirname}/etcd_resolver.go`;
  await output("go", ["build", "-o", `${folder}/resolver`, source], {
    GO111MODULE: "off",
    GOPATH: GO_PATH,
  });
  await using names = openNames(cluster.place());
  await using _one = await names.register({ name: "svc", address: "127.0.0.1:1", shared: true });
  const watch = names.watch("svc");
  await watch.next();
  assert.equal(
    await output(`${folder}/resolver`, [cluster.endpoint(0), "svc", "go-1", "127.0.0.1:2"]),
    "svc/127.0.0.1:1 127.0.0.1:1\n",
  );
  const { value: event } = await inTime(watch.next(), "the entry that Go put");
  assert.deepEqual(event, {
    type: "held",
    entry: { name: "svc", address: "127.0.0.1:2", shared: true },
  });
  await watch.return(undefined);

  await using _bob = await names.register({ ...BOB, fingerprint: KEY });
  assert.equal(
    await output(`${folder}/resolver`, [cluster.endpoint(0), "Bob"]),
    `Bob/holder+${KEY} ${BOB.address}\n`,
  );
}, { what: "etcd and Go's etcd client", isThere: hasGoClient });

/** Runs a command, which must succeed, and returns its output. */
async function output(command: string, args: string[], env?: Record<string, string>) {
  const options = { args, env, stdout: "piped", stderr: "piped" } as const;
  const { success, stdout, stderr } = await inTime(
    new Deno.Command(command, options).output(),
    command,
    120_000,
  );
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

etcdTest("the name of a killed holder is free when the lease has ended", async () => {
  await using cluster = await EtcdCluster.start();
  await using holder = new Program([
    Deno.execPath(),
    "run",
    "--allow-all",
    `${ROOT}tests/support/names_process.ts`,
    "hold",
    cluster.place(),
    BOB.name,
    BOB.address,
  ]);
  await holder.out.until("held");
  holder.kill();
  const killed = Date.now();
  await using names = openNames(cluster.place());
  const address = "127.0.0.1:55556";
  await using _bob = await names.register({ ...BOB, address });
  const ms = Date.now() - killed;
  assert(ms > LEASE_MS / 2 && ms < LEASE_MS + OVERTIME_MS, `free after ${ms} ms`);
  assert.equal((await names.lookup("Bob"))[0].address, address);
});

/** Reads a number of events from a watch. */
async function take(watch: AsyncIterable<WatchUpdate>, count: number): Promise<string[]> {
  const events: string[] = [];
  for await (const event of watch) {
    const entries = event.type === "state" ? event.entries : [event.entry];
    events.push([event.type, ...entries.map(({ name }) => name)].join(" "));
    if (events.length === count) break;
  }
  return events;
}

etcdTest(
  "an interrupted watch continues where it was, or with a state after a compaction",
  async () => {
    await using cluster = await EtcdCluster.start();
    const put = (name: string) =>
      cluster.etcdctl("put", `${name}/holder`, `{"Addr":"127.0.0.1:1"}`);
    await put("Alice");
    await using etcd = new Etcd(cluster.place());
    const watch = etcd.watch(undefined);
    const { signal } = new AbortController();
    assert.deepEqual(await inTime(take(watch.run(signal), 1), "the state"), ["state Alice"]);
    await put("Bob");
    await cluster.etcdctl("del", "Alice/holder");
    await put("Carol");
    const missed = ["held Bob", "freed Alice", "held Carol"];
    assert.deepEqual(await inTime(take(watch.run(signal), 3), "the missed events"), missed);
    await put("Dave");
    await cluster.etcdctl("del", "Bob/holder");
    const [{ Status }] = JSON.parse(await cluster.etcdctl("endpoint", "status", "-w", "json"));
    await cluster.etcdctl("compaction", `${Status.header.revision}`);
    assert.deepEqual(await inTime(take(watch.run(signal), 1), "a state"), ["state Carol Dave"]);
    await put("Eve");
    assert.deepEqual(await inTime(take(watch.run(signal), 1), "the next event"), ["held Eve"]);
  },
);

/** How long a held name may seem free while nodes fail: the lease, and time to claim it again. */
const GONE_MS = LEASE_MS + 10_000;

/** The events of one watch while nodes fail, and the longest gap of each name. */
class Watcher {
  readonly events: string[] = [];
  readonly gapsMs = new Map<string, number>();
  states = 0;
  readonly #freed = new Map<string, number>();

  /** Reads until a name is held. */
  async until(names: ReturnType<typeof openNames>, last: string, ready: () => void): Promise<void> {
    for await (const event of names.watch()) {
      if (event.type === "state") this.states++;
      ready();
      if (event.type !== "held" && event.type !== "freed") continue;
      const { name, address } = event.entry;
      this.events.push(`${event.type} ${name} ${address}`);
      if (event.type === "freed") this.#freed.set(name, Date.now());
      else this.gapsMs.set(name, Math.max(this.gapsMs.get(name) ?? 0, this.#gap(name)));
      if (name === last) return;
    }
  }

  #gap(name: string): number {
    return Date.now() - (this.#freed.get(name) ?? Date.now());
  }
}

/** Waits until all of these names are held at the same time. */
async function untilHeld(service: ReturnType<typeof openNames>, names: string[]): Promise<void> {
  const held = new Set<string>();
  for await (const event of service.watch()) {
    if (event.type === "state") event.entries.forEach(({ name }) => held.add(name));
    if (event.type === "held") held.add(event.entry.name);
    if (event.type === "freed") held.delete(event.entry.name);
    if (names.every((name) => held.has(name))) return;
  }
}

/** All events according to etcd itself, and the names that changed hands without being freed. */
async function history(
  cluster: EtcdCluster,
  last: string,
): Promise<{ events: string[]; stolen: string[] }> {
  await using etcdctl = new Program([
    "etcdctl",
    `--endpoints=${cluster.endpoint(0)}`,
    ...["watch", "--prefix", "", "--rev=1", "-w", "json"],
  ], { env: { ETCDCTL_API: "3" } });
  await etcdctl.out.until(new RegExp(`"${btoa(`${last}/holder`)}".*\\n`));
  const lines = etcdctl.out.text.split("\n").slice(0, -1);
  const held = new Map<string, string>();
  const events: string[] = [];
  const stolen: string[] = [];
  for (const { type, kv } of lines.flatMap((line) => JSON.parse(line).Events)) {
    const [name] = atob(kv.key).split("/");
    const former = held.get(name);
    if (type === 1) {
      held.delete(name);
      events.push(`freed ${name} ${former}`);
      continue;
    }
    const address: string = JSON.parse(atob(kv.value)).Addr;
    held.set(name, address);
    if (address !== former) events.push(`held ${name} ${address}`);
    if (former && former.split(":")[0] !== address.split(":")[0]) stolen.push(`${name} ${address}`);
  }
  return { events, stolen };
}

/** Registers a name and gives it back, again and again, with a host that identifies the claimant. */
class Churn {
  rounds = 0;
  readonly #progress = new Pulse();

  async run(place: string, name: string, host: string, isOver: () => boolean): Promise<void> {
    await using names = openNames(place);
    for (let port = 1; !isOver(); port++) {
      try {
        await using claimed = await names.register({ name, address: `${host}:${port}` });
        if (claimed.status.state !== "held") continue;
      } catch (error) {
        assert.equal(GreetError.from(error).code, "ALREADY_EXISTS");
        continue;
      }
      this.rounds++;
      this.#progress.beat();
    }
  }

  /** Waits for a number of further rounds. */
  async further(rounds: number): Promise<void> {
    const goal = this.rounds + rounds;
    while (this.rounds < goal) await inTime(this.#progress.next, "another registration");
  }
}

etcdTest(
  "three nodes lose no name and no event when one is killed and one is paused",
  async () => {
    await using cluster = await EtcdCluster.start({ nodes: 3 });
    await using stack = new AsyncDisposableStack();
    const open = (first: number) => stack.use(openNames(cluster.place(first % 3)));
    const watchers = [0, 1, 2].map(() => new Watcher());
    const watching: Promise<void>[] = [];
    for (const [index, watcher] of watchers.entries()) {
      const ready = Promise.withResolvers<void>();
      watching.push(watcher.until(open(index), "End", ready.resolve));
      await inTime(ready.promise, "the state");
    }
    const holders = await Promise.all(
      Array.from(
        { length: 20 },
        (_, index) =>
          open(index).register({ name: `Holder ${index}`, address: `127.0.0.1:${index + 1}` }),
      ),
    );
    let isOver = false;
    const churns = Array.from({ length: 3 }, () => new Churn());
    const rivals = Array.from({ length: 4 }, () => new Churn());
    const running = [
      ...churns.map((churn, i) =>
        churn.run(cluster.place(i), `Churn ${i}`, `127.0.1.${i}`, () => isOver)
      ),
      ...rivals.map((rival, i) =>
        rival.run(cluster.place(i % 3), "Prize", `127.0.2.${i}`, () => isOver)
      ),
    ];
    const progress = () => Promise.all(churns.map((churn) => churn.further(10)));
    await progress();
    const killed = await cluster.leader();
    await cluster.kill(killed);
    await progress();
    await cluster.startNode(killed);
    await progress();
    const paused = await cluster.leader();
    cluster.pause(paused);
    // Long enough for its state to be out of date when it resumes.
    await Promise.all([progress(), pause(LEASE_MS + 1_000)]);
    cluster.resume(paused);
    await progress();
    isOver = true;
    await inTime(Promise.all(running), "the end of all claims");
    await Promise.all(
      rivals.map(({ rounds }) => assert(rounds > 0, "a rival never got the prize")),
    );
    const names = holders.map(({ claim: { name } }) => name);
    await inTime(untilHeld(open(0), names), "all held names", GONE_MS);
    await using _end = await open(0).register({ name: "End", address: "127.0.0.1:1" });
    await inTime(Promise.all(watching), "the last event");
    for (const { status, claim } of holders) assert.equal(status.state, "held", claim.name);
    const { events, stolen } = await history(cluster, "End");
    assert.deepEqual(stolen, []);
    for (const watcher of watchers) {
      assert.equal(watcher.states, 1);
      assert.deepEqual(watcher.events, events);
      for (const name of names) {
        assert(
          (watcher.gapsMs.get(name) ?? 0) <= GONE_MS,
          `${name} was gone for ${watcher.gapsMs.get(name)} ms`,
        );
      }
    }
  },
);

etcdTest("the right password is accepted, a wrong one is refused without quoting it", async () => {
  await using cluster = await EtcdCluster.start();
  for (
    const command of [
      "user add root:secret",
      "user grant-role root root",
      "role add team",
      "role grant-permission --prefix=true team readwrite team/",
      "user add ann:hunter2",
      "user grant-role ann team",
      "auth enable",
    ]
  ) await cluster.etcdctl(...command.split(" "));
  const ann = { user: "ann", password: "hunter2" };
  await using names = openNames(cluster.place(0, "team"), ann);
  const changed = Promise.withResolvers<void>();
  const states: string[] = [];
  await using _bob = await names.register(BOB, ({ state }) => {
    states.push(state);
    if (state === "held") changed.resolve();
  });
  assert.equal((await names.lookup("Bob"))[0].address, BOB.address);
  const watch = names.watch();
  assert.equal((await watch.next()).value?.type, "state");

  const refused = async (options: typeof ann | undefined, prefix: string, code: string) => {
    await using other = openNames(cluster.place(0, prefix), options);
    const check = (error: GreetError) => {
      assert.equal(error.code, code);
      assert.doesNotMatch(Deno.inspect(error), /hunter|wrong/);
      return true;
    };
    await assert.rejects(inTime(other.register({ ...BOB, name: "Eve" }), "a refusal"), check);
    await assert.rejects(inTime(other.lookup("Bob"), "a refusal"), check);
    await assert.rejects(inTime(other.watch().next(), "a refusal"), check);
  };
  await refused({ ...ann, password: "wrong" }, "team", "UNAUTHENTICATED");
  await refused(undefined, "team", "UNAUTHENTICATED");
  await refused(ann, "others", "PERMISSION_DENIED");

  // A restarted node has forgotten all tokens.
  await cluster.kill(0);
  assert.equal((await inTime(watch.next(), "the loss")).value?.type, "lost");
  await cluster.startNode(0);
  await using _alice = await names.register({ ...BOB, name: "Alice" });
  for (let name = ""; name !== "Alice";) {
    const { value } = await inTime(watch.next(), "Alice");
    if (value?.type === "held") name = value.entry.name;
  }
  assert.equal((await names.lookup("Bob"))[0].address, BOB.address);
  await watch.return(undefined);
});

etcdTest(
  "with TLS, the certificate must be trusted, and for the host that was dialled",
  async () => {
    const folder = await Deno.makeTempDir({ prefix: "greet-tls-" });
    await using _removed = {
      [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
    };
    const [key, cert] = [`${folder}/key.pem`, `${folder}/cert.pem`];
    const hosts = ["127.0.0.1", "localhost"];
    for (const [host, other, alternative] of [[...hosts, "IP"], [...hosts.reverse(), "DNS"]]) {
      await output("openssl", [
        ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
        ...["-keyout", key, "-out", cert, "-days", "1", "-subj", "/CN=etcd"],
        ...["-addext", `subjectAltName=${alternative}:${host}`],
      ]);
      await using cluster = await EtcdCluster.start({ tls: { cert, key } });
      const trusted = await Deno.readFile(cert);
      const place = (host: string) => cluster.place().replace("127.0.0.1", host);
      await using names = openNames(place(host), { trusted });
      await using _bob = await names.register(BOB);
      assert.equal((await names.lookup("Bob"))[0].address, BOB.address);
      const rejected = async (host: string, options: { trusted?: Uint8Array }, message: RegExp) => {
        await using stranger = openNames(place(host), options);
        await assert.rejects(stranger.lookup("Bob"), { code: "UNAVAILABLE", message });
      };
      await rejected(host, {}, /certificate is not trusted/);
      await rejected(other, { trusted }, /certificate is for another host/);
    }
  },
  { what: "etcd and openssl", isThere: hasOpenssl },
);
