/** Mallory tries to read, forge, replay and downgrade, and to pose as others. */
import assert from "node:assert/strict";
import net from "node:net";
import tls from "node:tls";
import {
  type GreetError,
  type Identity,
  Journal,
  KnownPeers,
  newIdentity,
  Peer,
  type PeerOptions,
  spokenCode,
} from "../../mod.ts";
import { Link } from "../../src/peer/link.ts";
import { dial } from "../../src/rpc/client.ts";
import { serve, type Server } from "../../src/rpc/server.ts";
import { implement } from "../../src/rpc/service.ts";
import { parseTarget } from "../../src/net/address.ts";
import { CHAT, type ChatMessage } from "../../src/rpc/services.ts";
import { GRPC_TIMERS_OUTLIVE_CHANNELS } from "../support/grpc_timers.ts";
import { temporaryHome } from "../support/home.ts";
import { freePorts } from "../support/ports.ts";
import { Program } from "../support/program.ts";
import { inTime, PATIENCE_MS } from "../support/waiting.ts";
import { hasCommand } from "../support/tools.ts";
import { WireTap } from "../support/wire_tap.ts";
import { openWitnessed as open } from "../support/witness.ts";

const [ALICE, BOB, MALLORY] = await Promise.all(["Alice", "Bob", "Mallory"].map(newIdentity));

function attack(name: string, fn: () => Promise<void>, ignore = false): void {
  Deno.test({ name, fn, ignore, ...GRPC_TIMERS_OUTLIVE_CHANNELS });
}

/** A peer that claims to have a name, and collects the messages that it gets. */
async function claimant(
  { name, port, identity, got = [], answer = () => {} }: {
    name: string;
    port: number;
    identity?: Identity;
    got?: ChatMessage[];
    /** Called before each answer to `GetInfo`. */
    answer?: () => void | Promise<void>;
  },
): Promise<Server> {
  return await serve({
    host: "127.0.0.1",
    port,
    services: [implement(CHAT, {
      GetInfo: async () => {
        await answer();
        return { id: "", sender: name, body: "", timestamp: null };
      },
      SendMessage: (message) => (got.push(message), {}),
      SendMessages: ({ messages }) => (got.push(...messages), {}),
    })],
    tls: identity && { own: identity, isKnown: () => true },
  });
}

function message(sender: string, body: string, id = crypto.randomUUID()): ChatMessage {
  return { id, sender, body, timestamp: { seconds: 1, nanos: 0 } };
}

/** Sends a message in a call made with a key, whatever sender the message names. */
async function sendAs(port: string, own: Identity, message: ChatMessage): Promise<void> {
  using channel = dial(parseTarget(port), { own });
  await channel.call(CHAT, "SendMessage", message, { timeoutMs: PATIENCE_MS });
}

/** Alice and Bob, who have met. */
async function couple(overrides: Partial<PeerOptions> = {}) {
  const [a, b] = freePorts();
  const options = { identity: ALICE, ...overrides };
  const alice = await open({ name: "Alice", port: Number(a), targets: [b], ...options });
  const bob = await open({ name: "Bob", port: Number(b), targets: [a], identity: BOB });
  await Promise.all([alice.witness.until("welcome"), bob.witness.until("welcome")]);
  return {
    alice,
    bob,
    a,
    b,
    async [Symbol.asyncDispose]() {
      await Promise.all([alice[Symbol.asyncDispose](), bob[Symbol.asyncDispose]()]);
    },
  };
}

attack(
  "an eavesdropper reads nothing of an encrypted chat, and all of an unencrypted one",
  async () => {
    const secret = "the treasure is under the old oak";
    for (const isSecret of [true, false]) {
      const [a, b] = freePorts();
      await using toAlice = await WireTap.open(0, () => Number(a));
      await using toBob = await WireTap.open(0, () => Number(b));
      const [alices, bobs] = isSecret ? [{ identity: ALICE }, { identity: BOB }] : [{}, {}];
      const targets = { alice: [`${toBob.port}`], bob: [`${toAlice.port}`] };
      await using alice = await open({
        name: "Alice",
        port: Number(a),
        targets: targets.alice,
        ...alices,
      });
      await using bob = await open({ name: "Bob", port: Number(b), targets: targets.bob, ...bobs });
      await alice.peer.joined();
      await alice.peer.send(secret);
      const [{ message }] = await bob.witness.until("message");
      assert.equal(message.body, secret);
      assert(toAlice.passed.length > 0 && toBob.passed.length > 0);
      assert.equal(toBob.saw(secret), !isSecret);
      // Not even the names.
      assert.equal(toAlice.saw("Alice"), !isSecret);
      assert.equal(toBob.saw("Bob"), !isSecret);
    }
  },
);

