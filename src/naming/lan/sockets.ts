/**
 * The sockets of multicast DNS: one for IPv4, and one for IPv6 on each interface. What arrives is
 * handed over with the interface it came from; a flood is cut off at the socket.
 *
 * @module
 */
import { createSocket, type Socket } from "node:dgram";
import { systemReason } from "../../base/errors.ts";
import { within } from "../../base/timing.ts";
import { areSame, isNear, type LanInterface, readInterfaces } from "./interfaces.ts";

/** The port and the groups of multicast DNS (RFC 6762, section 3). */
const PORT = 5353;
const GROUP = { v4: "224.0.0.251", v6: "ff02::fb" };

/** How often the interfaces are read, in milliseconds: the runtime does not report changes. */
const SCAN_MS = 10_000;

/** How many packets may arrive in a second, and for how long the sockets are closed after more. */
const FLOOD = { perSecond: 1_000, pauseMs: 5_000 };

/** How many packets may wait to be sent. */
const MAX_WAITING = 64;

/** How long a socket may take to open or to send, in milliseconds. */
const SOCKET_MS = 1_000;

/** Receives packets, and learns when networks change. */
export interface LanListener {
  /** A packet has come, from an address on the link of an interface. */
  onPacket(packet: Uint8Array, from: string, link: LanInterface): void;
  /** Networks have come or gone. */
  onNetworks(): void;
}

/** Sockets on all networks of this machine, which follow changes. Disposing closes them. */
export class LanSockets implements Disposable {
  readonly #listener: LanListener;
  #interfaces: readonly LanInterface[] = [];
  #v4: Socket | undefined;
  #v6 = new Map<string, Socket>();
  /** Packets leave one after the other, because the interface is a setting of the socket. */
  #sending = Promise.resolve();
  #waiting = 0;
  #scan: ReturnType<typeof setInterval> | undefined;
  #pause: ReturnType<typeof setTimeout> | undefined;
  #second = { startedAt: 0, packets: 0 };
  #trouble: string | undefined;

  /** @throws {GreetError} `FAILED` if the interfaces cannot be read */
  constructor(listener: LanListener) {
    this.#listener = listener;
    this.#interfaces = readInterfaces();
    this.#open();
    this.#scan = setInterval(() => this.#follow(), SCAN_MS);
  }

  /** The networks. */
  get interfaces(): readonly LanInterface[] {
    return this.#interfaces;
  }

  /** Why a socket could not be opened, if one could not. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  #follow(): void {
    const interfaces = readInterfaces();
    if (areSame(interfaces, this.#interfaces)) return;
    this.#interfaces = interfaces;
    if (this.#pause === undefined) this.#open();
    this.#listener.onNetworks();
  }

  /** Opens all sockets anew: addresses may have moved to other interfaces. */
  #open(): void {
    this.#close();
    const v4 = this.#interfaces.filter((one) => one.v4 !== undefined);
    if (v4.length > 0) this.#v4 = this.#openV4(v4);
    for (const one of this.#interfaces) if (one.hasV6) this.#v6.set(one.name, this.#openV6(one));
    const opened = [this.#v4 ?? [], ...this.#v6.values()].flat().map(bound);
    const ready = within(SOCKET_MS, Promise.all(opened));
    this.#sending = this.#sending.then(() => ready);
  }

  #openV4(interfaces: readonly LanInterface[]): Socket {
    const socket = createSocket({ type: "udp4", reuseAddr: true });
    socket.on("error", (error) => this.#trouble = systemReason(error));
    socket.on("message", (packet, { address }) => {
      const link = interfaces.find((one) => isNear(one, address));
      // Packets from elsewhere are not from a neighbor (RFC 6762, section 11).
      if (link !== undefined) this.#receive(packet, address, link);
    });
    socket.bind(PORT, "0.0.0.0", () => {
      for (const { v4 } of interfaces) attempt(() => socket.addMembership(GROUP.v4, v4));
      attempt(() => socket.setMulticastTTL(255));
    });
    return socket;
  }

  #openV6(link: LanInterface): Socket {
    const socket = createSocket({ type: "udp6", reuseAddr: true, ipv6Only: true });
    socket.on("error", (error) => this.#trouble = systemReason(error));
    socket.on("message", (packet, { address }) => this.#receive(packet, address, link));
    // Bound to the group on one interface, it gets nothing from the others.
    const host = Deno.build.os === "windows" ? "::" : `${GROUP.v6}%${link.name}`;
    socket.bind(PORT, host, () => {
      attempt(() => socket.addMembership(GROUP.v6, `::%${link.name}`));
      attempt(() => socket.setMulticastInterface(`::%${link.name}`));
      attempt(() => socket.setMulticastTTL(255));
    });
    return socket;
  }

  #receive(packet: Uint8Array, from: string, link: LanInterface): void {
    const now = performance.now();
    if (now - this.#second.startedAt > 1_000) this.#second = { startedAt: now, packets: 0 };
    if (++this.#second.packets > FLOOD.perSecond) return this.#pauseAfterFlood();
    this.#listener.onPacket(packet, from, link);
  }

  /** Even a packet that is ignored costs time to receive. */
  #pauseAfterFlood(): void {
    this.#close();
    this.#pause ??= setTimeout(() => {
      this.#pause = undefined;
      this.#open();
      this.#listener.onNetworks();
    }, FLOOD.pauseMs);
  }

  /**
   * Sends a packet to the group. What cannot be sent is lost, as it may be on the way.
   *
   * @param link the interface; all if missing
   */
  send(packet: Uint8Array, link?: LanInterface): void {
    for (const one of link === undefined ? this.#interfaces : [link]) {
      if (this.#waiting >= MAX_WAITING) return;
      this.#waiting++;
      this.#sending = this.#sending.then(() => this.#sendOn(one, packet))
        .finally(() => this.#waiting--);
    }
  }

  async #sendOn({ name, v4 }: LanInterface, packet: Uint8Array): Promise<void> {
    const socket = this.#v4;
    if (socket !== undefined && v4 !== undefined) {
      attempt(() => socket.setMulticastInterface(v4));
      await sent(socket, packet, GROUP.v4);
    }
    const v6 = this.#v6.get(name);
    if (v6 !== undefined) await sent(v6, packet, `${GROUP.v6}%${name}`);
  }

  /** Resolves when everything has been sent. */
  async flushed(): Promise<void> {
    await this.#sending;
  }

  #close(): void {
    for (const socket of [this.#v4, ...this.#v6.values()]) attempt(() => socket?.close());
    this.#v4 = undefined;
    this.#v6.clear();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#scan);
    clearTimeout(this.#pause);
    this.#close();
  }
}

/** Multicast may be impossible on one interface and work on another. */
function attempt(action: () => void): void {
  try {
    action();
  } catch {
    // Whether multicast works at all is found out by listening to ourselves.
  }
}

/** Resolves when a socket can be used, or never. */
function bound(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("listening", () => resolve()));
}

async function sent(socket: Socket, packet: Uint8Array, group: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  attempt(() => socket.send(packet, PORT, group, () => resolve()));
  await within(SOCKET_MS, promise);
}
