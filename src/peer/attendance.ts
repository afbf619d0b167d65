/**
 * Which peers are here at this moment, for callers that wait for the first one.
 *
 * @module
 */
import { Pulse } from "../base/timing.ts";
import { leftChat } from "./presence.ts";

/** The peers that are here, in order of arrival. */
export class Attendance {
  readonly #names = new Map<string, string>();
  readonly #changes = new Pulse();
  #closed = false;

  /** How many peers are here. */
  get count(): number {
    return this.#names.size;
  }

  /** A peer has come. */
  enter(target: string, name: string): void {
    this.#names.set(target, name);
    this.#changes.beat();
  }

  /** The peer at a target, if there was one, is gone. */
  leave(target: string): void {
    this.#names.delete(target);
  }

  /**
   * Waits until a peer is here.
   *
   * @returns its name; of several, that of the first one that came
   * @throws {GreetError} `CANCELLED` when the attendance is closed
   */
  async first(): Promise<string> {
    for (;;) {
      const change = this.#changes.next;
      if (this.#closed) throw leftChat();
      const [name] = this.#names.values();
      if (name !== undefined) return name;
      await change;
    }
  }

  /** Rejects calls of {@link Attendance.first} from now on. */
  close(): void {
    this.#closed = true;
    this.#changes.beat();
  }
}
