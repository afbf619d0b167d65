/**
 * Answers queries on the local network about what this process has published.
 *
 * It says what it is asked and no more (RFC 6762, sections 6 and 7): not what the asker knows, nor
 * what was said on the same network within the last second.
 *
 * @module
 */
import type { LanInterface } from "./interfaces.ts";
import {
  answers,
  type InstanceRecords,
  isSameName,
  isSameRecord,
  type LanMessage,
  type LanRecord,
  SERVICE,
} from "./records.ts";

/**
 * How long answers wait, in milliseconds, at least and in addition: those that only we can give, those
 * of which others may have some, and those to a question of which more is to come.
 */
const DELAY_MS = { ours: [0, 0], shared: [20, 100], truncated: [400, 100] } as const;

/**
 * How soon a record may be sent again, in milliseconds: to a probe, against someone who takes it back,
 * and otherwise.
 */
const AGAIN_MS = { probe: 250, contradiction: 500, otherwise: 1_000 };

/** Answers that wait to be sent on one network. */
interface Pending {
  /** When each of them is due, by the clock of `performance.now()`. */
  readonly due: Map<LanRecord, number>;
  timer?: ReturnType<typeof setTimeout>;
}

/** The records of one holder. They are always the same objects, by which the responder knows them. */
export interface Publication extends InstanceRecords {
  /** The records of the holder's addresses on a network. */
  readonly addressesOn: (link: LanInterface) => readonly LanRecord[];
}

/** Sends a message to a network. */
type Send = (message: LanMessage, link: LanInterface) => void;

/** Answers for what is published. Disposing drops answers that wait. */
export class LanResponder implements Disposable {
  readonly #send: Send;
  readonly #published = new Set<Publication>();
  readonly #pending = new Map<string, Pending>();
  /** When records were last sent, by network and record. */
  readonly #sentAt = new Map<string, WeakMap<LanRecord, number>>();

  constructor(send: Send) {
    this.#send = send;
  }

  /** Publishes records, on all networks. */
  publish(publication: Publication, links: readonly LanInterface[]): void {
    this.#published.add(publication);
    this.announce(publication, links);
  }

  /** Tells everyone about published records. */
  announce(publication: Publication, links: readonly LanInterface[]): void {
    for (const link of links) this.#respond(recordsOn(link, publication), link);
  }

  /** Stops to answer for records. */
  withdraw(publication: Publication): void {
    this.#published.delete(publication);
  }

  /** Takes records back that were announced. */
  takeBack(publication: Publication, links: readonly LanInterface[]): void {
    for (const link of links) {
      const others = this.#all(link);
      const answers = recordsOn(link, publication)
        // That there is such a service at all is for others to say as well.
        .filter((record) => record.type !== "PTR" || isSameName(record.name, SERVICE))
        .filter((record) => !others.some((other) => isSameRecord(record, other)))
        .map((record) => ({ ...record, ttl: 0 }));
      this.#send({ type: "response", questions: [], answers }, link);
    }
  }

