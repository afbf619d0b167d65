/**
 * The connection to one other peer: its presence, its name and key, and deliveries to it.
 *
 * The peer is reached over a connection that we have dialled or, if we cannot, over one that it has
 * dialled and attached to us. Nothing is polled: a link dials once, and again when the other peer
 * calls us ({@link Link.knock}) or the connection drops; only a connected peer that has gone silent is
 * asked whether it is still there.
 *
 * @module
 */
import { type IntroductionOptions, type Limits, requestAcceptance } from "./acceptance.ts";
import { AnswerTimeout } from "./answer_timeout.ts";
import { Attachment } from "./attachment.ts";
import { type Carrier, DialledCarrier } from "./carrier.ts";
import { Collection } from "./collection.ts";
import type { KeyPair } from "../net/certificates.ts";
import { DELIVERY_TIMEOUT, DeliveryPace, type Load } from "./delivery_pace.ts";
import { type Attempt, DialSchedule } from "./dial_schedule.ts";
import { GreetError } from "../base/errors.ts";
import type { Person } from "./journal.ts";
import type { Message } from "./messages.ts";
import {
  type Answerer,
  AwaitedCall,
  type Breach,
  leftChat,
  type Place,
  type Presence,
  type Whereabouts,
} from "./presence.ts";
import { isAbsent } from "../rpc/call_errors.ts";
import type { Connection } from "../rpc/client.ts";
import type { Network } from "../rpc/network.ts";
import { Pulse, race, within } from "../base/timing.ts";
import { CHAT, type ChatMessage, LISTENING_PORT } from "../rpc/services.ts";

/**
 * How long connecting may take. It takes several round trips before any can be measured, so each dial
 * that times out extends the next.
 */
const CONNECT_TIMEOUT = { leastMs: 5_000, mostMs: 20_000 };

/**
 * How long a peer that is connected may take to introduce itself. It is alive, or there would be no
 * HTTP/2 connection, and another dial would only keep it busier.
 */
const INTRODUCTION_MS = 20_000;

/**
 * A peer that was suspended, or whose cable was pulled, keeps its connection but says nothing. After
 * this much silence it is asked: with an HTTP/2 ping if it takes them, which the runtime answers, and
 * otherwise with `GetInfo`. Servers in Go and C++ hang up on clients that ping more than once in 5
 * minutes (grpc/grpc `doc/keepalive.md`).
 */
const SILENCE_MS = 5_000;
/**
 * How much longer one of the two sides, the one whose name comes second, lets the other stay silent
 * that has called it. Otherwise both would ask at the same time, and neither question would spare
 * the other.
 */
const HEADWAY_MS = 1_000;

/** How long calls of the peer may stand in for answers, before our connection to it is tried again. */
const UNTRIED_MS = 30_000;

const SIGN_OF_LIFE_TIMEOUT = { leastMs: 3_000, mostMs: 20_000 };

/**
 * How large an answer may be without encryption, in bytes: it holds a name at most. With it, answers
 * may be deliveries.
 */
const MAX_ANSWER_BYTES = 64 * 1024;

/** Accepts a peer at a place, or throws a {@link GreetError} that says why not. */
type Check = (peer: Answerer, place: Place) => void;

/** How to open a link. */
export interface LinkOptions {
  /** What identifies the other peer to the user until its name is known. */
  readonly address: string;
  /** Where it listens, or why that is not known; {@link Link.moveTo} changes it. */
  readonly whereabouts: Whereabouts;
  /** Opens connections. */
  readonly dial: Network["dial"];
  /** How we introduce ourselves to the other side. */
  readonly introduction: IntroductionOptions;
  /** Our own certificate, for mutual TLS; without it, the link is not encrypted. */
  readonly own?: KeyPair;
  /** Checks a peer, before it is asked whether it accepts us and later. */
  readonly check: Check;
  /** Called when a peer has passed the check, so that it may count on us. */
  readonly onMet: () => void;
  /**
   * Checks and admits a peer that accepts us. {@link LinkOptions.onChange} follows in the same synchronous step, so
   * the decision still holds when the presence changes.
   */
  readonly admit: Check;
  /**
   * Takes messages that the other side has for us, if it cannot call us; resolves when they may be
   * acknowledged.
   *
   * @throws {GreetError} if they cannot be taken
   */
  readonly take: (messages: readonly ChatMessage[], from: Person) => Promise<unknown>;
  /** Called with every change of presence. */
  readonly onChange: (presence: Presence) => void;
}

