/**
 * An eavesdropper: a TCP proxy that records everything that passes.
 *
 * @module
 */
import net from "node:net";

/** Forwards connections to another port and back. Disposing of it cuts all connections. */
export class WireTap implements AsyncDisposable {
  /** The chunks that callers have sent, for each connection. */
  readonly sent: Uint8Array[][] = [];
  /** All chunks, in both directions. */
  readonly passed: Uint8Array[] = [];
  readonly #sockets = new Set<net.Socket>();
  readonly #server: net.Server;

  private constructor(server: net.Server) {
    this.#server = server;
  }

  /**
   * @param port the port to listen on, 0 for any free one
   * @param to the port to forward the next connection to
   */
  static async open(port: number, to: () => number): Promise<WireTap> {
    const server = net.createServer();
    const tap = new WireTap(server);
    server.on("connection", (caller: net.Socket) => tap.#pass(caller, to()));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", () => resolve());
    });
    return tap;
  }

  /** Passes nothing on any longer, in either direction, as if the cable had been pulled. */
  unplug(): void {
    for (const socket of this.#sockets) socket.pause();
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** Whether some text has passed unencrypted. */
  saw(text: string): boolean {
    return Buffer.concat(this.passed).includes(text);
  }

  #pass(caller: net.Socket, port: number): void {
    const chunks: Uint8Array[] = [];
    this.sent.push(chunks);
    const callee = net.connect(port, "127.0.0.1");
    for (const [from, to] of [[caller, callee], [callee, caller]]) {
      this.#sockets.add(from);
      from.on("data", (chunk: Uint8Array) => {
        this.passed.push(chunk);
        if (from === caller) chunks.push(chunk);
        to.write(chunk);
      });
      from.on("close", () => to.destroy()).on("error", () => {});
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
