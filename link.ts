/**
 * The link to one other peer: whether it is there, and who it is.
 *
 * Nothing is polled. A link calls `GetInfo` once at the start; after that it
 * waits to be {@link Link.knock | knocked} at, because whoever calls us is up,
 * or for its connection to drop. A slow back-off stays underneath, for networks
 * that heal without anybody calling.
 *
 * @module
 */
import { GreetError } from "./errors.ts";
import { type Channel, CHAT, type ChatMessage, dial } from "./rpc.ts";
import type { Target } from "./target.ts";
import { nameProblem } from "./text.ts";
import { pause, within } from "./time.ts";

/** How long a call to a peer may take. */
const CALL_TIMEOUT_MS = 10_000;

/**
 * The pauses between dials while nobody calls: the first, the longest, and how
 * they grow. Source: grpc/grpc `doc/connection-backoff.md`, but slower.
 */
const BACK_OFF = { firstMs: 5_000, maxMs: 30_000, factor: 1.6 };

/**
 * The least time between two dials. Somebody who floods us with calls must not
 * make us flood somebody else.
 */
const DIAL_PAUSE_MS = 50;

/** What is known of the other peer. */
export type Presence =
  | { readonly state: "connecting" }
  | { readonly state: "here"; readonly name: string }
  | { readonly state: "away"; readonly error: GreetError };

/** How the next dial ends, and a way to ask for it. */
class Attempt {
  readonly #wanted = Promise.withResolvers<void>();
  readonly #outcome = Promise.withResolvers<Presence>();

  get wanted(): Promise<void> {
    return this.#wanted.promise;
  }

  get outcome(): Promise<Presence> {
    return this.#outcome.promise;
  }

  want(): void {
    this.#wanted.resolve();
  }

  end(presence: Presence): void {
    this.#outcome.resolve(presence);
  }
}

/** The link to one other peer. Disposing of it closes the connection. */
export class Link implements AsyncDisposable {
  readonly #target: Target;
  readonly #ownName: string;
  readonly #onChange: (presence: Presence) => void;
  readonly #running: Promise<void>;
  #presence: Presence = { state: "connecting" };
  #next = new Attempt();
  #channel: Channel | undefined;
  #closed = false;

  /**
   * Dials at once. We must be listening by now: the other side calls back.
   *
   * @param target where the other peer listens
   * @param ownName our own name, which the other must not have, too
   * @param onChange gets every change of presence
   */
  constructor(target: Target, ownName: string, onChange: (presence: Presence) => void) {
    this.#target = target;
    this.#ownName = ownName;
    this.#onChange = onChange;
    this.#running = this.#run();
  }

  /** What is known of the other peer now. */
  get presence(): Presence {
    return this.#presence;
  }

  /**
   * Somebody called us, perhaps the one we wait for: dial.
   *
   * @returns who is there, as found by a dial that began after this call, or
   *   by the connection that there is
   */
  knock(): Promise<Presence> {
    if (this.#presence.state === "here") return Promise.resolve(this.#presence);
    this.#next.want();
    return this.#next.outcome;
  }

  /** Resolves once it is known whether the other peer is there. */
  async settled(): Promise<Presence> {
    return this.#presence.state === "connecting" ? await this.knock() : this.#presence;
  }

  /**
   * Delivers one message.
   *
   * @throws {GreetError} where the other side is away or refuses it
   */
  async deliver(message: ChatMessage): Promise<void> {
    const presence = await this.settled();
    if (presence.state !== "here" || this.#channel === undefined) {
      throw presence.state === "away" ? presence.error : new GreetError("CANCELLED", "we left");
    }
    await this.#channel.call(CHAT, "SendMessage", message, { timeoutMs: CALL_TIMEOUT_MS });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#next.want();
    this.#next.end(this.#presence);
    this.#channel?.[Symbol.dispose]();
    await this.#running;
  }

  async #run(): Promise<void> {
    let backOffMs = BACK_OFF.firstMs;
    while (!this.#closed) {
      const paused = pause(DIAL_PAUSE_MS);
      const presence = await this.#dial();
      if (presence.state === "here") {
        backOffMs = BACK_OFF.firstMs;
      } else {
        await within(backOffMs, this.#next.wanted);
        backOffMs = Math.min(backOffMs * BACK_OFF.factor, BACK_OFF.maxMs);
      }
      await paused;
    }
  }

  /** Dials once and, where somebody is there, waits until the connection drops. */
  async #dial(): Promise<Presence> {
    // Who knocks from here on wants a dial that begins later than this one.
    const attempt = this.#next;
    this.#next = new Attempt();
    using channel = this.#channel = dial(this.#target);
    const presence = await this.#ask(channel);
    this.#change(presence);
    attempt.end(presence);
    if (presence.state === "here") {
      this.#next.end(presence);
      await channel.dropped();
      // The connection is gone; whether the peer is, the next dial tells.
      this.#change({ state: "connecting" });
    }
    return presence;
  }

  async #ask(channel: Channel): Promise<Presence> {
    try {
      const { sender } = await channel.call(CHAT, "GetInfo", {}, { timeoutMs: CALL_TIMEOUT_MS });
      this.#checkName(sender);
      return { state: "here", name: sender };
    } catch (error) {
      return { state: "away", error: GreetError.from(error) };
    }
  }

  #checkName(name: string): void {
    const problem = name === this.#ownName ? `is ${name}, too` : nameProblem(name);
    if (problem === undefined) return;
    const message = `${this.#target.address}: the other side's name ${problem}`;
    throw new GreetError("FAILED_PRECONDITION", message);
  }

  #change(presence: Presence): void {
    if (this.#closed) return;
    this.#presence = presence;
    this.#onChange(presence);
  }
}
