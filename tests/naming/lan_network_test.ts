/** Names on the local network: four machines on a switch, and Debian's Avahi as one who knows. */
import assert from "node:assert/strict";
import { holderRecords, type Spoken } from "../support/lan_speaker.ts";
import { hasLocalNetwork, LocalNetwork } from "../support/local_network.ts";
import type { Printed, Program } from "../support/program.ts";
import { hasCommand } from "../support/tools.ts";

/** How long a test waits: most start five programs or more, each of which waits a second for its name. */
const PATIENCE_MS = 60_000;

const MACHINES = {
  A: ["10.9.0.1/24"],
  B: ["10.9.0.2/24"],
  C: ["10.9.0.3/24"],
  D: ["10.9.0.4/24"],
};

/** Runs a test where machines can be simulated. */
function lanTest(
  name: string,
  fn: (network: LocalNetwork) => Promise<void>,
  { needs = [] as string[], machines = MACHINES as Record<string, string[]> } = {},
): void {
  const tools = ["ip", "unshare", "nsenter", ...needs];
  const list = `${tools.slice(0, -1).join(", ")} and ${tools.at(-1)}`;
  Deno.test({
    name: `${name} (needs ${list})`,
    ignore: !hasLocalNetwork || !needs.every(hasCommand),
    async fn() {
      await using network = await LocalNetwork.open(machines);
      await fn(network);
    },
  });
}

/** Waits until a program has printed something. */
function printed(output: Printed, pattern: RegExp | string): Promise<RegExpMatchArray> {
  const find = () => output.text.match(pattern) ?? undefined;
  return output.waitFor(find, () => `${pattern} in:\n${output.text}`, PATIENCE_MS);
}

/** Waits for a line of JSON that has some fields, in this order. */
function line(program: Program, fields: Record<string, unknown>) {
  const pattern = Object.entries(fields).map(([key, value]) =>
    value instanceof RegExp
      ? `"${key}":"${value.source}"`
      : JSON.stringify({ [key]: value }).slice(1, -1)
  ).join(".*");
  return printed(program.out, new RegExp(`^.*${pattern}.*$`, "m"));
}

async function speak(speaker: Program, what: Spoken[] | string): Promise<void> {
  const before = speaker.out.text.split("sent\n").length;
  await speaker.write(JSON.stringify(what) + "\n");
  await speaker.out.waitFor(
    () => speaker.out.text.split("sent\n").length > before ? true : undefined,
    () => "a packet",
  );
}

lanTest(
  "two chats meet by name alone, encrypted, and a third machine sees both come and go",
  async (network) => {
    const watch = network.greet("C", "names", "watch", "--json");
    await printed(watch.out, '"state"');
    const alice = network.chat("A", ["Alice", "Bob"]);
    const bob = network.chat("B", ["Bob", "Alice"]);
    for (const [bot, other] of [[alice, "Bob"], [bob, "Alice"]] as const) {
      const [met] = await bot.until("met", 1, PATIENCE_MS);
      assert.match(JSON.stringify(met), /SHA256:/);
      const [welcome] = await bot.until("welcome", 1, PATIENCE_MS);
      assert.deepEqual(welcome.peers, [other]);
    }
    await alice.say("Hello, Bob!");
    await bob.until("message", 1, PATIENCE_MS);
    await line(watch, {
      type: "held",
      name: "Alice",
      address: /10\.9\.0\.1:\d+/,
      fingerprint: /SHA256:.*/,
    });
    await line(watch, { type: "held", name: "Bob", address: /10\.9\.0\.2:\d+/ });
    const list = network.greet("D", "names", "list");
    assert.equal(await list.code(PATIENCE_MS), 0, list.err.text);
    assert.match(list.out.text, /^Alice +10\.9\.0\.1:\d+\nBob +10\.9\.0\.2:\d+\n$/);
    await bob.program.leave();
    await line(watch, { type: "freed", name: "Bob" });
    await alice.until("left", 1, PATIENCE_MS);
    assert.doesNotMatch(watch.out.text, /"freed","name":"Alice"/);
  },
);