attack("a recorded connection that is replayed delivers nothing", async () => {
  const [a, b] = freePorts();
  await using toBob = await WireTap.open(0, () => Number(b));
  const targets = [`${toBob.port}`];
  await using alice = await open({ name: "Alice", port: Number(a), targets, identity: ALICE });
  await using bob = await open({ name: "Bob", port: Number(b), targets: [a], identity: BOB });
  await alice.peer.joined();
  await alice.peer.send("pay Mallory 100");
  await bob.witness.until("message");
  const [recorded] = toBob.sent.filter((pieces) => pieces.length > 2);
  const again = net.connect(Number(b), "127.0.0.1");
  const ended = new Promise<void>((resolve) => again.once("close", () => resolve()));
  for (const piece of recorded) again.write(piece);
  again.on("error", () => {}).resume();
  await inTime(ended, "the replay to be refused");
  await alice.peer.send("pay nobody else");
  const bodies = (await bob.witness.until("message", 2)).map(({ message }) => message.body);
  assert.deepEqual(bodies, ["pay Mallory 100", "pay nobody else"]);
});

attack(
  "a message is accepted only if the key of its call belongs to its sender",
  async () => {
    await using chat = await couple();
    const id = crypto.randomUUID();
    await sendAs(chat.a, BOB, message("Bob", "it is me", id));
    const forged: [Identity, ChatMessage][] = [
      [MALLORY, message("Bob", "I am Bob")],
      [MALLORY, message("Bob", "it is me", id)],
      [MALLORY, message("Mallory", "I am nobody")],
      [MALLORY, message("Alice", "I am you")],
      [MALLORY, message("", "")],
      [BOB, message("Alice", "I am you")],
      [BOB, message("Mallory", "I am Mallory")],
    ];
    for (const [caller, forgery] of forged) {
      const error = await sendAs(chat.a, caller, forgery).catch((error) => error);
      assert.equal(error.code, "PERMISSION_DENIED", JSON.stringify(forgery));
      using channel = dial(parseTarget(chat.a), { own: caller });
      const several = { messages: [message("Bob", "first"), forgery] };
      await assert.rejects(
        channel.call(CHAT, "SendMessages", several, { timeoutMs: PATIENCE_MS }),
        {
          code: "PERMISSION_DENIED",
        },
      );
    }
    await chat.bob.peer.send("the end");
    const bodies = (await chat.alice.witness.until("message", 2)).map(({ message }) =>
      message.body
    );
    assert.deepEqual(bodies, ["it is me", "the end"]);
  },
);

attack(
  "callers without a certificate or in plaintext are refused, and both sides learn why",
  async () => {
    await using chat = await couple();
    using plain = dial(parseTarget(chat.a));
    using bare = dial(parseTarget(chat.a), { tls: { insecure: true } });
    const call = { timeoutMs: PATIENCE_MS };
    await assert.rejects(plain.call(CHAT, "GetInfo", {}, call), (error: GreetError) => {
      assert.match(error.message, /the other side speaks TLS, and this side does not/);
      assert.match(error.hint!, /--tls/);
      return true;
    });
    await assert.rejects(bare.call(CHAT, "GetInfo", {}, call), /requires a certificate/);
    const told = (await chat.alice.witness.until("trouble", 2)).map(({ error }) => error.message);
    assert.deepEqual(told, [
      "a caller does not speak TLS, and this side does",
      "a caller at 127.0.0.1 shows no certificate",
    ]);
  },
);

