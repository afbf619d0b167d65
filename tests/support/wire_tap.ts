/**
 * Somebody on the way between two ends: a TCP proxy that keeps what passes.
 *
 * @module
 */
import net from "node:net";

/** Listens on a port, passes everything on to another one and back. Disposing of it cuts both. */
export class WireTap implements AsyncDisposable {
  /** What callers have sent, a piece for each connection. */
  readonly sent: Uint8Array[][] = [];
  /** All that passed, in both directions. */
  readonly passed: Uint8Array[] = [];
  readonly #sockets = new Set<net.Socket>();
  readonly #server: net.Server;

  private constructor(server: net.Server) {
    this.#server = server;
  }

  /** @param port where to listen, 0 for a free one */
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

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** Whether some text has passed as it is. */
  saw(text: string): boolean {
    return Buffer.concat(this.passed).includes(text);
  }

  #pass(caller: net.Socket, port: number): void {
    const pieces: Uint8Array[] = [];
    this.sent.push(pieces);
    const callee = net.connect(port, "127.0.0.1");
    for (const [from, to] of [[caller, callee], [callee, caller]]) {
      this.#sockets.add(from);
      from.on("data", (piece: Uint8Array) => {
        this.passed.push(piece);
        if (from === caller) pieces.push(piece);
        to.write(piece);
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
