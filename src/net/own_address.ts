/**
 * Notices when an address is no longer one of this machine's, as after a change of networks.
 *
 * @module
 */
import { isIP } from "./ip.ts";
import { networkInterfaces } from "node:os";

/** An address under which others reach this machine. */
export class OwnAddress {
  readonly #address: string;
  #wasOurs: boolean;

  /** @param address an IP address; a name, or the address of a router in front, is never lost */
  constructor(address: string) {
    this.#address = address;
    this.#wasOurs = isOurs(address);
  }

  /** Whether the address was one of this machine's when that was last asked, and no longer is. */
  isLost(): boolean {
    const wasOurs = this.#wasOurs;
    this.#wasOurs = isOurs(this.#address);
    return wasOurs && !this.#wasOurs;
  }
}

function isOurs(address: string): boolean {
  if (isIP(address) === 0) return false;
  try {
    const all = Object.values(networkInterfaces()).flatMap((some) => some ?? []);
    return all.some((one) => one.address === address);
  } catch {
    // Without the permission to ask, the address counts as that of a router.
    return false;
  }
}
