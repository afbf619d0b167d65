/**
 * Decides which callers are peers of ours: those that one of our links has reached as well.
 *
 * In an encrypted chat, the key of the call decides, not the sender that a call names. A caller that
 * no link leads to is announced, so that a mistyped command is noticed on both sides.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { nameProblem } from "../base/text.ts";
import { pause, RateLimit } from "../base/timing.ts";
import type { Trust } from "../identity/trust.ts";
import { formatEndpoint, isLoopback } from "../net/address.ts";
import type { Attachment } from "./attachment.ts";
import { isAbsent } from "../rpc/call_errors.ts";
import type { IncomingCall } from "../rpc/service.ts";
import type { Acceptance, Introduction } from "../rpc/services.ts";
import { ENCRYPTION_HELPS } from "./acceptance.ts";
import { type CallerEvent, Callers } from "./callers.ts";
import { type Contact, keyOf } from "./contact.ts";
import type { Person } from "./journal.ts";
import type { Link } from "./link.ts";
import type { Nameable } from "./peer_argument.ts";
import type { Answerer } from "./presence.ts";

/**
 * How long a caller waits while we look for it at our own targets, in milliseconds. If we find it
 * later, we call it, and it asks again.
 */
const PATIENCE_MS = 3_000;

/** How many callers may wait at the same time; the others are answered at once. */
const MAX_WAITING = 100;

/** What the reception needs. */
export interface ReceptionOptions {
  /** Our own name. */
  readonly name: string;
  readonly trust: Trust;
  readonly contacts: readonly Contact[];
  /** The argument that would make a caller a peer of ours. */
  readonly argumentFor: (caller: Nameable) => string;
  readonly announce: (event: CallerEvent) => void;
  /** Gets the reason why a peer that has called, and that we cannot call back, is not let in. */
  readonly onUncallable: (error: GreetError) => void;
}

/** How often that is said of one peer, in milliseconds. */
const UNCALLABLE_MS = 60_000;

/** Tells whether a peer at one of our links is the one that is looked for. */
export type Test = (peer: Answerer) => boolean;

/** Receives callers. */
export class Reception {
  readonly #options: ReceptionOptions;
  readonly #callers: Callers;
  /** Ends the waits of callers when a link has met a peer, or when we leave. */
  readonly #waits = new Set<AbortController>();
  readonly #uncallable = new RateLimit<string>(UNCALLABLE_MS);
  /** The names of callers that a link may lead to, but has not reached yet. */
  readonly #notReachedYet = new Map<Link, string>();
  /** Callers that our user does not want to hear about, by their keys. */
  readonly #dismissed = new Map<string, Person>();
  #closed = false;

