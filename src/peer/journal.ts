/**
 * What was said, and what still waits to be delivered.
 *
 * A {@link Journal} is one user's own SQLite database. What it has taken is on
 * the disk, so that a process may be killed at any moment and nothing is lost;
 * what it already has, it does not take twice. It knows no network: who
 * is to get a message is a target, and a name once somebody was met there.
 *
 * @module
 */
import { join } from "node:path";
import { DatabaseSync, type SQLOutputValue, type StatementSync } from "node:sqlite";
import { setImmediate } from "node:timers";
import { GreetError } from "../base/errors.ts";
import { fileNameOf } from "../base/home.ts";
import { begin, diskError, type Layout, type OpenFile, openFile } from "./journal_file.ts";

/** One thing that was said. */
export interface Message {
  /** Made by the sender; empty where the sender is a program that makes none. */
  readonly id: string;
  /** The sender's name. */
  readonly from: string;
  /** What was said, exactly as it was sent: text from somebody else. */
  readonly body: string;
  /** When it was said, by the sender's clock. */
  readonly at: Date;
}

/** A message and its place in the journal; later ones have higher places. */
export interface Entry {
  readonly place: number;
  readonly message: Message;
  /** When the journal took it, by our own clock. */
  readonly taken: Date;
}

/** A peer that was met. */
export interface Person {
  readonly name: string;
  /** The fingerprint of its key, where the chat was encrypted. */
  readonly fingerprint?: string;
}

/** A peer, and where it was met. */
export interface Meeting extends Person {
  readonly target: string;
}

/** Somebody a message is for: where they should be and, once that is known, who they are. */
export interface Addressee extends Partial<Person> {
  readonly target: string;
}

/** A message that somebody has not got yet. */
export interface Waiting extends Entry {
  /** Who has not got it. */
  readonly addressees: readonly Addressee[];
}

/** Those one talks with: everybody under these names, and whoever is at these targets. */
export interface Company {
  readonly names: readonly string[];
  readonly targets: readonly string[];
}

/** How much to read at once: so many messages, and so many characters, but at least one message. */
export interface Portion {
  readonly messages: number;
  readonly characters: number;
}

/** Enough for one call, and for the memory. */
const PORTION: Portion = { messages: 256, characters: 100_000 };

/** How a delivery ended, if it was not cancelled. */
export type Ending = "delivered" | "failed";

const LAYOUT: Layout = {
  applicationId: 0x67726574, // "gret"
  version: 2,
  upgrades: [
    `ALTER TABLE delivery ADD COLUMN fingerprint TEXT; ALTER TABLE met ADD COLUMN fingerprint TEXT;`,
  ],
  sql: `
  CREATE TABLE message (
    place INTEGER PRIMARY KEY,
    id TEXT NOT NULL,               -- the sender's; '' where it makes none
    sender TEXT NOT NULL,
    body TEXT NOT NULL,
    at INTEGER NOT NULL,            -- ms since 1970, by the sender's clock
    taken INTEGER NOT NULL,         -- ms since 1970, by our own
    shown INTEGER NOT NULL          -- 0 until our reader has it
  ) STRICT;
  CREATE UNIQUE INDEX message_once ON message (sender, id) WHERE id <> '';
  CREATE INDEX message_unshown ON message (place) WHERE shown = 0;

  CREATE TABLE delivery (
    place INTEGER NOT NULL REFERENCES message (place) ON DELETE CASCADE,
    target TEXT NOT NULL,           -- where the message is to go
    recipient TEXT,                 -- who it is for, once somebody was met there
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed', 'cancelled')),
    fingerprint TEXT,               -- the recipient's key; NULL where any of that name will do
    PRIMARY KEY (place, target)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX delivery_waiting ON delivery (recipient, place) WHERE state = 'waiting';

  CREATE TABLE met (                -- who was at a target last
    target TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    fingerprint TEXT
  ) STRICT, WITHOUT ROWID;
`,
};

