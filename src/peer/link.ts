/**
 * The link to one other peer: whether it is there, who it is, and calls to it.
 *
 * Nothing is polled. A link calls `GetInfo` once at the start; after that it
 * waits to be {@link Link.knock | knocked} at, because whoever calls us is up,
 * or for its connection to drop. While the other side is there but silent it is
 * asked every few seconds whether it still is; while it is not, a slow back-off
 * stays underneath, for networks that heal without anybody calling.
 *
 * @module
 */
import { AnswerTimeout, type TimeoutRange } from "./answer_timeout.ts";
import type { KeyPair } from "../net/certificates.ts";
import { DELIVERY_TIMEOUT, DeliveryPace, type Load } from "./delivery_pace.ts";
import { GreetError } from "../base/errors.ts";
import type { Message, Person } from "./journal.ts";
import { isNobodyThere } from "../rpc/call_errors.ts";
import { type Channel, dial } from "../rpc/client.ts";
import type { Target } from "../net/address.ts";
import { pause, within } from "../base/timing.ts";
import { CHAT, type ChatMessage, LISTENING_PORT } from "../rpc/services.ts";

/**
 * How long a peer may take to say who it is when we dial. That includes connecting: several round
 * trips before any of them can be measured, so each dial that times out gives the next one longer.
 */
const DIAL_TIMEOUT = { leastMs: 5_000, mostMs: 20_000 };

/**
 * A peer that was stopped, or whose cable was pulled, says nothing, and the
 * connection to it stays. So after that much silence it is asked, with `GetInfo`,
 * and has so long to answer. HTTP/2's own pings would do, but servers in Go and
 * C++ by default hang up on clients that ping more than once in 5 minutes
 * (grpc/grpc `doc/keepalive.md`).
 */
const SILENCE_MS = 5_000;
const SIGN_OF_LIFE_TIMEOUT = { leastMs: 3_000, mostMs: 20_000 };

/** How large an answer may be, in bytes: it holds a name at most. */
const MAX_ANSWER_BYTES = 64 * 1024;

/**
 * The pauses between dials while nobody listens there: the first, the longest, and how
 * they grow. Source: grpc/grpc `doc/connection-backoff.md`, but slower: who
 * comes to listen there will call us.
 */
const BACK_OFF = { firstMs: 5_000, maxMs: 30_000, factor: 1.6 };

/** Where something else is wrong, dials begin this far apart: when a network heals, nobody need call. */
const UNREACHABLE_EVERY_MS = 5_000;

/**
 * The least time between two dials. Somebody who floods us with calls must not
 * make us flood somebody else.
 */
const DIAL_PAUSE_MS = 50;

/** What is known of the other peer. */
export type Presence =
  | { readonly state: "connecting" }
  | { readonly state: "here" } & Person
  | { readonly state: "away"; readonly error: GreetError };

/** Where a peer listens. */
export interface Place extends Target {
  /** The fingerprint of its key, where somebody has said so. */
  readonly fingerprint?: string;
}

/** Where a peer listens, or why that is not known. */
export type Whereabouts = Place | GreetError;

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

/** Decides about a peer by its name, its key, and where it is. */
type Judge = (name: string, fingerprint: string | undefined, place: Place) => void;

/** How to open a link. */
export interface LinkOptions {
  /** What the other peer goes by, for as long as there is no name to call it by. */
  readonly address: string;
  /** Where it listens, or why that is not known; {@link Link.moveTo} tells it later. */
  readonly whereabouts: Whereabouts;
  /** The port that we listen on, which the other side gets to know. */
  readonly port: number;
  /** What we show, to speak TLS; without it, nothing is encrypted. */
  readonly own?: KeyPair;
  /** Throws a {@link GreetError} where the peer at a place may no longer be talked to. */
  readonly check: Judge;
  /**
   * Admits a peer, or throws a {@link GreetError}. {@link LinkOptions.onChange} follows in the same
   * synchronous step, so what is decided here still holds when the link shows the peer.
   */
  readonly admit: Judge;
  /** Gets every change of presence. */
  readonly onChange: (presence: Presence) => void;
}

/** The link to one other peer. Disposing of it closes the connection. */
export class Link implements AsyncDisposable {
  /** What the other peer goes by. */
  readonly address: string;
  readonly #options: LinkOptions;
  readonly #running: Promise<void>;
  #whereabouts: Whereabouts;
  /** Where the present connection goes, or the last one went. */
  #place: Place | undefined;
  #presence: Presence = { state: "connecting" };
  #next = new Attempt();
  #channel: Channel | undefined;
  #takesSeveral = true;
  #hasDropped = false;
  #lastSign = 0;
  readonly #timeout = new AnswerTimeout();
  readonly #pace = new DeliveryPace();
  /** By how much the call under way may take longer than usual: the peer may be busy with it. */
  #extraMs = 0;
  #doubted = Promise.withResolvers<void>();
  #closed = false;

  /** Dials at once. We must be listening by now: the other side calls back. */
  constructor(options: LinkOptions) {
    this.address = options.address;
    this.#whereabouts = options.whereabouts;
    this.#options = options;
    this.#running = this.#run();
  }

