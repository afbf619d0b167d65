/**
 * Looks back into a journal: what was said in a conversation.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { JournalDatabase } from "./journal_database.ts";
import { candidates, HAS_NUL, matcher } from "./text_search.ts";
import { COLUMNS, type Entry, type Participants, toEntry } from "./journal_entries.ts";

/**
 * How many messages, and how many bytes of them, are searched in one turn of the event loop: a few
 * milliseconds of work. At least one is, whatever its length.
 */
const STEP = 20_000;
const STEP_BYTES = 2_000_000;

/** How much of what we said is looked back at, in UTF-16 code units: the longest message fits. */
const MAX_SAID_LENGTH = 4_000_000;

/** Whether a message was said in a conversation: it came from its peers, or has reached them. */
const WAS_SAID = `(shown = 1 AND (
  sender IN (SELECT value FROM json_each(:names))
  OR EXISTS (
    SELECT 1 FROM delivery WHERE delivery.place = message.place AND state = 'delivered'
    AND (recipient IN (SELECT value FROM json_each(:names))
      OR target IN (SELECT value FROM json_each(:targets))))))`;

function parametersOf({ names, targets }: Participants) {
  return { names: JSON.stringify(names), targets: JSON.stringify(targets) };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The past of one journal. */
export class JournalHistory {
  readonly #database: JournalDatabase;

  constructor(database: JournalDatabase) {
    this.#database = database;
  }

  /** The last messages from these peers, and delivered to them. */
  last(participants: Participants, limit: number): Entry[] {
    return this.#database.all(
      `SELECT ${COLUMNS} FROM message WHERE ${WAS_SAID} ORDER BY place DESC LIMIT :limit`,
      { ...parametersOf(participants), limit },
    ).map(toEntry).reverse();
  }

  /**
   * The last of these messages that contain a text. Long journals are read step by step, so that
   * other work goes on.
   */
  async find(participants: Participants, text: string, limit: number): Promise<Entry[]> {
    const isMatch = matcher(text);
    const { sql, values } = candidates(text);
    const parameters = { ...parametersOf(participants), ...values };
    const condition = this.#hasNul() ? `(${sql} OR ${HAS_NUL})` : sql;
    const found: Entry[] = [];
    let step = STEP;
    for (let to = this.#lastPlace(); to > 0 && found.length < limit; to -= step) {
      await nextTurn();
      step = this.#stepBelow(to, Math.min(STEP, 2 * step));
      const rows = this.#database.all(
        `SELECT ${COLUMNS} FROM message
         WHERE place > :from AND place <= :to AND ${condition} AND ${WAS_SAID}
         ORDER BY place DESC`,
        { ...parameters, from: to - step, to },
      );
      for (const row of rows) {
        const entry = toEntry(row);
        if (isMatch(entry.message.body)) found.push(entry);
        if (found.length === limit) break;
      }
    }
    return found.reverse();
  }

  /** How many places below one to search at once: as many as these, or fewer if there is more text. */
  #stepBelow(to: number, most: number): number {
    const bytesIn = (step: number) => {
      const [{ bytes }] = this.#database.all(
        "SELECT total(octet_length(body)) AS bytes FROM message WHERE place > ? AND place <= ?",
        ...[to - step, to],
      );
      return Number(bytes);
    };
    let step = most;
    while (step > 1 && bytesIn(step) > STEP_BYTES) step >>= 1;
    return step;
  }

  #hasNul(): boolean {
    return this.#database.all(`SELECT 1 FROM message WHERE ${HAS_NUL} LIMIT 1`).length > 0;
  }

  #lastPlace(): number {
    const [{ place }] = this.#database.all("SELECT coalesce(max(place), 0) AS place FROM message");
    return Number(place);
  }

  /** The last messages that we sent to these peers, delivered or not, but no more text than fits. */
  said(participants: Participants, limit: number): Entry[] {
    const rows = this.#database.each(
      `SELECT ${COLUMNS} FROM message
       WHERE EXISTS (
         SELECT 1 FROM delivery WHERE delivery.place = message.place
         AND (recipient IN (SELECT value FROM json_each(:names))
           OR target IN (SELECT value FROM json_each(:targets))))
       ORDER BY place DESC LIMIT :limit`,
      { ...parametersOf(participants), limit },
    );
    const entries: Entry[] = [];
    let length = 0;
    for (const row of rows) {
      const entry = toEntry(row);
      length += entry.message.body.length;
      if (length > MAX_SAID_LENGTH) break;
      entries.push(entry);
    }
    return entries.reverse();
  }
}