/** The link to one other peer. Disposing of it closes the connection. */
export class Link implements AsyncDisposable {
  /** What identifies the other peer to the user until its name is known. */
  readonly address: string;
  readonly #options: LinkOptions;
  readonly #running: Promise<void>;
  readonly #dials = new DialSchedule();
  readonly #timeout = new AnswerTimeout();
  readonly #pace = new DeliveryPace();
  #whereabouts: Whereabouts;
  /** Where the current connection leads, or the last one led. */
  #place: Place | undefined;
  #presence: Presence = { state: "connecting" };
  #channel: Connection | undefined;
  /** What reaches the peer while it is here. */
  #carrier: Carrier | undefined;
  /** The caller that is attached to us. */
  #attachment: Attachment | undefined;
  /** Our own call that collects what the peer has for us, if it cannot call us. */
  #collection: Collection | undefined;
  /** What the peer did wrong on the current connection. */
  #breach: Breach | undefined;
  /** The peer that has answered on the current connection and has passed the check. */
  #met: Answerer | undefined;
  /** Whether a peer has answered the last dial. */
  #isAnswered = false;
  /** Whether the other side says if it accepts us. */
  #saysAcceptance = true;
  /** Whether the other side takes pings, according to its last answer. */
  #takesPings = false;
  /** Whether the peer has asked us to accept it: then it accepts us. */
  #isWanted = false;
  readonly #wishes = new Pulse();
  /** Whether the other side has refused a message since it accepted us. */
  #isInDoubt = false;
  /** Whether the last connection dropped without a reason. */
  #hasDropped = false;
  /** When the peer last answered; `-Infinity` if that is to be verified now. */
  #lastAnswer = 0;
  /** When it last called us. */
  #lastCall = -Infinity;
  readonly #doubts = new Pulse();
  /** Extra time for the next sign of life: the peer may be busy with a large delivery. */
  #extraMs = 0;
  /** Ends the questions of the current dial, or the last one: their answers no longer matter. */
  #questions = new AbortController();
  #closed = false;

  /** Dials immediately. We must be listening already, because the other side calls back. */
  constructor(options: LinkOptions) {
    this.address = options.address;
    this.#whereabouts = options.whereabouts;
    this.#options = options;
    this.#running = this.#run();
  }

  /** Whether the other peer is there. */
  get presence(): Presence {
    return this.#presence;
  }

  /** The name of the other peer while it is there. */
  get name(): string | undefined {
    return this.peer?.name;
  }

  /** The other peer while it is there. */
  get peer(): Person | undefined {
    const presence = this.#presence;
    if (presence.state !== "here" || this.#carrier?.isOpen !== true) return undefined;
    return { name: presence.name, fingerprint: presence.fingerprint };
  }

  /**
   * The peer that answers and that we would accept, even if it does not accept us (yet), or that is
   * attached.
   */
  get met(): Answerer | undefined {
    const isHere = this.#isAttached && this.#presence.state === "here";
    return this.#met ?? (isHere ? this.#attachment!.caller : undefined);
  }

  /** The peer that was met has asked us to accept it, which it does only if it accepts us. */
  wanted(): void {
    this.#isWanted = true;
    this.#wishes.beat();
  }

  /** Whether a peer has answered the last dial, even if one side does not accept the other. */
  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  /** The peer that does not accept us, according to the last answer at its target. */
  get refusedBy(): Person | undefined {
    const presence = this.#presence;
    return presence.state === "away" ? presence.refusedBy : undefined;
  }

  /** Whether it is closed, or about to be: what is in flight may still be answered. */
  get isClosed(): boolean {
    return this.#closed;
  }

  /** Whether the other side says if it accepts us. Peers in other languages may not. */
  get saysAcceptance(): boolean {
    return this.#saysAcceptance;
  }

  /** The host and port where the other peer is expected; nothing for a Unix socket. */
  get endpoint(): Place["endpoint"] {
    const whereabouts = this.#whereabouts;
    return whereabouts instanceof GreetError ? undefined : whereabouts.endpoint;
  }

  /** How many messages the other side is expected to handle in one call. */
  get batch(): number {
    return this.#carrier?.acceptsBatches ?? true ? this.#pace.batch : 1;
  }

  /** Whether one connection carries both directions. */
  get sharesConnection(): boolean {
    return this.#isAttached || this.#collection?.isOpen === true;
  }

  /** Whether only its name is known, so that the peer has to call us. */
  get hasToCall(): boolean {
    return this.#whereabouts instanceof AwaitedCall;
  }

  /** Whether only a call of the peer can connect us: it has to call, or is attached already. */
  get awaitsCall(): boolean {
    return this.#isAttached || this.hasToCall;
  }

  get #isAttached(): boolean {
    return this.#attachment?.isOpen === true;
  }

