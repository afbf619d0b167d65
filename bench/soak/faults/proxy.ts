/** A TCP proxy on loopback whose network fails: connections are reset, stalled, or refused. */
import net from "node:net";

/** Where a proxy listens, and the port of 127.0.0.1 that it forwards to. */
export interface Route {
  readonly host: string;
  readonly port: number;
  readonly to: number;
}

/** A proxy. Disposing of it resets all connections. */
export class Proxy implements AsyncDisposable {
  /** How many connections have ended. */
  ended = 0;
  readonly #server = net.createServer((caller) => this.#accept(caller));
  readonly #sockets = new Set<net.Socket>();
  readonly #to: number;
  #isStalled = false;
  #refuses = false;

  private constructor(to: number) {
    this.#to = to;
  }

  static async open({ host, port, to }: Route): Promise<Proxy> {
    const proxy = new Proxy(to);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once("error", reject).listen(port, host, resolve);
    });
    return proxy;
  }

  /** Resets all connections. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Holds back all bytes, of new connections as well. */
  stall(): void {
    this.#isStalled = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** Resets all connections, and new ones at once. */
  refuse(): void {
    this.#refuses = true;
    this.reset();
  }

  /** Works again, and passes on what it has held back. */
  heal(): void {
    this.#isStalled = false;
    this.#refuses = false;
    for (const socket of this.#sockets) socket.resume();
  }

  #accept(caller: net.Socket): void {
    if (this.#refuses) {
      caller.on("error", () => {}).resetAndDestroy();
      return;
    }
    const callee = net.connect(this.#to, "127.0.0.1");
    this.#forward(caller, callee);
    this.#forward(callee, caller);
    caller.once("close", () => this.ended++);
  }

  #forward(from: net.Socket, to: net.Socket): void {
    this.#sockets.add(from);
    from.on("data", (chunk: Uint8Array) => {
      if (!to.write(chunk)) from.pause();
    });
    to.on("drain", () => this.#isStalled || from.resume());
    from.on("error", () => {});
    from.once("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
    if (this.#isStalled) from.pause();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.reset();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
