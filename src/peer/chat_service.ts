/**
 * The serving half of a peer: other peers call it to meet us and to deliver messages.
 *
 * A caller is up, so its call makes the links to absent peers dial again. Messages are accepted only
 * from peers that one of our links has reached, which `reception.ts` decides.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { Identity } from "../identity/identity.ts";
import { AttachCalls } from "./attach_calls.ts";
import { type Contact, keyOf } from "./contact.ts";
import type { Link } from "./link.ts";
import { fromWire, type Message, toWire } from "./messages.ts";
import type { Person } from "./journal.ts";
import { Breach } from "./presence.ts";
import type { Reception } from "./reception.ts";
import type { Caller } from "../rpc/admission.ts";
import type { Network } from "../rpc/network.ts";
import type { Server } from "../rpc/server.ts";
import { implement, type IncomingCall } from "../rpc/service.ts";
import { Pulse, RateLimit } from "../base/timing.ts";
import type { Trust } from "../identity/trust.ts";
import {
  type Acceptance,
  CHAT,
  type ChatMessage,
  type Introduction,
  LISTENING_PORT,
  type Nothing,
} from "../rpc/services.ts";

/** How often the same kind of trouble is reported, in milliseconds; anyone can cause it. */
const REPORTS_MS = 60_000;

/**
 * How many calls another peer may have open at the same time. It needs two or three, and each may
 * hold an unfinished request of four megabytes.
 */
const MAX_CALLS = 10;

/** How many messages another peer may deliver in one call. */
const MAX_MESSAGES = 1_000;

/** What the service needs. */
export interface ChatServiceOptions {
  /** Our own name. */
  readonly name: string;
  /** Our own certificate; without it, calls are not encrypted. */
  readonly identity: Identity | undefined;
  readonly trust: Trust;
  /** Listens for calls. */
  readonly serve: Network["serve"];
  /** Identifies this run of ours to others. */
  readonly instance: string;
  readonly contacts: readonly Contact[];
  readonly reception: Reception;
  /**
   * Takes messages; resolves when they may be acknowledged.
   *
   * @throws {GreetError} if they cannot be taken now
   */
  readonly take: (messages: readonly Message[]) => Promise<void>;
  /**
   * Called when callers are refused, for example because they do not speak TLS, or cannot be served,
   * for example because the known peers cannot be read.
   */
  readonly onTrouble: (error: GreetError) => void;
}

/** Serves other peers from {@link ChatService.open} until it is stopped. */
export class ChatService {
  readonly #options: ChatServiceOptions;
  readonly #reports = new RateLimit<string | undefined>(REPORTS_MS);
  #server: Server | undefined;
  /** Another peer has called to meet us. */
  readonly #meetings = new Pulse();
  #introduced = 0;
  /** The peers that were told that we accept them, and how to close the connection of each. */
  readonly #accepted = new Map<string, () => void>();

  /** Does not listen yet. */
  constructor(options: ChatServiceOptions) {
    this.#options = options;
  }