/**
 * A message's columns, as {@link toEntry} reads them. Text from others may have U+0000 in it, where
 * the runtime would cut it off if it were read as text.
 */
const COLUMNS = "place, CAST(id AS BLOB) AS id, sender, CAST(body AS BLOB) AS body, at, taken";

/** How many messages a journal keeps that is not on disk, so that it stays small. */
const MEMORY_LIMIT = 1_000;

/** How to open a journal. */
export interface JournalOptions {
  /** The folder to keep it in; it is made where it does not exist. */
  home: string;
  /** Whose it is. Each name has a file of its own. */
  name: string;
}

type Row = Record<string, SQLOutputValue>;

interface Work {
  run(): void;
  done(): void;
  failed(error: GreetError): void;
}

/**
 * One user's journal. Disposing of it closes it.
 *
 * Reading methods and marks throw a {@link GreetError} `FAILED` where the disk
 * fails; so do the promises of {@link Journal.say} and {@link Journal.take}, and
 * then nothing of what they were given was kept.
 *
 * @example
 * ```ts
 * import { Journal } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * const home = await Deno.makeTempDir();
 * {
 *   using journal = Journal.open({ home, name: "Alice" });
 *   const message = { id: "1", from: "Alice", body: "Bob?", at: new Date() };
 *   await journal.say(message, () => [{ target: "127.0.0.1:55556" }]);
 * }
 * {
 *   using journal = Journal.open({ home, name: "Alice" }); // another day
 *   const bob = { name: "Bob" };
 *   journal.meet("127.0.0.1:55556", bob);
 *   const [{ place, message }] = journal.waitingFor(bob);
 *   assert.equal(message.body, "Bob?");
 *   journal.end("Bob", [place], "delivered");
 *   assert.deepEqual(journal.waitingFor(bob), []);
 * }
 * await Deno.remove(home, { recursive: true });
 * ```
 */
export class Journal implements Disposable {
  /** Whether what it takes is on disk and outlives the process. */
  readonly durable: boolean;
  /** What the user should know about how it was opened, if anything. */
  readonly notice: string | undefined;
  /** What the user should be warned about, if anything, although the journal can be used. */
  readonly warning: string | undefined;
  readonly #database: DatabaseSync;
  readonly #file: OpenFile | undefined;
  readonly #statements = new Map<string, StatementSync>();
  #pending: Work[] = [];
  #open = true;

  private constructor(database: DatabaseSync, file?: OpenFile) {
    this.durable = file !== undefined;
    this.notice = file?.notice;
    if (file?.wasShared) this.warning = "other users could read the journal until now";
    this.#database = database;
    this.#file = file;
  }

  /**
   * Opens the journal on disk, or begins it.
   *
   * Folders are made with mode 0700, files with 0600. A damaged file is moved
   * aside, not deleted, and {@link Journal.notice} says so. A file that other users can read
   * is made private, and {@link Journal.warning} says so.
   *
   * @throws {GreetError} `FAILED` where another process uses it, where it cannot be written, where
   *   other users can change it, or where a newer version of this program wrote it: then it is not
   *   touched
   */
  static open({ home, name }: JournalOptions): Journal {
    const path = journalFile(home, name);
    const lockPath = join(home, "locks", `${fileNameOf(name)}.lock`);
    const file = openFile({ path, lockPath, name }, LAYOUT);
    return new Journal(file.database, file);
  }

  /** A journal that is not on disk: it ends with the process, and forgets early. */
  static inMemory(): Journal {
    const database = new DatabaseSync(":memory:");
    begin(database, LAYOUT);
    return new Journal(database);
  }

  // ---------------------------------------------------------------- taking

