/** The local network as a naming service, without a network: packets, what is remembered, answers. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { GreetError, openNames } from "../../mod.ts";
import { nameProblem } from "../../src/base/text.ts";
import { pause, Pulse } from "../../src/base/timing.ts";
import { Lan } from "../../src/naming/lan.ts";
import { LanCache, type Origin } from "../../src/naming/lan/cache.ts";
import { LanClaim } from "../../src/naming/lan/claim.ts";
import type { LanInterface } from "../../src/naming/lan/interfaces.ts";
import { distanceOn } from "../../src/naming/lan/interfaces.ts";
import { LanNode } from "../../src/naming/lan/node.ts";
import {
  compareClaims,
  decodePacket,
  encodePacket,
  USUAL_BYTES,
} from "../../src/naming/lan/packets.ts";
import {
  addressRecords,
  instanceOf,
  instanceRecords,
  type LanMessage,
  type LanQuestion,
  type LanRecord,
  nameOf,
  SERVICE,
} from "../../src/naming/lan/records.ts";
import { LanResponder, type Publication } from "../../src/naming/lan/responder.ts";
import { LanSockets } from "../../src/naming/lan/sockets.ts";
import { isEndpoint } from "../../src/net/address.ts";
import { BlockList } from "node:net";
import { inTime } from "../support/waiting.ts";

const RUNS = 300 * Number(Deno.env.get("GREET_TEST_SEEDS") ?? 1);

const KEY = `SHA256:${"a".repeat(43)}`;

const NEARBY = new BlockList();
NEARBY.addSubnet("10.9.0.0", 24, "ipv4");
NEARBY.addSubnet("fd00::", 64, "ipv6");

const LINK: LanInterface = {
  name: "eth0",
  v4: "10.9.0.1",
  hasV6: true,
  addresses: ["10.9.0.1"],
  nearby: NEARBY,
};

const from = (address: string): Origin => ({ address, distance: (one) => distanceOn(LINK, one) });

const NEIGHBOR = from("10.9.0.2");

interface Holder {
  shared?: boolean;
  fingerprint?: string;
  ttl?: number;
  addresses?: string[];
  host?: string;
  port?: number;
}

/** What a holder of a name announces. */
function announcement(name: string, holder: Holder = {}): LanRecord[] {
  const { addresses = ["10.9.0.2"], host = "host-1.local", port = 5555, ttl = 120 } = holder;
  const { own, common } = instanceRecords({ name, address: "", ...holder }, port, host, ttl);
  return [...common, ...own, ...addressRecords(host, addresses, ttl)];
}

const roundTrip = (message: LanMessage) => decodePacket(encodePacket(message));

const response = (answers: readonly LanRecord[]): LanMessage => ({
  type: "response",
  questions: [],
  answers,
});

// ---------------------------------------------------------------- packets and names

Deno.test("lan is a naming service, and its other names are answered with it", () => {
  assert.equal(openNames("lan").where, "on the local network");
  for (const place of ["LAN", "mdns", "bonjour", "lan://"]) {
    assert.throws(() => openNames(place), (error: GreetError) => {
      assert.equal(error.code, "USAGE");
      assert.equal(error.hint, "did you mean lan?");
      return true;
    });
  }
});

Deno.test("what cannot be registered on the local network is refused in one sentence", async () => {
  await using lan = new Lan();
  const { signal } = new AbortController();
  const claims = [
    [{ name: "é".repeat(32), address: "10.9.0.1:1" }, /at most 63 bytes/],
    [{ name: "Alice", address: "127.0.0.1:1" }, /cannot call 127\.0\.0\.1$/],
    [{ name: "Alice", address: "example.org:1" }, /cannot call example\.org$/],
  ] as const;
  for (const [claim, message] of claims) {
    await assert.rejects(lan.hold(claim, () => {}, signal), { code: "USAGE", message });
  }
});

