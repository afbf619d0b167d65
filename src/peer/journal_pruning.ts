/**
 * Forgets old messages, and leaves nothing of them in the file: the others are copied, and the
 * copy takes the place of the content. `VACUUM` would do that, but the sandbox does not allow it.
 *
 * @module
 */
import { backup, DatabaseSync } from "node:sqlite";
import { GreetError } from "../base/errors.ts";
import { statFile } from "../base/private_files.ts";
import { JournalDatabase } from "./journal_database.ts";
import { begin, cannotKeep, diskError, type JournalPaths, journalPaths } from "./journal_file.ts";
import { LAYOUT } from "./journal_schema.ts";

/** What would be forgotten, and what would not. */
export interface Forgettable {
  /** How many messages would be deleted. */
  readonly messages: number;
  /** How many are kept because they still wait to be delivered, or our reader has not seen them. */
  readonly kept: number;
}

/** What may not be forgotten yet. */
const IS_NEEDED = `(shown = 0 OR EXISTS
  (SELECT 1 FROM delivery WHERE delivery.place = message.place AND state = 'waiting'))`;

/** The columns of each table. Text is read as bytes: it may have U+0000. */
const TABLES: readonly { name: string; integers: string[]; texts: string[] }[] = [
  {
    name: "message",
    integers: ["place", "at", "taken", "shown", "action", "checksum"],
    texts: ["id", "sender", "body", "direct_to"],
  },
  {
    name: "delivery",
    integers: ["place"],
    texts: ["target", "recipient", "state", "fingerprint"],
  },
  { name: "met", integers: [], texts: ["target", "name", "fingerprint"] },
];

/** All pages in one step. */
const ALL_PAGES = 2 ** 31 - 1;

/** A journal that is to be pruned. No chat can use it until this is disposed of. */
export class JournalPruning implements Disposable {
  readonly #database: JournalDatabase;
  readonly #path: string;

  private constructor({ path, ...paths }: JournalPaths) {
    this.#path = path;
    this.#database = JournalDatabase.open({ path, ...paths });
  }

  /**
   * Opens the journal of a name.
   *
   * @throws {GreetError} `FAILED` if there is none, its chat is running, or it cannot be written
   */
  static open(home: string, name: string): JournalPruning {
    const paths = journalPaths(home, name);
    try {
      if (statFile(paths.path) !== undefined) return new JournalPruning(paths);
    } catch (error) {
      throw nothingForgotten(cannotKeep(paths.path, error));
    }
    throw new GreetError("FAILED", `${name} has no journal in ${home}`);
  }

  /** A sentence for the user if the file was damaged and a new one begun. */
  get notice(): string | undefined {
    return this.#database.file?.notice;
  }

  /** Counts the messages that were sent or arrived before a time. */
  count(before: Date): Forgettable {
    const [{ messages, kept }] = this.#database.all(
      `SELECT count(*) - total(${IS_NEEDED}) AS messages, total(${IS_NEEDED}) AS kept
       FROM message WHERE taken < ?`,
      before.getTime(),
    );
    return { messages: Number(messages), kept: Number(kept) };
  }

  /**
   * Deletes the messages that were sent or arrived before a time, except those that are needed.
   *
   * @throws {GreetError} `FAILED` if nothing was deleted, or it was but is still in the file
   */
  async forget(before: Date): Promise<void> {
    try {
      using copy = new DatabaseSync(":memory:");
      this.#copyTo(copy, before);
      await backup(copy, this.#path, { rate: ALL_PAGES });
    } catch (error) {
      throw nothingForgotten(diskError(error));
    }
    // The file has the old content until the log is written into it.
    const [{ busy }] = this.#database.all("PRAGMA wal_checkpoint(TRUNCATE)");
    if (busy !== 0) throw stillRead();
  }

  #copyTo(copy: DatabaseSync, before: Date): void {
    begin(copy, LAYOUT);
    copy.exec("BEGIN");
    for (const { name, integers, texts } of TABLES) {
      const read = [...integers, ...texts.map((text) => `CAST(${text} AS BLOB)`)];
      const written = [...integers.map(() => "?"), ...texts.map(() => "CAST(? AS TEXT)")];
      const insert = copy.prepare(
        `INSERT INTO ${name} (${[...integers, ...texts]}) VALUES (${written})`,
      );
      const rows = this.#database.each(`SELECT ${read} FROM ${name} ${staying(name, before)}`);
      for (const row of rows) insert.run(...Object.values(row));
    }
    copy.exec("COMMIT");
  }

  [Symbol.dispose](): void {
    this.#database[Symbol.dispose]();
  }
}

/** The condition that rows of a table meet if they are to stay. */
function staying(table: string, before: Date): string {
  const messages = `WHERE taken >= ${before.getTime()} OR ${IS_NEEDED}`;
  if (table === "message") return messages;
  return table === "delivery" ? `WHERE place IN (SELECT place FROM message ${messages})` : "";
}

function nothingForgotten({ code, message }: GreetError): GreetError {
  return new GreetError(code, message, { hint: "nothing was forgotten" });
}

function stillRead(): GreetError {
  return new GreetError(
    "FAILED",
    "another program is reading the journal, so its file still has what was forgotten",
    { hint: "end that program, and run the same command again" },
  );
}
