/**
 * The SQLite database of a journal: runs statements, and writes in transactions that wait for the
 * disk or do not. What the statements mean is the journal's business.
 *
 * @module
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { setImmediate } from "node:timers";
import { GreetError } from "../base/errors.ts";
import { CountedRows, type Parameters, type Row } from "./counted_rows.ts";
import { begin, diskError, type JournalPaths, type OpenFile, openFile } from "./journal_file.ts";
import { LAYOUT } from "./journal_schema.ts";

export type { Parameters, Row };

/** A write that waits for the next commit. */
interface Write {
  run(): void;
  done(): void;
  failed(error: GreetError): void;
}

/** An open database. Disposing of it closes it. Errors of the disk are `FAILED`. */
export class JournalDatabase implements Disposable {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #queries = new Map<string, CountedRows>();
  #pending: Write[] = [];
  #open = true;

  private constructor(database: DatabaseSync, readonly file?: OpenFile) {
    this.#database = database;
  }

  /**
   * Opens a database on disk.
   *
   * @throws {GreetError} `FAILED` if {@link openFile} fails
   */
  static open(paths: JournalPaths): JournalDatabase {
    const file = openFile(paths, LAYOUT);
    return new JournalDatabase(file.database, file);
  }

  /** A database in memory. */
  static inMemory(): JournalDatabase {
    const database = new DatabaseSync(":memory:");
    begin(database, LAYOUT);
    return new JournalDatabase(database);
  }

  /**
   * Writes together with everything else that is to be written in this turn of the event loop,
   * because waiting for the disk is what costs.
   *
   * @returns what `run` returned, when it is on disk
   */
  durably<T>(run: () => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    if (!this.#open) throw new GreetError("FAILED", "the journal is closed");
    if (this.#pending.length === 0) setImmediate(() => this.#commit());
    let result: T;
    this.#pending.push({
      run: () => void (result = run()),
      done: () => resolve(result),
      failed: reject,
    });
    return promise;
  }

  /**
   * Writes several things or none, without waiting for the disk. They survive the end of the
   * process; what a power failure takes back is done again.
   */
  together(run: () => void): void {
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      run();
      this.#database.exec("COMMIT");
    } catch (error) {
      if (this.#open && this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw diskError(error);
    }
  }

  /** Runs a statement that returns no rows. */
  run(sql: string, ...values: Parameters) {
    try {
      return this.#prepare(sql).run(...values as SQLInputValue[]);
    } catch (error) {
      throw diskError(error);
    }
  }

  /** All rows of a query. */
  all(sql: string, ...values: Parameters): Row[] {
    try {
      return this.#prepare(sql).all(...values as SQLInputValue[]);
    } catch (error) {
      throw diskError(error);
    }
  }

  /** The rows of a query, read one by one. They must not change meanwhile. */
  *each(sql: string, ...values: Parameters): Generator<Row> {
    try {
      const query = this.#queries.get(sql) ?? new CountedRows(this.#database, sql);
      this.#queries.set(sql, query);
      yield* query.each(...values);
    } catch (error) {
      throw diskError(error);
    }
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#commit();
    this.#open = false;
    if (this.file === undefined) this.#database.close();
    else this.file.close();
  }

  #commit(): void {
    const writes = this.#pending;
    this.#pending = [];
    if (writes.length === 0) return;
    try {
      this.#togetherOnDisk(() => {
        writes.forEach((write) => write.run());
        this.file?.check();
      });
    } catch (error) {
      const failure = diskError(error);
      writes.forEach((write) => write.failed(failure));
      return;
    }
    writes.forEach((write) => write.done());
  }

  /** Writes several things or none, and waits for the disk. */
  #togetherOnDisk(run: () => void): void {
    this.#database.exec("PRAGMA synchronous = FULL");
    try {
      this.together(run);
    } catch (error) {
      this.#overwrite();
      throw error;
    } finally {
      this.#database.exec("PRAGMA synchronous = NORMAL");
    }
  }

  /**
   * Overwrites a transaction that failed. If only its `fsync` failed, it is complete in the
   * write-ahead log, where the next start would find it, although its failure was reported.
   */
  #overwrite(): void {
    try {
      this.#database.exec("PRAGMA synchronous = NORMAL");
      this.together(() => this.#database.exec(`PRAGMA user_version = ${LAYOUT.version}`));
    } catch {
      // What cannot be written now was not written before either.
    }
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}