Deno.test("names with dots, spaces and letters beyond ASCII survive the wire", () => {
  for (const name of ["Alice", "Dr. Bob J. Smith", "Zoë", "小明", "...", "a._greet._tcp.local"]) {
    const answers = announcement(name, { fingerprint: KEY });
    const cache = new LanCache();
    cache.watch(name);
    cache.learn(roundTrip(response(answers))!.answers, NEIGHBOR, 0);
    assert.deepEqual(cache.entries(name), [
      { name, address: "10.9.0.2:5555", shared: false, fingerprint: KEY },
    ]);
  }
});

Deno.test("of two claims made at once, both sides choose the same one", () => {
  const claim = (host: string) => instanceRecords({ name: "Alice", address: "" }, 5555, host).own;
  const [one, other] = [claim("greet-1.local"), claim("greet-2.local")];
  const seen = roundTrip({ type: "query", questions: [], answers: [], authorities: other });
  assert(compareClaims(one, seen!.authorities!) < 0);
  assert(compareClaims(other, one) > 0);
  assert.equal(compareClaims(other, seen!.authorities!), 0);
});

Deno.test("packets about other services, too large ones and malformed ones are ignored", () => {
  const about = (name: string) =>
    encodePacket({ type: "query", questions: [{ name, type: "PTR" }], answers: [] });
  assert.notEqual(decodePacket(about(SERVICE)), undefined);
  assert.notEqual(decodePacket(about("_GREET._TCP.local")), undefined);
  assert.equal(decodePacket(about("_ipp._tcp.local")), undefined);
  assert.notEqual(decodePacket(about("host-1.local"), new Map([["host-1.local", 1]])), undefined);
  const many = Array(200).fill({ name: SERVICE, type: "PTR" });
  assert.equal(
    decodePacket(encodePacket({ type: "query", questions: many, answers: [] })),
    undefined,
  );
  const packet = about(SERVICE);
  assert.equal(decodePacket(packet.subarray(0, packet.length - 3)), undefined);
  assert.equal(decodePacket(new Uint8Array(9_001)), undefined);
});

Deno.test("a query says whether more known answers follow, in the bit that other programs read", () => {
  const questions = [{ name: SERVICE, type: "PTR" as const }];
  const flags = (message: Partial<LanMessage>) => {
    const packet = encodePacket({ type: "query", questions, answers: [], ...message });
    return [packet[2] << 8 | packet[3], decodePacket(packet)?.isTruncated];
  };
  assert.deepEqual(flags({ isTruncated: true }), [0x0200, true]);
  assert.deepEqual(flags({}), [0, false]);
  assert.deepEqual(flags({ type: "response" }), [0x8400, false]);
});

Deno.test("whatever a packet contains, no entry is unsound and nothing is thrown", () => {
  const valid = encodePacket(response(announcement("Bob", { fingerprint: KEY })));
  const flips = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { maxLength: 12 });
  const cache = new LanCache();
  cache.watch(undefined);
  let learnt = 0;
  fc.assert(
    fc.property(flips, fc.nat(valid.length), (changes, cut) => {
      const bytes = Uint8Array.from(valid).slice(0, cut < 20 ? cut : undefined);
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
      const message = decodePacket(bytes);
      if (message === undefined) return;
      learnt++;
      cache.learn([...message.answers, ...message.additionals ?? []], NEIGHBOR, learnt);
      for (const { name, address } of cache.entries(undefined)) {
        assert.equal(nameProblem(name), undefined);
        assert(isEndpoint(address), address);
      }
    }),
    { numRuns: RUNS, seed: 1 },
  );
  assert(learnt > RUNS / 10, `${learnt} packets were understood`);
});

// ---------------------------------------------------------------- what is remembered