lanTest(
  "a second Alice is refused in one sentence, and may be Alice once the name is free",
  async (network) => {
    const alice = network.chat("A", ["Alice", "Bob"]);
    const watch = network.greet("C", "names", "watch", "--json");
    await line(watch, { name: "Alice", address: /10\.9\.0\.1:\d+/ });
    const second = network.greet("B", "chat", "Alice", "Bob");
    assert.equal(await second.code(PATIENCE_MS), 64 + 6);
    assert.match(
      second.err.text,
      /^greet: error: someone else on the local network is Alice, at 10\.9\.0\.1:\d+\n/m,
    );
    // DNS knows no case.
    const third = network.greet("B", "chat", "alice", "Bob");
    assert.equal(await third.code(PATIENCE_MS), 64 + 6);
    await alice.program.leave();
    network.chat("B", ["Alice", "Bob"]);
    await line(watch, { name: "Alice", address: /10\.9\.0\.2:\d+/ });
  },
);

lanTest("of several that claim a name at the same moment, exactly one gets it", async (network) => {
  const holders = ["A", "B", "C", "D"].map((machine, i) =>
    network.script(machine, "lan_holder.ts", "Alice", `10.9.0.${i + 1}:5555`, "120")
  );
  for (const { out } of holders) await out.until("\n");
  const outcomes = holders.map(({ out }) => out.text.trim().replace(/, at .*/, ""));
  const refusal = "someone else on the local network is Alice";
  assert.deepEqual(outcomes.sort(), ["held", refusal, refusal, refusal]);
});

lanTest("servers that share a name are all found, and greeted in turn", async (network) => {
  for (const machine of ["A", "B"]) {
    const server = network.greet(machine, "serve", "5555", "--as", "hello", "--plaintext");
    await printed(server.out, "listening");
  }
  const watch = network.greet("D", "names", "watch", "--json");
  for (const address of ["10.9.0.1:5555", "10.9.0.2:5555"]) {
    await line(watch, { name: "hello", address, shared: true });
  }
  const list = network.greet("D", "names", "list");
  assert.equal(await list.code(PATIENCE_MS), 0);
  assert.equal(list.out.text, "hello  10.9.0.1:5555\nhello  10.9.0.2:5555\n");
  const greet = network.greet("C", "greet", "hello", "Bob", "Alice", "--plaintext", "--threads=1");
  assert.equal(await greet.code(PATIENCE_MS), 0, greet.err.text);
  assert.match(greet.out.text, /"Hello, Bob\."/);
  const chat = network.greet("C", "chat", "hello", "Bob");
  assert.equal(await chat.code(PATIENCE_MS), 64 + 6);
});

lanTest("someone else who takes Bob's name is found, and gets nothing", async (network) => {
  const home = network.home();
  const alice = network.chat("A", ["Alice", "Bob"]);
  const bob = network.chat("B", ["Bob", "Alice"]);
  await alice.until("welcome", 1, PATIENCE_MS);
  await bob.program.leave();
  await alice.until("left", 1, PATIENCE_MS);
  const mallory = network.chat("C", ["Bob", "Alice"], home);
  await alice.say("my secret");
  await alice.until("impostor", 1, PATIENCE_MS);
  assert.deepEqual(mallory.all("message"), []);
  assert.deepEqual(mallory.all("welcome"), []);
});

