/**
 * The half of a peer that answers: others call it to ask who we are and to bring what they say.
 *
 * Whoever asks is up, so the links that wait for somebody are knocked at. What somebody brings is
 * taken only from those whom a link has found to be who they say; where calls are encrypted,
 * that is decided by the key they were made with and not by what a message claims.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { Identity } from "../identity/identity.ts";
import type { Message } from "./journal.ts";
import { fromWire, type Link, toWire } from "./link.ts";
import type { Caller } from "../rpc/admission.ts";
import { serve, type Server } from "../rpc/server.ts";
import { implement, type IncomingCall } from "../rpc/service.ts";
import { nameProblem } from "../base/text.ts";
import { RateLimit } from "../base/timing.ts";
import type { Trust } from "../identity/trust.ts";
import { CHAT, type ChatMessage, LISTENING_PORT, type Nothing } from "../rpc/services.ts";

/** How often it is told that callers cannot be understood, in milliseconds; anybody can cause it. */
const REFUSALS_MS = 60_000;

/**
 * How many calls another peer may have open at the same time. It needs two or three, and each may
 * hold a request of four megabytes that never ends.
 */
const MAX_CALLS = 10;

/** How many messages another peer may deliver in one call. */
const MAX_MESSAGES = 1_000;

/** What a reception works with. */
export interface ChatServiceOptions {
  /** Our own name. */
  readonly name: string;
  /** What we show; without it, nothing is encrypted. */
  readonly identity: Identity | undefined;
  readonly trust: Trust;
  /** The links to those whom we chat with. */
  readonly links: () => readonly Link[];
  /**
   * Takes what somebody said; it resolves when that is safe.
   *
   * @throws {GreetError} where it cannot be taken now
   */
  readonly take: (messages: readonly Message[]) => Promise<void>;
  /** Gets who cannot be understood, and what would have to change. */
  readonly onRefused: (error: GreetError) => void;
}

/** Answers others, from {@link ChatService.open} until it is stopped. */
export class ChatService {
  readonly #options: ChatServiceOptions;
  readonly #refusals = new RateLimit<string | undefined>(REFUSALS_MS);
  #server: Server | undefined;
  #nextCall = Promise.withResolvers<void>();
  #calls = 0;

  /** Nothing listens yet. */
  constructor(options: ChatServiceOptions) {
    this.#options = options;
  }

  /** Listens. @throws {GreetError} `FAILED` where the port or the host cannot be had */
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
   * Takes no more calls. Once it resolves, nothing more is answered.
   *
   * @param graceMs how many milliseconds calls in flight may still take
   */
  async stop(graceMs?: number): Promise<void> {
    await this.#server?.stop(graceMs);
  }

  /** Resolves when we were asked that often who we are. */
  async asked(times: number): Promise<void> {
    while (this.#calls < times) await this.#nextCall.promise;
  }

  #introduce(call: IncomingCall): ChatMessage {
    this.#calls++;
    this.#nextCall.resolve();
    this.#nextCall = Promise.withResolvers();
    // Nobody but the one who knocks needs the outcome.
    for (const link of this.#calledOver(call)) void link.knock();
    return toWire({ id: "", from: this.#options.name, body: "", at: new Date() });
  }

  /**
   * The links at whose other end the caller may be. If each of many peers made each other one call
   * everybody whom it waits for, they would do nothing else.
   */
  #calledOver(call: IncomingCall): readonly Link[] {
    const links = this.#options.links();
    const port = Number(call.header(LISTENING_PORT));
    const likely = links.filter((link) => link.isToPort(port));
    return likely.length > 0 ? likely : links;
  }

  /** Refuses messages from unknown keys unread: to decode a message costs more than to send it. */
  async #admit(call: string, caller: Caller | undefined): Promise<void> {
    if (call === "GetInfo") return;
    const { fingerprint, certifiedName = "" } = caller ?? {};
    if (await this.#hasLink((link) => link.isToKey(fingerprint))) return;
    throw new GreetError("PERMISSION_DENIED", this.#whyRefused(certifiedName, fingerprint));
  }

  async #receive(wires: readonly ChatMessage[], call: IncomingCall): Promise<Nothing> {
    if (wires.length > MAX_MESSAGES) {
      const message = `${this.#options.name} takes up to ${MAX_MESSAGES} messages in one call`;
      throw new GreetError("RESOURCE_EXHAUSTED", message);
    }
    const senders = new Set(wires.map(({ sender }) => sender));
    for (const sender of senders) await this.#expect(sender, call.fingerprint);
    await this.#options.take(wires.map(fromWire));
    return {};
  }

  /**
   * Makes sure that a sender is somebody we chat with and, where calls are encrypted, has made the
   * call: what a message says of its sender is no more than a claim.
   */
  async #expect(sender: string, fingerprint: string | undefined): Promise<void> {
    if (await this.#hasLink((link) => link.isTo(sender, fingerprint))) return;
    throw new GreetError("PERMISSION_DENIED", this.#whyRefused(sender, fingerprint));
  }

  /** Whether some link passes a test, now or after it has dialled again. */
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
