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
}

async function etcdThat({ range = () => [], transaction, watched = [], login }: Answers) {
  const kv = implement(ETCD_KV, {
    Range: (_, call) => ({ kvs: range(call), more: false, header }),
    Txn(request) {
      const { succeeded, kvs } = transaction!(request);
      return { succeeded, header, responses: [{ responseRange: { kvs, more: false, header } }] };
    },
  });
  const lease = implement(ETCD_LEASE, {
    LeaseGrant: ({ ID, TTL }) => ({ ID, TTL: `${TTL}` }),
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
  assert.equal(state.type, "state");
  assert(change.type === "held" && change.entry.name === "Carol", JSON.stringify(change));
});

Deno.test("a name that changes while it is claimed again is claimed once more", async () => {
  let tries = 0;
  await using server = await etcdThat({
    transaction({ success: [operation] }) {
      const { lease } = (operation as { requestPut: { lease: string } }).requestPut;
      // The answer to an earlier claim was lost; then someone changes the key.
      if (++tries < 3) return { succeeded: false, kvs: [held("Bob", lease)] };
      return { succeeded: true, kvs: [] };
    },
  });
  await using etcd = new Etcd(server.place);
  const end = new AbortController();
  const isHeld = Promise.withResolvers<void>();
  const holding = etcd.hold(CLAIM, () => isHeld.resolve(), end.signal);
  await inTime(isHeld.promise, "the name");
  assert.equal(tries, 3);
  end.abort();
  await holding;
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
  const read = server.client.read(RANGE, { timeoutMs: 200 });
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