attack(
  "a peer with another key is refused with an alarm until the user accepts the key",
  async () => {
    await using home = temporaryHome();
    const { GREET_HOME } = home.env;
    const [a, b] = freePorts();
    const known = KnownPeers.in(GREET_HOME);
    using journal = Journal.open({ home: GREET_HOME, name: "Alice" });
    const options = { name: "Alice", port: Number(a), targets: [b], identity: ALICE, known };
    await using alice = await open({ ...options, journal });
    {
      await using bob = await open({ name: "Bob", port: Number(b), targets: [a], identity: BOB });
      await bob.witness.until("welcome");
      const [met] = await alice.witness.until("met");
      assert.deepEqual(met, {
        type: "met",
        name: "Bob",
        fingerprint: BOB.fingerprint,
        aliases: [],
      });
    }
    await alice.witness.until("left");
    await alice.peer.send("for Bob's eyes only");
    const stolen: ChatMessage[] = [];
    {
      await using _mallory = await claimant({
        name: "Bob",
        port: Number(b),
        identity: MALLORY,
        got: stolen,
      });
      await assert.rejects(sendAs(a, MALLORY, message("Bob", "open the door")), {
        code: "PERMISSION_DENIED",
        message: /Alice is not chatting with Mallory/,
      });
      const [impostor] = await alice.witness.until("impostor");
      assert.deepEqual(
        [impostor.name, impostor.fingerprint, impostor.known],
        ["Bob", MALLORY.fingerprint, [BOB.fingerprint]],
      );
      const { message: text, hint } = impostor.error;
      for (const key of [MALLORY, BOB]) assert(text.includes(key.fingerprint));
      assert(hint!.includes(known.file!));
    }
    assert.deepEqual(stolen, []);
    assert.equal(alice.witness.seen.filter(({ type }) => type === "message").length, 0);
    {
      // The real Bob is still known, and gets the message.
      await using bob = await open({ name: "Bob", port: Number(b), targets: [a], identity: BOB });
      const [{ message }] = await bob.witness.until("message");
      assert.equal(message.body, "for Bob's eyes only");
    }
    // Bob has told Alice about a new key: she removes the old one, and they chat on.
    const text = await Deno.readTextFile(known.file!);
    await Deno.writeTextFile(known.file!, text.replace(/^SHA256.*\n/m, ""));
    const renewed = await newIdentity("Bob");
    await using bob = await open({ name: "Bob", port: Number(b), targets: [a], identity: renewed });
    await bob.witness.until("welcome");
    const [, met] = await alice.witness.until("met", 2);
    assert.equal(met.fingerprint, renewed.fingerprint);
  },
);

attack(
  "a peer is admitted and shown in one synchronous step",
  async () => {
    await using bob = await claimant({ name: "Bob", port: 0 });
    const steps: string[] = [];
    const target = parseTarget(`${bob.port}`);
    await using link = new Link({
      address: target.address,
      whereabouts: target,
      dial,
      introduction: { sender: "Alice", port: 1, instance: "", argument: "1", isEncrypted: true },
      check: () => {},
      take: () => Promise.resolve(),
      onMet: () => {},
      admit: () => {
        steps.push("admitted");
        queueMicrotask(() => steps.push("later"));
      },
      onChange: ({ state }) => steps.push(state),
    });
    await link.settled();
    assert.deepEqual(steps, ["admitted", "here", "later"]);
  },
);

attack(
  "of two peers that answer as Bob at the same moment, one is Bob and the other gets nothing",
  async () => {
    for (let round = 0; round < 4; round++) {
      const got: ChatMessage[] = [];
      const bothAsked = Promise.withResolvers<void>();
      let asked = 0;
      const answer = async () => {
        if (++asked === 2) bothAsked.resolve();
        await bothAsked.promise;
      };
      const claimants = await Promise.all(
        [BOB, MALLORY].map((identity) => claimant({ name: "Bob", port: 0, identity, got, answer })),
      );
      {
        const targets = claimants.map(({ port }) => `${port}`);
        await using alice = await open({ name: "Alice", targets, identity: ALICE });
        const [[met], [impostor]] = await Promise.all([
          alice.witness.until("met"),
          alice.witness.until("impostor"),
        ]);
        assert.notEqual(met.fingerprint, impostor.fingerprint);
        await alice.peer.send("for one Bob");
      }
      assert.deepEqual(got.map(({ body }) => body), ["for one Bob"], `round ${round}`);
      await Promise.all(claimants.map((each) => each.stop()));
    }
  },
);

