/** Peers of which only one names the other, and peers that are named twice. */
import assert from "node:assert/strict";
import net from "node:net";
import { type Names, newIdentity, openNames, serveNames } from "../../mod.ts";
import { parseTarget } from "../../src/net/address.ts";
import { type CallerEvent, Callers } from "../../src/peer/callers.ts";
import { addressArgument, nameArgument } from "../../src/peer/peer_argument.ts";
import { GreetError } from "../../src/base/errors.ts";
import { dial } from "../../src/rpc/client.ts";
import { serve } from "../../src/rpc/server.ts";
import { implement } from "../../src/rpc/service.ts";
import { CHAT } from "../../src/rpc/services.ts";
import { Bot } from "../support/bot.ts";
import { temporaryHome } from "../support/home.ts";
import { GRPC_TIMERS_OUTLIVE_CHANNELS } from "../support/grpc_timers.ts";
import { freePorts } from "../support/ports.ts";
import { Program } from "../support/program.ts";
import { inTime, PATIENCE_MS } from "../support/waiting.ts";
import { greetIn, Terminal, terminalTest } from "../support/terminal.ts";
import { openWitnessed as open } from "../support/witness.ts";

// ---------------------------------------------------------------- one names the other

for (const tls of [[], ["--tls"]]) {
  const how = tls[0] ?? "plaintext";

  Deno.test(`a peer whose command does not name us is not welcomed until it does (${how})`, async () => {
    const [a, b, c] = freePorts(3);
    await using home = temporaryHome();
    await using bob = new Bot(["Bob", b, c, ...tls], home);
    await using alice = new Bot(["Alice", a, b, ...tls]);
    await alice.say("Hello, Bob!");
    const [[refused], [caller]] = await Promise.all([
      alice.until("refused"),
      bob.until("caller"),
    ]);
    assert.deepEqual([refused.name, refused.hint], ["Bob", `ask Bob to add ${a}`]);
    assert.match(`${refused.message}`, new RegExp(`command does not name your port ${a}$`));
    assert.deepEqual([caller.name, caller.argument], ["Alice", a]);
    await alice.until("queued");
    for (const type of ["welcome", "met", "delivered"]) assert.deepEqual(alice.all(type), []);
    await bob.kill();

    // Bob follows the advice.
    await using again = new Bot(["Bob", b, c, a, ...tls], home);
    const [[welcome], [{ body }]] = await Promise.all([
      again.until("welcome"),
      again.until("message"),
    ]);
    assert.deepEqual([welcome.peers, body], [["Alice"], "Hello, Bob!"]);
    await Promise.all([alice.until("welcome"), alice.until("delivered")]);
  });
}

Deno.test("in a group, a pair that misses each other does not keep the others from chatting", async () => {
  const [a, b, c, wrong] = freePorts(4);
  await using alice = new Bot(["Alice", a, b, c]);
  await using bob = new Bot(["Bob", b, wrong, c]);
  await using carol = new Bot(["Carol", c, a, b]);
  await Promise.all([alice, bob, carol].map((bot) => bot.until("welcome")));
  await carol.until("welcome");
  const [{ name }] = await alice.until("refused");
  assert.equal(name, "Bob");
  await bob.until("caller");
  await alice.say("to Carol, and to Bob when he can be reached");
  await carol.until("message");
  const [{ waitingFor }] = await alice.until("delivered");
  assert.deepEqual(waitingFor, [`127.0.0.1:${b}`]);
  assert.deepEqual(bob.all("message"), []);
});

Deno.test("an encrypted chat registers its name together with its key", async () => {
  await using server = await serveNames({ port: 0 });
  await using names = openNames(`${server.port}`);
  const identity = await newIdentity("Bob");
  await using bob = await open({ name: "Bob", targets: ["Carol"], names, identity });
  const [{ fingerprint }] = await names.lookup("Bob");
  assert.deepEqual([bob.peer.fingerprint, fingerprint], [
    identity.fingerprint,
    identity.fingerprint,
  ]);
});