  /**
   * Takes something of our own that is to be delivered.
   *
   * @param message what is said
   * @param addressees who is to get it, asked at the moment of writing, so that nobody who is
   *   met meanwhile is missed
   * @returns what now waits, when it is on disk. What is said in one go is written in one go
   */
  say(message: Message, addressees: () => readonly Addressee[]): Promise<Waiting> {
    const taken = new Date();
    return this.#durably(() => {
      const place = this.#insert(message, 1)!;
      const waiting = { place, message, taken, addressees: addressees() };
      for (const { target, name = null, fingerprint = null } of waiting.addressees) {
        this.#run(
          "INSERT INTO delivery (place, target, recipient, fingerprint, state) VALUES (?, ?, ?, ?, 'waiting')",
          ...[place, target, name, fingerprint],
        );
      }
      return waiting;
    });
  }

  /**
   * Takes what somebody else said. What it has already (the same sender, the same
   * id) is not taken again.
   *
   * @returns the highest place that any of them has, new or not, once all are on disk; 0 for none
   */
  take(messages: readonly Message[]): Promise<number> {
    return this.#durably(() => {
      let last = 0;
      for (const message of messages) {
        last = Math.max(last, this.#insert(message, 0) ?? this.#placeOf(message));
      }
      return last;
    });
  }

  #placeOf({ id, from }: Message): number {
    const [{ place }] = this.#all(
      "SELECT place FROM message WHERE sender = ? AND id = ? AND id <> ''",
      from,
      id,
    );
    return Number(place);
  }

  #insert({ id, from, body, at }: Message, shown: 0 | 1): number | undefined {
    const { changes, lastInsertRowid } = this.#run(
      `INSERT INTO message (id, sender, body, at, taken, shown) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT DO NOTHING`,
      id,
      from,
      body,
      at.getTime(),
      Date.now(),
      shown,
    );
    return changes === 0 ? undefined : Number(lastInsertRowid);
  }

  // ---------------------------------------------------------------- what others said

  /** What our reader has not got yet, after a place, in order: as much as makes a portion. */
  unshown(after: number, portion: Portion = PORTION): Entry[] {
    const sql = `SELECT ${COLUMNS} FROM message
      WHERE shown = 0 AND place > ? ORDER BY place LIMIT ?`;
    return this.#portion(portion, sql, after, portion.messages);
  }

  /** The place up to which our reader has everything. */
  shownUpTo(): number {
    const [{ place }] = this.#all(
      `SELECT coalesce((SELECT min(place) - 1 FROM message WHERE shown = 0),
                       (SELECT max(place) FROM message), 0) AS place`,
    );
    return Number(place);
  }

  /** The place of the newest message, whoever wrote it; 0 if there is none. */
  lastPlace(): number {
    const [{ place }] = this.#all("SELECT coalesce(max(place), 0) AS place FROM message");
    return Number(place);
  }

  /** Our reader has it. */
  markShown(place: number): void {
    this.#run("UPDATE message SET shown = 1 WHERE place = ?", place);
    if (!this.durable) this.#forget();
  }

  // ---------------------------------------------------------------- what we said

  /**
   * A peer is at a target. What was to go there, whoever it may be, is now for this peer; so is
   * what waits for its name without a key, or for another of its keys.
   *
   * @param keys all keys that a peer of that name may have
   */
  meet(target: string, person: Person, keys: readonly string[] = []): void {
    const { name } = person;
    const fingerprint = person.fingerprint ?? null;
    this.#transaction("NORMAL", () => {
      this.#run(
        `UPDATE delivery SET recipient = ?, fingerprint = ?
         WHERE state = 'waiting' AND recipient IS NULL AND target = ?`,
        ...[name, fingerprint, target],
      );
      this.#run(
        `UPDATE delivery SET fingerprint = ?
         WHERE state = 'waiting' AND recipient = ? AND fingerprint IS NOT ?
           AND (fingerprint IS NULL OR fingerprint IN (SELECT value FROM json_each(?)))`,
        ...[fingerprint, name, fingerprint, JSON.stringify(keys)],
      );
      this.#run(
        "INSERT OR REPLACE INTO met (target, name, fingerprint) VALUES (?, ?, ?)",
        ...[target, name, fingerprint],
      );
    });
  }

  /**
   * A new run begins, with calls at these targets. What is still to go to a target, whoever is
   * there, is for the peer that was last met there, wherever it is now.
   *
   * @returns who was last met at these targets
   */
  moveTo(targets: readonly string[]): Meeting[] {
    this.#run(
      `UPDATE delivery SET (recipient, fingerprint) =
         (SELECT name, fingerprint FROM met WHERE met.target = delivery.target)
       WHERE state = 'waiting' AND recipient IS NULL`,
    );
    return this.#all(
      "SELECT * FROM met WHERE target IN (SELECT value FROM json_each(?))",
      JSON.stringify(targets),
    ).map(({ target, name, fingerprint }) => ({
      target: String(target),
      name: String(name),
      fingerprint: fingerprint === null ? undefined : String(fingerprint),
    }));
  }

  /** What somebody has not got yet, in the order in which it was said: as much as makes a portion. */
  waitingFor(person: Person, portion: Portion = PORTION): Entry[] {
    const { name } = person;
    const fingerprint = person.fingerprint ?? null;
    const sql = `SELECT ${COLUMNS} FROM message WHERE place IN
        (SELECT place FROM delivery WHERE recipient = ? AND fingerprint IS ? AND state = 'waiting'
         ORDER BY place LIMIT ?)
      ORDER BY place`;
    return this.#portion(portion, sql, name, fingerprint, portion.messages);
  }

  /** A delivery to somebody has ended; what has ended already stays as it is. */
  end(name: string, places: readonly number[], ending: Ending): void {
    this.#transaction("NORMAL", () => {
      for (const place of places) {
        this.#run(
          "UPDATE delivery SET state = ? WHERE place = ? AND recipient = ? AND state = 'waiting'",
          ending,
          place,
          name,
        );
      }
    });
    if (!this.durable) this.#forget();
  }

  /** Does not deliver a message to those who have not got it. */
  cancel(place: number): void {
    this.#run(
      "UPDATE delivery SET state = 'cancelled' WHERE place = ? AND state = 'waiting'",
      place,
    );
  }

  /**
   * Whether something waits for somebody in this company.
   *
   * @param keys the keys that they may have; what is for another key waits for somebody else
   */
  isWaitingFor({ names, targets }: Company, keys: readonly string[] = []): boolean {
    return this.#all(
      `SELECT 1 FROM delivery WHERE state = 'waiting'
       AND (recipient IN (SELECT value FROM json_each(:names))
           AND (fingerprint IS NULL OR fingerprint IN (SELECT value FROM json_each(:keys)))
         OR recipient IS NULL AND target IN (SELECT value FROM json_each(:targets))) LIMIT 1`,
      {
        names: JSON.stringify(names),
        targets: JSON.stringify(targets),
        keys: JSON.stringify(keys),
      },
    ).length > 0;
  }

  /**
   * What waits, in the order in which it was said.
   *
   * @param limit how many at most
   */
  queue(limit = 1_000): Waiting[] {
    return this.#all(
      `SELECT ${COLUMNS} FROM message
       WHERE place IN (SELECT place FROM delivery WHERE state = 'waiting') ORDER BY place LIMIT ?`,
      limit,
    ).map((row) => ({ ...toEntry(row), addressees: this.addressees(Number(row.place)) }));
  }

  /** Who has not got a message yet. */
  addressees(place: number): Addressee[] {
    return this.#all(
      "SELECT target, recipient, fingerprint FROM delivery WHERE place = ? AND state = 'waiting'",
      place,
    ).map(({ target, recipient, fingerprint }) => ({
      target: String(target),
      name: recipient === null ? undefined : String(recipient),
      fingerprint: fingerprint === null ? undefined : String(fingerprint),
    }));
  }

  // ---------------------------------------------------------------- what was

  /** The last things that were said in some company: by them, or by us and delivered to them. */
  history({ names, targets }: Company, limit: number): Entry[] {
    return this.#all(
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

  /** The last things that we said to some company, whether they were delivered or not. */
  said({ names, targets }: Company, limit: number): Entry[] {
    return this.#all(
      `SELECT ${COLUMNS} FROM message
       WHERE EXISTS (
         SELECT 1 FROM delivery WHERE delivery.place = message.place
         AND (recipient IN (SELECT value FROM json_each(:names))
           OR target IN (SELECT value FROM json_each(:targets))))
       ORDER BY place DESC LIMIT :limit`,
      { names: JSON.stringify(names), targets: JSON.stringify(targets), limit },
    ).map(toEntry).reverse();
  }

  // ---------------------------------------------------------------- the database

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#commit();
    this.#open = false;
    if (this.#file === undefined) this.#database.close();
    else this.#file.close();
  }

  /**
   * Writes together with everything else that is to be written in this turn of
   * the event loop: waiting for the disk is what costs.
   */
  #durably<T>(run: () => T): Promise<T> {
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

  #commit(): void {
    const works = this.#pending;
    this.#pending = [];
    if (works.length === 0) return;
    try {
      this.#transaction("FULL", () => {
        works.forEach((work) => work.run());
        this.#file?.check();
      });
    } catch (error) {
      works.forEach((work) => work.failed(error as GreetError));
      return;
    }
    works.forEach((work) => work.done());
  }

  /**
   * Writes several things or none. `FULL` waits until they are on the disk. `NORMAL` does not:
   * what was written survives the end of the process, and what a power cut takes back is done
   * again (delivered twice, taken once). It is what holds outside of transactions, too.
   */
  #transaction(synchronous: "FULL" | "NORMAL", run: () => void): void {
    try {
      if (synchronous === "FULL") this.#database.exec("PRAGMA synchronous = FULL");
      this.#database.exec("BEGIN IMMEDIATE");
      run();
      this.#database.exec("COMMIT");
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw diskError(error);
    } finally {
      if (synchronous === "FULL") this.#database.exec("PRAGMA synchronous = NORMAL");
    }
  }

  /** Messages that have been shown and delivered make room for others. */
  #forget(): void {
    this.#run(
      `DELETE FROM message WHERE place <= (SELECT max(place) FROM message) - ? AND shown = 1
       AND NOT EXISTS
         (SELECT 1 FROM delivery WHERE delivery.place = message.place AND state = 'waiting')`,
      MEMORY_LIMIT,
    );
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #run(sql: string, ...values: (string | number | null)[]) {
    try {
      return this.#prepare(sql).run(...values);
    } catch (error) {
      throw diskError(error);
    }
  }

  #portion({ characters }: Portion, sql: string, ...values: (string | number | null)[]): Entry[] {
    const entries: Entry[] = [];
    let length = 0;
    try {
      for (const row of this.#prepare(sql).iterate(...values) as Iterable<Row>) {
        const entry = toEntry(row);
        length += entry.message.body.length;
        if (length > characters && entries.length > 0) break;
        entries.push(entry);
      }
    } catch (error) {
      throw diskError(error);
    }
    return entries;
  }

  #all(sql: string, ...values: (string | number | Record<string, string | number>)[]): Row[] {
    try {
      return this.#prepare(sql).all(...values as string[]) as Row[];
    } catch (error) {
      throw diskError(error);
    }
  }
}

function toEntry({ place, id, sender, body, at, taken }: Row): Entry {
  return {
    place: Number(place),
    message: { id: text(id), from: String(sender), body: text(body), at: new Date(Number(at)) },
    taken: new Date(Number(taken)),
  };
}

function text(blob: SQLOutputValue): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(blob as Uint8Array<ArrayBuffer>);
}

/** The file of one name's journal. */
export function journalFile(home: string, name: string): string {
  return join(home, "journals", `${fileNameOf(name)}.sqlite`);
}