attack(
  "a peer whose key is not the registered one is refused, even at the first meeting",
  async () => {
    const { openNames, serveNames } = await import("../../mod.ts");
    await using server = await serveNames({ port: 0 });
    await using names = openNames(`${server.port}`);
    await using mallory = await claimant({ name: "Bob", port: 0, identity: MALLORY });
    const address = `127.0.0.1:${mallory.port}`;
    await using _registered = await names.register({
      name: "Bob",
      address,
      fingerprint: BOB.fingerprint,
    });
    await using alice = await open({ name: "Alice", targets: ["Bob"], names, identity: ALICE });
    const [{ fingerprint, known }] = await alice.witness.until("impostor");
    assert.deepEqual([fingerprint, known], [MALLORY.fingerprint, [BOB.fingerprint]]);
    assert(!alice.witness.seen.some(({ type }) => type === "met" || type === "welcome"));
  },
);

attack("a channel that reconnects to another key sends nothing", async () => {
  const first = await claimant({ name: "Bob", port: 0, identity: BOB });
  const { port } = first;
  // A channel that reconnects by itself.
  const backOff = { firstMs: 1, maxMs: 1 };
  using channel = dial(parseTarget(`${port}`), { own: ALICE, backOff });
  const call = { timeoutMs: PATIENCE_MS };
  await channel.call(CHAT, "GetInfo", {}, call);
  assert.equal(channel.fingerprint, BOB.fingerprint);
  await first.stop();
  const got: ChatMessage[] = [];
  await using _mallory = await claimant({ name: "Bob", port, identity: MALLORY, got });
  const sent = channel.call(CHAT, "SendMessage", message("Alice", "for Bob"), call);
  await assert.rejects(sent, /the other side shows a different key than a moment ago/);
  assert.deepEqual([got, channel.fingerprint], [[], BOB.fingerprint]);
});

attack("an unencrypted chat does not follow a name to another machine", async () => {
  const { openNames, serveNames } = await import("../../mod.ts");
  await using server = await serveNames({ port: 0 });
  await using names = openNames(`${server.port}`);
  await using _registered = await names.register({ name: "Bob", address: "192.0.2.1:55555" });
  await using alice = await open({ name: "Alice", targets: ["Bob"], names });
  // The first event says that it is asking where he is.
  const [, { reason, hint }] = await alice.witness.until("waiting", 2);
  assert.match(
    reason,
    /^192\.0\.2\.1:55555 is beyond this machine, and this chat is not encrypted$/,
  );
  assert.match(hint!, /--tls/);
  for (const place of [{ host: "0.0.0.0" }, { targets: ["192.0.2.1:55555"] }]) {
    await assert.rejects(Peer.open({ name: "Alice", targets: ["1"], ...place }), {
      code: "USAGE",
      message: /is beyond this machine, and this chat is not encrypted/,
    });
  }
});

attack("a peer that expects TLS sends nothing in plaintext", async () => {
  const [a, b] = freePorts();
  const heard: Uint8Array[] = [];
  const connections = new Set<net.Socket>();
  const listener = net.createServer((socket) => {
    connections.add(
      socket.on("data", (piece: Uint8Array) => heard.push(piece)).on("error", () => {}),
    );
    // The SETTINGS frame of a plaintext HTTP/2 server.
    socket.write(Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0));
  });
  await new Promise<void>((resolve) => listener.listen(Number(b), "127.0.0.1", () => resolve()));
  await using alice = await open({ name: "Alice", port: Number(a), targets: [b], identity: ALICE });
  const [{ reason, hint }] = await alice.witness.until("waiting");
  assert.match(reason, /the other side does not speak TLS, and this side does/);
  assert.equal(hint, "turn it on over there: --tls");
  await alice.peer.send("hello?").catch(() => {});
  assert.equal(heard[0][0], 22, "a TLS handshake");
  assert(!Buffer.concat(heard).includes("PRI * HTTP/2.0"));
  for (const socket of connections) socket.destroy();
  await new Promise<void>((resolve) => listener.close(() => resolve()));
});

