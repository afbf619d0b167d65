/**
 * The network interfaces of this machine that lead to a local network, and how near an address is
 * on each of them.
 *
 * @module
 */
import { BlockList } from "node:net";
import { isIP } from "../../net/ip.ts";
import { networkInterfaces } from "node:os";
import { GreetError } from "../../base/errors.ts";

/** An interface with its addresses. */
export interface LanInterface {
  readonly name: string;
  /** Its IPv4 address that stands for it where multicast is concerned, if it has one. */
  readonly v4?: string;
  /** Whether it speaks IPv6. */
  readonly hasV6: boolean;
  /** The addresses that others can call: IPv6 addresses of the link only are not among them. */
  readonly addresses: readonly string[];
  /** The networks that are on this link. */
  readonly nearby: BlockList;
}

/**
 * Reads the interfaces.
 *
 * @throws {GreetError} `FAILED` without the permission to
 */
export function readInterfaces(): LanInterface[] {
  let all: ReturnType<typeof networkInterfaces>;
  try {
    all = networkInterfaces();
  } catch (cause) {
    throw new GreetError("FAILED", "the network interfaces cannot be read", {
      hint: "give Deno the permission --allow-sys=networkInterfaces",
      cause,
    });
  }
  return Object.entries(all).flatMap(([name, addresses = []]) => {
    const outward = addresses.filter(({ internal }) => !internal);
    if (outward.length === 0) return [];
    const nearby = new BlockList();
    for (const { address, cidr } of outward) {
      const [, bits] = cidr?.split("/") ?? [];
      if (bits !== undefined) nearby.addSubnet(address, Number(bits), familyOf(address));
    }
    return [{
      name,
      v4: outward.find(({ family }) => family === "IPv4")?.address,
      hasV6: outward.some(({ family }) => family === "IPv6"),
      addresses: outward.map(({ address }) => address).filter(isCallable),
      nearby,
    }];
  });
}

/** The host to listen on so that everyone on the local network can call. */
export function everyHost(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  // On Windows a socket for IPv6 does not take calls over IPv4.
  const hasV6 = Deno.build.os !== "windows" && all.some(({ family }) => family === "IPv6");
  return hasV6 ? "::" : "0.0.0.0";
}

/** Whether two lists of interfaces are the same. */
export function areSame(one: readonly LanInterface[], other: readonly LanInterface[]): boolean {
  const plain = (list: readonly LanInterface[]) =>
    JSON.stringify(list.map(({ name, v4, hasV6, addresses }) => [name, v4, hasV6, addresses]));
  return plain(one) === plain(other);
}

/** Whether an address belongs to a network on the link of an interface. */
export function isNear({ nearby }: LanInterface, address: string): boolean {
  return nearby.check(address, familyOf(address));
}

/**
 * How near an address is that was heard of on an interface: those on its link first, and IPv4 first.
 *
 * @returns `Infinity` for one that cannot be called from here
 */
export function distanceOn(link: LanInterface, address: string): number {
  if (!isCallable(address)) return Infinity;
  return (isNear(link, address) ? 0 : 2) + (isIP(address) === 6 ? 1 : 0);
}

/** Addresses of this machine only, of no machine or of many; and of the link, which the runtime cannot call. */
const NOT_CALLABLE = new BlockList();
NOT_CALLABLE.addSubnet("0.0.0.0", 8, "ipv4");
NOT_CALLABLE.addSubnet("127.0.0.0", 8, "ipv4");
NOT_CALLABLE.addSubnet("224.0.0.0", 3, "ipv4");
NOT_CALLABLE.addSubnet("::", 8, "ipv6");
NOT_CALLABLE.addSubnet("fe80::", 10, "ipv6");
NOT_CALLABLE.addSubnet("ff00::", 8, "ipv6");

function isCallable(address: string): boolean {
  return isIP(address) !== 0 && !NOT_CALLABLE.check(address, familyOf(address));
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return address.includes(":") ? "ipv6" : "ipv4";
}
