/** Chats between machines of which only one can reach the other, simulated by network namespaces. */
import assert from "node:assert/strict";
import { pause } from "../../src/base/timing.ts";
import { greetCommand, Program } from "../support/program.ts";
import { UNSHARE, worksBetweenMachines } from "../support/namespaces.ts";

/**
 * How long the router remembers a silent connection, in seconds. Home routers take a minute or more:
 * `GREET_TEST_NAT_S=60` tries that.
 */
const NAT_S = Number(Deno.env.get("GREET_TEST_NAT_S") ?? 8);

/**
 * Alice on A, behind a router R that forgets silent connections, and Bob on B, whom she calls. Obeys
 * `A hello`, `B hello` and `move` (Alice gets another address). With an action as WALL, there is no
 * translation of addresses: A drops or resets what would connect to it.
 */
const SCRIPT = `
set -e
mount -t tmpfs tmpfs /run
for n in A R B; do ip netns add $n; ip -n $n link set lo up; done
ip link add cable netns A type veth peer name inside netns R
ip link add cable netns B type veth peer name outside netns R
ip -n A addr add 10.8.0.2/24 dev cable; ip -n R addr add 10.8.0.1/24 dev inside
ip -n B addr add 10.9.0.2/24 dev cable; ip -n R addr add 10.9.0.1/24 dev outside
ip -n A link set cable up; ip -n R link set inside up
ip -n B link set cable up; ip -n R link set outside up
ip -n A route add default via 10.8.0.1
ip netns exec R sysctl -qw net.ipv4.ip_forward=1
if [ -n "$WALL" ]; then
  ip -n B route add 10.8.0.0/24 via 10.9.0.1
  ip netns exec A nft "add table ip wall; add chain ip wall in { type filter hook input priority 0; };
    add rule ip wall in iifname cable tcp flags & (syn|ack) == syn $WALL"
else
  ip netns exec R nft "add table ip nat
    add chain ip nat out { type nat hook postrouting priority 100; }
    add rule ip nat out oifname outside masquerade
    add chain ip nat through { type filter hook forward priority 0; }
    add rule ip nat through tcp flags & (syn|ack) != syn ct state new,invalid drop"
  ip netns exec R sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0 \\
    net.netfilter.nf_conntrack_tcp_timeout_established=$NAT_S
fi
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
greet=("$@")
chat() {
  mkfifo "$folder/$1"
  GREET_HOME=$folder/home$1 ip netns exec $1 "\${greet[@]}" chat "\${@:2}" --json $OPTIONS \\
    <"$folder/$1" 2> >(sed -u "s/^/$1 stderr /") > >(sed -u "s/^/$1 /") &
}
chat A $ALICE; exec 8>"$folder/A"
chat B $BOB; exec 9>"$folder/B"
while read -r what text; do
  case $what in
    A) echo "$text" >&8 ;;
    B) echo "$text" >&9 ;;
    move)
      ip -n A addr add 10.8.0.3/24 dev cable; ip -n A addr del 10.8.0.2/24 dev cable
      ip -n A addr show dev cable | grep -q 10.8.0.3 || ip -n A addr add 10.8.0.3/24 dev cable
      ip -n A route replace default via 10.8.0.1 ;;
  esac
done
exec 8>&- 9>&-
wait
`.replaceAll("\\$", "$");

const canRoute = await worksBetweenMachines(
  "ip netns exec A nft 'add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; }; " +
    "add rule ip nat out masquerade'",
);

interface Setting {
  readonly alice: string;
  readonly bob: string;
  readonly wall?: string;
  readonly options?: string;
}

function start({ alice, bob, wall = "", options = "" }: Setting): Program {
  return new Program([...UNSHARE, "bash", "-c", SCRIPT, "bash", ...greetCommand()], {
    env: { ALICE: alice, BOB: bob, WALL: wall, OPTIONS: options, NAT_S: `${NAT_S}` },
  });
}

function networkTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${name} (needs ip, nft and unshare)`, ignore: !canRoute, fn });
}

async function end(machines: Program): Promise<void> {
  await machines.end();
  assert.equal(await machines.code(), 0);
}

/** Sends a message each way, and waits until both are delivered. */
async function exchange(machines: Program, word: string): Promise<void> {
  const { out } = machines;
  await machines.write(`A ${word} from Alice\nB ${word} from Bob\n`);
  await out.until(new RegExp(`^A .*"message".*"${word} from Bob"`, "m"));
  await out.until(new RegExp(`^B .*"message".*"${word} from Alice"`, "m"));
  for (const name of ["A", "B"]) {
    const delivered = new RegExp(`^${name} .*"${word} from[^]*^${name} .*"delivered"`, "m");
    await out.until(delivered);
  }
}

networkTest(
  "a peer behind a router chats, however long it is silent, and changes its address",
  async () => {
    await using machines = start({
      alice: "Alice 10.9.0.2:5555",
      bob: "Bob 5555 Alice --host 10.9.0.2",
    });
    const { out } = machines;
    await out.until(/^A .*"welcome","peers":\["Bob"\]/m);
    await out.until(/^B .*"welcome","peers":\["Alice"\]/m);
    await exchange(machines, "hello");
    // What is awaited is that nothing happens.
    await pause(NAT_S * 2_000);
    assert.doesNotMatch(out.text, /"left"/);
    await exchange(machines, "still");
    assert.doesNotMatch(out.text, /"left"/);
    assert.doesNotMatch(out.text, /stderr|"error"/);
    await machines.write("move\n");
    await exchange(machines, "moved");
    assert.doesNotMatch(out.text, /stderr/);
    await end(machines);
  },
);

for (const wall of ["drop", "reject with tcp reset"]) {
  networkTest(`a peer that nothing can connect to chats all the same: ${wall}`, async () => {
    await using machines = start({
      alice: "Alice 5555 10.9.0.2:5555 --host 10.8.0.2",
      bob: "Bob 5555 10.8.0.2:5555 --host 10.9.0.2",
      wall,
    });
    await machines.out.until(/^A .*"welcome","peers":\["Bob"\]/m);
    await machines.out.until(/^B .*"welcome","peers":\["Alice"\]/m);
    await exchange(machines, "hello");
    await end(machines);
  });
}

networkTest(
  "an address that is no longer ours is reported once, and the chat goes on",
  async () => {
    await using machines = start({
      alice: "Alice 5555 10.9.0.2:5555 --host 10.8.0.2",
      bob: "Bob 5555 10.8.0.2:5555 --host 10.9.0.2",
      wall: "drop",
    });
    await machines.out.until(/^A .*"welcome"/m);
    await machines.write("move\n");
    // Silence is noticed after ten seconds, and verified for a few more.
    const sentence = "10.8.0.2 is no longer an address of this machine: peers cannot call us there";
    const isSaid = () => machines.out.text.includes(`"${sentence}"`) || undefined;
    await machines.out.waitFor(isSaid, () => `a sentence in:\n${machines.out.text}`);
    await exchange(machines, "moved");
    assert.equal(machines.out.text.match(/no longer an address/g)?.length, 1);
    await end(machines);
  },
);

networkTest(
  "without encryption, a peer that nothing can connect to is told what helps",
  async () => {
    await using machines = start({
      alice: "Alice 5555 10.9.0.2:5555 --host 10.8.0.2",
      bob: "Bob 5555 10.8.0.2:5555 --host 10.9.0.2",
      wall: "drop",
      options: "--plaintext --linger 0",
    });
    const { out } = machines;
    await out.until(
      /^A .*"refused".*has not reached your address 10\.8\.0\.2:5555 yet.*--plaintext/m,
    );
    await out.until(/^B .*Alice is calling, but cannot be called back.*--plaintext/m);
    assert.doesNotMatch(out.text, /"welcome"/);
    await end(machines);
  },
);