Deno.test("only what is watched is remembered, and forgotten when it no longer is", () => {
  const cache = new LanCache();
  assert.equal(cache.learn(announcement("Bob"), NEIGHBOR, 0), false);
  const forget = cache.watch("Bob");
  cache.learn([...announcement("Bob"), ...announcement("Carol")], NEIGHBOR, 0);
  assert.deepEqual(cache.entries(undefined).map(({ name }) => name), ["Bob"]);
  forget();
  assert.deepEqual(cache.entries(undefined), []);
  assert.equal(cache.hosts.size, 0);
  const forgetAll = cache.watch(undefined);
  cache.learn(announcement("Bob"), NEIGHBOR, 0);
  forgetAll();
  assert.deepEqual([cache.entries(undefined), cache.missing()], [[], []]);
});

Deno.test("a holder is listed when its place and its key are known, and asked for until then", () => {
  const cache = new LanCache();
  cache.watch(undefined);
  const records = announcement("Bob", { fingerprint: KEY });
  const [pointer, , srv, txt, address] = records;
  const missing = () => cache.missing().map(({ name, type }) => `${type} ${name.toLowerCase()}`);
  cache.learn([pointer], NEIGHBOR, 0);
  assert.deepEqual(missing(), ["SRV bob._greet._tcp.local", "TXT bob._greet._tcp.local"]);
  cache.learn([srv], NEIGHBOR, 0);
  assert.deepEqual(missing(), ["TXT bob._greet._tcp.local", "A host-1.local", "AAAA host-1.local"]);
  cache.learn([txt], NEIGHBOR, 0);
  assert.deepEqual(cache.entries("Bob"), []);
  cache.learn([address], NEIGHBOR, 0);
  assert.deepEqual(missing(), []);
  assert.equal(cache.entries("Bob").length, 1);
});

Deno.test("a record is asked for at 80, 85, 90 and 95 % of its life, and then forgotten", () => {
  const cache = new LanCache();
  cache.watch("Bob");
  cache.learn(announcement("Bob", { ttl: 100 }), NEIGHBOR, 0);
  for (const percent of [80, 85, 90, 95]) {
    assert.deepEqual(cache.refreshes(percent * 1_000 - 1), [], `before ${percent} %`);
    const due = cache.refreshes((percent + 2) * 1_000).map(({ type }) => type).sort();
    assert.deepEqual(due, ["A", "SRV"], `at ${percent} %`);
  }
  assert(cache.nextAt <= 100_000);
  assert.equal(cache.expire(99_999), false);
  assert.equal(cache.expire(100_000), true);
  assert.deepEqual(cache.entries("Bob"), []);
});

Deno.test("a goodbye counts after a second, unless the holder objects", () => {
  const cache = new LanCache();
  cache.watch("Bob");
  const records = announcement("Bob");
  cache.learn(records, NEIGHBOR, 0);
  const goodbye = records.map((record) => ({ ...record, ttl: 0 }));
  cache.learn(goodbye, NEIGHBOR, 10_000);
  cache.learn(records, NEIGHBOR, 10_500);
  cache.expire(11_000);
  assert.equal(cache.entries("Bob").length, 1);
  cache.learn(goodbye, NEIGHBOR, 20_000);
  assert(cache.nextAt <= 21_000, `looked at again at ${cache.nextAt}`);
  cache.expire(20_999);
  assert.equal(cache.entries("Bob").length, 1);
  cache.expire(21_000);
  assert.deepEqual(cache.entries("Bob"), []);
});

Deno.test("a second holder of an exclusive name is called only when the first is gone", () => {
  const cache = new LanCache();
  cache.watch("Bob");
  const forger = { host: "forger.local", addresses: ["10.9.0.66"] };
  const addresses = () => cache.entries("Bob").map(({ address }) => address);
  cache.learn(announcement("Bob", { fingerprint: KEY }), NEIGHBOR, 0);
  cache.learn(announcement("Bob", forger), from("10.9.0.66"), 5_000);
  assert.deepEqual(addresses(), ["10.9.0.2:5555"]);
  assert.equal(cache.entries("Bob")[0].fingerprint, KEY);
  // The holder repeats its records within a second.
  cache.learn(announcement("Bob", { fingerprint: KEY }), NEIGHBOR, 5_500);
  cache.expire(6_000);
  assert.deepEqual(addresses(), ["10.9.0.2:5555"]);
  // It does not.
  cache.learn(announcement("Bob", forger), from("10.9.0.66"), 9_000);
  cache.expire(10_000);
  assert.deepEqual(addresses(), ["10.9.0.66:5555"]);
});