lanTest(
  "a forged goodbye is contradicted, and a forged address does not replace a holder",
  async (network) => {
    const forger = network.script("D", "lan_speaker.ts");
    await printed(forger.out, "ready");
    const watch = network.greet("C", "names", "watch", "--json");
    await printed(watch.out, '"state"');
    const alice = network.chat("A", ["Alice", "Bob"]);
    const [, address] = await line(watch, { type: "held", name: "Alice" })
      .then(([text]) => /"address":"([^"]*)"/.exec(text)!);
    const forged = [[], "Alice", holderRecords("Alice", "10.9.0.4", { port: 666 })];
    for (const [i, what] of forged.entries()) {
      if (what.length > 0) await speak(forger, what);
      // What Alice has announced, and what was forged, has had its effects when this name is gone.
      await speak(forger, holderRecords(`Marker ${i}`, "10.9.0.4", { ttl: 3 }));
      await line(watch, { type: "freed", name: `Marker ${i}` });
      assert.doesNotMatch(
        watch.out.text,
        /"freed","name":"Alice"|"name":"Alice","address":"[^"]*666"/,
      );
    }
    const list = network.greet("B", "names", "list");
    assert.equal(await list.code(PATIENCE_MS), 0);
    assert.match(list.out.text, new RegExp(`^Alice +${address.replaceAll(".", "\\.")}\n`, "m"));
    await alice.program.leave();
  },
);

lanTest("a name is free when its killed holder's time to live ends", async (network) => {
  const watch = network.greet("C", "names", "watch", "--json");
  await printed(watch.out, '"state"');
  const holder = network.script("A", "lan_holder.ts", "Alice", "10.9.0.1:5555", "5");
  await line(watch, { type: "held", name: "Alice", address: "10.9.0.1:5555" });
  holder.kill("SIGKILL");
  await line(watch, { type: "freed", name: "Alice" });
});

lanTest("a claim that was refused is not made again before the name is free", async (network) => {
  const alice = network.script("A", "lan_holder.ts", "Alice", "10.9.0.1:5555", "5");
  await printed(alice.out, "held");
  const second = network.script("B", "lan_holder.ts", "Alice", "10.9.0.2:5555", "120", "2");
  const refusal = "someone else on the local network is Alice, at 10.9.0.1:5555\n";
  await printed(second.out, refusal);
  // This takes longer than a claim.
  const list = network.greet("C", "names", "list");
  assert.equal(await list.code(PATIENCE_MS), 0, list.err.text);
  alice.kill("SIGKILL");
  await printed(second.out, "held");
  assert.equal(second.out.text, `${refusal}held\n`);
});

lanTest("a killed peer that starts on another machine is found there", async (network) => {
  const home = network.home();
  const alice = network.chat("A", ["Alice", "Bob"]);
  const bob = network.chat("B", ["Bob", "Alice"], home);
  await alice.until("welcome", 1, PATIENCE_MS);
  await bob.kill();
  await alice.say("where are you?");
  const again = network.chat("D", ["Bob", "Alice"], home);
  const [message] = await again.until("message", 1, PATIENCE_MS);
  assert.equal(message.body, "where are you?");
  await alice.until("joined", 1, PATIENCE_MS);
});

lanTest("machines with nothing but IPv6 find each other", async (network) => {
  const alice = network.chat("A", ["Alice", "Bob"]);
  const bob = network.chat("B", ["Bob", "Alice"]);
  await Promise.all([alice.until("welcome", 1, PATIENCE_MS), bob.until("welcome", 1, PATIENCE_MS)]);
  const list = network.greet("A", "names", "list");
  assert.equal(await list.code(PATIENCE_MS), 0);
  assert.match(list.out.text, /^Bob +\[fd00::2\]:\d+$/m);
}, { machines: { A: ["fd00::1/64"], B: ["fd00::2/64"] } });

