/**
 * Uses the local network as a naming service: DNS-SD (RFC 6763) over multicast DNS (RFC 6762), which
 * other programs speak too.
 *
 * Nothing has to be set up, and no answer proves anything: anyone on the network can give any. What
 * is needed to speak it is loaded with the first request.
 *
 * @module
 */
import { isIP } from "../net/ip.ts";
import { GreetError } from "../base/errors.ts";
import { within } from "../base/timing.ts";
import { isLoopback, parseTarget } from "../net/address.ts";
import type { LanNode, NodeOptions } from "./lan/node.ts";
import { isTooLong } from "./lan/records.ts";
import { LanWatch, Watched } from "./lan/watch.ts";
import { checkCount } from "./naming_service.ts";
import type { NameClaim, NamedEntry, NamesWatch, NamingService } from "./naming_service.ts";

/** How long a list waits for answers, in milliseconds: long enough for a question that is repeated. */
const LIST_MS = 1_700;

/** Loads what is needed to speak multicast DNS. Afterwards, no file is read. */
export async function loadLan() {
  const [{ LanNode }, { LanClaim }] = await Promise.all([
    import("./lan/node.ts"),
    import("./lan/claim.ts"),
  ]);
  return { LanNode, LanClaim };
}

/** The local network as a naming service. Disposing of it closes the sockets. */
export class Lan implements NamingService {
  readonly address = "the local network";
  readonly where = "on the local network";
  readonly #options: NodeOptions;
  /** The names that this process has claimed; those that are shared with their addresses. */
  readonly #claimed = new Set<string>();
  /** Claims that were refused. */
  readonly #refused = new WeakSet<NameClaim>();
  #node: Promise<LanNode> | undefined;

  /** Opens sockets with the first request. */
  constructor(options: NodeOptions = {}) {
    this.#options = options;
  }

  #open(): Promise<LanNode> {
    return this.#node ??= loadLan().then(({ LanNode }) => new LanNode(this.#options));
  }

  /**
   * Like {@link NamingService.hold}. A claim that was refused waits until the name is free.
   *
   * @throws {GreetError} `ALREADY_EXISTS` also if this process itself has registered the name;
   *   `USAGE` for a name or an address that cannot be registered here; `UNAVAILABLE` without multicast
   */
  async hold(claim: NameClaim, held: (since?: Date) => void, signal: AbortSignal): Promise<void> {
    checkClaim(claim);
    const { name } = claim;
    const key = claim.shared ? `${name}/${claim.address}` : name;
    if (this.#claimed.has(key)) {
      throw new GreetError("ALREADY_EXISTS", `this process has registered ${name} already`);
    }
    this.#claimed.add(key);
    try {
      const [{ LanClaim }, node] = await Promise.all([loadLan(), this.#open()]);
      if (this.#refused.has(claim)) await this.#untilFree(name, signal);
      if (!signal.aborted) await new LanClaim(node, claim).hold(held, signal);
    } catch (error) {
      if (GreetError.from(error).code === "ALREADY_EXISTS") this.#refused.add(claim);
      throw error;
    } finally {
      this.#claimed.delete(key);
    }
  }

  async #untilFree(name: string, signal: AbortSignal): Promise<void> {
    const node = await this.#open();
    const watched = new Watched(node, name, signal);
    try {
      await watched.settle();
      for (;;) {
        const change = watched.change();
        if (watched.isOver || node.cache.entries(name).length === 0) return;
        await change;
      }
    } finally {
      watched.end();
    }
  }

  async list(
    name: string | undefined,
    { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
  ): Promise<NamedEntry[]> {
    const node = await this.#open();
    const watched = new Watched(node, name, signal);
    try {
      await within(timeoutMs, watched.settle(LIST_MS));
      signal?.throwIfAborted();
      const entries = node.cache.entries(name);
      checkCount(entries.length, name, this.address);
      return entries;
    } finally {
      watched.end();
    }
  }

  watch(name?: string): NamesWatch {
    return new LanWatch(() => this.#open(), name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const node = await this.#node?.catch(() => undefined);
    await node?.[Symbol.asyncDispose]();
  }
}

/** Refuses what cannot be registered on the local network. */
function checkClaim({ name, address }: NameClaim): void {
  if (isTooLong(name)) {
    throw new GreetError(
      "USAGE",
      `on the local network a name has at most 63 bytes, ${name} has more`,
    );
  }
  const { host } = parseTarget(address).endpoint!;
  if (isIP(host) === 0 || isLoopback(host)) {
    const message = `others on the local network cannot call ${host}`;
    throw new GreetError("USAGE", message, { hint: "use an IP address of this machine" });
  }
}