Deno.test("the nearest address is called, and the same one as long as it is valid", () => {
  const called = (...addresses: string[]) => {
    const cache = new LanCache();
    cache.watch("Bob");
    cache.learn(announcement("Bob", { addresses }), NEIGHBOR, 0);
    return cache.entries("Bob").map(({ address }) => address)[0];
  };
  assert.equal(called("192.0.2.1", "fd00::2", "10.9.0.2"), "10.9.0.2:5555");
  assert.equal(called("192.0.2.1", "fd00::2"), "[fd00::2]:5555");
  assert.equal(called("2001:db8::1", "192.0.2.1"), "192.0.2.1:5555");
  for (const address of ["127.0.0.1", "0.0.0.0", "224.0.0.251", "fe80::1", "::1", "ff02::fb"]) {
    assert.equal(called(address), undefined, address);
  }
  assert.equal(called("::ffff:127.0.0.1"), undefined);
  const cache = new LanCache();
  cache.watch("Bob");
  cache.learn(announcement("Bob", { addresses: ["fd00::2"] }), NEIGHBOR, 0);
  assert.equal(cache.entries("Bob")[0].address, "[fd00::2]:5555");
  cache.learn(announcement("Bob", { addresses: ["fd00::2", "10.9.0.2"] }), NEIGHBOR, 0);
  assert.equal(cache.entries("Bob")[0].address, "[fd00::2]:5555");
});

Deno.test("addresses that are announced together do not replace each other", () => {
  const cache = new LanCache();
  cache.watch("Bob");
  cache.learn(announcement("Bob", { addresses: ["10.9.0.2", "192.0.2.1"] }), NEIGHBOR, 0);
  cache.expire(5_000);
  assert.equal(cache.entries("Bob")[0].address, "10.9.0.2:5555");
  // One that moves to another network has only the address there.
  cache.learn(announcement("Bob", { addresses: ["192.0.2.1"] }), NEIGHBOR, 5_000);
  cache.expire(6_000);
  assert.equal(cache.entries("Bob")[0].address, "192.0.2.1:5555");
});

Deno.test("the holders of a shared name have no key, although one may say so", () => {
  const cache = new LanCache();
  cache.watch("Bob");
  cache.learn(announcement("Bob", { shared: true, fingerprint: KEY }), NEIGHBOR, 0);
  assert.deepEqual(cache.entries("Bob"), [
    { name: "Bob", address: "10.9.0.2:5555", shared: true },
  ]);
});

Deno.test("a flood of names fills a bounded memory, and leaves room for a name that is watched", () => {
  const cache = new LanCache();
  cache.watch(undefined);
  cache.watch("Bob");
  for (let i = 0; i < 20_000; i++) {
    const addresses = [`10.9.${i >> 8}.${i & 255}`];
    cache.learn(announcement(`Flood ${i}`, { host: `h${i}.local`, addresses }), NEIGHBOR, i);
  }
  const before = cache.entries(undefined).length;
  assert(before <= 2_000, `${before} entries`);
  cache.learn(announcement("Bob", { host: "bob.local" }), NEIGHBOR, 20_000);
  assert.equal(cache.entries("Bob").length, 1);
  const many = Array.from({ length: 2_000 }, (_, i) => `10.8.${i >> 8}.${i & 255}`);
  cache.learn(addressRecords("bob.local", many), NEIGHBOR, 20_000);
  assert.equal(cache.knownAnswers({ name: "bob.local", type: "A" }, 20_000).length, 16);
  for (let i = 0; i < 2_000; i++) {
    cache.learn(announcement("Bob", { shared: true, host: `b${i}.local` }), NEIGHBOR, 20_001);
  }
  assert(cache.entries("Bob").length <= 1_000);
  const text = announcement("Carol").map((record) =>
    record.type === "TXT" ? { ...record, data: Array(10).fill(new Uint8Array(255)) } : record
  );
  cache.watch("Carol");
  cache.learn(text, NEIGHBOR, 20_002);
  assert.deepEqual(cache.entries("Carol"), []);
  // No record is believed for longer than 75 minutes.
  cache.learn(announcement("Carol", { ttl: 2 ** 31 - 1 }), NEIGHBOR, 20_003);
  cache.expire(20_003 + 4_500_000);
  assert.equal(cache.hosts.size, 0);
});