lanTest(
  "a machine on two networks is found on each of them, at its address there",
  async (network) => {
    // Over IPv6 each network has a socket of its own; over IPv4 they share one.
    for (const machine of ["A", "B", "C"]) {
      await network.do(machine, "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6");
    }
    await network.do("B", "ip link add two type veth peer name two netns C");
    await network.do("B", "ip addr add 10.8.0.2/24 dev two");
    await network.do("B", "ip link set two up");
    await network.do("C", "ip link delete cable");
    await network.do("C", "ip addr add 10.8.0.3/24 dev two");
    await network.do("C", "ip link set two up");
    const bob = network.chat("B", ["Bob", "Alice", "Carol"]);
    for (
      const [machine, address] of [["A", /10\.9\.0\.2:\d+/], ["C", /10\.8\.0\.2:\d+/]] as const
    ) {
      await line(network.greet(machine, "names", "watch", "--json"), { name: "Bob", address });
    }
    const [alice, carol] = [
      network.chat("A", ["Alice", "Bob"]),
      network.chat("C", ["Carol", "Bob"]),
    ];
    await Promise.all([alice, carol].map((bot) => bot.until("welcome", 1, PATIENCE_MS)));
    await bob.say("on both networks");
    for (const bot of [alice, carol]) await bot.until("message", 1, PATIENCE_MS);
  },
);

lanTest("a network that comes later is used within seconds", async (network) => {
  await network.do("B", "ip addr flush dev cable");
  await network.do("B", "ip link set cable down");
  const alice = network.chat("A", ["Alice", "Bob"]);
  const bob = network.greet("B", "chat", "Bob", "Alice");
  await printed(bob.err, "this machine is on no network");
  await network.do("B", "ip link set cable up");
  await network.do("B", "ip addr add 10.9.0.22/24 dev cable");
  await alice.until("welcome", 1, PATIENCE_MS);
  await printed(bob.out, "Welcome, Bob.");
});

lanTest(
  "a flood of names and of nonsense disturbs no chat and fills no memory",
  async (network) => {
    const alice = network.chat("A", ["Alice", "Bob"]);
    const bob = network.chat("B", ["Bob", "Alice"]);
    const watch = network.greet("C", "names", "watch", "--json");
    const counter = network.script("C", "lan_speaker.ts");
    await printed(counter.out, "ready");
    await Promise.all([alice, bob].map((bot) => bot.until("welcome", 1, PATIENCE_MS)));
    const flood = network.script("D", "lan_flood.ts", "30000");
    await printed(flood.out, "flooding");
    await alice.say("can you hear me?");
    await bob.until("message", 1, PATIENCE_MS);
    assert.equal(await flood.code(PATIENCE_MS), 0, flood.err.text);
    for (const { pid } of [alice.program, watch]) {
      const [, kB] = /^VmRSS:\s+(\d+) kB$/m.exec(await Deno.readTextFile(`/proc/${pid}/status`))!;
      assert(Number(kB) < 300_000, `${kB} kB`);
    }
    // Most were cut off at the socket.
    await counter.write("null\n");
    const [, heard] = await printed(counter.out, /^heard (\d+)$/m);
    assert(Number(heard) < 15_000, `${heard} packets`);
    await bob.say("loud and clear");
    await alice.until("message", 1, PATIENCE_MS);
    assert.deepEqual([...alice.all("left"), ...bob.all("left")], []);
  },
);

lanTest("where multicast is blocked, one sentence says so", async (network) => {
  const block = (hook: string) =>
    network.do(
      "A",
      `nft 'add table inet f; add chain inet f c { type filter hook ${hook} priority 0; }; ` +
        "add rule inet f c udp dport 5353 drop'",
    );
  for (const hook of ["output", "input"]) {
    await block(hook);
    const list = network.greet("A", "names", "list");
    assert.equal(await list.code(PATIENCE_MS), 64 + 14);
    assert.match(
      list.err.text,
      /^greet: error: multicast does not work here: no packet to UDP port 5353 arrives, [^.\n]*\n/,
    );
    await network.do("A", "nft flush ruleset");
  }
  await block("input");
  const start = performance.now();
  const chat = network.greet("A", "chat", "Alice", "Bob");
  await printed(chat.err, "multicast does not work here");
  // 3 s are promised.
  assert(performance.now() - start < PATIENCE_MS);
  await network.do("A", "nft flush ruleset");
  const bob = network.chat("B", ["Bob", "Alice"]);
  await bob.until("welcome", 1, PATIENCE_MS);
}, { needs: ["nft"] });

