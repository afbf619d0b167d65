/**
 * Who is here, as it is announced.
 *
 * Links go up and down; people want to know who came and who left. A
 * {@link Roster} makes one out of the other: it waits a second before it
 * says that somebody left, because they may be back by then, and welcomes
 * those who come at the same time together.
 *
 * @module
 */
import type { GreetError } from "../base/errors.ts";
import type { Presence } from "./link.ts";
import { isNobodyThere } from "../rpc/call_errors.ts";

/**
 * What is announced.
 *
 * - `waiting`: somebody is not there, and why; again when the reason changes.
 *   `nobodyThere` says that it is the ordinary reason: nobody listens there (yet)
 * - `welcome`: the first are here; once
 * - `joined`: somebody else is here; `back` where they have been before
 * - `left`: they are gone
 */
export type RosterEvent =
  | {
    readonly type: "waiting";
    readonly target: string;
    readonly reason: string;
    /** What can be done about it, if anything. */
    readonly hint: string | undefined;
    readonly nobodyThere: boolean;
  }
  | { readonly type: "welcome"; readonly names: readonly string[] }
  | { readonly type: "joined"; readonly name: string; readonly back: boolean }
  | { readonly type: "left"; readonly name: string };

/** How long somebody must be gone before it is said, and the welcome waits for the others. */
const DAMPING_MS = 1_000;

/** A place at the table: what is announced of one link. */
interface Seat {
  readonly target: string;
  /** Who is here, as it was announced or will be. */
  name?: string;
  /** Why nobody is, as it was announced. */
  reason?: string;
  /** Why they seem to be gone, as far as is known now. */
  why?: GreetError;
  /** They seem to be gone, which is announced when this timer ends. */
  leaving?: ReturnType<typeof setTimeout>;
}

/** Who is here. Disposing of it ends the announcements. */
export class Roster implements Disposable {
  readonly #seats: ReadonlyMap<string, Seat>;
  readonly #announce: (event: RosterEvent) => void;
  /** Everybody who was ever announced. */
  readonly met = new Set<string>();
  #welcoming: ReturnType<typeof setTimeout> | undefined;
  #welcomed = false;

  /**
   * @param targets where people are expected
   * @param announce gets what is to be announced
   */
  constructor(targets: readonly string[], announce: (event: RosterEvent) => void) {
    this.#seats = new Map(targets.map((target) => [target, { target }]));
    this.#announce = announce;
  }

  /** Who is here, in the order of the targets. */
  get names(): string[] {
    return [...this.#seats.values()].flatMap(({ name }) => name ?? []);
  }

  /** Tells what became of a link. */
  change(target: string, presence: Presence): void {
    const seat = this.#seats.get(target)!;
    if (presence.state === "here") this.#take(seat, presence.name);
    if (presence.state === "away") this.#lose(seat, presence.error);
  }

  #take(seat: Seat, name: string): void {
    seat.reason = undefined;
    clearTimeout(seat.leaving);
    seat.leaving = undefined;
    if (seat.name === name) return;
    if (seat.name !== undefined) this.#leave(seat);
    const former = [...this.#seats.values()].find((other) => other.name === name);
    seat.name = name;
    if (former === undefined) return this.#arrive(name);
    // They only moved, from one target to another.
    clearTimeout(former.leaving);
    former.name = former.leaving = undefined;
  }

  #arrive(name: string): void {
    if (this.#welcomed) {
      this.#announce({ type: "joined", name, back: this.met.has(name) });
      this.met.add(name);
    } else if (this.names.length === this.#seats.size) {
      this.#welcome();
    } else {
      this.#welcoming ??= setTimeout(() => this.#welcome(), DAMPING_MS);
    }
  }

  #welcome(): void {
    clearTimeout(this.#welcoming);
    this.#welcoming = undefined;
    const { names } = this;
    if (names.length === 0) return;
    this.#welcomed = true;
    for (const name of names) this.met.add(name);
    this.#announce({ type: "welcome", names });
  }

  #lose(seat: Seat, error: GreetError): void {
    if (seat.name === undefined) return this.#explain(seat, error);
    seat.why = error;
    seat.leaving ??= setTimeout(() => {
      this.#leave(seat);
      this.#explain(seat, seat.why!);
    }, DAMPING_MS);
  }

  #leave(seat: Seat): void {
    const name = seat.name!;
    seat.name = seat.leaving = undefined;
    if (this.met.has(name)) this.#announce({ type: "left", name });
  }

  #explain(seat: Seat, error: GreetError): void {
    if (error.message === seat.reason) return;
    seat.reason = error.message;
    const { target } = seat;
    const { message: reason, hint } = error;
    this.#announce({ type: "waiting", target, reason, hint, nobodyThere: isNobodyThere(error) });
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#welcoming);
    for (const { leaving } of this.#seats.values()) clearTimeout(leaving);
  }
}
