/**
 * Claims a name on the local network as RFC 6762 (section 8) prescribes: ask three times whether
 * someone has it, announce it twice, and ask again when someone else claims it.
 *
 * @module
 */
import { GreetError } from "../../base/errors.ts";
import { formatEndpoint, parseTarget } from "../../net/address.ts";
import { pause, Pulse, race, within } from "../../base/timing.ts";
import type { NameClaim } from "../naming_service.ts";
import type { LanInterface } from "./interfaces.ts";
import type { LanNode } from "./node.ts";
import { compareClaims } from "./packets.ts";
import {
  addressRecords,
  dataOf,
  holderIn,
  instanceOf,
  instanceRecords,
  isSameName,
  isSameRecord,
  type LanMessage,
  type LanRecord,
  nameOf,
} from "./records.ts";
import type { Publication } from "./responder.ts";

/** How long to wait before the first probe, at most, and how often to probe, in milliseconds. */
const PROBE = { firstMs: 250, times: 3, everyMs: 250 };

/** How long the loser of two claims that are made at once waits, in milliseconds. */
const LOST_MS = 1_000;

/** How long copies of a packet may take, in milliseconds. */
const COPIES_MS = 50;

/** When to announce a name again, in milliseconds. */
const AGAIN_MS = 1_000;

/** Hosts to listen on that stand for every address. */
const EVERYWHERE = ["0.0.0.0", "::"];

/** Someone else who has the name, or the same claim. */
interface Rival {
  readonly name: string;
  readonly where: string;
}

/** A claim to a name. */
export class LanClaim {
  readonly #node: LanNode;
  readonly #claim: NameClaim;
  readonly #publication: Publication;
  readonly #disturbed = new Pulse();
  #rival: Rival | undefined;
  #hasLost = false;
  #isProbing = false;

  constructor(node: LanNode, claim: NameClaim) {
    this.#node = node;
    this.#claim = claim;
    this.#publication = publicationOf(claim, node.hostTtl);
  }

