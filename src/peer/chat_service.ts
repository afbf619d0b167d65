/**
 * The serving half of a peer: other peers call it to meet us and to deliver messages.
 *
 * A caller is up, so its call makes the links to absent peers dial again. Messages are accepted only
 * from peers that one of our links has reached; in an encrypted chat, the key of the call decides,
 * not the sender that a message names.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { Identity } from "../identity/identity.ts";
import type { Link } from "./link.ts";
import { fromWire, type Message, toWire } from "./messages.ts";
import type { Caller } from "../rpc/admission.ts";
import { serve, type Server } from "../rpc/server.ts";
import { implement, type IncomingCall } from "../rpc/service.ts";
import { nameProblem } from "../base/text.ts";
import { Pulse, RateLimit } from "../base/timing.ts";
import type { Trust } from "../identity/trust.ts";
import { CHAT, type ChatMessage, LISTENING_PORT, type Nothing } from "../rpc/services.ts";

/** How often the same kind of refusal is reported, in milliseconds; anyone can cause them. */
const REFUSALS_MS = 60_000;

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
  /** The links to the other peers. */
  readonly links: () => readonly Link[];
  /**
   * Takes messages; resolves when they may be acknowledged.
   *
   * @throws {GreetError} if they cannot be taken now
   */
  readonly take: (messages: readonly Message[]) => Promise<void>;
  /** Called when callers are refused, for example because they do not speak TLS. */
  readonly onRefused: (error: GreetError) => void;
}

/** Serves other peers from {@link ChatService.open} until it is stopped. */
export class ChatService {
  readonly #options: ChatServiceOptions;
  readonly #refusals = new RateLimit<string | undefined>(REFUSALS_MS);
  #server: Server | undefined;
  readonly #introductions = new Pulse();
  #introduced = 0;

  /** Does not listen yet. */
  constructor(options: ChatServiceOptions) {
    this.#options = options;
  }

  /** Listens. @throws {GreetError} `FAILED` if it cannot listen on this host and port */
  async open(host: string, port: number): Promise<void> {
    const { identity: own, trust, onRefused } = this.#options;
    const chat = implement(CHAT, {
      GetInfo: (_, call) => this.#introduce(call),
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
      onRefused: (error) => {
        if (this.#refusals.isDue(error.hint)) onRefused(error);
      },
    });
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

  /** Resolves when `GetInfo` has been called this many times. */
  async introduced(times: number): Promise<void> {
    while (this.#introduced < times) await this.#introductions.next;
  }

  #introduce(call: IncomingCall): ChatMessage {
    this.#introduced++;
    this.#introductions.beat();
    for (const link of this.#linksToCaller(call)) void link.knock();
    return toWire({ id: "", from: this.#options.name, body: "", at: new Date() });
  }

  /**
   * The links that may lead to the caller. In a mesh with an absent member, dialling all absent peers
   * after each call would make every sign of life cause many more.
   */
  #linksToCaller(call: IncomingCall): readonly Link[] {
    const links = this.#options.links();
    const port = Number(call.header(LISTENING_PORT));
    const likely = links.filter((link) => link.isForPort(port));
    return likely.length > 0 ? likely : links;
  }

  /** Refuses unknown keys before the message is decoded, which costs more than sending it. */
  async #admit(call: string, caller: Caller | undefined): Promise<void> {
    if (call === "GetInfo") return;
    const { fingerprint, certifiedName = "" } = caller ?? {};
    if (await this.#hasLink((link) => link.isWithKey(fingerprint))) return;
    throw new GreetError("PERMISSION_DENIED", this.#whyRefused(certifiedName, fingerprint));
  }

  async #receive(wires: readonly ChatMessage[], call: IncomingCall): Promise<Nothing> {
    if (wires.length > MAX_MESSAGES) {
      const message = `${this.#options.name} takes up to ${MAX_MESSAGES} messages in one call`;
      throw new GreetError("RESOURCE_EXHAUSTED", message);
    }
    const senders = new Set(wires.map(({ sender }) => sender));
    for (const sender of senders) await this.#checkSender(sender, call.fingerprint);
    await this.#options.take(wires.map(fromWire));
    return {};
  }

  /**
   * Makes sure that a sender is a peer that we chat with. If calls are encrypted, it must also have
   * made the call: anyone can put a name into a message.
   */
  async #checkSender(sender: string, fingerprint: string | undefined): Promise<void> {
    if (await this.#hasLink((link) => link.isWith(sender, fingerprint))) return;
    throw new GreetError("PERMISSION_DENIED", this.#whyRefused(sender, fingerprint));
  }

  /** Whether a link passes a test, now or after dialling again. */
  async #hasLink(test: (link: Link) => boolean): Promise<boolean> {
    const links = this.#options.links();
    if (links.some(test)) return true;
    const found = links.map(async (link) => {
      await link.knock();
      if (!test(link)) throw undefined;
    });
    return await Promise.any(found).then(() => true, () => false);
  }

  #whyRefused(sender: string, fingerprint: string | undefined): string {
    const { name, trust } = this.#options;
    if (nameProblem(sender) !== undefined) return `${name} is not chatting with you`;
    return trust.isImpostor(sender, fingerprint)
      ? `${name} knows ${sender} by another key`
      : `${name} is not chatting with ${sender}`;
  }
}