// ---------------------------------------------------------------- answers

/** A responder that has published Alice, and what it has sent. */
function responding(shared = false) {
  const sent: LanMessage[] = [];
  const addresses = addressRecords("greet-1.local", ["10.9.0.1"]);
  const publication: Publication = {
    ...instanceRecords({ name: "Alice", address: "", shared }, 5555, "greet-1.local"),
    addressesOn: () => addresses,
  };
  const responder = new LanResponder((message) => sent.push(message));
  const query = (question: Partial<LanMessage>) =>
    responder.onQuery({ type: "query", questions: [], answers: [], ...question }, LINK);
  const until = async (count: number) => {
    while (sent.length < count) await pause(5);
  };
  return {
    ...{ responder, publication, sent, query },
    until: (count: number) => inTime(until(count), `${count} packets`),
  };
}

const ALICE = { questions: [{ name: instanceOf("Alice"), type: "SRV" as const }] };

Deno.test("a question is answered with all that the asker needs, and not again within a second", async () => {
  const { responder, publication, sent, query, until } = responding();
  using _ = responder;
  responder.publish(publication, []);
  query({ questions: [{ name: instanceOf("alice"), type: "SRV" }] });
  await until(1);
  assert.deepEqual(sent[0].answers.map(({ type }) => type), ["SRV"]);
  assert.deepEqual(sent[0].additionals?.map(({ type }) => type), ["A"]);
  const start = performance.now();
  for (let i = 0; i < 100; i++) query(ALICE);
  assert.equal(sent.length, 1);
  await until(2);
  assert(performance.now() - start > 900);
  query({ questions: [{ name: instanceOf("Bob"), type: "ANY" }] });
  assert.equal(sent.length, 2);
});

Deno.test("what the asker knows is not repeated, and what others say neither", async () => {
  const { responder, publication, sent, query, until } = responding(true);
  using _ = responder;
  responder.publish(publication, []);
  const [pointer] = publication.common;
  const browse = { questions: [{ name: SERVICE, type: "PTR" as const }] };
  query({ ...browse, answers: [pointer] });
  // Longer than answers wait.
  await pause(300);
  assert.equal(sent.length, 0);
  query(browse);
  responder.onResponse(response([pointer]), LINK);
  // More of the known answers may come in a second packet.
  query({ ...browse, isTruncated: true });
  query({ answers: [pointer] });
  await pause(700);
  assert.equal(sent.length, 0);
  // An old answer is one that the asker wants to have confirmed.
  query({ ...browse, answers: [{ ...pointer, ttl: 1 }] });
  await until(1);
  assert.deepEqual(sent[0].answers, [pointer]);
});

Deno.test("a goodbye for what we hold is contradicted, and what we give back is taken back", async () => {
  const { responder, publication, sent, until } = responding();
  using _ = responder;
  responder.publish(publication, []);
  const [srv] = publication.own;
  responder.onResponse(response([{ ...srv, ttl: 0 }]), LINK);
  await until(1);
  assert.deepEqual(sent[0].answers, [srv]);
  responder.withdraw(publication);
  responder.takeBack(publication, [LINK]);
  assert.deepEqual(new Set(sent[1].answers.map(({ ttl }) => ttl)), new Set([0]));
  assert.deepEqual(sent[1].answers.map(({ type }) => type), ["PTR", "SRV", "TXT", "A"]);
  responder.onResponse(response([{ ...srv, ttl: 0 }]), LINK);
  await pause(200);
  assert.equal(sent.length, 2);
});

