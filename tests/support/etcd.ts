/**
 * Real etcd, for tests: one node or a cluster, on ports of their own, with data that goes away.
 *
 * Nodes are killed, paused and started again one by one. Nothing here sleeps: a node is up when it
 * says that it serves.
 */
import { inTime, Program } from "./program.ts";

/** Whether this machine has etcd. */
export const hasEtcd = has("etcd") && has("etcdctl");

/** A test that is skipped, by name, where there is no etcd, or something else is missing. */
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

/** Whether there is such a command. */
export function has(command: string): boolean {
  const folders = Deno.env.get("PATH")?.split(":") ?? [];
  return folders.some((folder) => exists(`${folder}/${command}`));
}

/** Whether there is such a file or folder. */
export function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * Ports that nobody has, none of which is one that the system gives to outgoing connections: a node
 * that is started again must get the same.
 */
function fixedPorts(count: number): number[] {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      ports.add(port);
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  return [...ports];
}

/** How to start a cluster. */
export interface EtcdClusterOptions {
  nodes?: number;
  /** Certificate and key (PEM files) for clients that speak TLS. */
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
    const ports = fixedPorts(2 * nodes);
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

  /** How many nodes there are. */
  get size(): number {
    return this.#nodes.length;
  }

  /** The processes of the nodes that run. */
  get pids(): number[] {
    return this.#nodes.flatMap((node) => node?.pid ?? []);
  }

  /** `host:port` of a node, for clients. */
  endpoint(index: number): string {
    return `127.0.0.1:${this.#clientPorts[index]}`;
  }

  /** The place to name, with the nodes in turn, beginning with one of them. */
  place(first = 0, prefix = ""): string {
    const hosts = this.#nodes.map((_, index) => this.endpoint((first + index) % this.size));
    return `${this.#tls ? "etcds" : "etcd"}://${hosts.join(",")}${prefix && `/${prefix}`}`;
  }

  /** Starts a node, with what it knew before; it is done when clients are served. */
  async startNode(index: number): Promise<void> {
    const client = `http${this.#tls ? "s" : ""}://${this.endpoint(index)}`;
    const peers = this.#peerPorts.map((port) => `http://127.0.0.1:${port}`);
    // Alone, a node need not wait for others before it elects itself.
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

  /** Ends a node at once, as a power cut does. */
  async kill(index: number): Promise<void> {
    const node = this.#nodes[index];
    this.#nodes[index] = undefined;
    await node?.[Symbol.asyncDispose]();
  }

  /** Stops a node where it is; its connections stay. */
  pause(index: number): void {
    this.#nodes[index]?.kill("SIGSTOP");
  }

  resume(index: number): void {
    this.#nodes[index]?.kill("SIGCONT");
  }

  /** Runs etcdctl on the node, or on all, that run. */
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

  /** Which node leads the others. */
  async leader(): Promise<number> {
    const status: {
      Endpoint: string;
      Status: { leader: number; header: { member_id: number } };
    }[] = JSON.parse(await this.etcdctl("endpoint", "status", "-w", "json"));
    const leader = status.find(({ Status }) => Status.leader === Status.header.member_id);
    if (leader === undefined) throw new Error("nobody leads");
    return this.#nodes.findIndex((_, index) => this.endpoint(index) === leader.Endpoint);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nodes.map((_, index) => this.kill(index)));
    await Deno.remove(this.#folder, { recursive: true });
  }
}
