/**
 * A listening socket and the connections to it, below whatever protocol is spoken on them.
 *
 * grpc-js can listen by itself, but then it waits for every connection when it
 * stops, even for one that never said a word, and its errors carry no code. Here those who
 * say nothing are sent away; and a {@link Connection} tells how much of what was written to it is
 * still here, which the runtime's HTTP/2 streams do not.
 *
 * @module
 */
import net from "node:net";
import { GreetError } from "./errors.ts";
import { formatEndpoint } from "./target.ts";
import { pause } from "./time.ts";

/** How much may wait in this process for the other side of a connection before more is written, in bytes. */
const ROOM = 1_000_000;

/** How often it is looked at whether a full connection has room again. */
const LOOK_AGAIN_MS = 50;

/**
 * One connection that was accepted.
 *
 * HTTP/2 keeps what its flow control does not let out yet, and the runtime says of it
 * only that it was written. What has reached the socket is known exactly, so the
 * rest is what was announced here and has not reached it.
 */
export class Connection {
  readonly #socket: net.Socket;
  #owed = 0;
  #sent = 0;

  constructor(socket: net.Socket) {
    this.#socket = socket;
  }

  /**
   * Resolves when there is room for so many bytes, which are going to be written then; or when
   * that is over, because the connection is closed or the signal is aborted.
   */
  async room(bytes: number, signal: AbortSignal): Promise<void> {
    const isOver = () => signal.aborted || this.#socket.destroyed;
    while (!isOver() && this.#waiting() > ROOM) await pause(LOOK_AGAIN_MS, signal);
    // At once, before anybody else finds that there is room.
    this.#owed += bytes;
  }

  /** How many bytes have not left this process. */
  #waiting(): number {
    this.#settle();
    return this.#owed + this.#socket.writableLength;
  }

  /** Frames and headers reach the socket, too, so nothing can be owed that was not announced. */
  #settle(): void {
    const { bytesWritten } = this.#socket;
    this.#owed = Math.max(0, this.#owed - (bytesWritten - this.#sent));
    this.#sent = bytesWritten;
  }

  /** Ends it at once. */
  destroy(): void {
    this.#socket.destroy();
  }
}

/** How much it is at least that HTTP/2 begins with. Source: RFC 9113, section 3.4. */
const PREFACE_BYTES = 24;

/** How long a connection may take to send it. */
const PREFACE_MS = 10_000;

/** How many connections may be there that have not; of more than that, the oldest are closed. */
const SPEECHLESS = 1_000;

/** How many may wait to be taken, while many come at once; of more, the system drops some. */
const BACKLOG = 4_096;

/** Takes connections. */
export class Listener {
  readonly #connections = new Map<string, Connection>();
  /** Those that had said nothing when they were last looked at, oldest first. */
  readonly #speechless = new Set<net.Socket>();
  readonly #listener: net.Server;

  /**
   * @param onConnection gets each socket that is connected
   * @param secure what the sockets have to go through before that, if anything: TLS
   */
  constructor(
    onConnection: (socket: net.Socket) => void,
    secure?: (onSecure: (socket: net.Socket) => void) => { begin(socket: net.Socket): void },
  ) {
    const handshakes = secure?.((socket) => {
      this.#take(socket);
      onConnection(socket);
    });
    this.#listener = net.createServer({ noDelay: true }, (socket) => {
      this.#take(socket);
      if (handshakes === undefined) onConnection(socket);
      else handshakes.begin(socket);
    });
  }

  /** Takes a connection; again when it is secure, and another socket stands for it. */
  #take(socket: net.Socket): void {
    const from = `${socket.remoteAddress}:${socket.remotePort}`;
    const connection = new Connection(socket);
    this.#connections.set(from, connection);
    socket.once("close", () => {
      if (this.#connections.get(from) === connection) this.#connections.delete(from);
    });
    // Connections break; what was on them has noticed, and there is nobody else to tell.
    socket.on("error", () => {});
    this.#expectWords(socket);
  }

  /** Whoever connects costs us something, and nobody knows who they are before they speak. */
  #expectWords(socket: net.Socket): void {
    this.#speechless.add(socket);
    const timer = setTimeout(() => this.#dismiss(socket), PREFACE_MS);
    socket.once("close", () => {
      clearTimeout(timer);
      this.#speechless.delete(socket);
    });
    for (const oldest of this.#speechless) {
      if (this.#speechless.size <= SPEECHLESS) return;
      this.#dismiss(oldest);
    }
  }

  /** Closes a connection, unless it has spoken meanwhile. */
  #dismiss(socket: net.Socket): void {
    this.#speechless.delete(socket);
    if (socket.bytesRead < PREFACE_BYTES) socket.destroy();
  }

  /**
   * Listens.
   *
   * @returns the port
   * @throws {GreetError} `FAILED` where the port or the host cannot be had
   */
  async listen(host: string, port: number): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#listener.once("error", reject);
    this.#listener.listen({ host, port, backlog: BACKLOG }, resolve);
    try {
      await promise;
    } catch (error) {
      throw listenError(error as NodeJS.ErrnoException, host, port);
    }
    this.#listener.off("error", reject);
    return (this.#listener.address() as net.AddressInfo).port;
  }

  /** The connection from an address, such as `127.0.0.1:41234`, while there is one. */
  connection(from: string): Connection | undefined {
    return this.#connections.get(from);
  }

  /** Takes no more connections; resolves when those that there are have ended. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.#listener.close(() => resolve()));
  }

  /** Ends the connections that are left. */
  destroy(): void {
    for (const connection of this.#connections.values()) connection.destroy();
  }
}

function listenError(cause: NodeJS.ErrnoException, host: string, port: number): GreetError {
  const failed = (message: string, hint?: string) =>
    new GreetError("FAILED", message, { hint, cause });
  switch (cause.code) {
    case "EADDRINUSE":
      return failed(`port ${port} is already in use`, "choose another port, or 0 for a free one");
    case "EACCES":
      return failed(`port ${port} is reserved for privileged users`, "choose a port from 1024 up");
    case "EADDRNOTAVAIL":
    case "EINVAL":
      return failed(
        `${host} is not an address of this machine`,
        "127.0.0.1 is one, 0.0.0.0 is all",
      );
    case "ENOTFOUND":
      return failed(`the host ${host} is not known`);
    default:
      return failed(`cannot listen on ${formatEndpoint(host, port)}: ${cause.message}`);
  }
}