  /** A peer with this key has called us: if it is here, it still is. */
  heard(fingerprint: string | undefined): void {
    const { peer } = this;
    if (peer !== undefined && peer.fingerprint === fingerprint) this.#lastCall = performance.now();
    const attachment = this.#attachment;
    if (attachment !== undefined && attachment.caller.fingerprint === fingerprint) {
      attachment.heard();
    }
  }

  /**
   * Reaches the peer over its own connection from now on, unless our connection to it stands; that
   * of an earlier call ends.
   *
   * @returns when the peer is admitted
   * @throws {GreetError} if it is refused
   */
  async attach(attachment: Attachment): Promise<void> {
    this.#options.check(attachment.caller, this.#callersPlace());
    const isDialled = this.peer !== undefined && this.#carrier instanceof DialledCarrier;
    const former = this.#attachment;
    this.#attachment = attachment;
    former?.end();
    if (isDialled) return this.wanted();
    const { outcome } = this.#dials.next;
    this.#dials.next.urge();
    // A dial that is in progress would take seconds to fail.
    if (former === undefined) this.#endDial();
    const presence = await outcome;
    if (presence.state === "away") throw presence.error;
  }

  /** Names of callers are limited, and alarms about them, as if they answered at our own target. */
  #callersPlace(): Place {
    const whereabouts = this.#whereabouts;
    const place = whereabouts instanceof GreetError ? {} : whereabouts;
    return { ...place, address: this.address };
  }

  /**
   * Dials a peer that is away, because a call to us may have come from it.
   *
   * @returns the presence after a dial that began later than this call, or of the current
   *   connection
   */
  knock(): Promise<Presence> {
    if (this.#presence.state === "here") return Promise.resolve(this.#presence);
    this.#dials.next.request();
    return this.#dials.next.outcome;
  }

  /**
   * Looks for the peer at another place from now on. If its place is no longer known, a connection
   * that exists is kept until it drops.
   */
  moveTo(whereabouts: Whereabouts): void {
    this.#whereabouts = whereabouts;
    const isKnown = !(whereabouts instanceof GreetError);
    if (isKnown && whereabouts.address !== this.#place?.address) this.#channel?.[Symbol.dispose]();
    this.#dials.next.urge();
  }

  /** Resolves when it is known whether the other peer is there. */
  async settled(): Promise<Presence> {
    return this.#presence.state === "connecting" ? await this.knock() : this.#presence;
  }

  /**
   * Delivers messages in order, as many as the other side accepts in one call.
   *
   * @param to the peer that they are for; no other peer gets them
   * @param messages at least one, and at most {@link Link.batch}
   * @returns how many of them were delivered, counted from the first; none if the connection was lost
   * @throws {GreetError} if none was, because the other side is away or refuses it
   */
  async deliver(to: Person, messages: readonly Message[]): Promise<number> {
    const carrier = await this.#carrierTo(to);
    const load = loadOf(messages);
    const timeoutMs = this.#pace.timeoutMs(load);
    this.#extraMs = timeoutMs - DELIVERY_TIMEOUT.leastMs;
    const began = performance.now();
    try {
      const count = await carrier.deliver(messages, timeoutMs);
      this.#lastAnswer = performance.now();
      const delivered = loadOf(messages.slice(0, count));
      this.#pace.delivered(delivered, this.#lastAnswer - began, this.#timeout.quickestMs);
      return count;
    } catch (error) {
      if (!carrier.isOpen) return 0;
      if (isExpired(error)) this.#doubt(load);
      if (GreetError.from(error).code === "PERMISSION_DENIED") this.#doubtAcceptance();
      throw error;
    } finally {
      this.#extraMs = 0;
    }
  }

  /** What reaches this peer; throws if it is away or another peer has taken its place. */
  async #carrierTo({ name, fingerprint }: Person): Promise<Carrier> {
    const presence = await this.settled();
    if (presence.state === "away") throw presence.error;
    if (presence.state === "connecting") throw leftChat();
    if (presence.name === name && presence.fingerprint === fingerprint) return this.#carrier!;
    throw new GreetError("UNAVAILABLE", `${name} has left, and ${presence.name} is there instead`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#dials.next.urge();
    this.#dials.next.end(this.#presence);
    this.#attachment?.end();
    this.#endDial();
    await this.#running;
  }

  async #run(): Promise<void> {
    // No change is reported before the caller of the constructor has the link.
    await Promise.resolve();
    while (!this.#closed) {
      const attempt = this.#dials.begin();
      const whereabouts = this.#whereabouts;
      if (this.#isAttached) {
        await this.#stayAttached(this.#attachment!, attempt);
      } else if (whereabouts instanceof GreetError) {
        this.#conclude(attempt, { state: "away", error: whereabouts });
        await this.#dials.requested();
      } else {
        await this.#dials.due(await this.#dial(whereabouts, attempt));
      }
    }
  }

  #conclude(attempt: Attempt, presence: Presence): void {
    this.#change(presence);
    attempt.end(presence);
  }

  /** Admits a caller that is attached and, if it is admitted, waits until it is gone. */
  async #stayAttached(attachment: Attachment, attempt: Attempt): Promise<void> {
    const { caller } = attachment;
    this.#place = this.#callersPlace();
    this.#carrier = attachment;
    this.#conclude(attempt, this.#checked({ state: "here", ...caller }, this.#options.admit));
    if (this.#presence.state === "here") await attachment.watch();
    if (this.#attachment !== attachment) return;
    attachment.end();
    this.#attachment = undefined;
    if (this.#presence.state === "here") this.#change({ state: "connecting" });
  }

  /** Dials once and, if a peer is there, waits until it is gone. */
  async #dial(place: Place, attempt: Attempt): Promise<Presence> {
    this.#place = place;
    this.#questions = new AbortController();
    const { dial, own, admit } = this.#options;
    const options = { own, maxAnswerBytes: own === undefined ? MAX_ANSWER_BYTES : undefined };
    using first = this.#channel = dial(place, options);
    let presence = this.#checked(await this.#meet(first), admit);
    // A process that is exiting may still accept a connection and drop it, which proves nothing.
    const isConclusive = !this.#hasDropped || presence.state !== "away" ||
      isAbsent(presence.error) || this.#isAttached;
    using channel = this.#channel = isConclusive ? first : dial(place, options);
    if (!isConclusive) presence = this.#checked(await this.#meet(channel), admit);
    this.#hasDropped = false;
    // Over its own connection, the peer is here, although this dial may have failed.
    const isOutdated = this.#isAttached && presence.state !== "here";
    if (isOutdated) attempt.follow(this.#dials.next);
    else await this.#concludeDial(channel, attempt, presence);
    this.#met = undefined;
    this.#collection?.[Symbol.dispose]();
    const isUnwelcome = this.refusedBy !== undefined || this.#breach !== undefined;
    return isUnwelcome ? this.#presence : presence;
  }

  async #concludeDial(channel: Connection, attempt: Attempt, presence: Presence): Promise<void> {
    const carrier = this.#carrier = new DialledCarrier(channel);
    this.#conclude(attempt, presence);
    await this.#stay(channel);
    // When one side leaves, what is in flight is still answered; if the peer is silent, it is not.
    if (!this.#closed && !this.#hasDropped) carrier.end();
  }

  /** Waits as long as the connection is of use. */
  async #stay(channel: Connection): Promise<void> {
    while (!this.#closed) {
      const presence = this.#presence;
      if (presence.state !== "here" && this.refusedBy === undefined) return;
      this.#dials.answer(presence);
      if (presence.state === "here") {
        this.#change(await this.#watch(channel));
        this.#hasDropped = this.#presence.state === "connecting";
      } else {
        if (!await this.#isWantedLater(channel)) return;
        this.#change(this.#checked({ state: "here", ...this.#met! }, this.#options.admit));
      }
    }
  }

  /** Waits until the peer wants to be accepted by us, in which case it accepts us as well. */
  async #isWantedLater(channel: Connection): Promise<boolean> {
    const ends = [channel.dropped(), this.#dials.next.requested].map((end) =>
      end.then(() => false)
    );
    const wanted = this.#wishes.next.then(() => true);
    return await race([wanted, ...ends]);
  }

  /** Finds out who answers on a channel, and whether both sides accept each other. */
  async #meet(channel: Connection): Promise<Presence> {
    const { check, onMet } = this.#options;
    this.#met = undefined;
    this.#isWanted = false;
    this.#collection = this.#breach = undefined;
    const answer = await this.#ask(channel, this.#dialLimits);
    this.#isAnswered = answer.state === "here";
    const met = this.#checked(answer, check);
    if (met.state !== "here") return met;
    this.#met = met;
    onMet();
    return await this.#accepted(channel, met);
  }

  /** Asks a peer that is there whether it accepts us; otherwise it counts as away. */
  async #accepted(channel: Connection, peer: Presence & Answerer): Promise<Presence> {
    const { name } = peer;
    const { address } = this.#place!;
    try {
      const answer = await requestAcceptance(
        channel,
        { name, address },
        this.#options.introduction,
        this.#introductionLimits,
      );
      this.#lastAnswer = performance.now();
      this.#saysAcceptance = answer !== "not implemented";
      if (!(answer instanceof GreetError) || this.#isWanted) return peer;
      if (this.#collection?.isOpen || await this.#attachTo(channel, answer)) return peer;
      return { state: "away", error: answer, refusedBy: peer };
    } catch (error) {
      return { state: "away", error: GreetError.from(error) };
    }
  }

  /**
   * Whether a peer that cannot call us delivers to us over our own connection.
   *
   * @throws {GreetError} if the peer gives no answer: to wait for its call, as after a refusal, would
   *   be in vain
   */
  async #attachTo(channel: Connection, { code }: GreetError): Promise<boolean> {
    if (this.#options.own === undefined || code === "PERMISSION_DENIED") return false;
    const { sender, port, instance } = this.#options.introduction;
    const introduction = { sender, port, instance };
    try {
      this.#collection = await Collection.open(channel, introduction, this.#introductionLimits);
      return true;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      // Why the peer has not accepted us says more.
      return false;
    }
  }

  /** Takes what the peer delivers over our own connection; resolves when it no longer does. */
  async #collect(collection: Collection): Promise<void> {
    try {
      await collection.run(this.#met!.name, async (messages) => {
        const { peer } = this;
        if (peer === undefined) throw leftChat();
        await this.#options.take(messages, peer);
        this.#lastAnswer = performance.now();
      });
    } catch (error) {
      this.#breach = error as Breach;
    }
  }

  /** What is known when the connection is of no more use: the next dial will show the rest. */
  #lost(): Presence {
    const error = this.#breach;
    return error === undefined ? { state: "connecting" } : { state: "away", error };
  }

  /** When the peer is asked whether it is still there, unless there is a sign of life before. */
  get #nextQuestion(): number {
    const headwayMs = this.#options.introduction.sender > (this.name ?? "") ? HEADWAY_MS : 0;
    const sinceCall = this.#lastCall + SILENCE_MS + headwayMs;
    const sinceAnswer = this.#lastAnswer + SILENCE_MS;
    return Math.max(sinceAnswer, Math.min(sinceCall, this.#lastAnswer + UNTRIED_MS));
  }

  /** Waits until the connection drops, or the peer no longer answers on it or accepts us. */
  async #watch(channel: Connection): Promise<Presence> {
    let isOpen = true;
    const end = () => void (isOpen = false);
    let ended: Promise<unknown> = channel.dropped().then(end);
    let collected: Collection | undefined;
    for (;;) {
      // A peer that can no longer call us begins to use our connection while we watch it.
      if (this.#collection !== undefined && this.#collection !== collected) {
        collected = this.#collection;
        ended = race([ended, this.#collect(collected).then(end)]);
      }
      const doubted = this.#doubts.next;
      const waitMs = this.#nextQuestion - performance.now();
      await within(waitMs, ended, doubted);
      if (!isOpen || this.#closed) return this.#lost();
      if (performance.now() < this.#nextQuestion) continue;
      const presence = await this.#verified(channel);
      if (presence.state !== "here") return isOpen ? presence : this.#lost();
      // A peer with another name has to be admitted again.
      if (presence.name !== this.name) return { state: "connecting" };
    }
  }

  /** Whether the peer still answers and, if that is in doubt, accepts us. */
  async #verified(channel: Connection): Promise<Presence> {
    // A peer in doubt is asked: the runtime answers pings even for a program that answers no calls.
    const isDoubted = this.#lastAnswer === -Infinity;
    const answer = this.#takesPings && !isDoubted
      ? await this.#ping(channel)
      : await this.#ask(channel, this.#questionLimits);
    const presence = this.#checked(answer, this.#options.check);
    if (presence.state !== "here" || !this.#isInDoubt) return presence;
    this.#isInDoubt = this.#isWanted = false;
    return await this.#accepted(channel, presence);
  }

  /** A delivery timed out: verify immediately that the peer is still there. */
  #doubt(load: Load): void {
    this.#pace.timedOut(load);
    this.#lastAnswer = -Infinity;
    this.#doubts.beat();
  }

  /** A message was refused: ask immediately whether the peer still accepts us. */
  #doubtAcceptance(): void {
    if (!this.#saysAcceptance || this.#carrier instanceof Attachment) return;
    this.#isInDoubt = true;
    this.#lastAnswer = -Infinity;
    this.#doubts.beat();
  }

  /** Ends the current dial. What is being delivered may still be answered. */
  #endDial(): void {
    this.#channel?.[Symbol.dispose]();
    this.#questions.abort(new GreetError("UNAVAILABLE", "the connection is given up"));
  }

  /** How long the answer of a peer that is here may take, unless the dial ends before. */
  get #questionLimits(): Limits {
    const timeoutMs = this.#timeout.within(SIGN_OF_LIFE_TIMEOUT) + this.#extraMs;
    return { timeoutMs, signal: this.#questions.signal };
  }

  /** How long the answer of a peer that has just been reached may take. */
  get #introductionLimits(): Limits {
    return { timeoutMs: INTRODUCTION_MS, signal: this.#questions.signal };
  }

  get #dialLimits(): Limits {
    return { ...this.#introductionLimits, connectMs: this.#timeout.within(CONNECT_TIMEOUT) };
  }

  /** Asks the other side for its name. */
  #ask(channel: Connection, limits: Limits): Promise<Presence> {
    const headers = { [LISTENING_PORT]: `${this.#options.introduction.port}` };
    return this.#answered(async () => {
      const options = { ...limits, headers };
      const { sender, instance, pings } = await channel.call(CHAT, "GetInfo", {}, options);
      this.#takesPings = pings === true;
      const { fingerprint } = channel;
      return { state: "here", name: sender, fingerprint, instance: instance || undefined };
    });
  }

  /** Asks the peer that is there for a sign of life. */
  #ping(channel: Connection): Promise<Presence> {
    const { presence } = this;
    return this.#answered(async () => {
      await channel.ping(this.#questionLimits);
      return presence;
    });
  }

  /** Waits for an answer, and notes when it came; a peer that does not give it counts as away. */
  async #answered(answer: () => Promise<Presence>): Promise<Presence> {
    const began = performance.now();
    try {
      const presence = await answer();
      this.#lastAnswer = performance.now();
      this.#timeout.answered(this.#lastAnswer - began);
      return presence;
    } catch (error) {
      if (isExpired(error)) this.#timeout.expired();
      return { state: "away", error: GreetError.from(error) };
    }
  }

  /** A peer that is not accepted counts as away. */
  #checked(presence: Presence, check: Check): Presence {
    if (presence.state !== "here") return presence;
    try {
      check(presence, this.#place!);
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

/** Whether a peer has refused our `Attach` call, or does not know it. */
function isRefusal(error: unknown): boolean {
  const { code } = GreetError.from(error);
  return code === "PERMISSION_DENIED" || code === "UNAUTHENTICATED" || code === "UNIMPLEMENTED";
}

function loadOf(messages: readonly Message[]): Load {
  const characters = messages.reduce((sum, { body }) => sum + body.length, 0);
  return { messages: messages.length, characters };
}
