/**
 * This process on the local network: what it hears goes to the cache, the responder and the claims,
 * and what they have to say is sent. How much work strangers can cause is limited.
 *
 * @module
 */
import { GreetError } from "../../base/errors.ts";
import { Pulse, within } from "../../base/timing.ts";
import { LanCache } from "./cache.ts";
import { distanceOn, type LanInterface } from "./interfaces.ts";
import { decodePacket, encodePacket, USUAL_BYTES } from "./packets.ts";
import {
  bytesIn,
  dataOf,
  type LanMessage,
  type LanQuestion,
  type LanRecord,
  TTL,
} from "./records.ts";
import { LanResponder } from "./responder.ts";
import { type LanListener, LanSockets } from "./sockets.ts";

/** How soon we must hear ourselves, in milliseconds. */
const HEARING_MS = 2_000;

/** How long questions about incomplete answers wait, and how often they are asked, in milliseconds. */
const MISSING_MS = { first: 100, again: 1_000 };

/** Timers are not set for less than this, in milliseconds. */
const LEAST_TIMER_MS = 50;

/**
 * How much work packets from the network may be in a second, and how much may be saved up. A usual
 * packet is 300, the worst 60,000, which takes 4 ms.
 */
const WORK = { perSecond: 1_000_000, saved: 3_000_000 };

/** Gets every message that is relevant, the address of its sender and the network it came from. */
export type Listener = (message: LanMessage, from: string, link: LanInterface) => void;

/** Settings for tests. */
export interface NodeOptions {
  /** The time to live of what depends on a host, in seconds (default 120). */
  readonly hostTtl?: number;
}

/** This process on the local network. Disposing closes its sockets. */
export class LanNode implements LanListener, AsyncDisposable {
  readonly cache = new LanCache();
  readonly responder: LanResponder;
  /** Beats when what the cache knows has changed. */
  readonly changed = new Pulse();
  /** Beats when networks have come or gone. */
  readonly networks = new Pulse();
  readonly hostTtl: number;
  readonly #sockets: LanSockets;
  readonly #listeners = new Set<Listener>();
  readonly #heard = new Pulse();
  readonly #work = new WorkBudget();
  #lastHeard = -Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAt = Infinity;
  #asking: ReturnType<typeof setTimeout> | undefined;
  #lastMissing = -Infinity;

  /** @throws {GreetError} `FAILED` if the interfaces cannot be read */
  constructor({ hostTtl = TTL.host }: NodeOptions = {}) {
    this.hostTtl = hostTtl;
    this.#sockets = new LanSockets(this);
    this.responder = new LanResponder((message, link) => this.send(message, link));
  }

  /** The networks. */
  get links(): readonly LanInterface[] {
    return this.#sockets.interfaces;
  }

  /** Calls a listener with every message, until the returned function is called. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onPacket(packet: Uint8Array, from: string, link: LanInterface): void {
    const now = performance.now();
    this.#lastHeard = now;
    this.#heard.beat();
    if (!this.#work.isLeft(now)) return;
    const spend = (work: number) => this.#work.spend(work);
    const message = decodePacket(packet, this.cache.hosts, spend);
    if (message !== undefined) this.#take(message, from, link, now);
  }

  #take(message: LanMessage, from: string, link: LanInterface, now: number): void {
    if (message.type === "query") this.responder.onQuery(message, link);
    else {
      this.responder.onResponse(message, link);
      const records = [...message.answers, ...message.additionals ?? []];
      const distance = (address: string) => distanceOn(link, address);
      if (this.cache.learn(records, { address: from, distance }, now)) this.#learnt(now);
      this.#setTimer(now);
    }
    for (const listener of this.#listeners) listener(message, from, link);
  }

  onNetworks(): void {
    this.networks.beat();
  }

  #learnt(now: number): void {
    this.changed.beat();
    if (this.#asking !== undefined) return;
    const waitMs = Math.max(MISSING_MS.first, this.#lastMissing + MISSING_MS.again - now);
    this.#asking = setTimeout(() => {
      this.#asking = undefined;
      this.#lastMissing = performance.now();
      this.ask(this.cache.missing());
    }, waitMs);
  }

  #setTimer(now: number): void {
    const at = this.cache.nextAt;
    if (at >= this.#timerAt) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    if (at === Infinity) return;
    this.#timer = setTimeout(() => this.#refresh(), Math.max(at - now, LEAST_TIMER_MS));
  }

  #refresh(): void {
    const now = performance.now();
    this.#timerAt = Infinity;
    if (this.cache.expire(now)) this.changed.beat();
    this.ask(this.cache.refreshes(now));
    this.#setTimer(now);
  }

  /** Asks questions, and says which answers are known already. */
  ask(questions: readonly LanQuestion[]): void {
    if (questions.length === 0) return;
    const now = performance.now();
    const known = questions.flatMap((question) => this.cache.knownAnswers(question, now));
    let bytes = questions.reduce((sum, { name }) => sum + bytesIn(name) + 8, 12);
    const answers = known.filter((record) => (bytes += sizeOf(record)) <= USUAL_BYTES);
    for (let i = 0; i < questions.length; i += MAX_QUESTIONS) {
      const part = questions.slice(i, i + MAX_QUESTIONS);
      this.send({ type: "query", questions: part, answers: i === 0 ? answers : [] });
    }
  }

  /** Sends a message; to all networks if none is given. */
  send(message: LanMessage, link?: LanInterface): void {
    this.#sockets.send(encodePacket(message), link);
  }

  /**
   * Makes sure that multicast works here. What we send comes back to us, unless that is
   * prevented.
   *
   * @param sentAt when something was sent, by the clock of `performance.now()`
   * @throws {GreetError} `UNAVAILABLE` if nothing was heard within 2 s
   */
  async checkHearing(sentAt: number): Promise<void> {
    if (this.links.length === 0) throw notConnected();
    for (;;) {
      const { next } = this.#heard;
      if (this.#lastHeard >= sentAt) return;
      const leftMs = sentAt + HEARING_MS - performance.now();
      if (leftMs <= 0) throw this.#deaf();
      await within(leftMs, next);
    }
  }

  #deaf(): GreetError {
    const { trouble } = this.#sockets;
    const reason = trouble === undefined
      ? "no packet to UDP port 5353 arrives, not even our own"
      : `UDP port 5353 cannot be used: ${trouble}`;
    return new GreetError("UNAVAILABLE", `multicast does not work here: ${reason}`, {
      hint: "a firewall or a container may block it; a naming server (greet names) needs none",
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    clearTimeout(this.#asking);
    this.responder[Symbol.dispose]();
    await this.#sockets.flushed();
    this.#sockets[Symbol.dispose]();
  }
}

/** How many questions fit into one packet. */
const MAX_QUESTIONS = 12;

/** The error if this machine is on no network. */
export function notConnected(): GreetError {
  return new GreetError("UNAVAILABLE", "this machine is on no network");
}

/** At most how many bytes a record takes in a packet. */
function sizeOf(record: LanRecord): number {
  return bytesIn(record.name) + bytesIn(dataOf(record)) + 24;
}

/** Bounds the work that packets from the network cause. */
class WorkBudget {
  #left = WORK.saved;
  #at = 0;

  isLeft(now: number): boolean {
    const earned = (now - this.#at) * WORK.perSecond / 1_000;
    this.#left = Math.min(this.#left + earned, WORK.saved);
    this.#at = now;
    return this.#left > 0;
  }

  spend(work: number): void {
    this.#left -= work;
  }
}