  /**
   * Holds the name until the signal is aborted.
   *
   * @param held called once, when the name is held
   * @throws {GreetError} `ALREADY_EXISTS` if someone else holds the name; `UNAVAILABLE` without
   *   multicast
   */
  async hold(held: (since?: Date) => void, signal: AbortSignal): Promise<void> {
    const { responder } = this.#node;
    const ignore = this.#node.listen((message, from) => this.#hear(message, from));
    void this.#followNetworks(signal);
    const wake = () => this.#disturbed.beat();
    signal.addEventListener("abort", wake);
    let isHeld = false;
    try {
      await pause(Math.random() * PROBE.firstMs, signal);
      while (!signal.aborted) {
        await this.#probe(signal);
        if (signal.aborted) return;
        this.#rival = undefined;
        const disturbed = this.#disturbed.next;
        responder.publish(this.#publication, this.#node.links);
        if (!isHeld) held(new Date());
        isHeld = true;
        await this.#stand(disturbed);
        if (this.#rival !== undefined) await this.#contradict(signal);
        responder.withdraw(this.#publication);
      }
    } finally {
      signal.removeEventListener("abort", wake);
      ignore();
      responder.withdraw(this.#publication);
      if (isHeld) responder.takeBack(this.#publication, this.#node.links);
    }
  }

  /**
   * Repeats our records, so that others do not drop them while we ask again. Until the copies of what
   * has disturbed us are through, on IPv4 and IPv6, they are no answers to the next probe.
   */
  async #contradict(signal: AbortSignal): Promise<void> {
    this.#node.responder.announce(this.#publication, this.#node.links);
    await pause(COPIES_MS, signal);
  }

  /** On a network that has come, others may have the name. */
  async #followNetworks(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#node.networks.next;
      this.#disturbed.beat();
    }
  }

  /** Asks whether someone else has the name. */
  async #probe(signal: AbortSignal): Promise<void> {
    this.#rival = undefined;
    this.#hasLost = false;
    this.#isProbing = true;
    const sentAt = performance.now();
    for (let sent = 0; sent < PROBE.times && !signal.aborted;) {
      this.#sendProbe();
      sent++;
      await this.#untilProbe(signal);
      if (this.#rival !== undefined) throw taken(this.#rival);
      if (!this.#hasLost) continue;
      // The other one wins; when its claim stands, it will answer.
      await pause(LOST_MS, signal);
      this.#hasLost = false;
      sent = 0;
    }
    if (!signal.aborted) await this.#node.checkHearing(sentAt);
    this.#isProbing = false;
  }

  /** Waits until the next probe is due, or there need not be one. */
  async #untilProbe(signal: AbortSignal): Promise<void> {
    const due = pause(PROBE.everyMs, signal);
    let isDue = false;
    void due.then(() => isDue = true);
    while (!isDue && this.#rival === undefined && !this.#hasLost) {
      await race([due, this.#disturbed.next]);
    }
  }

  #sendProbe(): void {
    const { own } = this.#publication;
    this.#node.send({
      type: "query",
      questions: [{ name: instanceOf(this.#claim.name), type: "ANY" }],
      answers: [],
      authorities: own.map((record) => ({ ...record, flush: false })),
    });
  }

  /** Announces the name once more, and waits until the claim is over or must be made again. */
  async #stand(disturbed: Promise<void>): Promise<void> {
    let isDisturbed = false;
    void disturbed.then(() => isDisturbed = true);
    await within(AGAIN_MS, disturbed);
    if (isDisturbed) return;
    this.#node.responder.announce(this.#publication, this.#node.links);
    await disturbed;
  }

  #hear(message: LanMessage, from: string): void {
    if (message.type === "query") return this.#hearProbe(message);
    const said = [...message.answers, ...message.additionals ?? []];
    const rival = this.#othersIn(said).find(({ flush }) => flush || !this.#claim.shared);
    if (rival?.type !== "SRV") return;
    const { target, port } = rival.data;
    const host = said.find(({ type, name }) => type === "A" && isSameName(name, target));
    const address = host === undefined ? from : dataOf(host);
    this.#rival = { name: nameOf(rival.name)!, where: formatEndpoint(address, port) };
    this.#disturbed.beat();
  }

  /** Someone else may be claiming the name right now; one of us wins. */
  #hearProbe({ authorities = [] }: LanMessage): void {
    if (!this.#isProbing || this.#othersIn(authorities).length === 0) return;
    const wanted = authorities.filter((record) => this.#isAbout(record));
    const isShared = wanted.some((one) => one.type === "TXT" && holderIn(one.data).shared);
    if (isShared && this.#claim.shared) return;
    if (compareClaims(this.#publication.own, wanted) >= 0) return;
    this.#hasLost = true;
    this.#disturbed.beat();
  }

  /** The records that say where another holder of the name listens. */
  #othersIn(records: readonly LanRecord[]): LanRecord[] {
    const { own } = this.#publication;
    return records.filter((record) =>
      record.type === "SRV" && record.ttl > 0 && this.#isAbout(record) &&
      !own.some((one) => isSameRecord(one, record))
    );
  }

  #isAbout({ name }: LanRecord): boolean {
    return isSameName(name, instanceOf(this.#claim.name));
  }
}

/** The records of a claim, with addresses: the one that is claimed, or all of each network. */
function publicationOf(claim: NameClaim, hostTtl: number): Publication {
  const { host, port } = parseTarget(claim.address).endpoint!;
  const inDns = `greet-${crypto.randomUUID().slice(0, 13)}.local`;
  const known = new WeakMap<LanInterface, readonly LanRecord[]>();
  const addressesOn = (link: LanInterface) => {
    const addresses = EVERYWHERE.includes(host) ? link.addresses : [host];
    const records = known.get(link) ?? addressRecords(inDns, addresses, hostTtl);
    known.set(link, records);
    return records;
  };
  return { ...instanceRecords(claim, port, inDns, hostTtl), addressesOn };
}

function taken({ name, where }: Rival): GreetError {
  return new GreetError(
    "ALREADY_EXISTS",
    `someone else on the local network is ${name}, at ${where}`,
  );
}