  /** What is known of the other peer now. */
  get presence(): Presence {
    return this.#presence;
  }

  /** The name of the other peer, while it is there. */
  get name(): string | undefined {
    return this.peer?.name;
  }

  /** The other peer, while it is there. */
  get peer(): Person | undefined {
    const presence = this.#presence;
    if (presence.state !== "here") return undefined;
    return { name: presence.name, fingerprint: presence.fingerprint };
  }

  /** Whether the other peer is there, and is who has that name and that key. */
  isTo(name: string, fingerprint: string | undefined): boolean {
    const presence = this.#presence;
    return presence.state === "here" && presence.name === name &&
      presence.fingerprint === fingerprint;
  }

  /** Whether the other peer is there, and has that key. */
  isToKey(fingerprint: string | undefined): boolean {
    return this.#presence.state === "here" && this.#presence.fingerprint === fingerprint;
  }

  /** Whether the other peer is expected on that port, on whatever machine. */
  isToPort(port: number): boolean {
    const whereabouts = this.#whereabouts;
    return !(whereabouts instanceof GreetError) && whereabouts.endpoint?.port === port;
  }

  /** How many messages the other side can be expected to handle in one call. */
  get batch(): number {
    return this.#takesSeveral ? this.#pace.batch : 1;
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

  /**
   * The other peer is to be found somewhere else from now on, or nobody knows where. Who is
   * there already stays there until the connection drops: those who have met need nobody else.
   */
  moveTo(whereabouts: Whereabouts): void {
    this.#whereabouts = whereabouts;
    const isKnown = !(whereabouts instanceof GreetError);
    if (isKnown && whereabouts.address !== this.#place?.address) this.#channel?.[Symbol.dispose]();
    this.#next.want();
  }

  /** Resolves once it is known whether the other peer is there. */
  async settled(): Promise<Presence> {
    return this.#presence.state === "connecting" ? await this.knock() : this.#presence;
  }

  /**
   * Delivers messages, in order: in one call, or as many as the other side takes in one.
   *
   * @param to who is to get them, and nobody else
   * @param messages at least one, and at most {@link Link.batch}
   * @returns how many of them, from the first, were delivered
   * @throws {GreetError} where none was, because the other side is away or refuses it
   */
  async deliver(to: Person, messages: readonly Message[]): Promise<number> {
    const channel = await this.#channelTo(to);
    if (this.#takesSeveral && messages.length > 1) {
      try {
        await this.#send(channel, "SendMessages", { messages: messages.map(toWire) }, messages);
        return messages.length;
      } catch (error) {
        if (!isTooMuch(error)) throw error;
        this.#takesSeveral = false;
      }
    }
    await this.#send(channel, "SendMessage", toWire(messages[0]), messages.slice(0, 1));
    return 1;
  }

  /** The channel to somebody, and not to somebody else in their place. */
  async #channelTo({ name, fingerprint }: Person): Promise<Channel> {
    const presence = await this.settled();
    if (presence.state === "away") throw presence.error;
    if (presence.state === "connecting") throw new GreetError("CANCELLED", "we left");
    if (this.isTo(name, fingerprint)) return this.#channel!;
    throw new GreetError("UNAVAILABLE", `${name} has left, and ${presence.name} is there`);
  }

  async #send<Name extends "SendMessage" | "SendMessages">(
    channel: Channel,
    name: Name,
    request: NonNullable<typeof CHAT.calls>[Name]["request"],
    messages: readonly Message[],
  ): Promise<void> {
    const characters = messages.reduce((sum, { body }) => sum + body.length, 0);
    const load = { messages: messages.length, characters };
    const timeoutMs = this.#pace.timeoutMs(load);
    this.#extraMs = timeoutMs - DELIVERY_TIMEOUT.leastMs;
    const began = performance.now();
    try {
      await channel.call(CHAT, name, request, { timeoutMs });
      this.#lastSign = performance.now();
      this.#pace.delivered(load, this.#lastSign - began, this.#timeout.quickestMs);
    } catch (error) {
      if (isExpired(error)) this.#doubt(load);
      throw error;
    } finally {
      this.#extraMs = 0;
    }
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
    // Nothing is told before whoever made the link has it.
    await Promise.resolve();
    while (!this.#closed) {
      const paused = pause(DIAL_PAUSE_MS);
      const began = performance.now();
      // Who knocks from here on wants a dial that begins later than this one.
      const attempt = this.#next;
      this.#next = new Attempt();
      const whereabouts = this.#whereabouts;
      const presence = whereabouts instanceof GreetError
        ? this.#miss(whereabouts, attempt)
        : await this.#dial(whereabouts, attempt);
      if (whereabouts instanceof GreetError) {
        await this.#next.wanted;
      } else if (presence.state === "away" && isNobodyThere(presence.error)) {
        await within(backOffMs, this.#next.wanted);
        backOffMs = Math.min(backOffMs * BACK_OFF.factor, BACK_OFF.maxMs);
      } else {
        const restMs = Math.max(0, UNREACHABLE_EVERY_MS - (performance.now() - began));
        if (presence.state === "away") await within(restMs, this.#next.wanted);
        backOffMs = BACK_OFF.firstMs;
      }
      await paused;
    }
  }

  /** There is nowhere to dial. */
  #miss(error: GreetError, attempt: Attempt): Presence {
    const presence: Presence = { state: "away", error };
    this.#change(presence);
    attempt.end(presence);
    return presence;
  }

  /** Dials once and, where somebody is there, waits until that is over. */
  async #dial(place: Place, attempt: Attempt): Promise<Presence> {
    this.#place = place;
    const { own, admit } = this.#options;
    const options = { own, maxAnswerBytes: MAX_ANSWER_BYTES };
    using first = this.#channel = dial(place, options);
    let presence = this.#judge(await this.#ask(first, DIAL_TIMEOUT), admit);
    // A process that is ending may still take a connection, and drop it: that tells nothing.
    const isTelling = !this.#hasDropped || presence.state !== "away" ||
      isNobodyThere(presence.error);
    using channel = this.#channel = isTelling ? first : dial(place, options);
    if (!isTelling) presence = this.#judge(await this.#ask(channel, DIAL_TIMEOUT), admit);
    this.#hasDropped = false;
    this.#takesSeveral = true;
    this.#change(presence);
    attempt.end(presence);
    if (presence.state === "here") {
      this.#next.end(presence);
      this.#change(await this.#watch(channel));
      this.#hasDropped = this.#presence.state === "connecting";
    }
    return presence;
  }

