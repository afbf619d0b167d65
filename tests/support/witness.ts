/** Somebody who reads what happens to a peer. */
import type { Peer, PeerEvent } from "../../mod.ts";
import { inTime } from "./program.ts";

/** Reads a peer's events as they come, and waits for particular ones. */
export class Witness {
  readonly seen: PeerEvent[] = [];
  readonly done: Promise<void>;
  #more = Promise.withResolvers<void>();

  constructor(peer: Peer) {
    this.done = this.#read(peer);
  }

  async #read(peer: Peer): Promise<void> {
    for await (const event of peer.events) {
      this.seen.push(event);
      this.#more.resolve();
      this.#more = Promise.withResolvers();
    }
  }

  async until<Type extends PeerEvent["type"]>(
    type: Type,
    count = 1,
  ): Promise<Extract<PeerEvent, { type: Type }>[]> {
    const wait = async () => {
      for (;;) {
        const more = this.#more.promise;
        const found = this.seen.filter((event) => event.type === type);
        if (found.length >= count) return found as Extract<PeerEvent, { type: Type }>[];
        await more;
      }
    };
    return await inTime(wait(), () => `${count} × ${type} in ${JSON.stringify(this.seen)}`);
  }
}