lanTest("a machine without a network says so", async (network) => {
  await network.do("A", "ip link delete cable");
  const list = network.greet("A", "names", "list");
  assert.equal(await list.code(PATIENCE_MS), 64 + 14);
  assert.match(list.err.text, /^greet: error: this machine is on no network\n/);
});

/** Starts D-Bus and Avahi on a machine. Avahi insists on a user of its own, which is made up. */
const AVAHI = `
set -e
for f in passwd group; do grep -v ^avahi: /etc/$f >/run/$f; done
echo avahi:x:0:0::/:/bin/false >>/run/passwd; echo avahi:x:0: >>/run/group
mount --bind /run/passwd /etc/passwd; mount --bind /run/group /etc/group
mkdir -p /run/dbus /run/avahi-daemon
echo '<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>
<auth>EXTERNAL</auth><policy context="default"><allow send_destination="*" eavesdrop="true"/>
<allow eavesdrop="true"/><allow receive_sender="*"/><allow own="*"/><allow user="*"/></policy>
</busconfig>' >/run/bus.conf
dbus-daemon --config-file=/run/bus.conf --nofork --nopidfile --print-address &
read -r _ < <(until [ -S /run/dbus/system_bus_socket ]; do read -t 0.05 -r _ <> <(:) || true; done; echo)
printf '[server]\\nhost-name=witness\\n' >/run/avahi.conf
avahi-daemon --no-rlimits --no-drop-root --no-chroot --no-proc-title -f /run/avahi.conf 2>&1 &
trap 'kill $(jobs -p)' EXIT
wait
`;

const AVAHI_TOOLS = ["avahi-browse", "avahi-publish-service", "avahi-daemon", "dbus-daemon"];

lanTest(
  "Avahi sees what greet registers, greet sees what Avahi publishes, and neither takes the other's name",
  async (network) => {
    const key = `SHA256:${"a".repeat(43)}`;
    const daemon = network.run("D", ["bash", "-c", AVAHI]);
    await printed(daemon.out, "Server startup complete");
    const carol = network.run("D", [
      "avahi-publish-service",
      "Carol",
      "_greet._tcp",
      "4711",
      `fp=${key}`,
    ]);
    await printed(carol.err, "Established under name 'Carol'");
    const browse = network.run("D", ["avahi-browse", "--resolve", "--parsable", "_greet._tcp"]);
    const watch = network.greet("C", "names", "watch", "--json");
    await line(watch, { name: "Carol", address: "10.9.0.4:4711", fingerprint: key });
    const alice = network.chat("A", ["Dr. Alice", "Bob"]);
    const [, port] = await printed(
      browse.out,
      /^=;cable;IPv4;Dr\\\.\\032Alice;_greet\._tcp;local;greet-[\w-]+\.local;10\.9\.0\.1;(\d+);.*"fp=SHA256:.{43}".*$/m,
    );
    await line(watch, { name: "Dr. Alice", address: `10.9.0.1:${port}` });
    const second = network.greet("B", "chat", "Carol", "Bob");
    assert.equal(await second.code(PATIENCE_MS), 64 + 6);
    const other = network.run("D", ["avahi-publish-service", "Dr. Alice", "_greet._tcp", "4712"]);
    await printed(other.err, "Name collision");
    await alice.program.leave();
    await printed(browse.out, /^-;cable;IPv4;Dr\\\.\\032Alice;/m);
    carol.kill("SIGTERM");
    await line(watch, { type: "freed", name: "Carol" });
    daemon.kill("SIGTERM");
  },
  { needs: AVAHI_TOOLS },
);