attack("TLS 1.2, where names can be read on the way, is refused on either side", async () => {
  const [a, b] = freePorts();
  const pair = { cert: Buffer.from(BOB.cert), key: Buffer.from(BOB.key) };
  const old = tls.createServer({ ...pair, maxVersion: "TLSv1.2", ALPNProtocols: ["h2"] });
  // Alice probes which version it speaks, and sends nothing.
  old.on("secureConnection", (socket) => {
    socket.on("data", () => assert.fail("TLS 1.2 was accepted"));
  });
  await new Promise<void>((resolve) => old.listen(Number(b), "127.0.0.1", () => resolve()));
  await using alice = await open({ name: "Alice", port: Number(a), targets: [b], identity: ALICE });
  const [{ reason }] = await alice.witness.until("waiting");
  assert.match(reason, /another version of TLS; peers require 1\.3/);
  const caller = tls.connect({
    port: Number(a),
    host: "127.0.0.1",
    ...pair,
    rejectUnauthorized: false,
    maxVersion: "TLSv1.2",
  });
  const ended = new Promise<string>((resolve) => {
    caller.once("secureConnect", () => resolve("accepted"));
    caller.once("error", ({ message }) => resolve(message));
  });
  assert.match(await inTime(ended, "the handshake to end"), /protocol/i);
  caller.destroy();
  await new Promise<void>((resolve) => old.close(() => resolve()));
});

attack(
  "a man in the middle is exposed by comparing codes",
  async () => {
    const [a, b, between] = freePorts(3);
    // To Alice, Mallory is Bob, with a key of her own.
    await using _bob = await open({ name: "Bob", port: Number(b), targets: [a], identity: BOB });
    await using _mallory = await claimant({
      name: "Bob",
      port: Number(between),
      identity: MALLORY,
    });
    await using alice = await open({
      name: "Alice",
      port: Number(a),
      targets: [between],
      identity: ALICE,
    });
    await alice.witness.until("welcome");
    const [{ presence }] = alice.peer.others;
    assert(presence.state === "here");
    assert.notEqual(spokenCode(presence.fingerprint!), spokenCode(BOB.fingerprint));
  },
);

const STOLEN = `${import.meta.dirname}/stolen_certificate.go`;

attack(
  "a certificate without its key is refused on either side (needs go)",
  async () => {
    const folder = await Deno.makeTempDir({ prefix: "greet-stolen-" });
    const built = await new Deno.Command("go", {
      args: ["build", "-o", `${folder}/stolen`, STOLEN],
      env: { GO111MODULE: "off", GOCACHE: `${folder}/cache` },
    }).output();
    assert(built.success, new TextDecoder().decode(built.stderr));
    await Deno.writeFile(`${folder}/bob.pem`, BOB.cert);
    await Deno.writeFile(`${folder}/mallory.key`, MALLORY.key);
    await Deno.writeFile(`${folder}/mallory.pem`, MALLORY.cert);
    const stolen = (mode: string, address: string, certificate: string) =>
      new Program([`${folder}/stolen`, mode, address, certificate, `${folder}/mallory.key`]);

    await using chat = await couple();
    // With the right certificate for the key, the same program is accepted.
    await using honest = stolen("call", `127.0.0.1:${chat.a}`, `${folder}/mallory.pem`);
    await honest.out.until("ended: <nil>");
    await using thief = stolen("call", `127.0.0.1:${chat.a}`, `${folder}/bob.pem`);
    await thief.out.until(/ended: .*(decrypt|bad certificate|handshake|reset|EOF)/);

    await using server = stolen("serve", "127.0.0.1:0", `${folder}/bob.pem`);
    const [, port] = await server.out.until(/listening (\d+)/);
    await using alice = await open({ name: "Alice", targets: [port], identity: ALICE });
    const [{ reason, hint }] = await alice.witness.until("waiting");
    // The hint must not suggest trusting the certificate, or doing without one.
    assert.match(reason, /: the other side shows a certificate whose key it does not have$/);
    assert.equal(hint, undefined);
    await server.out.until(/ended: .*(decrypt|bad certificate|illegal|reset|EOF)/);
    assert(!alice.witness.seen.some(({ type }) => type === "met"));
    await Deno.remove(folder, { recursive: true });
  },
  !hasCommand("go"),
);
