/**
 * One participant in a chat.
 *
 * A {@link Peer} listens, calls the other peer, and from then on sends and
 * receives. It knows no terminal: what happens comes out as an async iterable of
 * {@link PeerEvent}, which a screen, a pipe or a bot reads.
 *
 * @module
 */
import { GreetError } from "./errors.ts";
import { Link, type Presence } from "./link.ts";
import { CHAT, type ChatMessage, implement, isNobodyThere, serve } from "./rpc.ts";
import type { IncomingCall, Server } from "./rpc.ts";
import { LOOPBACK, parseTarget } from "./target.ts";
import { nameProblem, parseName } from "./text.ts";
import { within } from "./time.ts";

/** One thing that was said. */
export interface Message {
  /** Made by the sender; empty where the sender is a program that makes none. */
  readonly id: string;
  /** The sender's name. */
  readonly from: string;
  /** What was said, exactly as it was sent: text from somebody else. */
  readonly body: string;
  /** When it was said, by the sender's clock. */
  readonly at: Date;
}

/**
 * What happens to a peer.
 *
 * - `waiting`: the other peer is not there, and why; again when the reason changes.
 *   `nobodyThere` says that it is the ordinary reason: nobody listens there (yet)
 * - `joined`: somebody is there; `back` where they have been before
 * - `left`: they are gone
 * - `message`: somebody said something
 * - `queued`: something of our own is on its way
 * - `delivered`: it has arrived
 * - `failed`: it has not, and will not be tried again
 */
export type PeerEvent =
  | { readonly type: "waiting"; readonly reason: string; readonly nobodyThere: boolean }
  | { readonly type: "joined"; readonly name: string; readonly back: boolean }
  | { readonly type: "left"; readonly name: string }
  | { readonly type: "message"; readonly message: Message }
  | { readonly type: "queued"; readonly message: Message }
  | { readonly type: "delivered"; readonly message: Message }
  | { readonly type: "failed"; readonly message: Message; readonly error: GreetError };

/** Who we are and whom we chat with. */
export interface PeerOptions {
  /** Our own name; it is trimmed and normalized. */
  name: string;
  /** The other peer: a port, `host:port` or any other target. */
  target: string;
  /** The address to listen on (default `127.0.0.1`). */
  host?: string;
  /** The port to listen on, 0 for a free one (default 0). */
  port?: number;
}

/** How long a peer that we met and that never called us keeps us from leaving. */
const CALL_BACK_MS = 500;

/** How long our last words keep us from leaving. */
const LAST_WORDS_MS = 1_000;

/**
 * One participant in a chat. Disposing of it leaves the chat: messages that are
 * on their way in are still taken, and then {@link Peer.events} ends.
 *
 * @example
 * ```ts
 * import { Peer } from "./mod.ts";
 * import assert from "node:assert/strict";
 *
 * await using bob = await Peer.open({ name: "Bob", target: "1" }); // nobody is on port 1
 * for await (const event of bob.events) {
 *   assert.equal(event.type, "waiting");
 *   break;
 * }
 * ```
 */
export class Peer implements AsyncDisposable {
  /** Our own name. */
  readonly name: string;
  /** What happens, in order. It can be read once, and should be: see `message` in {@link PeerEvent}. */
  readonly events: AsyncIterable<PeerEvent>;
  readonly #events: WritableStreamDefaultWriter<PeerEvent>;
  readonly #called = Promise.withResolvers<void>();
  #joined = Promise.withResolvers<string>();
  #server!: Server;
  #link!: Link;
  #sending: Promise<unknown> = Promise.resolve();
  #other: string | undefined;
  #lastToLeave: string | undefined;
  readonly #met = new Set<string>();
  #reason: string | undefined;
  #left: Promise<void> | undefined;

  private constructor(name: string) {
    this.name = name;
    const { readable, writable } = new TransformStream<PeerEvent, PeerEvent>();
    this.events = readable;
    this.#events = writable.getWriter();
    this.#events.closed.catch(() => {});
  }

  /**
   * Listens, then calls the other peer.
   *
   * @returns the peer, once it listens; whether the other one is there, its events tell
   * @throws {GreetError} `USAGE` for a bad name or target, `FAILED` where the port cannot be had
   */
  static async open(options: PeerOptions): Promise<Peer> {
    const { host = LOOPBACK, port = 0 } = options;
    const target = parseTarget(options.target);
    const peer = new Peer(parseName(options.name));
    const chat = implement(CHAT, {
      GetInfo: () => peer.#introduce(),
      SendMessage: (message, call) => peer.#receive(message, call),
    });
    // Listen first, call second: whichever peer comes last finds the other one listening.
    peer.#server = await serve({ host, port, services: [chat] });
    peer.#link = new Link(target, peer.name, (presence) => peer.#presenceChanged(presence));
    return peer;
  }

  /** The port that we listen on. */
  get port(): number {
    return this.#server.port;
  }

