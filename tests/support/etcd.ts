/**
 * Real etcd for tests: one node or a cluster, with temporary data. Nodes can be killed, paused and
 * restarted one by one; a node counts as up when it says that it serves clients.
 */
import { Program } from "./program.ts";
import { inTime } from "./waiting.ts";
import { freePorts } from "./ports.ts";
import { hasCommand } from "./tools.ts";

/** Whether etcd is installed. */
export const hasEtcd = hasCommand("etcd") && hasCommand("etcdctl");

/** A test that is skipped without etcd, or without something else that it needs. */
export function etcdTest(
  name: string,
  run: () => Promise<void>,
  needs: { what: string; isThere: boolean } = { what: "etcd", isThere: true },
): void {
  Deno.test({
    name: `${name} (needs ${needs.what})`,
    ignore: !hasEtcd || !needs.isThere,
    fn: run,
  });
}

/** Options of {@link EtcdCluster.start}. */
export interface EtcdClusterOptions {
  nodes?: number;
  /** The nodes' certificate and key (PEM files); without, clients use plaintext. */
  tls?: { cert: string; key: string };
}

/** A cluster. Disposing of it kills its nodes and removes their data. */
export class EtcdCluster implements AsyncDisposable {
  readonly #folder = Deno.makeTempDirSync({ prefix: "greet-etcd-" });
  readonly #clientPorts: number[];
  readonly #peerPorts: number[];
  readonly #tls: EtcdClusterOptions["tls"];
  readonly #nodes: (Program | undefined)[];

  private constructor({ nodes = 1, tls }: EtcdClusterOptions) {
    const ports = freePorts(2 * nodes).map(Number);
    this.#clientPorts = ports.slice(0, nodes);
    this.#peerPorts = ports.slice(nodes);
    this.#tls = tls;
    this.#nodes = this.#clientPorts.map(() => undefined);
  }

  static async start(options: EtcdClusterOptions = {}): Promise<EtcdCluster> {
    const cluster = new EtcdCluster(options);
    try {
      await Promise.all(cluster.#nodes.map((_, index) => cluster.startNode(index)));
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /** The number of nodes. */
  get size(): number {
    return this.#nodes.length;
  }

  /** The process ids of the running nodes. */
  get pids(): number[] {
    return this.#nodes.flatMap((node) => node?.pid ?? []);
  }

  /** A node's address for clients, `host:port`. */
  endpoint(index: number): string {
    return `127.0.0.1:${this.#clientPorts[index]}`;
  }

  /** The cluster's URL, which lists the nodes in order, starting with `first`. */
  place(first = 0, prefix = ""): string {
    const hosts = this.#nodes.map((_, index) => this.endpoint((first + index) % this.size));
    return `${this.#tls ? "etcds" : "etcd"}://${hosts.join(",")}${prefix && `/${prefix}`}`;
  }

  /** Starts a node, with its data of earlier runs. Resolves when it serves clients. */
  async startNode(index: number): Promise<void> {
    const client = `http${this.#tls ? "s" : ""}://${this.endpoint(index)}`;
    const peers = this.#peerPorts.map((port) => `http://127.0.0.1:${port}`);
    // A single node has no others to wait for before it elects itself.
    const pace = this.size === 1 ? ["--heartbeat-interval=10", "--election-timeout=100"] : [];
    const node = new Program([
      "etcd",
      `--name=node${index}`,
      `--data-dir=${this.#folder}/${index}`,
      `--listen-client-urls=${client}`,
      `--advertise-client-urls=${client}`,
      `--listen-peer-urls=${peers[index]}`,
      `--initial-advertise-peer-urls=${peers[index]}`,
      `--initial-cluster=${peers.map((url, i) => `node${i}=${url}`).join(",")}`,
      "--logger=zap",
      "--log-outputs=stderr",
      ...this.#tls ? [`--cert-file=${this.#tls.cert}`, `--key-file=${this.#tls.key}`] : [],
      ...pace,
    ]);
    this.#nodes[index] = node;
    await node.err.until(/serving client traffic/);
  }

  /** Kills a node, as a power cut would. */
  async kill(index: number): Promise<void> {
    const node = this.#nodes[index];
    this.#nodes[index] = undefined;
    await node?.[Symbol.asyncDispose]();
  }

  /** Suspends a node; its connections stay open. */
  pause(index: number): void {
    this.#nodes[index]?.kill("SIGSTOP");
  }

  resume(index: number): void {
    this.#nodes[index]?.kill("SIGCONT");
  }

  /** Runs etcdctl on all running nodes. */
  async etcdctl(...args: string[]): Promise<string> {
    const running = this.#nodes.flatMap((node, index) => node ? [this.endpoint(index)] : []);
    const { success, stdout, stderr } = await inTime(
      new Deno.Command("etcdctl", {
        args: [`--endpoints=${running.join(",")}`, ...args],
        env: { ETCDCTL_API: "3" },
      }).output(),
      `etcdctl ${args.join(" ")}`,
    );
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  }

  /** The index of the leader. */
  async leader(): Promise<number> {
    const status: {
      Endpoint: string;
      Status: { leader: number; header: { member_id: number } };
    }[] = JSON.parse(await this.etcdctl("endpoint", "status", "-w", "json"));
    const leader = status.find(({ Status }) => Status.leader === Status.header.member_id);
    if (leader === undefined) throw new Error("no leader");
    return this.#nodes.findIndex((_, index) => this.endpoint(index) === leader.Endpoint);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nodes.map((_, index) => this.kill(index)));
    await Deno.remove(this.#folder, { recursive: true });
  }
}
