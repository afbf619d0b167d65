/**
 * Reads a journal without changing it, also while its chat runs and from a disk that is read-only.
 *
 * @module
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { GreetError } from "../base/errors.ts";
import { isWritableByOthers, statFile, UnusableFile } from "../base/private_files.ts";
import { CountedRows } from "./counted_rows.ts";
import { columnsOf, type Entry, toEntry } from "./journal_entries.ts";
import { checkVersion, diskError, journalFile } from "./journal_file.ts";
import { LAYOUT } from "./journal_schema.ts";

/** How far a message of our own has come with one of the peers that it is for. */
export interface Delivery {
  /** The peer's name, or its target if no peer was met there yet. */
  readonly to: string;
  readonly state: "waiting" | "delivered" | "failed" | "cancelled";
}

/** A message in a journal, and its deliveries if it is one of our own. */
export interface RecordedEntry extends Entry {
  readonly deliveries: readonly Delivery[];
}

/** How many messages, and about how many characters of them, are read in one transaction. */
const BATCH = 500;
const BATCH_LENGTH = 1_000_000;

/** A journal that is only read. Disposing of it closes it. */
export class JournalReader implements Disposable {
  /** Whether other users can write to the file, and so may have changed it. */
  readonly isWritableByOthers: boolean;
  readonly #database: DatabaseSync;
  readonly #entries: CountedRows;
  readonly #deliveries: StatementSync;

  private constructor(database: DatabaseSync, path: string, isWritableByOthers: boolean) {
    this.isWritableByOthers = isWritableByOthers;
    this.#database = database;
    this.#entries = new CountedRows(
      database,
      `SELECT ${columnsOf(versionOf(database, path))} FROM message
       WHERE place > ? AND place <= ? AND taken >= ? ORDER BY place LIMIT ${BATCH}`,
    );
    this.#deliveries = database.prepare(
      `SELECT coalesce(recipient, target) AS "to", state FROM delivery
       WHERE place = ? ORDER BY target`,
    );
  }

  /**
   * Opens the journal of a name.
   *
   * @throws {GreetError} `FAILED` if there is none, it cannot be read, or a newer version of this
   *   program wrote it
   */
  static open(home: string, name: string): JournalReader {
    const path = journalFile(home, name);
    try {
      const info = statFile(path);
      if (info === undefined) throw missing(home, name);
      return new JournalReader(openToRead(path), path, isWritableByOthers(info));
    } catch (cause) {
      if (!(cause instanceof UnusableFile)) throw diskError(cause);
      throw new GreetError("FAILED", `cannot read the journal ${path}: ${cause.message}`, {
        cause,
      });
    }
  }

  /**
   * Reads what the journal has now, in batches, so that no transaction stays open while output waits.
   *
   * @param since only messages that were sent or arrived at this time or later
   */
  *entries(since: Date): Generator<RecordedEntry> {
    const last = this.#lastPlace();
    for (let after = 0; after < last;) {
      const batch = this.#batch(after, last, since);
      yield* batch;
      after = batch.at(-1)?.place ?? last;
    }
  }

  #lastPlace(): number {
    try {
      const sql = "SELECT coalesce(max(place), 0) AS place FROM message";
      return Number(this.#database.prepare(sql).get()!.place);
    } catch (error) {
      throw diskError(error);
    }
  }

  #batch(after: number, last: number, since: Date): RecordedEntry[] {
    const batch: RecordedEntry[] = [];
    let length = 0;
    try {
      this.#database.exec("BEGIN");
      for (const row of this.#entries.each(after, last, since.getTime())) {
        const entry = toEntry(row);
        batch.push({ ...entry, deliveries: this.#deliveriesOf(entry.place) });
        length += entry.message.body.length;
        if (length > BATCH_LENGTH) break;
      }
      this.#database.exec("COMMIT");
    } catch (error) {
      throw diskError(error);
    }
    return batch;
  }

  #deliveriesOf(place: number): Delivery[] {
    return this.#deliveries.all(place).map(({ to, state }) => ({
      to: String(to),
      state: String(state) as Delivery["state"],
    }));
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

/**
 * Opens a database in a way that leaves no other files behind: the last connection to a database
 * removes them, but only if it may write.
 */
export function openToRead(path: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    database.exec(
      "PRAGMA busy_timeout = 2000; PRAGMA trusted_schema = OFF; PRAGMA query_only = ON",
    );
    database.prepare("SELECT count(*) FROM sqlite_schema").get();
    return database;
  } catch (error) {
    database?.close();
    if (!/unable to open/.test(`${error}`)) throw error;
    return loaded(path);
  }
}

/** Loads a database into memory, where its folder does not allow the other files that SQLite needs. */
function loaded(path: string): DatabaseSync {
  if ((statFile(`${path}-wal`)?.size ?? 0) > 0) {
    throw new GreetError("FAILED", `the journal ${path} was in use and is on a read-only disk`, {
      hint: "copy the home directory to a disk that can be written, and read it there with --home",
    });
  }
  const bytes = Deno.readFileSync(path);
  // No write-ahead log: https://www.sqlite.org/fileformat.html#file_format_version_numbers
  bytes.fill(1, 18, 20);
  const database = new DatabaseSync(":memory:");
  database.deserialize(bytes);
  return database;
}

function versionOf(database: DatabaseSync, path: string): number {
  const pragma = (name: string) => Number(database.prepare(`PRAGMA ${name}`).get()![name]);
  if (pragma("application_id") !== LAYOUT.applicationId) {
    throw new GreetError("FAILED", `${path} is not a journal`);
  }
  const version = pragma("user_version");
  checkVersion(path, version, LAYOUT);
  return version;
}

function missing(home: string, name: string): GreetError {
  return new GreetError("FAILED", `${name} has no journal in ${home}`, {
    hint: "--home DIR or GREET_HOME says where journals are; names are case-sensitive",
  });
}
