/**
 * A listening socket and the connections to it, below whatever protocol is spoken on them.
 *
 * grpc-js can listen by itself, but then it waits for every connection when it
 * stops, even for one that never said a word, and its errors carry no code. Here those who
 * say nothing are sent away, and strangers who say too much.
 *
 * @module
 */
import type net from "node:net";
import { Acceptor } from "./acceptor.ts";
import { BacklogPool, SendBacklog } from "../http2/send_backlog.ts";
import { GreetError } from "../base/errors.ts";
import { batchWrites } from "./write_batching.ts";
import { formatEndpoint } from "./address.ts";

/**
 * The length of the shortest client connection preface: 24 bytes and an empty SETTINGS frame.
 * Source: RFC 9113, section 3.4.
 */
const PREFACE_BYTES = 33;

/** How long a client may take from connecting to the end of its preface, TLS handshake included. */
const PREFACE_MS = 10_000;

/** How many connections may be that far; when there are more, the oldest are closed. */
const NEWCOMERS = 1_000;

/** How many connections may be open by default; each takes 35 kB. */
const MAX_CONNECTIONS = 10_000;

/** A connection whose client may not have sent its whole preface yet. */
interface Newcomer {
  readonly socket: net.Socket;
  /** The socket to read HTTP/2 from: the same one or, with TLS, the secured one; unset before. */
  http2?: net.Socket;
}

/** What strangers may cost: so many of them, for so long, saying so much. */
const STRANGERS = { connections: 100, ms: 10_000, bytes: 1_000_000 };

/** What a TLS client begins with. Source: RFC 8446, section 5.1: `handshake`. */
const TLS_HANDSHAKE = 22;

/** What an HTTP/2 server says first, by which TLS clients notice that they are wrong here. */
const SETTINGS = Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0);

/** How long somebody has to read last words. */
const LAST_WORDS_MS = 1_000;

/** Who takes sockets, and what they go through before. */
export interface ListenerOptions {
  /** Gets each socket that is ready for HTTP/2. */
  readonly onConnection: (socket: net.Socket) => void;
  /**
   * Where TLS is spoken: what a socket goes through first. What is called when it has may say
   * whether whoever is at its other end is a stranger still.
   */
  readonly secure?: (
    onSecure: (socket: net.Socket, isStranger?: () => boolean) => void,
  ) => { begin(socket: net.Socket): void };
  /** Where it is not: somebody began to speak it. */
  readonly onTls?: () => void;
  /** Gets why connections cannot be accepted. */
  readonly onOverload?: (error: GreetError) => void;
  /** How many connections may be open at the same time (default 10,000); more are closed at once. */
  readonly maxConnections?: number;
  /** Shares its port with others that do; Linux shares the connections out among them. */
  readonly sharesPort?: boolean;
}