Deno.test("a chat whose name is taken leaves its port to others", async () => {
  await using server = await serveNames({ port: 0 });
  await using names = openNames(`${server.port}`);
  await using _bob = await names.register({ name: "Bob", address: "127.0.0.1:1" });
  const [port] = freePorts();
  const options = { targets: ["Carol"], names, port: Number(port) };
  await assert.rejects(open({ name: "Bob", ...options }), { code: "ALREADY_EXISTS" });
  await using alice = await open({ name: "Alice", ...options });
  assert.equal(alice.peer.port, Number(port));
});

Deno.test("a chat whose name is refused while it runs says so", async () => {
  const error = new GreetError("ALREADY_EXISTS", "Bob is registered by another program");
  const changed = Promise.withResolvers<Parameters<Names["register"]>[1]>();
  const names = {
    register(_: unknown, onChange: Parameters<Names["register"]>[1]) {
      changed.resolve(onChange);
      return Promise.resolve({ [Symbol.asyncDispose]: () => Promise.resolve() });
    },
  } as unknown as Names;
  await using bob = await open({ name: "Bob", targets: ["1"], names });
  await bob.witness.until("waiting");
  (await changed.promise)?.({ state: "refused", error });
  await bob[Symbol.asyncDispose]();
  const troubles = bob.witness.seen.filter(({ type }) => type === "trouble");
  assert.deepEqual(troubles, [{ type: "trouble", error }]);
});

