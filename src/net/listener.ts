/**
 * A listening socket and its connections, independent of the protocol on top.
 *
 * grpc-js could listen itself, but then it would wait for every connection when it stops, even for
 * a silent one, and its errors have no code. A {@link Listener} closes connections that stay
 * silent, and bounds what strangers may send.
 *
 * @module
 */
import type net from "node:net";
import { Acceptor } from "./acceptor.ts";
import { BacklogPool, SendBacklog } from "../http2/send_backlog.ts";
import { GreetError, systemReason } from "../base/errors.ts";
import { batchWrites } from "./write_batching.ts";
import { formatEndpoint } from "./address.ts";

/**
 * The length of the shortest client connection preface: 24 bytes and an empty SETTINGS frame.
 * Source: RFC 9113, section 3.4.
 */
const PREFACE_BYTES = 33;

/** How long a client may take for the TLS handshake and its preface, in milliseconds. */
const PREFACE_MS = 10_000;

/** How many connections may be waiting for their preface; the oldest beyond that are closed. */
const MAX_PENDING = 1_000;

/** How many connections may be open by default; each takes 35 kB. */
const MAX_CONNECTIONS = 10_000;

/** A connection whose client may not have sent its whole preface yet. */
interface PendingConnection {
  readonly socket: net.Socket;
  /** The socket to read HTTP/2 from: the same one or, after a handshake, the TLS socket. */
  http2?: net.Socket;
}

/** The limits on strangers: their number, their time in milliseconds and their bytes. */
const STRANGERS = { connections: 100, ms: 10_000, bytes: 1_000_000 };

/** The first byte of a TLS client. Source: RFC 8446, section 5.1: `handshake`. */
const TLS_HANDSHAKE = 22;

/** The first frame of an HTTP/2 server, which shows TLS clients that it speaks plaintext. */
const SETTINGS = Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0);

/** How long a refused connection stays open for the client to read why, in milliseconds. */
const LINGER_MS = 1_000;

/** Options of a {@link Listener}. */
export interface ListenerOptions {
  /** Receives each socket that is ready for HTTP/2. */
  readonly onConnection: (socket: net.Socket) => void;
  /**
   * For servers that speak TLS: creates the object that performs handshakes. It calls `onSecure`
   * with each socket that has completed one and, if there are strangers, a function that tells
   * whether the caller is still one.
   */
  readonly secure?: (
    onSecure: (socket: net.Socket, isStranger?: () => boolean) => void,
  ) => { begin(socket: net.Socket): void };
  /** For servers without TLS: called when a client tries to speak TLS. */
  readonly onTls?: () => void;
  /** Receives the reason why connections cannot be accepted. */
  readonly onOverload?: (error: GreetError) => void;
  /** How many connections may be open at a time (default 10,000); more are closed at once. */
  readonly maxConnections?: number;
  /** Shares the port with other listeners that set this option; Linux balances the connections. */
  readonly sharesPort?: boolean;
}

