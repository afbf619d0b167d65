/** An etcd that gives rare answers, which a test decides: lost races, watches that end, passwords. */
import assert from "node:assert/strict";
import { GreetError } from "../../mod.ts";
import { Etcd } from "../../src/naming/etcd.ts";
import { EtcdClient } from "../../src/naming/etcd_client.ts";
import {
  ETCD_AUTH,
  ETCD_KV,
  ETCD_LEASE,
  ETCD_WATCH,
  type EtcdKeyValue,
  type EtcdTransaction,
  type EtcdWatched,
} from "../../src/naming/etcd_services.ts";
import { encode, toValue } from "../../src/naming/etcd_keys.ts";
import type { WatchUpdate } from "../../src/naming/naming_service.ts";
import { parseTarget } from "../../src/net/address.ts";
import { serve } from "../../src/rpc/server.ts";
import { implement, type IncomingCall } from "../../src/rpc/service.ts";
import { inTime } from "../support/waiting.ts";

const CLAIM = { name: "Bob", address: "127.0.0.1:1" };

const RANGE = { key: encode("a"), rangeEnd: encode("b") };

const header = { revision: "1" };

/** How a key is held under a lease. */
function held(name: string, lease: string): EtcdKeyValue {
  return { key: encode(`${name}/holder`), value: toValue(CLAIM.address), modRevision: "1", lease };
}

/** What an answer of a watch has, unless a test says otherwise. */
const WATCHED: EtcdWatched = {
  ...{
    header,
    created: false,
    canceled: false,
    compactRevision: "0",
    cancelReason: "",
    events: [],
  },
};

/** What a test decides. */
interface Answers {
  readonly range?: (call: IncomingCall) => EtcdKeyValue[];
  readonly transaction?: (request: EtcdTransaction) => { succeeded: boolean; kvs: EtcdKeyValue[] };
  /** The answers of a watch, after the one that confirms it. */
  readonly watched?: readonly Partial<EtcdWatched>[];
  readonly login?: () => string;
  /** What happens before a lease is granted. */
  readonly granting?: () => Promise<unknown>;
}