  /** Waits until the connection drops or nobody answers on it any more. */
  async #watch(channel: Channel): Promise<Presence> {
    let isOpen = true;
    const dropped = channel.dropped().then(() => void (isOpen = false));
    for (;;) {
      const silenceMs = performance.now() - this.#lastSign;
      await within(SILENCE_MS - silenceMs, Promise.race([dropped, this.#doubted.promise]));
      // The connection is gone; whether the peer is, the next dial tells.
      if (!isOpen || this.#closed) return { state: "connecting" };
      if (performance.now() - this.#lastSign < SILENCE_MS) continue;
      const answer = await this.#ask(channel, SIGN_OF_LIFE_TIMEOUT);
      const presence = this.#judge(answer, this.#options.check);
      if (presence.state !== "here") return isOpen ? presence : { state: "connecting" };
      // A peer that has changed its name has to be admitted again.
      if (presence.name !== this.name) return { state: "connecting" };
    }
  }

  /** A delivery was not answered in time: ask at once whether the peer is still there. */
  #doubt(load: Load): void {
    this.#pace.timedOut(load);
    this.#lastSign = -Infinity;
    this.#doubted.resolve();
  }

  async #ask(channel: Channel, range: TimeoutRange): Promise<Presence> {
    const timeoutMs = this.#timeout.within(range) + this.#extraMs;
    const began = performance.now();
    try {
      const headers = { [LISTENING_PORT]: `${this.#options.port}` };
      const { sender } = await channel.call(CHAT, "GetInfo", {}, { timeoutMs, headers });
      this.#lastSign = performance.now();
      this.#timeout.answered(this.#lastSign - began);
      this.#doubted = Promise.withResolvers();
      return { state: "here", name: sender, fingerprint: channel.fingerprint };
    } catch (error) {
      if (isExpired(error)) this.#timeout.expired();
      return { state: "away", error: GreetError.from(error) };
    }
  }

  /** The presence as it is once a peer that is not accepted counts as away. */
  #judge(presence: Presence, judge: Judge): Presence {
    if (presence.state !== "here") return presence;
    try {
      judge(presence.name, presence.fingerprint, this.#place!);
      return presence;
    } catch (error) {
      return { state: "away", error: GreetError.from(error) };
    }
  }

  #change(presence: Presence): void {
    if (this.#closed) return;
    this.#presence = presence;
    this.#options.onChange(presence);
  }
}

function isExpired(error: unknown): boolean {
  return GreetError.from(error).code === "DEADLINE_EXCEEDED";
}

/** Whether several messages in one call are more than the other side can take. */
function isTooMuch(error: unknown): boolean {
  const { code } = GreetError.from(error);
  return code === "UNIMPLEMENTED" || code === "RESOURCE_EXHAUSTED";
}

/** A message as it goes over the wire. */
export function toWire({ id, from, body, at }: Message): ChatMessage {
  const ms = at.getTime();
  const seconds = Math.floor(ms / 1000);
  return { id, sender: from, body, timestamp: { seconds, nanos: (ms - seconds * 1000) * 1e6 } };
}

/** What came over the wire as a message. */
export function fromWire({ id, sender, body, timestamp }: ChatMessage): Message {
  const at = new Date(timestamp ? timestamp.seconds * 1000 + timestamp.nanos / 1e6 : NaN);
  // A sender may leave the time out, or send one that no calendar knows.
  return { id, from: sender, body, at: Number.isNaN(at.getTime()) ? new Date() : at };
}