/** Accepts connections and bounds what they may cost before their callers are known. */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #connections = new Map<string, SendBacklog>();
  readonly #backlogs = new BacklogPool();
  /** By the client's address, oldest first. */
  readonly #pending = new Map<string, PendingConnection>();
  /** Strangers, oldest first, and functions that close those that are strangers still. */
  readonly #strangers = new Map<net.Socket, () => void>();
  readonly #acceptor: Acceptor;

  constructor(options: ListenerOptions) {
    this.#options = options;
    const handshaker = options.secure?.((socket, isStranger) => {
      this.#track(socket);
      if (isStranger?.()) this.#limitStranger(socket, isStranger);
      this.#handOver(socket);
    });
    this.#acceptor = new Acceptor({
      onConnection: (socket) => {
        if (this.#isFull()) return socket.destroy();
        this.#track(socket);
        this.#limitPending(socket);
        if (handshaker === undefined) this.#expectPlaintext(socket);
        else handshaker.begin(socket);
      },
      onExhausted: () => options.onOverload?.(outOfDescriptors()),
      sharesPort: options.sharesPort,
    });
  }

  #isFull(): boolean {
    const { maxConnections = MAX_CONNECTIONS, onOverload } = this.#options;
    const isFull = this.#connections.size >= maxConnections;
    if (isFull) onOverload?.(tooManyConnections(maxConnections));
    return isFull;
  }

  /** Refuses clients that speak TLS in a way that lets both sides report the mismatch. */
  #expectPlaintext(socket: net.Socket): void {
    socket.once("data", (chunk: Uint8Array) => {
      if (chunk[0] === TLS_HANDSHAKE) {
        this.#options.onTls?.();
        return closeWith(SETTINGS, socket);
      }
      socket.pause();
      socket.unshift(chunk);
      this.#handOver(socket);
    });
  }

  #handOver(socket: net.Socket): void {
    const pending = this.#pending.get(addressOf(socket));
    if (pending !== undefined) pending.http2 = socket;
    batchWrites(socket);
    this.#options.onConnection(socket);
  }

  /** Tracks a connection. After a handshake, its TLS socket takes the place of the first one. */
  #track(socket: net.Socket): void {
    const from = addressOf(socket);
    const connection = new SendBacklog(socket, this.#backlogs);
    this.#connections.set(from, connection);
    socket.once("close", () => {
      if (this.#connections.get(from) === connection) this.#connections.delete(from);
    });
    // Broken connections are noticed by the calls on them.
    socket.on("error", () => {});
  }

  /** Bounds the number and the time of connections that have not begun to speak HTTP/2. */
  #limitPending(socket: net.Socket): void {
    const from = addressOf(socket);
    const pending: PendingConnection = { socket };
    this.#pending.set(from, pending);
    const timer = setTimeout(() => this.#closeIfPending(from, pending), PREFACE_MS);
    socket.once("close", () => {
      clearTimeout(timer);
      if (this.#pending.get(from) === pending) this.#pending.delete(from);
    });
    for (const [from, oldest] of this.#pending) {
      if (this.#pending.size <= MAX_PENDING) return;
      this.#closeIfPending(from, oldest);
    }
  }

  /**
   * A stranger must be able to introduce itself, but needs little data for that. Its bytes are
   * counted before they are processed, however busy this process is.
   */
  #limitStranger(socket: net.Socket, isStranger: () => boolean): void {
    let bytes = 0;
    const count = (chunk: Uint8Array) => {
      bytes += chunk.length;
      if (bytes > STRANGERS.bytes) closeIfStranger();
    };
    const stopCounting = () => {
      clearTimeout(timer);
      socket.off("data", count);
      this.#strangers.delete(socket);
    };
    const closeIfStranger = () => {
      stopCounting();
      if (isStranger()) socket.destroy();
    };
    const timer = setTimeout(closeIfStranger, STRANGERS.ms);
    socket.on("data", count).once("close", stopCounting);
    this.#strangers.set(socket, closeIfStranger);
    for (const closeOldest of this.#strangers.values()) {
      if (this.#strangers.size <= STRANGERS.connections) return;
      closeOldest();
    }
  }

  /** Closes a connection unless its client has sent its preface by now. */
  #closeIfPending(from: string, pending: PendingConnection): void {
    if (this.#pending.get(from) !== pending) return;
    this.#pending.delete(from);
    const { socket, http2 } = pending;
    if (http2 === undefined) socket.destroy();
    else if (http2.bytesRead < PREFACE_BYTES) http2.destroy();
  }

  /**
   * Starts listening.
   *
   * @returns the port
   * @throws {GreetError} `FAILED` if the port or the host is not available
   */
  async listen(host: string, port: number): Promise<number> {
    try {
      return await this.#acceptor.listen(host, port);
    } catch (error) {
      throw listenError(error as NodeJS.ErrnoException, host, port);
    }
  }

  /** The open connection from an address such as `127.0.0.1:41234`, if there is one. */
  connection(from: string): SendBacklog | undefined {
    return this.#connections.get(from);
  }

  /** Stops accepting; resolves when all open connections have ended. */
  async close(): Promise<void> {
    await this.#acceptor.close();
  }

  /** Closes all open connections at once. */
  destroy(): void {
    for (const connection of this.#connections.values()) connection.destroy();
  }
}

/** The client's address, such as `127.0.0.1:41234`; the same for a connection's TLS socket. */
function addressOf({ remoteAddress, remotePort }: net.Socket): string {
  return `${remoteAddress}:${remotePort}`;
}

/** Sends last bytes and closes a connection, even if the other side does not close it. */
function closeWith(bytes: Uint8Array, socket: net.Socket): void {
  socket.end(bytes);
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once("close", () => clearTimeout(timer));
}

function outOfDescriptors(): GreetError {
  return new GreetError(
    "RESOURCE_EXHAUSTED",
    "out of file descriptors: new connections have to wait until others close",
    { hint: "raise the limit (ulimit -n) and restart" },
  );
}

function tooManyConnections(count: number): GreetError {
  return new GreetError(
    "RESOURCE_EXHAUSTED",
    `${count.toLocaleString("en")} connections are open: new ones are refused`,
    { hint: "new connections are accepted again when others close" },
  );
}

/** On Windows, Hyper-V and others reserve ranges of ports, different ones after each start. */
const RESERVED_PORTS = "choose another port, or 0 for a free one; these are reserved: " +
  "netsh interface ipv4 show excludedportrange tcp";

function listenError(cause: NodeJS.ErrnoException, host: string, port: number): GreetError {
  const failed = (message: string, hint?: string) =>
    new GreetError("FAILED", message, { hint, cause });
  switch (cause.code) {
    case "EADDRINUSE":
      return failed(`port ${port} is already in use`, "choose another port, or 0 for a free one");
    case "EACCES":
      if (Deno.build.os === "windows") return failed(`port ${port} is reserved`, RESERVED_PORTS);
      return failed(`port ${port} is reserved for privileged users`, "choose a port from 1024 up");
    case "EADDRNOTAVAIL":
    case "EINVAL":
      return failed(
        `${host} is not an address of this machine`,
        "use 127.0.0.1 for this machine only, or 0.0.0.0 for all networks",
      );
    case "ENOTFOUND":
      return failed(`the host ${host} is not known`);
    default:
      return failed(`cannot listen on ${formatEndpoint(host, port)}: ${systemReason(cause)}`);
  }
}