// ---------------------------------------------------------------- a process

/** What is made meanwhile finds no network on this machine, and is told of none. */
function withoutNetworks<T>(make: () => T): T {
  const { networkInterfaces } = Deno;
  Deno.networkInterfaces = () => [];
  try {
    return make();
  } finally {
    Deno.networkInterfaces = networkInterfaces;
  }
}

/** A process that gets what a test hands over, and what it has sent. */
function processAlone() {
  const node = withoutNetworks(() => new LanNode());
  const sent: LanMessage[] = [];
  node.send = (message) => void sent.push(message);
  return { node, sent };
}

/** What tells everyone that there is a holder, and no more. */
const pointerTo = (name: string) => response([announcement(name)[0]]);

Deno.test("nonsense is ignored, and what is not known of many holders is asked for together", async () => {
  const { node, sent } = processAlone();
  await using _ = node;
  node.cache.watch(undefined);
  const hear = (packet: Uint8Array) => node.onPacket(packet, "10.9.0.2", LINK);
  hear(new TextEncoder().encode("this is not a packet of DNS"));
  for (let i = 0; i < 6; i++) hear(encodePacket(pointerTo(`Holder ${i}`)));
  await inTime(until(() => sent.length > 0), "questions");
  hear(encodePacket(pointerTo("Last")));
  const isAboutLast = ({ name }: LanQuestion) => nameOf(name) === "last";
  const isDone = () => sent.at(-1)!.questions.some(isAboutLast);
  await inTime(until(isDone), "questions about the last holder");
  // A packet has twelve questions, two about each holder.
  assert.deepEqual(sent.map(({ questions }) => questions.length), [12, 12, 2]);
});

Deno.test("questions and the answers that are known already fit into one packet", async () => {
  for (const letter of ["x", "é", "小"]) {
    const { node, sent } = processAlone();
    await using _ = node;
    node.cache.watch(undefined);
    const bytes = new TextEncoder().encode(letter).length;
    const names = Array.from(
      { length: 100 },
      (_, i) => `${i}`.padStart(3) + letter.repeat(60 / bytes),
    );
    for (const name of names) {
      node.cache.learn(pointerTo(name).answers, NEIGHBOR, performance.now());
    }
    const browse = { name: SERVICE, type: "PTR" as const };
    const others = names.slice(0, 11).map((name) => ({
      name: instanceOf(name),
      type: "SRV" as const,
    }));
    for (const questions of [[browse], [browse, ...others]]) node.ask(questions);
    assert.equal(sent.length, 2);
    for (const message of sent) {
      const { length } = encodePacket(message);
      assert(length <= USUAL_BYTES, `${length} bytes with ${letter}`);
    }
    assert(sent[0].answers.length > 5, `${sent[0].answers.length} answers with ${letter}`);
  }
});

Deno.test("of many packets that are to be sent at once, a bounded number wait", async () => {
  using sockets = withoutNetworks(() => new LanSockets({ onPacket() {}, onNetworks() {} }));
  let sent = 0;
  const link = {
    ...LINK,
    get name() {
      sent++;
      return "eth0";
    },
  };
  for (let i = 0; i < 1_000; i++) sockets.send(new Uint8Array(12), link);
  await sockets.flushed();
  assert.equal(sent, 64);
  sockets.send(new Uint8Array(12), link);
  await sockets.flushed();
  assert.equal(sent, 65);
});

