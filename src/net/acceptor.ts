/**
 * A listening socket that recovers when the process runs out of file descriptors.
 *
 * Once an `accept` fails, the runtime's `net.Server` never accepts again and emits no event.
 * {@link Acceptor} therefore checks for a free descriptor after each connection; if there is none,
 * it reports that, waits for one and listens again.
 *
 * @module
 */
import net from "node:net";
import { pause } from "../base/timing.ts";

/** How many connections may wait to be accepted; the system drops any more. */
const BACKLOG = 4_096;

/** How often to check for a free descriptor while there is none, in milliseconds. */
const RETRY_MS = 250;

/**
 * How many descriptors must be free where threads share them. While an `accept` of one thread fails,
 * others may hold one for a moment, because they check as well; afterwards it looks free.
 */
const SHARED_SPARE = 4;

/** The channel on which the listeners of a process tell each other that descriptors ran out. */
const CHANNEL = "greet: out of file descriptors";

/** Options of an {@link Acceptor}. */
export interface AcceptorOptions {
  /** Receives each connection. */
  readonly onConnection: (socket: net.Socket) => void;
  /** Called when a connection has used up the last file descriptor. */
  readonly onExhausted: () => void;
  /** Shares the port with other listeners that set this option (Linux only). */
  readonly sharesPort?: boolean;
}

/** Accepts connections on one port. */
export class Acceptor {
  readonly #options: AcceptorOptions;
  readonly #closing = new AbortController();
  /** Threads that share a port also share file descriptors, so all of them run out together. */
  readonly #others: BroadcastChannel | undefined;
  #server: net.Server;
  /** Resolves when all connections of replaced servers have ended. */
  #replaced: Promise<unknown> = Promise.resolve();
  #recovering: Promise<void> | undefined;

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#server = this.#newServer();
    if (!options.sharesPort) return;
    this.#others = new BroadcastChannel(CHANNEL);
    this.#others.onmessage = () => this.#recovering ??= this.#recover();
  }

  /**
   * Starts listening.
   *
   * @returns the port
   * @throws the system's error, with its `code`
   */
  async listen(host: string, port: number): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const server = this.#server.once("error", reject);
    server.listen({ host, port, backlog: BACKLOG, reusePort: this.#options.sharesPort }, resolve);
    await promise;
    server.off("error", reject);
    return this.#address().port;
  }

  /** Stops accepting; resolves when all connections have ended. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#others?.close();
    await this.#recovering;
    await Promise.all([this.#replaced, closed(this.#server)]);
  }

  #newServer(): net.Server {
    return net.createServer({ noDelay: true }, (socket) => {
      this.#checkDescriptors();
      this.#options.onConnection(socket);
    });
  }

  #address(): net.AddressInfo {
    return this.#server.address() as net.AddressInfo;
  }

  /**
   * The runtime accepts all waiting connections before it emits the first, so a descriptor that is
   * free now was free when `accept` was last called.
   */
  #checkDescriptors(): void {
    if (this.#recovering !== undefined || this.#hasFreeDescriptors(this.#address())) return;
    this.#options.onExhausted();
    this.#others?.postMessage(undefined);
    this.#recovering = this.#recover();
  }

  /** Listens again when a descriptor is free. Connections that waited for `accept` are reset. */
  async #recover(): Promise<void> {
    const { signal } = this.#closing;
    const address = this.#address();
    for (let isListening = false; !isListening;) {
      await pause(RETRY_MS, signal);
      if (signal.aborted) return;
      isListening = this.#hasFreeDescriptors(address) && await this.#listenAgain(address);
    }
    this.#recovering = undefined;
  }

  #hasFreeDescriptors(address: net.AddressInfo): boolean {
    if (!this.#options.sharesPort) return hasFreeDescriptor(address);
    using held = new DisposableStack();
    for (let i = 1; i < SHARED_SPARE; i++) {
      if (!hasFreeDescriptor({ ...address, port: 0 }, held)) return false;
    }
    return hasFreeDescriptor(address);
  }

  async #listenAgain({ address, port }: net.AddressInfo): Promise<boolean> {
    this.#replaced = Promise.all([this.#replaced, closed(this.#server)]);
    this.#server = this.#newServer();
    try {
      await this.listen(address, port);
      return true;
    } catch {
      return false;
    }
  }
}

/** Stops a server; resolves when its connections have ended. */
function closed(server: net.Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

/**
 * Whether a descriptor is free, by listening. On an address that is in use, the error tells.
 *
 * @param held keeps the descriptor; otherwise it is free again afterwards
 */
function hasFreeDescriptor({ address, port }: net.AddressInfo, held?: DisposableStack): boolean {
  try {
    const listener = Deno.listen({ hostname: address, port });
    if (held === undefined) listener.close();
    else held.use(listener);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code !== "EMFILE" && code !== "ENFILE";
  }
  return true;
}