async function etcdThat(answers: Answers) {
  const { range = () => [], transaction, watched = [], login, granting } = answers;
  const kv = implement(ETCD_KV, {
    Range: (_, call) => ({ kvs: range(call), more: false, header }),
    Txn(request) {
      const { succeeded, kvs } = transaction!(request);
      return { succeeded, header, responses: [{ responseRange: { kvs, more: false, header } }] };
    },
  });
  const lease = implement(ETCD_LEASE, {
    async LeaseGrant({ ID, TTL }) {
      await granting?.();
      return { ID, TTL: `${TTL}` };
    },
    LeaseRevoke: () => ({}),
    async *LeaseKeepAlive(requests) {
      for await (const { ID } of requests) yield { ID, TTL: "5" };
    },
  });
  const watch = implement(ETCD_WATCH, {
    async *Watch() {
      yield { ...WATCHED, created: true };
      for (const answer of watched) yield { ...WATCHED, ...answer };
    },
  });
  const auth = implement(ETCD_AUTH, { Authenticate: () => ({ token: login!() }) });
  const services = [kv, lease, watch, auth];
  const server = await serve({ host: "127.0.0.1", port: 0, services });
  const { port } = server;
  const cluster = { targets: [parseTarget(`${port}`)], isSecure: false };
  const client = new EtcdClient(cluster, { user: "alice", password: "secret" });
  return {
    client,
    place: `etcd://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await server.stop(0);
    },
  };
}

Deno.test("a holder that gets a new lease has not come again", async () => {
  const put = (name: string, lease: string) => ({ type: "PUT" as const, kv: held(name, lease) });
  await using server = await etcdThat({
    range: () => [held("Bob", "1")],
    watched: [{ events: [put("Bob", "2"), put("Carol", "3")] }],
  });
  await using etcd = new Etcd(server.place);
  const updates: WatchUpdate[] = [];
  for await (const update of etcd.watch().run(new AbortController().signal)) {
    if (updates.push(update) === 2) break;
  }
  const [state, change] = updates;
  // No lease of ours has such an id, so it does not tell since when.
  const bob = { ...CLAIM, shared: false };
  assert.deepEqual(state, { type: "state", entries: [bob] });
  assert(change.type === "held" && change.entry.name === "Carol", JSON.stringify(change));
});

Deno.test("a name that changes while it is claimed again is claimed once more", async () => {
  const conditions: string[] = [];
  await using server = await etcdThat({
    transaction({ compare: [{ target, modRevision }], success: [operation] }) {
      const { lease } = (operation as { requestPut: { lease: string } }).requestPut;
      // The answer to an earlier claim was lost; then someone changes the key.
      if (conditions.push(target === "MOD" ? `MOD ${modRevision}` : target) < 3) {
        return { succeeded: false, kvs: [held("Bob", lease)] };
      }
      return { succeeded: true, kvs: [] };
    },
  });
  await using etcd = new Etcd(server.place);
  const end = new AbortController();
  const isHeld = Promise.withResolvers<void>();
  const holding = etcd.hold(CLAIM, () => isHeld.resolve(), end.signal);
  await inTime(isHeld.promise, "the name");
  assert.deepEqual(conditions, ["CREATE", "MOD 1", "CREATE"]);
  end.abort();
  await holding;
});

Deno.test("a name that we still hold under another key is waited for, not asked for all the time", async () => {
  const [former, later] = ["+/", "/+"].map((pair) => `SHA256:${pair.repeat(21)}A`);
  const key = encode(`Bob/holder+${former}`);
  let lease = "";
  const conditions: string[] = [];
  await using server = await etcdThat({
    transaction({ compare: [{ target }], success: [operation] }) {
      const { requestPut } = operation as { requestPut: { lease: string } };
      // The first claim succeeds. Giving the name back does not reach etcd, which frees it later.
      if (conditions.push(target) === 2) {
        return { succeeded: false, kvs: [{ ...held("Bob", lease), key }] };
      }
      lease = requestPut.lease;
      return { succeeded: true, kvs: [] };
    },
    watched: [{ events: [{ type: "DELETE", kv: { ...held("Bob", "0"), key } }] }],
  });
  await using etcd = new Etcd(server.place);
  for (const fingerprint of [former, later]) {
    const end = new AbortController();
    const isHeld = Promise.withResolvers<void>();
    const holding = etcd.hold({ ...CLAIM, fingerprint }, () => isHeld.resolve(), end.signal);
    await inTime(isHeld.promise, "the name");
    end.abort();
    await holding;
  }
  // Only what does not exist is put, and that once the name is free.
  assert.deepEqual(conditions, ["CREATE", "CREATE", "CREATE"]);
});

Deno.test("a name is claimed only when its lease has been granted", async () => {
  const order: string[] = [];
  await using other = await etcdThat({ login: () => "" });
  await using server = await etcdThat({
    async granting() {
      // Another connection takes longer than a claim on the same one.
      await other.client.read(RANGE, { timeoutMs: 5_000 });
      order.push("lease");
    },
    transaction() {
      order.push("name");
      return { succeeded: true, kvs: [] };
    },
  });
  await using etcd = new Etcd(server.place);
  const end = new AbortController();
  await inTime(etcd.hold(CLAIM, () => end.abort(), end.signal), "the name");
  assert.deepEqual(order, ["lease", "name"]);
});

Deno.test("a name whose lease is refused is not held, and the refusal is told", async () => {
  await using server = await etcdThat({
    granting: () => Promise.reject(new GreetError("RESOURCE_EXHAUSTED", "etcdserver: too many")),
  });
  await using etcd = new Etcd(server.place);
  const end = new AbortController();
  try {
    const holding = etcd.hold(CLAIM, () => assert.fail("it is held"), end.signal);
    await assert.rejects(inTime(holding, "a refusal"), { code: "RESOURCE_EXHAUSTED" });
  } finally {
    end.abort();
  }
});

Deno.test("a name that is given back is deleted only as long as it is ours", async () => {
  const transactions: EtcdTransaction[] = [];
  await using server = await etcdThat({
    transaction(request) {
      transactions.push(request);
      return { succeeded: true, kvs: [] };
    },
  });
  await using etcd = new Etcd(server.place);
  const hold = async (name: string) => {
    const end = new AbortController();
    const isHeld = Promise.withResolvers<void>();
    const holding = etcd.hold({ ...CLAIM, name }, () => isHeld.resolve(), end.signal);
    await inTime(isHeld.promise, "the name");
    return () => (end.abort(), holding);
  };
  const [giveBackAlice, giveBackBob] = [await hold("Alice"), await hold("Bob")];
  await giveBackBob();
  const [{ success: [put] }, , { compare, success }] = transactions;
  const { lease } = (put as { requestPut: { lease: string } }).requestPut;
  assert.deepEqual(compare.map(({ target, lease }) => [target, lease]), [["LEASE", lease]]);
  const keys = [
    compare[0].key,
    (success[0] as { requestDeleteRange: { key: Uint8Array } })
      .requestDeleteRange.key,
  ];
  assert.deepEqual(keys.map((key) => new TextDecoder().decode(key)), ["Bob/holder", "Bob/holder"]);
  await giveBackAlice();
  assert.equal(transactions.length, 3);
});

Deno.test("a node that fails is left for the next one", async () => {
  const asked: number[] = [];
  const node = (index: number) =>
    etcdThat({
      range() {
        asked.push(index);
        if (index === 0) throw new GreetError("UNAVAILABLE", "etcdserver: no leader");
        return [held("Bob", "1")];
      },
    });
  await using failing = await node(0);
  await using sound = await node(1);
  await using etcd = new Etcd(`${failing.place},${sound.place.replace("etcd://", "")}`);
  for (let i = 0; i < 2; i++) {
    const [{ name }] = await etcd.list("Bob", { timeoutMs: 5_000 });
    assert.equal(name, "Bob");
  }
  assert.deepEqual(asked, [0, 1, 1]);
});

Deno.test("a node that goes on failing is tried twice, and a refusal that stays is told", async () => {
  for (const code of ["UNAVAILABLE", "PERMISSION_DENIED"] as const) {
    let asked = 0;
    await using server = await etcdThat({
      range() {
        asked++;
        throw new GreetError(code, "etcdserver: no");
      },
      login: () => "token",
    });
    const read = server.client.read(RANGE, { timeoutMs: 5_000 });
    await assert.rejects(inTime(read, "an error"), { code, message: /: etcdserver: no$/ });
    assert.equal(asked, 2);
  }
});

Deno.test("a watch that ends at once is reported, and not continued without a pause", async () => {
  await using server = await etcdThat({});
  await using etcd = new Etcd(server.place);
  const updates = Array.fromAsync(etcd.watch().run(new AbortController().signal));
  await assert.rejects(inTime(updates, "the end"), { code: "UNAVAILABLE" });
});

Deno.test("a watch that ends or is refused is not taken for one without changes", async () => {
  const ends: [watched: Partial<EtcdWatched>[], error: { code: string; message: RegExp }][] = [
    [[], { code: "UNAVAILABLE", message: /: the watch ended$/ }],
    [[{ canceled: true, cancelReason: "etcdserver: permission denied" }], {
      code: "PERMISSION_DENIED",
      message: /: etcdserver: permission denied$/,
    }],
    [[{ canceled: true, cancelReason: "no leader" }], {
      code: "UNAVAILABLE",
      message: /no leader$/,
    }],
  ];
  for (const [watched, error] of ends) {
    await using server = await etcdThat({ watched, login: () => "" });
    const { signal } = new AbortController();
    const answers = await server.client.watch(RANGE, "1", signal);
    await assert.rejects(inTime(Array.fromAsync(answers), "the end"), error);
  }
});

Deno.test("names whose revisions are always compacted before they are read are given up in time", async () => {
  await using server = await etcdThat({
    range() {
      throw new GreetError(
        "OUT_OF_RANGE",
        "etcdserver: mvcc: required revision has been compacted",
      );
    },
    login: () => "",
  });
  const read = server.client.read(RANGE, { timeoutMs: 2_000 });
  await assert.rejects(inTime(read, "the end"), {
    code: "DEADLINE_EXCEEDED",
    message: /kept sending names for too long$/,
  });
});

Deno.test("a cluster without passwords takes a user, and any other failure to log in is told", async () => {
  const tokens: (string | undefined)[] = [];
  const range = (call: IncomingCall) => (tokens.push(call.header("token")), []);
  for (const code of ["FAILED_PRECONDITION", "INVALID_ARGUMENT", "NOT_FOUND"] as const) {
    await using server = await etcdThat({
      range,
      login() {
        throw new GreetError(code, "etcdserver: authentication is not enabled");
      },
    });
    const read = server.client.read(RANGE, { timeoutMs: 5_000 });
    if (code === "FAILED_PRECONDITION") await read;
    else await assert.rejects(read, { code: code === "NOT_FOUND" ? code : "UNAUTHENTICATED" });
  }
  assert.deepEqual(tokens, [undefined]);
});

for (
  const [code, message] of [
    ["UNAUTHENTICATED", "etcdserver: invalid auth token"],
    ["INVALID_ARGUMENT", "etcdserver: revision of auth store is old"],
    ["PERMISSION_DENIED", "etcdserver: permission denied"],
  ] as const
) {
  Deno.test(`a token that is refused with ${code} is replaced by another one`, async () => {
    const tokens: (string | undefined)[] = [];
    let logins = 0;
    await using server = await etcdThat({
      range(call) {
        if (tokens.push(call.header("token")) === 1) throw new GreetError(code, message);
        return [];
      },
      login: () => `token ${++logins}`,
    });
    await server.client.read(RANGE, { timeoutMs: 5_000 });
    assert.deepEqual(tokens, ["token 1", "token 2"]);
  });
}

Deno.test("a request that etcd finds wrong is not repeated with another token", async () => {
  let logins = 0;
  await using server = await etcdThat({
    range() {
      throw new GreetError("INVALID_ARGUMENT", "etcdserver: key is not provided");
    },
    login: () => `token ${++logins}`,
  });
  await assert.rejects(server.client.read(RANGE, { timeoutMs: 5_000 }), {
    code: "INVALID_ARGUMENT",
  });
  assert.equal(logins, 1);
});