  constructor(options: ReceptionOptions) {
    this.#options = options;
    this.#callers = new Callers((event) => {
      options.announce(event);
      options.trust.compare(event.name);
    });
  }

  /** The last callers that are not peers of ours. */
  get callers(): Callers["recent"] {
    return this.#callers.recent;
  }

  /** A link has met a peer: a caller may be waiting for that. */
  met(): void {
    for (const wait of this.#waits) wait.abort();
  }

  /** A peer is no longer one of ours, and our user knows: its calls are not announced. */
  dismiss(peer: Person): void {
    this.#dismissed.set(keyOf(peer), peer);
  }

  /** A peer of this name is one of ours again: should it call from elsewhere, it is announced. */
  recall(name: string): void {
    for (const [key, peer] of this.#dismissed) if (peer.name === name) this.#dismissed.delete(key);
  }

  /** Lets no caller wait any longer. */
  close(): void {
    this.#closed = true;
    this.met();
  }

  /** Whether a peer that passes a test is here, now or after dialling again. */
  async isHere(test: Test): Promise<boolean> {
    const isHere = ({ peer }: Link) => peer !== undefined && test(peer);
    const links = this.#options.contacts.map(({ link }) => link);
    if (links.some(isHere)) return true;
    const found = links.filter((link) => mayBeKnocked(link, test)).map(async (link) => {
      await link.knock();
      if (!isHere(link)) throw undefined;
    });
    return await Promise.any(found).then(() => true, () => false);
  }

  /**
   * Answers a caller that asks whether we accept it.
   *
   * @throws {GreetError} `PERMISSION_DENIED` if it is refused
   */
  async meet(introduction: Introduction, call: IncomingCall): Promise<Acceptance> {
    const { sender } = introduction;
    const { fingerprint } = call;
    if (this.#isInvalid(sender, fingerprint)) {
      this.#alarm(introduction, call);
      throw this.refusal(sender, fingerprint);
    }
    if (this.#expecting(introduction, call)?.link.awaitsCall) return { verdict: "UNREACHABLE" };
    const test = (peer: Answerer) => isCaller(peer, introduction, fingerprint);
    if (await this.#hasMet(test, call.signal)) return { verdict: "ACCEPTED" };
    if (this.#closed) throw new GreetError("UNAVAILABLE", `${this.#options.name} has left`);
    const endpoint = { host: hostOf(call.from), port: introduction.port };
    const links = this.#options.contacts.map(({ link }) => link)
      .filter(({ peer }) => peer === undefined);
    const candidates = links.filter((link) => leadsTo(link, endpoint));
    if (candidates.some(({ isAnswered }) => isAnswered)) {
      throw this.refusal(sender, fingerprint);
    }
    if (candidates.length > 0 || links.some((link) => mayYetLeadTo(link, endpoint))) {
      if (fingerprint === undefined) this.#notReached(sender, candidates);
      return { verdict: "UNREACHABLE" };
    }
    this.#report(introduction, call);
    return { verdict: "UNLISTED" };
  }

  /**
   * Attaches a caller to the link that expects it.
   *
   * @param attachment the way to the caller
   * @returns when the caller is admitted
   * @throws {GreetError} `PERMISSION_DENIED` if it is refused
   */
  async attach(
    attachment: Attachment,
    introduction: Introduction,
    call: IncomingCall,
  ): Promise<void> {
    const { sender } = introduction;
    const contact = await this.#attachable(introduction, call);
    if (contact === undefined) {
      this.#report(introduction, call);
      throw this.refusal(sender, call.fingerprint);
    }
    try {
      await contact.link.attach(attachment);
    } catch {
      // The reason is for our user; the caller might learn from it whom we know.
      throw this.refusal(sender, call.fingerprint);
    }
  }

  /** The contact that a caller may attach to: the peer that we find at a place is no other. */
  async #attachable(introduction: Introduction, call: IncomingCall): Promise<Contact | undefined> {
    const caller = { name: introduction.sender, fingerprint: call.fingerprint };
    const expecting = () => this.#closed ? undefined : this.#expecting(introduction, call);
    const isProven = ({ expected, last }: Contact) =>
      expected !== undefined || last !== undefined && keyOf(last) === keyOf(caller);
    const first = expecting();
    if (first === undefined || isProven(first)) return first;
    // Anyone on that host can say that it listens there.
    await first.link.settled();
    const contact = expecting();
    if (contact === undefined || isProven(contact)) return contact;
    const { isAnswered, met } = contact.link;
    const isOther = isAnswered && (met === undefined || keyOf(met) !== keyOf(caller));
    return isOther || isVacant(contact.link) ? undefined : contact;
  }

  /**
   * The contact that a caller may be, if it proves its key: the one whose name it says it has, or that
   * has no required name and is expected exactly where the caller says that it listens. A host name
   * would stand for any address.
   */
  #expecting({ sender, port }: Introduction, call: IncomingCall): Contact | undefined {
    const { fingerprint } = call;
    if (fingerprint === undefined) return undefined;
    const isCaller = (peer: Partial<Person> | undefined) =>
      peer?.name === sender && peer.fingerprint === fingerprint;
    const open = this.#options.contacts.filter(({ link: { peer } }) =>
      peer === undefined || isCaller(peer)
    );
    const host = hostOf(call.from);
    return open.find(({ expected }) => expected === sender) ??
      open.find(({ last, expected }) => expected === undefined && isCaller(last)) ??
      open.find(({ link: { endpoint }, expected }) =>
        expected === undefined && endpoint?.port === port && endpoint.host === host
      );
  }

  #notReached(sender: string, [link]: readonly Link[]): void {
    if (link === undefined) return;
    this.#notReachedYet.set(link, sender);
    this.linkChanged(link);
  }

  /** The presence at a link has changed: a caller may turn out to be out of our reach. */
  linkChanged(link: Link): void {
    const sender = this.#notReachedYet.get(link);
    if (sender === undefined || link.presence.state === "connecting") return;
    this.#notReachedYet.delete(link);
    if (link.presence.state === "away") this.#reportUncallable(sender, link);
  }

  #reportUncallable(sender: string, link: Link): void {
    if (!this.#uncallable.isDue(link.address)) return;
    const message = `${sender} is calling, but cannot be called back at ${link.address}`;
    const hint = `check that no firewall blocks it; ${ENCRYPTION_HELPS}`;
    this.#options.onUncallable(new GreetError("UNAVAILABLE", message, { hint }));
  }

  /** Makes an impostor known to our user, if we wait for the peer that it claims to be. */
  #alarm(introduction: Introduction, call: IncomingCall): void {
    const { sender } = introduction;
    const contact = this.#expecting(introduction, call);
    if (contact === undefined) return;
    try {
      this.#options.trust.check(sender, {
        target: contact.link.address,
        fingerprint: call.fingerprint,
      });
    } catch {
      // The caller is refused in any case.
    }
  }

  #isInvalid(sender: string, fingerprint: string | undefined): boolean {
    const { name, trust } = this.#options;
    return nameProblem(sender) !== undefined || sender === name ||
      trust.isImpostor(sender, fingerprint);
  }

  /**
   * Whether a link has met a peer that passes a test, now or soon: its `GetInfo` has made the links
   * that may lead to it dial.
   */
  async #hasMet(test: Test, signal: AbortSignal): Promise<boolean> {
    const links = this.#options.contacts.map(({ link }) => link);
    const isMet = () => links.some(({ met }) => met !== undefined && test(met));
    for (const link of links) {
      if (link.refusedBy !== undefined && test(link.refusedBy)) link.knock();
    }
    const until = performance.now() + PATIENCE_MS;
    while (!isMet()) {
      const restMs = until - performance.now();
      const mayWait = this.#waits.size < MAX_WAITING && !this.#closed && !signal.aborted;
      if (restMs <= 0 || !mayWait) return false;
      await this.#wait(restMs, signal);
    }
    for (const link of links) if (link.met !== undefined && test(link.met)) link.wanted();
    return true;
  }

  async #wait(ms: number, signal: AbortSignal): Promise<void> {
    const wait = new AbortController();
    this.#waits.add(wait);
    await pause(ms, AbortSignal.any([wait.signal, signal]));
    this.#waits.delete(wait);
  }

  /**
   * Announces the refused sender of a message, whose program may not ask whether we accept it, unless
   * it may be a peer of ours: where it listens is not known.
   */
  reportSender(sender: string, call: IncomingCall): void {
    const mayBePeer = this.#options.contacts.some(({ link, last, expected }) =>
      [last?.name, expected].includes(sender) || link.isAnswered && link.peer === undefined
    );
    if (!mayBePeer) this.#report({ sender, port: 0 }, call);
  }

  /** Announces a caller that no link leads to, unless it may be a peer that we are waiting for. */
  #report({ sender, port }: Pick<Introduction, "sender" | "port">, call: IncomingCall): void {
    const { trust, contacts, argumentFor } = this.#options;
    const { fingerprint } = call;
    if (this.#isInvalid(sender, fingerprint)) return;
    if (this.#dismissed.has(keyOf({ name: sender, fingerprint }))) return;
    // Its name leads to it as soon as the naming service tells us where it is.
    if (contacts.some(({ link, expected }) => link.address === sender && expected === sender)) {
      return;
    }
    const host = hostOf(call.from);
    const hasPort = Number.isInteger(port) && port > 0 && port < 65_536;
    this.#callers.called({
      type: "caller",
      name: sender,
      fingerprint,
      isKnown: fingerprint !== undefined && trust.keysOf(sender).includes(fingerprint),
      from: hasPort ? formatEndpoint(host, port) : host,
      argument: hasPort ? argumentFor({ name: sender, host, port }) : undefined,
    });
  }

  /** The error for a caller that is refused. */
  refusal(sender: string, fingerprint: string | undefined): GreetError {
    const { name, trust } = this.#options;
    const whom = nameProblem(sender) === undefined ? sender : "you";
    const message = whom === sender && trust.isImpostor(sender, fingerprint)
      ? `${name} knows ${sender} by another key`
      : `${name} is not chatting with ${whom}`;
    return new GreetError("PERMISSION_DENIED", message);
  }
}