  /** Listens. @throws {GreetError} `FAILED` if it cannot listen on this host and port */
  async open(host: string, port: number): Promise<void> {
    const { identity: own, trust, reception, serve } = this.#options;
    const attachCalls = new AttachCalls(reception);
    const chat = implement(CHAT, {
      GetInfo: (_, call) => this.#introduce(call),
      Meet: (introduction, call) => this.#meet(introduction, call),
      Attach: (receipts, call) => attachCalls.answer(receipts, call),
      SendMessage: (message, call) => this.#receive([message], call),
      SendMessages: ({ messages }, call) => this.#receive(messages, call),
    });
    this.#server = await serve({
      host,
      port,
      services: [chat],
      tls: own && { own, isKnown: (fingerprint) => trust.isKnown(fingerprint) },
      maxCalls: MAX_CALLS,
      admit: own && ((call, caller) => this.#admit(call, caller)),
      onRefused: (error) => this.#report(error, error.hint),
      onFault: (cause) => {
        const error = GreetError.from(cause);
        this.#report(error, error.message);
      },
    });
  }

  #report(error: GreetError, reason: string | undefined): void {
    if (this.#reports.isDue(reason)) this.#options.onTrouble(error);
  }

  /** The port that it listens on. */
  get port(): number {
    return this.#server!.port;
  }

  /**
   * Accepts no more calls, and resolves when the last one has been answered.
   *
   * @param graceMs how long calls in flight may still take, in milliseconds
   */
  async stop(graceMs?: number): Promise<void> {
    await this.#server?.stop(graceMs);
  }

  /** Closes the connection of a peer that we no longer accept, so that it asks again. */
  disconnect(peer: Person): void {
    this.#accepted.get(keyOf(peer))?.();
    this.#accepted.delete(keyOf(peer));
  }

  /**
   * Resolves when the peers that are here have called us: if we left before, they would never notice
   * us.
   */
  async calledBack(): Promise<void> {
    for (;;) {
      const called = this.#meetings.next;
      const here = this.#options.contacts
        .filter(({ link }) => link.peer !== undefined && !link.sharesConnection);
      const asked = here.filter(({ link }) => link.saysAcceptance);
      const areAnswered = asked.every(({ link }) => this.#accepted.has(keyOf(link.peer!)));
      if (areAnswered && this.#introduced >= here.length) return;
      await called;
    }
  }

  #introduce(call: IncomingCall): ChatMessage {
    this.#introduced++;
    this.#meetings.beat();
    this.#hear(call);
    call.onPing(() => this.#hear(call));
    for (const link of this.#linksToCaller(call)) void link.knock();
    const { name, instance } = this.#options;
    const answer = toWire({ id: "", from: name, body: "", at: new Date() });
    return { ...answer, instance, pings: true };
  }

  /** A call or a ping is a sign of life of one peer, if it is clear which one has sent it. */
  #hear(call: IncomingCall): void {
    const { fingerprint } = call;
    const links = fingerprint === undefined ? this.#linksToPort(call) : this.#links();
    if (fingerprint !== undefined || links.length === 1) {
      for (const link of links) link.heard(fingerprint);
    }
  }

  #links(): readonly Link[] {
    return this.#options.contacts.map(({ link }) => link);
  }

  async #meet(introduction: Introduction, call: IncomingCall): Promise<Acceptance> {
    const acceptance = await this.#options.reception.meet(introduction, call);
    if (acceptance.verdict === "ACCEPTED") {
      const { sender: name } = introduction;
      this.#accepted.set(keyOf({ name, fingerprint: call.fingerprint }), () => call.disconnect());
      this.#meetings.beat();
    }
    return acceptance;
  }

  /**
   * The links that may lead to the caller. In a mesh with an absent member, dialling all absent peers
   * after each call would make every sign of life cause many more. A peer that does not accept us
   * is dialled again only when it has restarted: peers that each wait for the next one would
   * otherwise dial each other all the time.
   */
  #linksToCaller(call: IncomingCall): readonly Link[] {
    const likely = this.#linksToPort(call);
    if (likely.length > 0) return likely.filter(({ refusedBy, met }) => !refusedBy || !met);
    return this.#links().filter(({ refusedBy }) => refusedBy === undefined);
  }

  /** The links that lead to the port where the caller says that it listens. */
  #linksToPort(call: IncomingCall): readonly Link[] {
    const port = Number(call.header(LISTENING_PORT));
    return this.#links().filter(({ endpoint }) => endpoint?.port === port);
  }

  /** Refuses unknown keys before the message is decoded, which costs more than sending it. */
  async #admit(call: string, caller: Caller | undefined): Promise<void> {
    const { fingerprint, certifiedName = "" } = caller ?? {};
    const { contacts, reception } = this.#options;
    for (const { link } of contacts) link.heard(fingerprint);
    if (call === "GetInfo" || call === "Meet" || call === "Attach") return;
    if (await reception.isHere((peer) => peer.fingerprint === fingerprint)) return;
    throw reception.refusal(certifiedName, fingerprint);
  }

  /**
   * Takes messages that a peer delivers over our own connection to it.
   *
   * @throws {Breach} if one of them is in another name
   */
  async collect(wires: readonly ChatMessage[], { name }: Person): Promise<void> {
    this.#checkCount(wires);
    if (wires.some(({ sender }) => sender !== name)) {
      throw new Breach(`${name} has sent a message in another name`);
    }
    await this.#take(wires);
  }

  async #receive(wires: readonly ChatMessage[], call: IncomingCall): Promise<Nothing> {
    this.#checkCount(wires);
    const senders = new Set(wires.map(({ sender }) => sender));
    for (const sender of senders) await this.#checkSender(sender, call);
    await this.#take(wires);
    return {};
  }

  #checkCount({ length }: readonly ChatMessage[]): void {
    if (length <= MAX_MESSAGES) return;
    const message = `${this.#options.name} takes up to ${MAX_MESSAGES} messages in one call`;
    throw new GreetError("RESOURCE_EXHAUSTED", message);
  }

  async #take(wires: readonly ChatMessage[]): Promise<void> {
    await this.#options.take(wires.map((wire) => fromWire(wire, this.#options.name)));
  }

  /**
   * Makes sure that a sender is a peer that we chat with. If calls are encrypted, it must also have
   * made the call: anyone can put a name into a message.
   */
  async #checkSender(sender: string, call: IncomingCall): Promise<void> {
    const { reception } = this.#options;
    const { fingerprint } = call;
    const isSender = (peer: Person) => peer.name === sender && peer.fingerprint === fingerprint;
    if (await reception.isHere(isSender)) return;
    reception.reportSender(sender, call);
    throw reception.refusal(sender, fingerprint);
  }
}
