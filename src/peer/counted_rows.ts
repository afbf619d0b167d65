/**
 * Reads rows of a database one by one, and notices if some are missing.
 *
 * @module
 */
import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from "node:sqlite";

/** One row of a result. */
export type Row = Record<string, SQLOutputValue>;

/** Values of a statement's parameters: in order, or one object with their names. */
export type Parameters = readonly (SQLInputValue | Record<string, SQLInputValue>)[];

/**
 * A query whose rows are counted after they were read. When a row cannot be read, Deno ends the
 * iteration as if there were no more, and reports no error.
 */
export class CountedRows {
  readonly #rows: StatementSync;
  readonly #count: StatementSync;

  constructor(database: DatabaseSync, sql: string) {
    this.#rows = database.prepare(sql);
    this.#count = database.prepare(`SELECT count(*) AS count FROM (${sql})`);
  }

  /**
   * The rows. They must not change while they are read.
   *
   * @throws an error of SQLite if not all of them can be read
   */
  *each(...values: Parameters): Generator<Row> {
    let read = 0;
    for (const row of this.#rows.iterate(...values as SQLInputValue[])) {
      read++;
      yield row;
    }
    const { count } = this.#count.get(...values as SQLInputValue[])!;
    if (read !== count) throw new Error("disk I/O error");
  }
}