Deno.test("peers that find each other by name are told which name to add", async () => {
  await using server = await serveNames({ port: 0 });
  await using names = openNames(`${server.port}`);
  await using bob = await open({ name: "Bob", targets: ["Carol"], names });
  await using alice = await open({ name: "Anna Lena", targets: ["Bob"], names });
  const waitsForBob = async () => {
    for (let count = 1;; count++) {
      const waiting = (await alice.witness.until("waiting", count)).at(-1)!;
      if (waiting.refusedBy !== undefined) return waiting;
    }
  };
  const { reason, hint } = await waitsForBob();
  assert.match(reason, /^Bob is at 127\.0\.0\.1:\d+, but Bob's command does not name you$/);
  assert.equal(hint, 'ask Bob to add "Anna Lena"');
  const [{ name, argument }] = await bob.witness.until("caller");
  assert.deepEqual([name, argument], ["Anna Lena", '"Anna Lena"']);
});

terminalTest(
  "on a terminal, both sides see what is wrong, and nothing looks delivered",
  async () => {
    const [a, b, c] = freePorts(3);
    await using bobs = await Terminal.open({ columns: 40, rows: 24 });
    await bobs.run(greetIn(["chat", "Bob", b, c]));
    await bobs.until("Waiting for other peer");
    await using alices = await Terminal.open({ columns: 40, rows: 24 });
    await alices.run(`NO_COLOR=1 ${greetIn(["chat", "Alice", a, b])}`);
    await alices.until(new RegExp(`^ +ask Bob to add ${a}$`, "m"));
    await alices.type("are you there?", "Enter");
    await alices.until("Alice> are you there? (waiting)");
    await bobs.until(`Alice is calling from 127.0.0.1:${a}`);
    for (const terminal of [alices, bobs]) await terminal.type("/who", "Enter");
    await alices.until(/^Bob is at 127\.0\.0\.1:\d+/m);
    await bobs.until(`Alice called from 127.0.0.1:${a}`);
  },
);

// ---------------------------------------------------------------- peers that cannot say so

Deno.test("a message that a peer in another language refuses is shown as waiting", async () => {
  await using bob = await serve({
    host: "127.0.0.1",
    port: 0,
    services: [implement(CHAT, {
      GetInfo: () => ({ sender: "Bob", body: "", id: "", timestamp: null }),
      SendMessage() {
        throw new GreetError("PERMISSION_DENIED", "Bob is not chatting with you");
      },
    })],
  });
  await using alice = Program.greet(["chat", "Alice", "0", `${bob.port}`]);
  await alice.out.until("You are chatting with Bob.");
  await alice.write("Hello?\n");
  await alice.out.until("Alice> Hello? (waiting)\n");
  await alice.err.until(`127.0.0.1:${bob.port}: Bob is not chatting with you\n`);
  await alice.write("/who\n");
  await alice.out.until(
    /^Bob is here, but takes no messages: .*: Bob is not chatting with you\.$/m,
  );
});

Deno.test("the sender of a message that we refuse is announced, without a port to add, unless we wait for its name", async () => {
  await using bob = await open({ name: "Bob", targets: ["Carol@1"] });
  using channel = dial(parseTarget(`${bob.peer.port}`));
  for (const sender of ["Carol", "Alice"]) {
    const message = { sender, body: "Hello?", id: "", timestamp: null };
    await assert.rejects(channel.call(CHAT, "SendMessage", message, { timeoutMs: PATIENCE_MS }), {
      code: "PERMISSION_DENIED",
    });
  }
  const [{ name, from, argument }] = await bob.witness.until("caller");
  assert.deepEqual([name, from, argument], ["Alice", "127.0.0.1", undefined]);
});

// ---------------------------------------------------------------- what strangers can cause

const ALICE: CallerEvent = {
  type: "caller",
  name: "Alice",
  isKnown: false,
  from: "127.0.0.1:1",
  argument: "1",
};

Deno.test("a caller is announced once a minute, and of many callers three", () => {
  let nowMs = 0;
  const announced: string[] = [];
  const callers = new Callers(({ from }) => announced.push(from), () => nowMs);
  for (let second = 0; second < 59; second++) {
    nowMs = second * 1_000;
    for (let port = 1; port <= 100; port++) callers.called({ ...ALICE, from: `127.0.0.1:${port}` });
  }
  assert.deepEqual(announced, [1, 2, 3].map((port) => `127.0.0.1:${port}`));
  nowMs = 60_000;
  callers.called({ ...ALICE, from: "127.0.0.1:4" });
  callers.called(ALICE);
  callers.called(ALICE);
  assert.deepEqual(announced.slice(3), [4, 1].map((port) => `127.0.0.1:${port}`));
  assert.equal(callers.recent.length, 3);
  nowMs = 120_000;
  callers.called(ALICE);
  assert.deepEqual(announced.slice(5), ["127.0.0.1:1"]);
  assert.equal(callers.recent.length, 3);
});

Deno.test("a caller with a key is the same caller on every port", () => {
  const announced: CallerEvent[] = [];
  const callers = new Callers((event) => announced.push(event));
  for (let port = 1; port <= 3; port++) {
    callers.called({ ...ALICE, fingerprint: "SHA256:a", from: `127.0.0.1:${port}` });
  }
  assert.equal(announced.length, 1);
});

Deno.test("a stranger gets nothing printed but a valid name, and is not accepted", async () => {
  const [identity, stranger] = await Promise.all(["Bob", "Mallory"].map(newIdentity));
  for (const keys of [{}, { identity }]) {
    await using bob = await open({ name: "Bob", targets: ["1"], ...keys });
    const own = "identity" in keys ? { own: stranger } : {};
    using channel = dial(parseTarget(`${bob.peer.port}`), own);
    const meet = (sender: string, port = 1) =>
      channel.call(CHAT, "Meet", { sender, port, instance: "" }, { timeoutMs: PATIENCE_MS });
    for (const sender of ["\x1b[2J", "[17:24] Bob", "x".repeat(65), "", "Bob"]) {
      await assert.rejects(meet(sender), { code: "PERMISSION_DENIED" });
    }
    const answers = await Promise.all(
      Array.from({ length: 9 }, (_, i) => meet(`Mallory${i}`, i + 2)),
    );
    assert(answers.every(({ verdict }) => verdict === "UNLISTED"));
    const callers = await bob.witness.until("caller");
    assert(callers.length <= 3, `${callers.length} callers`);
    assert(callers.every(({ name, isKnown }) => /^Mallory\d$/.test(name) && !isKnown));
    const message = { sender: "Mallory0", body: "psst", id: "", timestamp: null };
    await assert.rejects(channel.call(CHAT, "SendMessage", message, { timeoutMs: PATIENCE_MS }), {
      code: "PERMISSION_DENIED",
    });
  }
});

Deno.test("a caller whose name looks like that of a peer is pointed out", async () => {
  await using alice = await open({ name: "Alice", targets: ["Bob@1"] });
  using channel = dial(parseTarget(`${alice.peer.port}`));
  await Promise.all(["B0b", "Bob", "Eve"].map((sender, i) => {
    const introduction = { sender, port: i + 2, instance: "" };
    return channel.call(CHAT, "Meet", introduction, { timeoutMs: PATIENCE_MS });
  }));
  await alice.witness.until("caller", 3);
  const all = (await alice.witness.until("lookalike")).map(({ name, like }) => [name, like]);
  assert.deepEqual(all, [["B0b", "Bob"]]);
});

Deno.test("of more than a hundred callers that wait to be met, the others are answered at once", async () => {
  await using bob = await open({ name: "Bob", targets: ["1"] });
  await bob.witness.until("waiting");
  using stack = new DisposableStack();
  let answered = 0;
  const isAnswered = Promise.withResolvers<void>();
  const calls = Array.from({ length: 11 }, () => {
    const channel = stack.use(dial(parseTarget(`${bob.peer.port}`)));
    return Array.from({ length: 10 }, async (_, i) => {
      const introduction = { sender: `Mallory${i}`, port: i, instance: "" };
      await channel.call(CHAT, "Meet", introduction, { timeoutMs: PATIENCE_MS });
      if (++answered === 10) isAnswered.resolve();
    });
  }).flat();
  await inTime(isAnswered.promise, "10 answers");
  assert(answered < 50, `${answered} answers`);
  await Promise.all(calls);
});

Deno.test("in plaintext, another process under the name of a peer is not accepted in its place", async () => {
  const [a, b] = freePorts();
  await using alice = await open({ name: "Alice", port: Number(a), targets: [b] });
  await using bob = await open({ name: "Bob", port: Number(b), targets: [a] });
  await Promise.all([alice, bob].map(({ witness }) => witness.until("welcome")));
  using channel = dial(parseTarget(a));
  const introduction = { sender: "Bob", port: 1, instance: "" };
  const { verdict } = await channel.call(CHAT, "Meet", introduction, { timeoutMs: PATIENCE_MS });
  assert.equal(verdict, "UNLISTED");
});

Deno.test("another key under the name of a peer that has not accepted us does not make us accept it", async () => {
  const [identity, bobs, eves] = await Promise.all(["Alice", "Bob", "Eve"].map(newIdentity));
  await using bob = await open({ name: "Bob", targets: ["Carol"], identity: bobs });
  await using alice = await open({ name: "Alice", targets: [`${bob.peer.port}`], identity });
  const [{ refusedBy, hint }] = await alice.witness.until("waiting");
  assert.deepEqual([refusedBy, hint], ["Bob", `ask Bob to add ${alice.peer.port}`]);
  using channel = dial(parseTarget(`${alice.peer.port}`), { own: eves });
  const introduction = { sender: "Bob", port: 1, instance: "" };
  const { verdict } = await channel.call(CHAT, "Meet", introduction, { timeoutMs: PATIENCE_MS });
  assert.equal(verdict, "UNLISTED");
  assert.deepEqual(alice.witness.seen.filter(({ type }) => type === "welcome"), []);
});

Deno.test("an impostor of a peer that is here is refused, and raises no alarm", async () => {
  const [a, b] = freePorts();
  const [alices, bobs, eves] = await Promise.all(["Alice", "Bob", "Eve"].map(newIdentity));
  await using alice = await open({
    ...{ name: "Alice", port: Number(a), targets: [`Bob@${b}`], identity: alices },
  });
  await using bob = await open({ name: "Bob", port: Number(b), targets: [a], identity: bobs });
  await Promise.all([alice, bob].map(({ witness }) => witness.until("welcome")));
  using channel = dial(parseTarget(a), { own: eves });
  const introduction = { sender: "Bob", port: Number(b), instance: "" };
  await assert.rejects(channel.call(CHAT, "Meet", introduction, { timeoutMs: PATIENCE_MS }), {
    code: "PERMISSION_DENIED",
    message: /Alice knows Bob by another key$/,
  });
  assert.deepEqual(alice.witness.seen.filter(({ type }) => type === "impostor"), []);
});

for (
  const [host, target, from] of [["::1", "[::1]", "[::1]:7"], ["::", "127.0.0.1", "127.0.0.1:7"]]
) {
  Deno.test({
    name: `a caller's address is one that can be dialled: ${from} (needs IPv6)`,
    ignore: !hasIPv6(),
    fn: async () => {
      const identity = await newIdentity("Bob");
      await using bob = await open({ name: "Bob", targets: ["1"], host, identity });
      using channel = dial(parseTarget(`${target}:${bob.peer.port}`), { own: identity });
      const introduction = { sender: "Alice", port: 7, instance: "" };
      await channel.call(CHAT, "Meet", introduction, { timeoutMs: PATIENCE_MS });
      assert.equal((await bob.witness.until("caller"))[0].from, from);
    },
  });
}

function hasIPv6(): boolean {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}

/** A proxy that counts the connections to a port. */
async function counted(port: string) {
  const counter = { port: "", connections: 0 };
  const sockets = new Set<net.Socket>();
  const proxy = net.createServer((near) => {
    counter.connections++;
    const far = net.connect(Number(port), "127.0.0.1");
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => [near, far].forEach((one) => one.destroy()));
    }
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  counter.port = `${(proxy.address() as net.AddressInfo).port}`;
  return Object.assign(counter, {
    async [Symbol.asyncDispose]() {
      sockets.forEach((socket) => socket.destroy());
      await new Promise<void>((resolve) => proxy.close(() => resolve()));
    },
  });
}

Deno.test("peers that each name only the next one do not dial each other again and again", async () => {
  const [a, b, c] = freePorts(3);
  await using stack = new AsyncDisposableStack();
  const proxies = await Promise.all([b, c, a].map(counted));
  for (const proxy of proxies) stack.use(proxy);
  const ring = await Promise.all(["Alice", "Bob", "Carol"].map(async (name, i) =>
    stack.use(
      await open({ name, port: Number([a, b, c][i]), targets: [proxies[i].port] }),
    )
  ));
  const isRefused = async ({ peer }: typeof ring[number]) => {
    while (peer.others.some(({ presence }) => !("refusedBy" in presence))) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  await inTime(Promise.all(ring.map(isRefused)), "all to be refused");
  const before = proxies.map(({ connections }) => connections);
  // A call to each of them would make all of them dial, and so on.
  for (const port of [a, b, c]) {
    using caller = dial(parseTarget(port));
    for (let calls = 0; calls < 50; calls++) {
      await caller.call(CHAT, "GetInfo", {}, { timeoutMs: PATIENCE_MS });
    }
  }
  assert.deepEqual(proxies.map(({ connections }) => connections), before);
});

Deno.test("an argument names a peer in any shell", () => {
  const at = (host: string, name = "Alice") => ({ name, host, port: 55555 });
  assert.equal(addressArgument(at("127.0.0.1")), "55555");
  assert.equal(addressArgument(at("10.0.0.1")), "10.0.0.1:55555");
  assert.equal(addressArgument(at("fe80::1")), "[fe80::1]:55555");
  assert.equal(addressArgument(at("0.0.0.0")), "HOST:55555");
  assert.equal(nameArgument(at("127.0.0.1")), "Alice");
  assert.equal(nameArgument(at("127.0.0.1", "Anna Lena")), '"Anna Lena"');
  for (const name of ["a`reboot`", "$HOME", "a;b", "-h", "1", "it's", "a:b"]) {
    assert.equal(nameArgument(at("127.0.0.1", name)), "55555", name);
  }
});

// ---------------------------------------------------------------- named twice

for (const tls of [[], ["--tls"]]) {
  Deno.test(`a peer that is named twice is one peer (${tls[0] ?? "plaintext"})`, async () => {
    const [a, b] = freePorts();
    await using home = temporaryHome();
    await using alice = new Bot(["Alice", a, `localhost:${b}`, `127.0.0.1:${b}`, ...tls], home);
    await alice.say("before we met");
    await alice.until("queued");
    await using bob = new Bot(["Bob", b, a, ...tls]);
    const [[welcome], [error]] = await Promise.all([alice.until("welcome"), alice.until("error")]);
    assert.deepEqual(welcome.peers, ["Bob"]);
    assert.equal(error.code, "ALREADY_EXISTS");
    assert.match(`${error.message}`, /^(.*) and (?!\1)(.*) lead to the same peer, Bob$/);
    await alice.say("after we met");
    const received = await bob.until("message", 2);
    assert.deepEqual(received.map(({ body }) => body), ["before we met", "after we met"]);
    // Nothing waits for a second Bob, so the end of the input ends the chat.
    await alice.program.end();
    assert.equal(await alice.program.code(), 0);
    assert.equal(alice.all("error").length, 1, "nothing is kept for the next run");
    assert.equal(bob.all("message").length, 2);
  });
}

/** A peer that claims to be another one: anyone can learn the `instance` of that one. */
async function impostorOf(name: string, at: string, port: number) {
  using channel = dial(parseTarget(at));
  const { instance } = await channel.call(CHAT, "GetInfo", {}, { timeoutMs: PATIENCE_MS });
  const bodies: string[] = [];
  const server = await serve({
    host: "127.0.0.1",
    port,
    services: [implement(CHAT, {
      GetInfo: () => ({ sender: name, body: "", id: "", timestamp: null, instance }),
      Meet: () => ({ verdict: "ACCEPTED" }),
      SendMessage({ body }) {
        bodies.push(body);
        return {};
      },
    })],
  });
  return Object.assign(server, { bodies });
}

Deno.test("a peer is not cut off because another peer has answered at its target", async () => {
  const [a, b, c] = freePorts(3);
  await using alice = await open({ name: "Alice", port: Number(a), targets: [b, c] });
  {
    await using carol = await open({ name: "Carol", port: Number(c), targets: [a] });
    await Promise.all([alice, carol].map(({ witness }) => witness.until("welcome")));
  }
  await using _bob = await open({ name: "Bob", port: Number(b), targets: [a] });
  await alice.witness.until("joined");
  await alice.witness.until("left");
  const impostor = await impostorOf("Bob", b, Number(c));
  await knock(a, c);
  for (let count = 1;; count++) {
    const { reason } = (await alice.witness.until("waiting", count)).at(-1)!;
    if (/is Bob, which is also the name of the peer at /.test(reason)) break;
  }
  await impostor.stop();
  await using carol = await open({ name: "Carol", port: Number(c), targets: [a] });
  await alice.witness.until("joined", 2);
  await alice.peer.send("welcome back");
  const [{ message }] = await carol.witness.until("message");
  assert.equal(message.body, "welcome back");
});

/** Makes a peer call back what listens on a port. */
async function knock(peer: string, port: string) {
  using channel = dial(parseTarget(peer));
  const headers = { "listening-port": port };
  await channel.call(CHAT, "GetInfo", {}, { timeoutMs: PATIENCE_MS, headers });
}

Deno.test("a name that is required at one target is not accepted at another without a key", async () => {
  const [a, b] = freePorts();
  await using bob = await open({ name: "Bob", port: Number(b), targets: [a] });
  await using mallory = await impostorOf("Bob", b, 0);
  const targets = [`${mallory.port}`, `Bob@${b}`];
  await using alice = await open({ name: "Alice", port: Number(a), targets });
  await alice.witness.until("welcome");
  await alice.peer.send({ text: "for Bob", to: "Bob" });
  const [{ message }] = await bob.witness.until("message");
  assert.equal(message.body, "for Bob");
  assert.deepEqual(mallory.bodies, []);
});

Deno.test({
  name: "a target that is our own address is called that",
  // `localhost` has two addresses, and the timer of the second one may outlive the channel.
  ...GRPC_TIMERS_OUTLIVE_CHANNELS,
  async fn() {
    const [a] = freePorts();
    await using alice = await open({ name: "Alice", port: Number(a), targets: [`localhost:${a}`] });
    const [{ reason, hint }] = await alice.witness.until("waiting");
    assert.equal(reason, `localhost:${a} is your own address`);
    assert.equal(hint, "PEER is where another peer listens");
  },
});
