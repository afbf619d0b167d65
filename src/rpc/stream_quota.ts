/**
 * Limits how many streams of one kind may be open: on each connection, and in all.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";

/** The limit on one connection. */
const MAX_OF_ONE = 10;

/** The limit on all connections together. */
const MAX_IN_ALL = 1_000;

/** The open streams of one kind. */
export class StreamQuota {
  readonly #kind: string;
  readonly #open = new Map<string, number>();
  #total = 0;

  /** @param kind the name of such streams in errors, such as `health watches` */
  constructor(kind: string) {
    this.#kind = kind;
  }

  /**
   * Counts a stream as open until the result is disposed of.
   *
   * @param from the address of the client
   * @throws {GreetError} `RESOURCE_EXHAUSTED` if too many are open
   */
  open(from: string): Disposable {
    const ofOne = this.#open.get(from) ?? 0;
    if (ofOne >= MAX_OF_ONE) {
      throw exhausted(
        `this connection has ${MAX_OF_ONE} ${this.#kind}, which is the limit`,
      );
    }
    if (this.#total >= MAX_IN_ALL) {
      throw exhausted(`this server has ${MAX_IN_ALL} ${this.#kind}, which is the limit`);
    }
    this.#total++;
    this.#open.set(from, ofOne + 1);
    return { [Symbol.dispose]: () => this.#close(from) };
  }

  #close(from: string): void {
    this.#total--;
    const left = this.#open.get(from)! - 1;
    if (left === 0) this.#open.delete(from);
    else this.#open.set(from, left);
  }
}

function exhausted(message: string): GreetError {
  return new GreetError("RESOURCE_EXHAUSTED", message);
}