  /**
   * Waits for the other peer.
   *
   * @returns its name; at once where it is there
   */
  joined(): Promise<string> {
    return this.#joined.promise;
  }

  /**
   * Says something. What is said in turn arrives in turn.
   *
   * @param body any text of up to 4 MB
   * @returns when it was delivered: stored by the other peer, or handed to its reader
   * @throws {GreetError} where it was not; a `failed` event says the same
   */
  async send(body: string): Promise<void> {
    const at = new Date();
    const message: Message = { id: messageId(at.getTime()), from: this.name, body, at };
    const { presence } = this.#link;
    if (presence.state === "away") return this.#fail(message, this.#absence(presence.error));
    this.#emit({ type: "queued", message });
    const delivered = this.#sending.then(() => this.#link.deliver(toWire(message)));
    this.#sending = delivered.catch(() => {});
    try {
      await delivered;
    } catch (error) {
      return this.#fail(message, GreetError.from(error));
    }
    this.#emit({ type: "delivered", message });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#left ??= this.#leave();
  }

  async #leave(): Promise<void> {
    await within(LAST_WORDS_MS, this.#sending);
    // Whom we met will call back at once. Left before that, we would never have been there.
    if (this.#other !== undefined) await within(CALL_BACK_MS, this.#called.promise);
    await this.#link[Symbol.asyncDispose]();
    await this.#server.stop();
    await this.#sending;
    // Waits for the reader, who may be gone: nobody needs to wait for that.
    this.#events.close().catch(() => {});
  }

  #introduce(): ChatMessage {
    this.#called.resolve();
    // Nobody but the one who knocks needs the outcome.
    void this.#link.knock();
    return toWire({ id: "", from: this.name, body: "", at: new Date() });
  }

  async #receive(wire: ChatMessage, { signal }: IncomingCall): Promise<Record<never, never>> {
    this.#called.resolve();
    const presence = await this.#link.knock();
    if (presence.state !== "here" || presence.name !== wire.sender) {
      const who = nameProblem(wire.sender) === undefined ? wire.sender : "you";
      throw new GreetError("PERMISSION_DENIED", `${this.name} is not chatting with ${who}`);
    }
    if (!signal.aborted) await this.#emit({ type: "message", message: fromWire(wire) });
    return {};
  }

  #presenceChanged(presence: Presence): void {
    if (presence.state === "here") this.#here(presence.name);
    if (presence.state === "away") this.#away(presence.error);
  }

  #here(name: string): void {
    this.#reason = undefined;
    if (name === this.#other) return;
    if (this.#other !== undefined) this.#gone(this.#other);
    this.#other = name;
    this.#emit({ type: "joined", name, back: this.#met.has(name) });
    this.#met.add(name);
    this.#joined.resolve(name);
  }

  #away(error: GreetError): void {
    if (this.#other !== undefined) this.#gone(this.#other);
    if (error.message === this.#reason) return;
    this.#reason = error.message;
    this.#emit({ type: "waiting", reason: error.message, nobodyThere: isNobodyThere(error) });
  }

  #gone(name: string): void {
    this.#other = undefined;
    this.#lastToLeave = name;
    this.#joined = Promise.withResolvers();
    this.#emit({ type: "left", name });
  }

  /** Why something cannot be said to somebody who is away. */
  #absence(cause: GreetError): GreetError {
    if (this.#lastToLeave === undefined) return cause;
    return new GreetError(cause.code, `${this.#lastToLeave} has left`, { cause });
  }

  #fail(message: Message, error: GreetError): never {
    this.#emit({ type: "failed", message, error });
    throw error;
  }

  /** Resolves when a reader has taken the event, so that a slow one slows the senders down. */
  async #emit(event: PeerEvent): Promise<void> {
    try {
      await this.#events.write(event);
    } catch {
      // The reader has gone. Whoever stops reading does not want to know.
    }
  }
}

function toWire({ id, from, body, at }: Message): ChatMessage {
  const ms = at.getTime();
  const seconds = Math.floor(ms / 1000);
  return { id, sender: from, body, timestamp: { seconds, nanos: (ms - seconds * 1000) * 1e6 } };
}

function fromWire({ id, sender, body, timestamp }: ChatMessage): Message {
  const at = new Date(timestamp ? timestamp.seconds * 1000 + timestamp.nanos / 1e6 : NaN);
  // A sender may leave the time out, or send one that no calendar knows.
  return { id, from: sender, body, at: Number.isNaN(at.getTime()) ? new Date() : at };
}

/**
 * A UUIDv7: sorts by time. Source: RFC 9562, section 5.7.
 *
 * @param ms milliseconds since 1970
 */
function messageId(ms: number): string {
  const time = ms.toString(16).padStart(12, "0");
  // A random UUIDv4 has its 74 random bits and its variant where we need them.
  const random = crypto.randomUUID();
  return `${time.slice(0, 8)}-${time.slice(8)}-7${random.slice(15)}`;
}
