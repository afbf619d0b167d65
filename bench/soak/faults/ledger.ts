/**
 * Keeps account of the messages of a soak, and finds those that were lost, shown twice, reordered,
 * or shown although they had failed. Each sender numbers its messages from 0, in the body.
 *
 * @module
 */
import type { ChatEvent } from "../../../tests/support/bot.ts";

/** What is wrong with the messages from one sender to one receiver. */
export interface Account {
  readonly from: string;
  readonly to: string;
  /** How many messages the sender accepted, and how many were reported as delivered. */
  readonly accepted: number;
  readonly delivered: number;
  /** Messages that were accepted, but did not arrive. */
  readonly lost: readonly number[];
  /**
   * Messages that arrived, but were not reported as delivered, in the present run of the sender: a
   * report is lost if it is killed between noting a delivery and printing that.
   */
  readonly unreported: readonly number[];
  /** Messages that were shown twice. Again, and marked late, is allowed after a kill. */
  readonly twice: readonly number[];
  /** Messages that were shown after a later one. */
  readonly reordered: readonly number[];
  /** Messages that were shown although the sender had reported that they failed. */
  readonly unwanted: readonly number[];
}

/** The messages that one peer has shown from one sender. */
interface Shown {
  /** The run of the receiver in which each was last shown. */
  readonly runs: Map<number, number>;
  highest: number;
  readonly twice: number[];
  readonly reordered: number[];
}

/** What one sender has been told about its messages. */
interface Told {
  /** The run in which it was told so last. */
  run: number;
  /** The numbers of accepted messages and the runs that accepted them, by id. */
  readonly accepted: Map<string, { readonly number: number; readonly run: number }>;
  readonly failed: Set<string>;
  /** The messages that were reported as delivered, for each receiver. */
  readonly delivered: Map<string, Set<number>>;
}

/** The account of all messages. Times and processes are the business of its callers. */
export class Ledger {
  readonly #told = new Map<string, Told>();
  readonly #shown = new Map<string, Shown>();
  /** The numbers of the messages that failed, which are known by their ids only when they arrive. */
  readonly #ids = new Map<string, number>();

  /**
   * Notes an event that a peer has printed.
   *
   * @param peer its name
   * @param run how often it has been started; a message may be shown again in a later run
   */
  note(peer: string, run: number, event: ChatEvent): void {
    const { type, id = "" } = event;
    const told = this.#toldTo(peer);
    told.run = run;
    if (type === "queued") told.accepted.set(id, { number: Number(event.body), run });
    if (type === "error" && id !== "") told.failed.add(id);
    if (type === "delivered") this.#noteDelivery(peer, event);
    if (type === "message") this.#noteShown(`${event.from}`, peer, run, event);
  }

  /** The account between a sender and a receiver so far. What is under way counts as lost. */
  between(from: string, to: string): Account {
    const told = this.#toldTo(from);
    const shown = this.#shownBy(from, to);
    const delivered = told.delivered.get(to) ?? new Set<number>();
    const all = [...told.accepted.values()];
    const accepted = all.map(({ number }) => number);
    const failed = [...told.failed].flatMap((id) => this.#ids.get(id) ?? []);
    return {
      ...{ from, to, accepted: accepted.length, delivered: delivered.size },
      lost: [...new Set([...accepted, ...delivered])].filter((number) => !shown.runs.has(number)),
      unreported: all.filter(({ run }) => run === told.run).map(({ number }) => number)
        .filter((number) => shown.runs.has(number) && !delivered.has(number)),
      twice: shown.twice,
      reordered: shown.reordered,
      unwanted: failed.filter((number) => shown.runs.has(number)),
    };
  }

  #noteDelivery(from: string, { id, to }: ChatEvent): void {
    const told = this.#toldTo(from);
    // A message of a killed run is delivered by the next one, which does not report it as queued.
    const number = told.accepted.get(id!)?.number ?? this.#ids.get(id!);
    if (number === undefined) return;
    const delivered = told.delivered.get(`${to}`) ?? new Set();
    told.delivered.set(`${to}`, delivered.add(number));
  }

  #noteShown(from: string, to: string, run: number, { id, body, late }: ChatEvent): void {
    const number = Number(body);
    this.#ids.set(id!, number);
    const shown = this.#shownBy(from, to);
    const before = shown.runs.get(number);
    shown.runs.set(number, run);
    if (before !== undefined) {
      if (before === run || !late) shown.twice.push(number);
      return;
    }
    if (number < shown.highest) shown.reordered.push(number);
    shown.highest = Math.max(shown.highest, number);
  }

  #toldTo(peer: string): Told {
    const told = this.#told.get(peer) ??
      { run: 0, accepted: new Map(), failed: new Set(), delivered: new Map() };
    this.#told.set(peer, told);
    return told;
  }

  #shownBy(from: string, to: string): Shown {
    const key = JSON.stringify([from, to]);
    const shown = this.#shown.get(key) ??
      { runs: new Map(), highest: -1, twice: [], reordered: [] };
    this.#shown.set(key, shown);
    return shown;
  }
}

/** Whether everything that was accepted has arrived, and was reported as delivered. */
export function isSettled({ lost, unreported }: Account): boolean {
  return lost.length === 0 && unreported.length === 0;
}