  /** Answers a query that came from a network. */
  onQuery(query: LanMessage, link: LanInterface): void {
    this.#spare(query.answers, link);
    const asked = this.#all(link).filter((record) =>
      query.questions.some((question) => answers(record, question)) &&
      !query.answers.some((known) => suppresses(known, record))
    );
    if (asked.length === 0) return;
    const isProbe = (query.authorities?.length ?? 0) > 0;
    const kind = query.isTruncated ? "truncated" : asked.every(isOurs) ? "ours" : "shared";
    const [leastMs, moreMs] = DELAY_MS[kind];
    const at = performance.now() + leastMs + Math.random() * moreMs;
    this.#plan(asked, link, at, AGAIN_MS[isProbe ? "probe" : "otherwise"]);
  }

  /**
   * Notes what others say: who repeats our answer spares us from giving it, and who takes back what
   * we have published as well is contradicted.
   */
  onResponse({ answers }: LanMessage, link: LanInterface): void {
    this.#spare(answers, link);
    const ended = answers.filter(({ ttl }) => ttl === 0);
    if (ended.length === 0) return;
    const ours = this.#all(link).filter((record) => ended.some((one) => isSameRecord(one, record)));
    const [leastMs, moreMs] = DELAY_MS.shared;
    const at = performance.now() + leastMs + Math.random() * moreMs;
    this.#plan(ours, link, at, AGAIN_MS.contradiction);
  }

  /** Does not send what someone has just said, or says to know. */
  #spare(known: readonly LanRecord[], link: LanInterface): void {
    const due = this.#pending.get(link.name)?.due;
    for (const record of due?.keys() ?? []) {
      if (known.some((one) => suppresses(one, record))) due!.delete(record);
    }
  }

  #all(link: LanInterface): LanRecord[] {
    return [...this.#published].flatMap((one) => recordsOn(link, one));
  }

  /**
   * Sends records on a network at some time, but not too soon after the last time.
   *
   * @param at when, by the clock of `performance.now()`
   * @param againMs how long after the last time at least, in milliseconds
   */
  #plan(records: readonly LanRecord[], link: LanInterface, at: number, againMs: number): void {
    const pending = this.#pending.get(link.name) ?? { due: new Map<LanRecord, number>() };
    this.#pending.set(link.name, pending);
    for (const record of records) {
      const sentAt = this.#sentAt.get(link.name)?.get(record) ?? -Infinity;
      const dueAt = Math.max(at, sentAt + againMs);
      pending.due.set(record, Math.min(dueAt, pending.due.get(record) ?? Infinity));
    }
    this.#sendDue(pending, link);
  }

  #sendDue(pending: Pending, link: LanInterface): void {
    clearTimeout(pending.timer);
    const soon = performance.now() + 1;
    const due = [...pending.due].flatMap(([record, at]) => at <= soon ? [record] : []);
    for (const record of due) pending.due.delete(record);
    const published = new Set(this.#all(link));
    this.#respond(due.filter((record) => published.has(record)), link);
    if (pending.due.size === 0) return;
    const waitMs = Math.min(...pending.due.values()) - performance.now();
    pending.timer = setTimeout(() => this.#sendDue(pending, link), waitMs);
  }

  /** Sends records, and with them what the asker will want to know next. */
  #respond(records: readonly LanRecord[], link: LanInterface): void {
    if (records.length === 0) return;
    for (const record of records) this.#noteSent(record, link);
    const all = this.#all(link);
    const hasInstance = records.some(({ type }) => type === "PTR");
    const hasHost = hasInstance || records.some(({ type }) => type === "SRV");
    const additionals = all.filter((record) =>
      !records.includes(record) &&
      (record.type === "SRV" || record.type === "TXT"
        ? hasInstance
        : record.type !== "PTR" && hasHost)
    );
    this.#send({ type: "response", questions: [], answers: records, additionals }, link);
  }

  #noteSent(record: LanRecord, link: LanInterface): void {
    const times = this.#sentAt.get(link.name) ?? new WeakMap<LanRecord, number>();
    times.set(record, performance.now());
    this.#sentAt.set(link.name, times);
  }

  [Symbol.dispose](): void {
    for (const { timer } of this.#pending.values()) clearTimeout(timer);
    this.#pending.clear();
  }
}

function recordsOn(link: LanInterface, { own, common, addressesOn }: Publication): LanRecord[] {
  return [...common, ...own, ...addressesOn(link)];
}

/** Whether only we can give an answer. */
function isOurs({ flush }: LanRecord): boolean {
  return flush === true;
}

/** Whether a known answer makes ours superfluous: half of its life or more is left. */
function suppresses(known: LanRecord, ours: LanRecord): boolean {
  return known.ttl >= ours.ttl / 2 && isSameRecord(known, ours);
}
