/**
 * Looks back into a journal: what was said in a conversation.
 *
 * @module
 */
import type { JournalDatabase } from "./journal_database.ts";
import { COLUMNS, type Entry, type Participants, toEntry } from "./journal_entries.ts";

/** The past of one journal. */
export class JournalHistory {
  readonly #database: JournalDatabase;

  constructor(database: JournalDatabase) {
    this.#database = database;
  }

  /** The last messages from these peers, and delivered to them. */
  last({ names, targets }: Participants, limit: number): Entry[] {
    return this.#database.all(
      `SELECT ${COLUMNS} FROM message
       WHERE shown = 1 AND (
         sender IN (SELECT value FROM json_each(:names))
         OR EXISTS (
           SELECT 1 FROM delivery WHERE delivery.place = message.place AND state = 'delivered'
           AND (recipient IN (SELECT value FROM json_each(:names))
             OR target IN (SELECT value FROM json_each(:targets)))))
       ORDER BY place DESC LIMIT :limit`,
      { names: JSON.stringify(names), targets: JSON.stringify(targets), limit },
    ).map(toEntry).reverse();
  }

  /** The last messages that we sent to these peers, delivered or not. */
  said({ names, targets }: Participants, limit: number): Entry[] {
    return this.#database.all(
      `SELECT ${COLUMNS} FROM message
       WHERE EXISTS (
         SELECT 1 FROM delivery WHERE delivery.place = message.place
         AND (recipient IN (SELECT value FROM json_each(:names))
           OR target IN (SELECT value FROM json_each(:targets))))
       ORDER BY place DESC LIMIT :limit`,
      { names: JSON.stringify(names), targets: JSON.stringify(targets), limit },
    ).map(toEntry).reverse();
  }
}
