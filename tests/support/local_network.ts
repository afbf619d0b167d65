/**
 * A local network of a few machines, simulated by network namespaces on a bridge. Each program runs
 * on one of them, with pipes of its own.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Bot } from "./bot.ts";
import { temporaryHome } from "./home.ts";
import { UNSHARE, worksBetweenMachines } from "./namespaces.ts";
import { greetCommand, Program, ROOT } from "./program.ts";
import { hasCommand } from "./tools.ts";

/** Whether this machine can simulate one. */
export const hasLocalNetwork = hasCommand("nsenter") && await worksBetweenMachines("true");

/** Makes machines until its input ends; its arguments are pairs of a name and its addresses. */
const SCRIPT = `
set -e
mount -t tmpfs tmpfs /run
ip link add switch type bridge mcast_snooping 0; ip link set switch up
while [ $# -gt 0 ]; do
  ip netns add $1; ip -n $1 link set lo up
  ip link add cable$1 type veth peer name cable netns $1
  ip link set cable$1 master switch up
  ip netns exec $1 sh -c 'echo 0 >/proc/sys/net/ipv6/conf/cable/accept_dad'
  for address in $2; do ip -n $1 addr add $address dev cable; done
  ip -n $1 link set cable up
  shift 2
done
echo ready
read -r _ || true
`;

/** Machines on one network. Disposing ends everything that runs on them. */
export class LocalNetwork implements AsyncDisposable {
  readonly #keeper: Program;
  readonly #programs: AsyncDisposable[] = [];

  private constructor(keeper: Program) {
    this.#keeper = keeper;
  }

  /**
   * Makes machines.
   *
   * @param machines the addresses of each, by its name
   */
  static async open(machines: Record<string, readonly string[]>): Promise<LocalNetwork> {
    const pairs = Object.entries(machines).flatMap(([name, list]) => [name, list.join(" ")]);
    const keeper = new Program([...UNSHARE, "bash", "-c", SCRIPT, "bash", ...pairs]);
    await keeper.out.until("ready");
    return new LocalNetwork(keeper);
  }

  /** The command that runs another one on a machine. */
  on(machine: string, ...command: string[]): string[] {
    return [
      ...["nsenter", `--target=${this.#keeper.pid}`, "--user", "--mount", "--net"],
      ...["--preserve-credentials", "ip", "netns", "exec", machine],
      ...["sh", "-c", 'cd "$0" && exec "$@"', ROOT, ...command],
    ];
  }

  /** Starts a program on a machine. */
  run(machine: string, command: readonly string[], options: Deno.CommandOptions = {}): Program {
    return this.#keep(new Program(this.on(machine, ...command), options));
  }

  /** Runs a shell command on a machine, which has to succeed. */
  async do(machine: string, command: string): Promise<void> {
    const program = this.run(machine, ["sh", "-c", command]);
    assert.equal(await program.code(), 0, `${command}: ${program.err.text}`);
  }

  /** Starts `greet` on a machine, with the local network as its naming service. */
  greet(machine: string, ...args: string[]): Program {
    return this.run(machine, [...greetCommand(), ...args], { env: { GREET_NAMES: "lan" } });
  }

  /** Starts a chat on a machine. */
  chat(machine: string, args: string[], home?: string): Bot {
    const env = { GREET_NAMES: "lan", ...home && { GREET_HOME: home } };
    return this.#keep(new Bot(args, { env }, this.on(machine)));
  }

  /** Makes a home for several chats, one after the other. */
  home(): string {
    const home = temporaryHome();
    return this.#keep(home).env.GREET_HOME;
  }

  /** Starts a module of these tests on a machine. */
  script(machine: string, path: string, ...args: string[]): Program {
    const command = [Deno.execPath(), "run", "--allow-all", `tests/support/${path}`, ...args];
    return this.run(machine, command);
  }

  #keep<T extends AsyncDisposable>(program: T): T {
    this.#programs.push(program);
    return program;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.#programs.reverse()) await program[Symbol.asyncDispose]();
    await this.#keeper[Symbol.asyncDispose]();
  }
}