/** Takes connections. */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #connections = new Map<string, SendBacklog>();
  readonly #backlog = new BacklogPool();
  /** By the client's address, oldest first. */
  readonly #newcomers = new Map<string, Newcomer>();
  /** Strangers, oldest first, and what closes their connections unless they are known by now. */
  readonly #strangers = new Map<net.Socket, () => void>();
  readonly #acceptor: Acceptor;

  constructor(options: ListenerOptions) {
    this.#options = options;
    const handshakes = options.secure?.((socket, isStranger) => {
      this.#take(socket);
      if (isStranger?.()) this.#expectAcquaintance(socket, isStranger);
      this.#hand(socket);
    });
    this.#acceptor = new Acceptor({
      onConnection: (socket) => {
        if (this.#isFull()) return socket.destroy();
        this.#take(socket);
        this.#expectPreface(socket);
        if (handshakes === undefined) this.#listenFor(socket);
        else handshakes.begin(socket);
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

  /** Whoever comes with TLS where it is not spoken is to be told, and so are we. */
  #listenFor(socket: net.Socket): void {
    socket.once("data", (chunk: Uint8Array) => {
      if (chunk[0] === TLS_HANDSHAKE) {
        this.#options.onTls?.();
        return dismissWith(SETTINGS, socket);
      }
      socket.pause();
      socket.unshift(chunk);
      this.#hand(socket);
    });
  }

  #hand(socket: net.Socket): void {
    const newcomer = this.#newcomers.get(addressOf(socket));
    if (newcomer !== undefined) newcomer.http2 = socket;
    batchWrites(socket);
    this.#options.onConnection(socket);
  }

  /** Takes a connection; again when it is secure, and another socket stands for it. */
  #take(socket: net.Socket): void {
    const from = addressOf(socket);
    const connection = new SendBacklog(socket, this.#backlog);
    this.#connections.set(from, connection);
    socket.once("close", () => {
      if (this.#connections.get(from) === connection) this.#connections.delete(from);
    });
    // Connections break; what was on them has noticed, and there is nobody else to tell.
    socket.on("error", () => {});
  }

  /** Bounds how many connections there are that have not begun to speak HTTP/2, and for how long. */
  #expectPreface(socket: net.Socket): void {
    const from = addressOf(socket);
    const newcomer: Newcomer = { socket };
    this.#newcomers.set(from, newcomer);
    const timer = setTimeout(() => this.#dismiss(from, newcomer), PREFACE_MS);
    socket.once("close", () => {
      clearTimeout(timer);
      if (this.#newcomers.get(from) === newcomer) this.#newcomers.delete(from);
    });
    for (const [from, oldest] of this.#newcomers) {
      if (this.#newcomers.size <= NEWCOMERS) return;
      this.#dismiss(from, oldest);
    }
  }

  /**
   * Strangers have something to say, or they would never become known; but not much. Their bytes
   * are counted before anything is made of them, however busy this process is.
   */
  #expectAcquaintance(socket: net.Socket, isStranger: () => boolean): void {
    let bytes = 0;
    const count = (chunk: Uint8Array) => {
      bytes += chunk.length;
      if (bytes > STRANGERS.bytes) judge();
    };
    const forget = () => {
      clearTimeout(timer);
      socket.off("data", count);
      this.#strangers.delete(socket);
    };
    const judge = () => {
      forget();
      if (isStranger()) socket.destroy();
    };
    const timer = setTimeout(judge, STRANGERS.ms);
    socket.on("data", count).once("close", forget);
    this.#strangers.set(socket, judge);
    for (const judgeOldest of this.#strangers.values()) {
      if (this.#strangers.size <= STRANGERS.connections) return;
      judgeOldest();
    }
  }

  /** Closes a connection, unless its client has sent its preface meanwhile. */
  #dismiss(from: string, newcomer: Newcomer): void {
    if (this.#newcomers.get(from) !== newcomer) return;
    this.#newcomers.delete(from);
    const { socket, http2 } = newcomer;
    if (http2 === undefined) socket.destroy();
    else if (http2.bytesRead < PREFACE_BYTES) http2.destroy();
  }

  /**
   * Listens.
   *
   * @returns the port
   * @throws {GreetError} `FAILED` where the port or the host cannot be had
   */
  async listen(host: string, port: number): Promise<number> {
    try {
      return await this.#acceptor.listen(host, port);
    } catch (error) {
      throw listenError(error as NodeJS.ErrnoException, host, port);
    }
  }

  /** The connection from an address, such as `127.0.0.1:41234`, while there is one. */
  connection(from: string): SendBacklog | undefined {
    return this.#connections.get(from);
  }

  /** Takes no more connections; resolves when those that there are have ended. */
  async close(): Promise<void> {
    await this.#acceptor.close();
  }

  /** Ends the connections that are left. */
  destroy(): void {
    for (const connection of this.#connections.values()) connection.destroy();
  }
}

/** Where a connection comes from, such as `127.0.0.1:41234`; the same for its secured socket. */
function addressOf({ remoteAddress, remotePort }: net.Socket): string {
  return `${remoteAddress}:${remotePort}`;
}

/** Says something and closes the connection, whether or not the other side does the same. */
function dismissWith(words: Uint8Array, socket: net.Socket): void {
  socket.end(words);
  const timer = setTimeout(() => socket.destroy(), LAST_WORDS_MS);
  socket.once("close", () => clearTimeout(timer));
}

function outOfDescriptors(): GreetError {
  return new GreetError(
    "RESOURCE_EXHAUSTED",
    "out of file descriptors: new connections have to wait until others close",
    { hint: "to allow for more, raise the limit (ulimit -n) and start again" },
  );
}

function tooManyConnections(count: number): GreetError {
  return new GreetError(
    "RESOURCE_EXHAUSTED",
    `${count.toLocaleString("en")} connections are open: new ones are refused`,
    { hint: "they are accepted again when others close" },
  );
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
