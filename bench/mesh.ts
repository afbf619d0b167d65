/**
 * A full mesh of chats, each a process, and one of bare grpc-js programs.
 *
 * @module
 */
import { Bot } from "../tests/support/bot.ts";
import { freePorts } from "../tests/support/ports.ts";
import { Program } from "../tests/support/program.ts";
import { PATIENCE_MS } from "./chatter.ts";
import { type Usage, usage } from "./measure.ts";
import { GRPC_JS_MESH } from "./rivals.ts";

/** On two quiet cores, 50 peers need most of a minute to meet; on busy ones, several. */
const MEETING_MS = 300_000;

/** Peers that are all linked to each other. */
export class Mesh implements AsyncDisposable {
  readonly size: number;
  readonly start = performance.now();
  readonly #peers: readonly Bot[];
  #sent = 0;

  constructor(size: number) {
    this.size = size;
    const ports = freePorts(size);
    this.#peers = ports.map((port, i) => new Bot([`Peer${i}`, port, ...ports.toSpliced(i, 1)]));
  }

  /** Waits until all peers have met. Returns how many have met all others. */
  async met(): Promise<number> {
    const hasMetAll = (peer: Bot) => {
      const welcomed = peer.all("welcome").flatMap(({ peers }) => peers as string[]);
      const joined = peer.all("joined").filter(({ back }) => !back);
      return welcomed.length + joined.length === this.size - 1 || undefined;
    };
    const meeting = this.#peers.map((peer) =>
      peer.program.out.waitFor(() => hasMetAll(peer), () => "all others", MEETING_MS)
    );
    const settled = await Promise.allSettled(meeting);
    return settled.filter(({ status }) => status === "fulfilled").length;
  }

  /** Sends a message. Returns the time until all other peers have received it, in milliseconds. */
  async say(): Promise<number> {
    const speaker = this.#peers[this.#sent % this.size];
    const body = `${this.#sent++}`;
    const others = this.#peers.filter((peer) => peer !== speaker);
    const start = performance.now();
    // If the speaker has died, the message counts as lost.
    await speaker.say(body).catch(() => {});
    await Promise.all(others.map((peer) => arrivalOf(peer, body)));
    return performance.now() - start;
  }

  /** The average usage of a peer. */
  async usage(): Promise<Usage> {
    const all = await this.#usages();
    const mean = (what: keyof Usage) => all.reduce((sum, one) => sum + one[what], 0) / all.length;
    return { memoryMB: mean("memoryMB"), cpuMs: mean("cpuMs"), wakeUps: mean("wakeUps") };
  }

  /** The number of peers that have died. */
  async dead(): Promise<number> {
    return this.size - (await this.#usages()).length;
  }

  async #usages(): Promise<Usage[]> {
    const readings = this.#peers.map(({ program }) => usage(program.pid));
    const settled = await Promise.allSettled(readings);
    return settled.flatMap((one) => one.status === "fulfilled" ? [one.value] : []);
  }

  /** How often a slow peer was wrongly reported to have left. */
  get left(): number {
    return this.#sum((peer) => peer.all("left").length);
  }

  /** The number of messages that were not received, over all receivers. */
  get lost(): number {
    return this.#sent * (this.size - 1) - this.#received((bodies) => new Set(bodies).size);
  }

  /** The number of messages that were received twice, over all receivers. */
  get receivedAgain(): number {
    return this.#received((bodies) => bodies.length - new Set(bodies).size);
  }

  #received(count: (bodies: readonly string[]) => number): number {
    return this.#sum((peer) => count(peer.all("message").map(({ body }) => body!)));
  }

  #sum(count: (peer: Bot) => number): number {
    return this.#peers.map(count).reduce((a, b) => a + b);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#peers.map((peer) => peer[Symbol.asyncDispose]()));
  }
}

/**
 * Lets processes with nothing but grpc-js call each other: the lower bound for a mesh. Returns how long
 * that takes, and the CPU time of each.
 */
export async function meetBare(size: number): Promise<{ metMs: number; cpuMs: number }> {
  await using stack = new AsyncDisposableStack();
  const ports = freePorts(size);
  const start = performance.now();
  const peers = ports.map((port, i) =>
    stack.use(new Program([...GRPC_JS_MESH, port, ...ports.toSpliced(i, 1)]))
  );
  const hasMetAll = ({ out }: Program) => out.text.includes("met all") || undefined;
  await Promise.all(
    peers.map((peer) => peer.out.waitFor(() => hasMetAll(peer), () => "all others", MEETING_MS)),
  );
  const metMs = performance.now() - start;
  const usages = await Promise.all(peers.map(({ pid }) => usage(pid)));
  return { metMs, cpuMs: usages.reduce((sum, { cpuMs }) => sum + cpuMs, 0) / size };
}

/** Waits for a message, for a limited time. Missing messages are counted at the end. */
async function arrivalOf(peer: Bot, body: string): Promise<void> {
  const find = () => peer.all("message").find((message) => message.body === body);
  await Promise.allSettled([peer.program.out.waitFor(find, () => body, PATIENCE_MS)]);
}
