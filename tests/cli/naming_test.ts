/** Chats, greetings and lists of names with a naming service, as processes. */
import assert from "node:assert/strict";
import { greet, openNames, Peer, serveGreeter, serveNames } from "../../mod.ts";
import { EtcdCluster, etcdTest } from "../support/etcd.ts";
import { pause } from "../../src/base/timing.ts";
import { Bot, Immortal } from "../support/bot.ts";
import { GRPC_TIMERS_OUTLIVE_CHANNELS } from "../support/grpc_timers.ts";
import { temporaryHome } from "../support/home.ts";
import { freePorts } from "../support/ports.ts";
import { Program, run } from "../support/program.ts";
import { posixTest } from "../support/tools.ts";

/** A naming server as a process, and the environment that makes others use it. */
async function naming(port = "0") {
  const server = Program.greet(["names", port]);
  const [, place] = await server.out.until(/Naming server started, listening on (\d+)\n/);
  return {
    server,
    place,
    env: { GREET_NAMES: place },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

Deno.test("two peers without ports find each other by name, with exactly the expected transcript", async () => {
  await using names = await naming();
  const { env } = names;
  await using alice = Program.greet(["chat", "Alice", "Bob"], { env });
  await names.server.out.until(/\[Names\] Alice is at 127\.0\.0\.1:\d+\n/);
  await using bob = Program.greet(["chat", "Bob", "Alice", "--names", names.place]);
  await alice.out.until("Welcome, Alice. You are chatting with Bob.\n");
  await alice.write("Hello, Bob!\n");
  await Promise.all([alice, bob].map(({ out }) => out.until("Alice> Hello, Bob!\n")));
  await bob.write("Hello, Alice!\n");
  await alice.out.until("Bob> Hello, Alice!\n");
  await Promise.all([alice.end(), bob.end()]);
  assert.deepEqual([await alice.code(), await bob.code()], [0, 0]);
  assert.match(
    alice.out.text,
    /^Waiting for other peer to connect\.\.\.\n\nWelcome, Alice\. You are chatting with Bob\.\n\n\[..:..\] Alice> Hello, Bob!\n\[..:..\] Bob> Hello, Alice!\n(Bob has left\.\n)?$/,
  );
  assert.equal(alice.err.text + bob.err.text, "");
  await names.server.out.until(/Alice is gone from/);
});

Deno.test("a peer is followed to its next port, and waiting messages go there", async () => {
  await using names = await naming();
  const options = { env: names.env };
  await using home = temporaryHome();
  const bobs = { env: { ...names.env, ...home.env } };
  await using alice = new Bot(["Alice", "Bob"], options);
  for (const stay of [1, 2, 3]) {
    await alice.say(`before ${stay}`);
    await alice.until("queued", stay);
    await using bob = new Bot(["Bob", "Alice"], bobs);
    await bob.program.out.until(`"body":"before ${stay}"`);
    await alice.until("delivered", stay);
    await bob.kill();
    await alice.until("left", stay);
  }
  // Bob was on another port each time, and nothing called a port that he had left.
  const places = names.server.out.text.matchAll(/Bob is at (\S+)/g);
  assert.equal(new Set([...places].map(([, place]) => place)).size, 3);
  assert.deepEqual(alice.all("error"), []);
});

Deno.test("a running chat does not notice when the naming server dies or comes back", async () => {
  const [port] = freePorts(1);
  await using alice = new Bot(["Alice", "Bob", "--names", port]);
  await using bob = new Bot(["Bob", "Alice", "--names", port]);
  // The chats start first: there is no naming server yet.
  await alice.until("error");
  for (const round of [1, 2]) {
    await using names = await naming(port);
    await names.server.out.until(/Alice is at/);
    await names.server.out.until(/Bob is at/);
    await Promise.all([alice.until("welcome"), bob.until("welcome")]);
    await alice.say(`with, ${round}`);
    await bob.until("message", 2 * round - 1);
    names.server.kill("SIGKILL");
    await names.server.code();
    await alice.say(`without, ${round}`);
    await bob.until("message", 2 * round);
  }
  for (const one of [alice, bob]) {
    assert.equal(one.all("welcome").length, 1);
    assert.deepEqual([...one.all("left"), ...one.all("joined")], []);
    for (const { message } of one.all("error")) {
      assert.match(`${message}`, /^the naming service at 127\.0\.0\.1:\d+: connection refused$/);
    }
  }
});

Deno.test("a peer that moved while there was no naming server is found when there is one again", async () => {
  const [port] = freePorts(1);
  await using alice = new Bot(["Alice", "Bob", "--names", port]);
  await using home = temporaryHome();
  {
    await using _names = await naming(port);
    await using bob = new Bot(["Bob", "Alice", "--names", port], home);
    await Promise.all([alice.until("welcome"), bob.until("welcome")]);
  }
  await alice.until("left");
  await alice.say("waiting for you");
  await using _bob = new Bot(["Bob", "Alice", "--names", port], home);
  await using _names = await naming(port);
  await alice.until("delivered");
});

Deno.test("ports and names can be mixed, also with a peer that has no naming service", async () => {
  await using names = await naming();
  const [a, c] = freePorts();
  await using alice = new Bot(["Alice", a, "Bob", c], { env: names.env });
  await using bob = new Bot(["Bob", "Alice", c], { env: names.env });
  const bobs = await names.server.out.until(/Bob is at 127\.0\.0\.1:(\d+)/);
  await using carol = new Bot(["Carol", c, a, bobs[1]]);
  for (const one of [alice, bob, carol]) {
    await one.until("welcome");
    await one.say("hello");
  }
  for (const one of [alice, bob, carol]) await one.until("message", 2);
  assert.match(names.server.out.text, new RegExp(`Alice is at 127.0.0.1:${a}\n`));
});

Deno.test("a name that is taken ends the second chat with one sentence", async () => {
  await using names = await naming();
  await using _alice = Program.greet(["chat", "Alice", "Bob"], { env: names.env });
  await names.server.out.until("Alice is at");
  const { code, err } = await run(["chat", "Alice", "Bob"], { env: names.env });
  assert.equal(code, 64 + 6);
  assert.match(
    err,
    /^greet: error: 127\.0\.0\.1:\d+: someone else has held Alice since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d\d:\d\d\n$/,
  );
});

for (const [zone, offset] of [["Asia/Kathmandu", "\\+05:45"], ["America/St_Johns", "-0[23]:30"]]) {
  Deno.test(`people read the times of names in their own zone, here ${zone}`, async () => {
    await using names = await naming();
    await using _alice = Program.greet(["chat", "Alice", "Bob"], { env: names.env });
    await names.server.out.until("Alice is at");
    const env = { ...names.env, TZ: zone };
    const [{ since }] = (await run(["names", "list", "--json"], { env })).out.trimEnd().split("\n")
      .map((line) => JSON.parse(line));
    const taken = await run(["chat", "Alice", "Bob"], { env });
    const listed = await run(["names", "list"], { env });
    const pattern = `since (\\d{4}-\\d\\d-\\d\\d) (\\d\\d:\\d\\d:\\d\\d) (${offset})\n$`;
    for (const text of [taken.err, listed.out]) {
      const [, date, time, offset] = text.match(new RegExp(pattern)) ?? assert.fail(text);
      const shown = Date.parse(`${date}T${time}${offset}`);
      assert.equal(shown, Math.floor(Date.parse(since) / 1_000) * 1_000, text);
    }
  });
}

Deno.test({
  name: "a peer at the registered address with another name is refused",
  ...GRPC_TIMERS_OUTLIVE_CHANNELS,
  async fn() {
    await using server = await serveNames({ port: 0 });
    await using names = openNames(`${server.port}`);
    await using mallory = await Peer.open({ name: "Mallory", targets: ["1"] });
    await using _bob = await names.register({ name: "Bob", address: `127.0.0.1:${mallory.port}` });
    await using alice = new Bot(["Alice", "Bob", "--names", `${server.port}`]);
    const [{ message }] = await alice.until("error");
    assert.equal(message, `127.0.0.1:${mallory.port}: the other side's name is Mallory, not Bob`);
  },
});

Deno.test("a message for a name that was never met goes to that name", async () => {
  await using names = await naming();
  await using home = temporaryHome();
  const alices = { env: { ...names.env, ...home.env } };
  {
    await using alice = new Bot(["Alice", "Bob"], alices);
    await alice.say("for Bob");
    assert.deepEqual((await alice.until("queued"))[0].waitingFor, ["Bob"]);
    await alice.program.leave();
  }
  const [a, b] = freePorts();
  await using alice = new Bot(["Alice", a, b], home);
  await using bob = new Bot(["Bob", b, a]);
  assert.equal((await bob.until("message"))[0].body, "for Bob");
  await alice.until("delivered");
});

Deno.test("peers that are killed at any moment find each other by name again, and no message is lost", async () => {
  const [port] = freePorts(1);
  let names = await naming(port);
  try {
    await using alice = new Immortal("Alice", "Bob", "--names", port);
    await using bob = new Immortal("Bob", "Alice", "--names", port);
    for (let round = 0; round < 6; round++) {
      await alice.now.say(`${round}`);
      await alice.now.program.out.until(new RegExp(`"queued".*"body":"${round}"`));
      if (round % 3 === 2) {
        names.server.kill("SIGKILL");
        await names[Symbol.asyncDispose]();
        names = await naming(port);
      }
      await (round % 2 === 0 ? alice : bob).killAndStart();
    }
    await bob.now.program.out.waitFor(
      () => bob.received().length === 6 || undefined,
      () => `6 messages, not ${JSON.stringify(bob.received())}`,
      30_000,
    );
    assert.deepEqual(bob.received().map(({ body }) => body), ["0", "1", "2", "3", "4", "5"]);
  } finally {
    await names[Symbol.asyncDispose]();
  }
});

etcdTest("a chat and a greeting by name in etcd survive the death of one node", async () => {
  await using cluster = await EtcdCluster.start({ nodes: 3 });
  const env = { GREET_NAMES: cluster.place() };
  await using alice = new Bot(["Alice", "Bob"], { env });
  await using first = new Bot(["Bob", "Alice"], { env });
  await Promise.all([alice.until("welcome"), first.until("welcome")]);
  await using server = await greeter(env);
  await cluster.kill(0);
  await alice.say("still here?");
  await alice.until("delivered");
  await first.kill();
  // Bob's name is free when its lease ends; until then, his new chat waits for it.
  await alice.say("and now?");
  await using again = new Bot(["Bob", "Alice"], { env });
  assert.equal((await again.until("message"))[0].body, "and now?");
  const { code, err } = await run(["greet", "greeter", "Carol"], { env });
  assert.equal(code, 0, err);
  await hasGreeted(server, 1);
});

etcdTest("a chat that waits for a killed process's name says so, and can be left", async () => {
  await using cluster = await EtcdCluster.start();
  const env = { GREET_NAMES: cluster.place() };
  await using names = openNames(cluster.place());
  await using _registration = await names.register({ name: "Alice", address: "127.0.0.1:1" });
  await using alice = Program.greet(["chat", "Alice", "Bob"], { env });
  await alice.err.until(`waiting for the name Alice at ${cluster.place()}\n`);
  alice.kill("SIGINT");
  assert.equal(await alice.code(), 0);
});

// ---------------------------------------------------------------- serve and greet

/** A greeting server that is registered as `greeter`. */
async function greeter(env: Record<string, string>) {
  const server = Program.greet(["serve", "--as", "greeter"], { env });
  await server.out.until("Server started");
  return server;
}

/** Waits until a server has logged at least this many requests. */
async function hasGreeted({ out }: Program, count: number): Promise<void> {
  const logged = () => out.text.match(/Received request/g)?.length ?? 0;
  await out.waitFor(() => logged() >= count || undefined, () => `${count} in:\n${out.text}`);
}

Deno.test("servers that share a name are greeted in turn, and one that dies is left out", async () => {
  await using names = await naming();
  const { env } = names;
  await using first = await greeter(env);
  await using second = await greeter(env);
  await names.server.out.until(/(greeter is at[^]*){2}/);
  const guests = Array.from({ length: 100 }, (_, i) => `Guest ${i}`);
  const all = await run(["greet", "greeter", ...guests, "--threads", "1"], { env });
  assert.equal(all.code, 0, all.err);
  // The first greetings go to the server whose connection is there first.
  await hasGreeted(first, 10);
  await hasGreeted(second, 10);
  first.kill("SIGKILL");
  await first.code();
  const rest = await run(["greet", "greeter", ...guests], { env });
  assert.equal(rest.code, 0, rest.err);
  await hasGreeted(second, 110);
});

posixTest("a suspended server is left out as well", async () => {
  await using names = await naming();
  const { env } = names;
  await using first = await greeter(env);
  await using second = await greeter(env);
  await names.server.out.until(/(greeter is at[^]*){2}/);
  first.kill("SIGSTOP");
  const { code, err } = await run(["greet", "greeter", "Bob", "Alice"], { env });
  assert.equal(code, 0, err);
  await hasGreeted(second, 2);
});

Deno.test("--wait waits for a server to register, and even for the naming server", async () => {
  const [port] = freePorts(1);
  const env = { GREET_NAMES: port };
  await using waiting = Program.greet(["greet", "greeter", "Bob", "--wait"], { env });
  await waiting.out.until("Client 1 started");
  await using names = await naming(port);
  await using _server = await greeter(env);
  await waiting.out.until('[Bob] Message received from server: "Hello, Bob."\n');
  assert.equal(await waiting.code(), 0);
  await names.server.out.until("greeter is at");
});

posixTest("--wait by name says after --max-time what was missing, exit 68", async () => {
  await using names = await naming();
  const wait = ["greet", "Nobody", "Bob", "Alice", "--wait", "--max-time", "2", "--quiet"];
  const missing = await run(wait, { env: names.env });
  assert.deepEqual([missing.code, missing.out], [68, ""]);
  assert.deepEqual(missing.err.trimEnd().split("\n").sort(), [
    "greet: error: [Alice] nothing is registered as Nobody after 2 s",
    "greet: error: [Bob] nothing is registered as Nobody after 2 s",
  ]);
  const [free] = freePorts(1);
  const unknown = await run(wait, { env: { GREET_NAMES: free } });
  assert.equal(unknown.code, 68);
  assert.match(
    unknown.err,
    /^greet: error: \[\w+\] Nobody could not be looked up within 2 s: the naming service at 127\.0\.0\.1:\d+: connection refused\n/,
  );
  names.server.kill("SIGSTOP");
  const silent = await run(wait, { env: names.env });
  assert.equal(silent.code, 68);
  assert.match(silent.err, /\[Bob\] Nobody could not be looked up within 2 s\n/);
  names.server.kill("SIGCONT");
});

for (const scheme of ["", "etcd://"]) {
  Deno.test(`a silent naming service is reported with the time that was asked for: ${scheme}host:port`, async () => {
    using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const place = `${scheme}127.0.0.1:${silent.addr.port}`;
    const { code, err } = await run(
      ["greet", "Nobody", "Bob", "Alice", "--max-time", "0.7", "--names", place, "--quiet"],
    );
    assert.equal(code, 68);
    assert.equal(err.match(/no (connection|answer) within 0\.7 s\n/g)?.length, 2, err);
  });
}

Deno.test("an unregistered name and a wrong naming server are reported in one sentence each", async () => {
  await using names = await naming();
  const nobody = await run(["greet", "greeter", "Bob"], { env: names.env });
  assert.equal(nobody.code, 64 + 5);
  assert.match(
    nobody.err,
    /^greet: error: \[Bob\] greeter is not registered at 127\.0\.0\.1:\d+\n$/,
  );
  await using server = await greeter(names.env);
  const [, port] = await server.out.until(/listening on (\d+)/);
  for (const args of [["names", "list"], ["chat", "Alice", "Bob"], ["greet", "greeter", "Bob"]]) {
    const { code, err } = await run([...args, "--names", port]);
    assert.equal(code, 64 + 12, `${args}: ${err}`);
    assert.match(
      err,
      /^greet: error: (\[Bob\] )?there is no naming service at 127\.0\.0\.1:\d+\n$/,
    );
  }
  const [free] = freePorts(1);
  for (const args of [["names", "list"], ["greet", "greeter", "Bob"]]) {
    const { code, err } = await run([...args, "--names", free]);
    assert.equal(code, 64 + 14);
    const [error, hint] = err.split("\n");
    assert.match(error, /^greet: error: (\[Bob\] )?the naming service at \S+: connection refused$/);
    assert.equal(hint, "greet: hint: is it running? greet names starts a naming server");
  }
});

Deno.test("a server registers once there is a naming server, and gives its name back when it stops", async () => {
  const [port] = freePorts(1);
  await using server = await greeter({ GREET_NAMES: port });
  await server.err.until(
    /greet: error: greeter is not registered: the naming service at \S+: connection refused\n/,
  );
  await using names = await naming(port);
  await names.server.out.until("greeter is at");
  await server.stop();
  await names.server.out.until("greeter is gone");
});

Deno.test("a registered server that cannot be reached is an error, or is waited for with --wait", async () => {
  await using server = await serveNames({ port: 0 });
  await using names = openNames(`${server.port}`);
  const [port] = freePorts();
  await using _registered = await names.register({
    name: "greeter",
    address: `127.0.0.1:${port}`,
    shared: true,
  });
  await assert.rejects(greet("greeter", "Bob", { names }), {
    code: "UNAVAILABLE",
    message: /connection refused/,
  });
  const waiting = greet("greeter", "Bob", { names, wait: true });
  await assert.rejects(greet("greeter", "Bob", { names }), { code: "UNAVAILABLE" });
  await using _greeter = await serveGreeter({ port: Number(port) });
  assert.equal(await waiting, "Hello, Bob.");
  // grpc-js keeps the timer of a back-off, of at most 250 ms, when its channel is closed.
  await pause(300);
});

Deno.test("greetings by name leave no watches behind on the naming server", async () => {
  await using server = await serveNames({ port: 0 });
  await using names = openNames(`${server.port}`);
  await using greeter = await serveGreeter();
  const address = `127.0.0.1:${greeter.port}`;
  await using _registration = await names.register({ name: "greeter", address, shared: true });
  // More watches than one connection may have open at once.
  for (let round = 0; round < 11; round++) {
    const all = Array.from({ length: 100 }, () => greet("greeter", "Bob", { names }));
    assert.deepEqual(new Set(await Promise.all(all)), new Set(["Hello, Bob."]));
  }
});

// ---------------------------------------------------------------- greet names

Deno.test("names list and watch print registered names, as text and as JSON", async () => {
  await using names = await naming();
  const { env } = names;
  await using watch = Program.greet(["names", "watch"], { env });
  await using bobs = Program.greet(["names", "watch", "Bob", "--json"], { env });
  await bobs.out.until('{"type":"state","names":[]}\n');
  const nobody = await run(["names", "list"], { env });
  assert.deepEqual([nobody.code, nobody.out], [0, ""]);
  assert.match(nobody.err, /^No names are registered at 127\.0\.0\.1:\d+\.\n$/);
  await using alice = Program.greet(["chat", "Alice", "Bob"], { env });
  const [, at] = await watch.out.until(/^\[\d\d:\d\d\] Alice is at (127\.0\.0\.1:\d+)\n/);
  await using _bob = Program.greet(["chat", "Bob", "Alice"], { env });
  await watch.out.until("Bob is at");
  const { out } = await run(["names", "list"], { env });
  assert.match(out, new RegExp(`^Alice  ${at}  since \\d{4}-\\d\\d-\\d\\d .*\nBob    .*\n$`));
  const json = await run(["names", "list", "--json"], { env });
  const [first] = json.out.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.match(first.since, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual({ ...first, since: "" }, {
    type: "name",
    name: "Alice",
    address: at,
    shared: false,
    since: "",
  });
  alice.kill("SIGKILL");
  await watch.out.until(`Alice is gone from ${at}\n`);
  const [line] = await bobs.out.until(/{"type":"held".*}\n/);
  assert.equal(JSON.parse(line).name, "Bob");
  assert.doesNotMatch(bobs.out.text, /Alice/);
});

Deno.test("a watch prints only what changed while the naming server restarted", async () => {
  const [port] = freePorts(1);
  const env = { GREET_NAMES: port };
  const names = await naming(port);
  await using watch = Program.greet(["names", "watch"], { env });
  await using _alice = Program.greet(["chat", "Alice", "Bob"], { env });
  await watch.out.until("Alice is at");
  await names[Symbol.asyncDispose]();
  await watch.err.until(/the naming service at \S+: connection .*; trying again\n/);
  await using again = await naming(port);
  await using _bob = Program.greet(["chat", "Bob", "Alice"], { env });
  await again.server.out.until("Alice is at");
  await watch.out.until("Bob is at");
  const told = watch.out.text.match(/\w+ is (at|gone)/g)!;
  assert.deepEqual(told.filter((line) => line !== "Alice is gone").slice(0, 1), ["Alice is at"]);
  assert.equal(told.filter((line) => line === "Bob is at").length, 1);
});

Deno.test("a naming server reports its port, logs as JSON, and stops gracefully", async () => {
  await using server = Program.greet(["names", "0", "--json"]);
  const [line] = await server.out.until(/{"type":"listening".*}\n/);
  const place = `${JSON.parse(line).port}`;
  await using names = openNames(place);
  await using _registration = await names.register({ name: "Bob", address: "127.0.0.1:1" });
  const [held] = await server.out.until(/{"type":"held".*}\n/);
  assert.deepEqual({ ...JSON.parse(held), at: "" }, {
    type: "held",
    at: "",
    name: "Bob",
    address: "127.0.0.1:1",
  });
  await server.stop();
  assert.equal(server.err.text, "");
});

const REFUSED: readonly [string[], RegExp][] = [
  [["chat", "Alice", "Bob"], /"Bob" is a name, .*\n.*--names or GREET_NAMES/],
  [["chat", "Alice", "Alice", "--names", "1"], /the peer Alice has your own name\n/],
  [["chat", "Alice", "5555", "--names", "1"], /needs PEER; 5555 is your own port\n/],
  [["chat", "Alice", "Bob", "Bob", "--names", "1"], /Bob is given twice\n/],
  [["chat", "Alice", "B/b", "--names", "1"], /has a '\/'\n/],
  [["chat", "Alice", "1", "Bob"], /"Bob" is a name, .*\n.*--names or GREET_NAMES/],
  [["chat", "Alice", "Bob", "--names", "nowhere"], /"nowhere" has no port\n/],
  [
    ["chat", "Alice", "Bob", "--names", "1", "--host", "0.0.0.0"],
    /0\.0\.0\.0 is not an address that others can call\n.*--advertise HOST/,
  ],
  [
    ["chat", "Alice", "Bob", "--names", "1", "--advertise", "a:1"],
    /--advertise: "a:1" is not a host/,
  ],
  [["serve", "--as", "greeter"], /--as needs --names SERVICE\n/],
  [["serve", "--names", "1"], /--names needs --as NAME\n/],
  [["serve", "--names", "1", "--as", ""], /the name/],
  ...["55", "a:b", "a@5", "::1"].flatMap((name): [string[], RegExp][] =>
    [["serve", "0", "--as", name, "--names", "1"], ["chat", name, "Bob", "--names", "1"], [
      "chat",
      name,
      "1",
      "2",
    ]].map((args) => [
      args,
      /^greet: error: (the name "\S+" would be taken for (a port|an address)|NAME comes first)\n/,
    ])
  ),
  [["names", "list"], /needs --names SERVICE\n/],
  [["names", "list", "Bob", "--names", "1"], /unexpected argument "Bob"\n/],
  [["names", "0", "--names", "1"], /--names is only for list and watch\n/],
  [
    ["names", "list", "--names", "1", "--cert", "x"],
    /--cert is only for running a naming server\n/,
  ],
  [["chat", "Alice", "1", "2", "--advertise", "host"], /--advertise needs --names SERVICE\n/],
  [["names", "lst", "--names", "1"], /greet: error/],
  [["greet", "greeter", "Bob", "--names", "nowhere"], /"nowhere" has no port\n/],
  [["names", "list", "--names", "etcd://"], /the address of etcd has no host\n/],
  [["greet", "greeter", "Bob"], /"greeter" is a name, .*\n.*--names or GREET_NAMES/],
  [["chat", "Alice", "Bob", "--names", "1", "--cacert", "x"], /--cacert needs --names tls:/],
  [
    ["chat", "Alice", "Bob", "--names", "lan", "--host", "127.0.0.1"],
    /--host: others on the local network cannot call "127\.0\.0\.1"\n/,
  ],
  [
    ["chat", "Alice", "Bob", "--names", "lan", "--advertise", "laptop"],
    /--advertise: others on the local network cannot call "laptop"\n/,
  ],
  [["chat", "Alice", "Bob", "--names", "mdns"], /did you mean lan\?\n/],
  [
    ["serve", "--as", "hello", "--names", "lan"],
    /other machines can reach \S+, and connections would not be encrypted\n/,
  ],
];

for (const [args, expected] of REFUSED) {
  Deno.test(`usage error before anything is opened: greet ${args.join(" ")}`, async () => {
    const { code, out, err } = await run(args);
    assert.equal(code, 2);
    assert.equal(out, "");
    assert.match(err, /^greet: error: .*\n(greet: hint: .*\n)?$/);
    assert.match(err, expected);
  });
}