/** A peer that has not accepted us is dialled again only when it calls itself. */
function mayBeKnocked({ refusedBy }: Link, test: Test): boolean {
  return refusedBy === undefined || test(refusedBy);
}

/** Without keys, two peers of the same name are told apart by their runs, if they tell those. */
function isCaller(
  { name, fingerprint, instance }: Answerer,
  caller: Introduction,
  callersKey: string | undefined,
): boolean {
  if (name !== caller.sender || fingerprint !== callersKey) return false;
  return fingerprint !== undefined || instance === undefined || instance === caller.instance;
}

/** The host of a caller's address, in which an IPv6 address has no brackets. */
function hostOf(from: string): string {
  const host = from.slice(0, from.lastIndexOf(":"));
  return host.replace(/^::ffff:(?=\d+\.)/, "");
}

type Endpoint = NonNullable<Link["endpoint"]>;

/** Whether a link is for an endpoint; a host name may stand for any address. */
function leadsTo({ endpoint }: Link, { host, port }: Endpoint): boolean {
  if (endpoint?.port !== port) return false;
  if (isLoopback(endpoint.host)) return isLoopback(host);
  return endpoint.host === host || isHostName(endpoint.host);
}

/**
 * Whether a link is for another port, but may be found to lead to an endpoint: a tunnel has its own
 * port, and a peer that is far away takes long to answer.
 */
function mayYetLeadTo({ endpoint, presence, met }: Link, { host }: Endpoint): boolean {
  const isUndecided = presence.state === "connecting" && met === undefined ||
    presence.state === "away" && presence.error.code === "DEADLINE_EXCEEDED";
  if (!isUndecided) return false;
  return endpoint === undefined || endpoint.host === host || isLoopback(endpoint.host) ||
    isHostName(endpoint.host);
}

/** Whether nothing listens where a link leads. On another machine, a firewall may refuse us. */
function isVacant({ endpoint, presence }: Link): boolean {
  return endpoint !== undefined && isLoopback(endpoint.host) && presence.state === "away" &&
    isAbsent(presence.error);
}

function isHostName(host: string): boolean {
  return !/^[\d.]+$|:/.test(host);
}