Deno.test("as long as networks stay the same, no one is told that they have changed", () => {
  const { setInterval } = globalThis;
  const scans: (() => void)[] = [];
  globalThis.setInterval =
    ((scan: () => void) => scans.push(scan)) as unknown as typeof setInterval;
  try {
    let changes = 0;
    withoutNetworks(() => {
      using _sockets = new LanSockets({ onPacket() {}, onNetworks: () => changes++ });
      for (let i = 0; i < 3; i++) scans[0]();
    });
    assert.deepEqual([scans.length, changes], [1, 0]);
  } finally {
    globalThis.setInterval = setInterval;
  }
});

// ---------------------------------------------------------------- claims

async function until(isDone: () => boolean): Promise<void> {
  while (!isDone()) await pause(5);
}

/** Processes on a network with some delay, each with a responder that only announces. */
class Ether {
  readonly #listeners = new Set<(message: LanMessage, from: string) => void>();

  readonly #onTheWay = new Set<Promise<void>>();

  /** Resolves when everything that was sent has arrived. */
  async settle(): Promise<void> {
    while (this.#onTheWay.size > 0) await Promise.all(this.#onTheWay);
  }

  send(message: LanMessage): void {
    const arrival = pause(20).then(() => {
      for (const listener of [...this.#listeners]) listener(message, "10.9.0.9");
      this.#onTheWay.delete(arrival);
    });
    this.#onTheWay.add(arrival);
  }

  /** @param announced gets what is announced, instead of everyone */
  node(announced = (records: readonly LanRecord[]) => this.send(response(records))): LanNode {
    const send = (message: LanMessage) => this.send(message);
    const announce = ({ own }: Publication) => announced(own);
    const node: Partial<LanNode> = {
      links: [LINK],
      hostTtl: 120,
      networks: new Pulse(),
      listen: (listener) => {
        const hear = (message: LanMessage, from: string) => listener(message, from, LINK);
        this.#listeners.add(hear);
        return () => this.#listeners.delete(hear);
      },
      send,
      checkHearing: () => Promise.resolve(),
      responder: {
        publish: announce,
        announce,
        withdraw() {},
        takeBack() {},
      } as unknown as LanResponder,
    };
    return node as LanNode;
  }
}

Deno.test("of two that ask for a name in the same millisecond, one gets it", async () => {
  const random = Math.random;
  Math.random = () => 0;
  try {
    const ether = new Ether();
    const end = new AbortController();
    const outcomes = [1, 2].map((i) => {
      const claim = new LanClaim(ether.node(), { name: "Alice", address: `10.9.0.${i}:5555` });
      const { promise, resolve } = Promise.withResolvers<string>();
      const holding = claim.hold(() => resolve("held"), end.signal)
        .catch((error: GreetError) => resolve(error.code));
      return { promise, holding };
    });
    // The loser pauses a second, and then asks again.
    const results = await Promise.all(outcomes.map(({ promise }) => inTime(promise, "an outcome")));
    assert.deepEqual(results.sort(), ["ALREADY_EXISTS", "held"]);
    end.abort();
    await Promise.all(outcomes.map(({ holding }) => holding));
    await ether.settle();
  } finally {
    Math.random = random;
  }
});

Deno.test("a holder contradicts someone who claims its name at once, and asks again", async () => {
  const ether = new Ether();
  const announced: number[] = [];
  const node = ether.node(() => void announced.push(performance.now()));
  const end = new AbortController();
  const held = Promise.withResolvers<void>();
  const claim = new LanClaim(node, { name: "Alice", address: "10.9.0.1:5555" });
  const holding = claim.hold(() => held.resolve(), end.signal);
  await inTime(held.promise, "the name");
  let probes = 0;
  node.listen(({ type }) => void (type === "query" && probes++));
  const before = announced.length;
  // A packet comes twice, on IPv4 and on IPv6.
  for (let i = 0; i < 2; i++) ether.send(response(announcement("Alice", { port: 666 })));
  await ether.settle();
  assert.equal(announced.length, before + 1);
  // Three questions that no one answers, and then the name is announced again.
  await inTime(until(() => announced.length === before + 2), "an announcement");
  assert.equal(probes, 3);
  end.abort();
  await holding;
  await ether.settle();
});
