/** Collects the events of a peer. */
import { Peer, type PeerEvent, type PeerOptions } from "../../mod.ts";
import { Pulse } from "../../src/base/timing.ts";
import { inTime } from "./waiting.ts";

/** Reads a peer's events as they come, and waits for particular ones. */
export class Witness {
  readonly seen: PeerEvent[] = [];
  readonly done: Promise<void>;
  readonly #changed = new Pulse();

  constructor(peer: Peer) {
    this.done = this.#read(peer);
  }

  async #read(peer: Peer): Promise<void> {
    for await (const event of peer.events) {
      this.seen.push(event);
      this.#changed.beat();
    }
  }

  /** Waits for a number of events of one type. Returns all events of that type. */
  async until<Type extends PeerEvent["type"]>(
    type: Type,
    count = 1,
  ): Promise<Extract<PeerEvent, { type: Type }>[]> {
    const wait = async () => {
      for (;;) {
        const changed = this.#changed.next;
        const found = this.seen.filter((event) => event.type === type);
        if (found.length >= count) return found as Extract<PeerEvent, { type: Type }>[];
        await changed;
      }
    };
    return await inTime(wait(), () => `${count} × ${type} in ${JSON.stringify(this.seen)}`);
  }
}

/** Opens a peer, and collects its events. */
export async function openWitnessed(options: PeerOptions) {
  const peer = await Peer.open(options);
  const witness = new Witness(peer);
  return {
    peer,
    witness,
    async [Symbol.asyncDispose]() {
      await peer[Symbol.asyncDispose]();
      await witness.done;
    },
  };
}
