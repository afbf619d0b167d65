/**
 * The messages of one user: the history, and the queue of what still waits to be delivered.
 *
 * Messages are on disk before they are acknowledged, so nothing is lost when a process is killed,
 * and a repeated message is stored once. The journal knows nothing of networks: a message is for a
 * target, and for a name as soon as a peer was met there.
 *
 * @module
 */
import { JournalDatabase, type Parameters } from "./journal_database.ts";
import {
  type Addressee,
  checksumOf,
  COLUMNS,
  type Entry,
  type Meeting,
  type Participants,
  type Person,
  toEntry,
  type Waiting,
} from "./journal_entries.ts";
import { journalPaths } from "./journal_file.ts";
import { JournalHistory } from "./journal_history.ts";
import type { Message } from "./messages.ts";

export type { Addressee, Entry, Meeting, Message, Participants, Person, Waiting };

/** How much to read at once. At least one message is read, whatever its length. */
export interface ReadLimit {
  /** How many messages at most. */
  readonly messages: number;
  /** How many characters (UTF-16 code units) at most, in all of them. */
  readonly characters: number;
}

/** Enough to fill one call. */
const READ_LIMIT: ReadLimit = { messages: 256, characters: 100_000 };

/** How a delivery ended, if it was not cancelled. */
export type DeliveryOutcome = "delivered" | "failed";

/** How many messages a journal in memory keeps. */
const MEMORY_LIMIT = 1_000;

/** How to open a journal. */
export interface JournalOptions {
  /** The folder to keep it in; it is created if necessary. */
  home: string;
  /** The name of its user. Each name has its own file. */
  name: string;
}

/**
 * One user's journal. Disposing of it closes it.
 *
 * All methods throw a `GreetError` with the code `FAILED` if the disk fails or the journal is
 * closed; then nothing of what they were given was stored.
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
 *   await journal.send(message, () => [{ target: "127.0.0.1:55556" }]);
 * }
 * {
 *   using journal = Journal.open({ home, name: "Alice" }); // a later run
 *   const bob = { name: "Bob" };
 *   journal.meet("127.0.0.1:55556", bob);
 *   const [{ place, message }] = journal.waitingFor(bob);
 *   assert.equal(message.body, "Bob?");
 *   journal.endDelivery("Bob", [place], "delivered");
 *   assert.deepEqual(journal.waitingFor(bob), []);
 * }
 * await Deno.remove(home, { recursive: true });
 * ```
 */
export class Journal implements Disposable {
  /** Whether its messages are on disk and outlive the process. */
  readonly durable: boolean;
  /** A sentence for the user about the file that was opened, for example that it was damaged. */
  readonly notice: string | undefined;
  /** A warning for the user about the file that was opened, for example that others could read it. */
  readonly warning: string | undefined;
  readonly #database: JournalDatabase;
  readonly #history: JournalHistory;

  private constructor(database: JournalDatabase) {
    const { file } = database;
    this.durable = file !== undefined;
    this.notice = file?.notice;
    if (file?.wasShared) this.warning = "other users could read the journal until now";
    this.#database = database;
    this.#history = new JournalHistory(database);
  }

  /**
   * Opens the journal on disk; begins a new one if there is none.
   *
   * Folders are created with mode 0700, files with 0600. A damaged file is moved aside, not deleted,
   * and {@link Journal.notice} says so. A file that other users can read is made private, and
   * {@link Journal.warning} says so.
   *
   * @param options where it is, and whose
   * @throws {GreetError} `FAILED` if another process uses the journal, it cannot be written, other
   *   users can change it, or a newer version of this program wrote it, in which case it is left
   *   untouched
   */
  static open({ home, name }: JournalOptions): Journal {
    return new Journal(JournalDatabase.open(journalPaths(home, name)));
  }

  /** A journal in memory, which keeps only about a thousand messages and ends with the process. */
  static inMemory(): Journal {
    return new Journal(JournalDatabase.inMemory());
  }

  // ---------------------------------------------------------------- storing

  /**
   * Stores a message of our own that is to be delivered.
   *
   * @param message the message
   * @param addressees returns the peers that it is for. It is called at the moment of writing, so
   *   that peers met in the meantime are included
   * @returns the queued message, when it is on disk. Messages of one turn of the event loop are
   *   written together
   */
  send(message: Message, addressees: () => readonly Addressee[]): Promise<Waiting> {
    const taken = new Date();
    return this.#database.durably(() => {
      const place = this.#insert(message, taken, 1)!;
      const waiting = { place, message, taken, addressees: addressees() };
      for (const { target, name = null, fingerprint = null } of waiting.addressees) {
        this.#database.run(
          "INSERT INTO delivery (place, target, recipient, fingerprint, state) VALUES (?, ?, ?, ?, 'waiting')",
          ...[place, target, name, fingerprint],
        );
      }
      return waiting;
    });
  }

  /**
   * Stores messages from other peers, except those it has already: same sender, same id.
   *
   * @param messages the messages, in order
   * @returns the highest place of any of them, new or not, when all are on disk; 0 for none
   */
  receive(messages: readonly Message[]): Promise<number> {
    return this.#database.durably(() => {
      const taken = new Date();
      let last = 0;
      for (const message of messages) {
        last = Math.max(last, this.#insert(message, taken, 0) ?? this.#placeOf(message));
      }
      return last;
    });
  }

  #placeOf({ id, from }: Message): number {
    const [{ place }] = this.#database.all(
      "SELECT place FROM message WHERE sender = ? AND id = ? AND id <> ''",
      from,
      id,
    );
    return Number(place);
  }

  #insert(message: Message, taken: Date, shown: 0 | 1): number | undefined {
    const { id, from, body, at, isAction, to } = message;
    const { changes, lastInsertRowid } = this.#database.run(
      `INSERT INTO message (id, sender, body, at, taken, shown, action, direct_to, checksum)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
      ...[id, from, body, at.getTime(), taken.getTime(), shown],
      ...[isAction ? 1 : 0, to ?? null, checksumOf(message, taken)],
    );
    return changes === 0 ? undefined : Number(lastInsertRowid);
  }

  // ---------------------------------------------------------------- received messages

  /**
   * The next messages that have not been shown to our reader.
   *
   * @param after only messages after this place
   * @param limit how many at most
   */
  unshown(after: number, limit: ReadLimit = READ_LIMIT): Entry[] {
    const sql = `SELECT ${COLUMNS} FROM message
      WHERE shown = 0 AND place > ? ORDER BY place LIMIT ?`;
    return this.#read(limit, sql, after, limit.messages);
  }

  /** The place up to which everything has been shown to our reader. */
  shownUpTo(): number {
    const [{ place }] = this.#database.all(
      `SELECT coalesce((SELECT min(place) - 1 FROM message WHERE shown = 0),
                       (SELECT max(place) FROM message), 0) AS place`,
    );
    return Number(place);
  }

  /** The place of the newest message, sent or received; 0 if there is none. */
  lastPlace(): number {
    const [{ place }] = this.#database.all("SELECT coalesce(max(place), 0) AS place FROM message");
    return Number(place);
  }

  /**
   * Marks a message as shown to our reader, and with it all before it, which may have been shown
   * while the disk failed.
   */
  markShown(place: number): void {
    this.#database.run("UPDATE message SET shown = 1 WHERE shown = 0 AND place <= ?", place);
    if (!this.durable) this.#forget();
  }

  // ---------------------------------------------------------------- deliveries

  /**
   * Records that a peer was met at a target. Messages for whichever peer is there are now for this
   * one, and so are messages for its name without a key, or with another of its keys.
   *
   * @param target where it was met
   * @param person the peer
   * @param keys all keys that a peer of this name may have
   */
  meet(target: string, person: Person, keys: readonly string[] = []): void {
    const { name } = person;
    const fingerprint = person.fingerprint ?? null;
    this.#database.together(() => {
      this.#database.run(
        `UPDATE delivery SET recipient = ?, fingerprint = ?
         WHERE state = 'waiting' AND recipient IS NULL AND target = ?`,
        ...[name, fingerprint, target],
      );
      this.#database.run(
        `UPDATE delivery SET fingerprint = ?
         WHERE state = 'waiting' AND recipient = ? AND fingerprint IS NOT ?
           AND (fingerprint IS NULL OR fingerprint IN (SELECT value FROM json_each(?)))`,
        ...[fingerprint, name, fingerprint, JSON.stringify(keys)],
      );
      this.#database.run(
        "INSERT OR REPLACE INTO met (target, name, fingerprint) VALUES (?, ?, ?)",
        ...[target, name, fingerprint],
      );
    });
  }

  /**
   * Begins a run. Messages that still wait for whichever peer is at a target are now for the peer
   * that was last met there, wherever it is.
   */
  beginRun(): void {
    this.#database.run(
      `UPDATE delivery SET (recipient, fingerprint) =
         (SELECT name, fingerprint FROM met WHERE met.target = delivery.target)
       WHERE state = 'waiting' AND recipient IS NULL`,
    );
  }

  /** The peer that was last met at a target, if one was. */
  lastMeeting(target: string): Meeting | undefined {
    const [row] = this.#database.all("SELECT name, fingerprint FROM met WHERE target = ?", target);
    if (row === undefined) return undefined;
    const fingerprint = row.fingerprint === null ? undefined : String(row.fingerprint);
    return { target, name: String(row.name), fingerprint };
  }

  /**
   * The next messages that wait for a peer, in the order in which they were sent.
   *
   * @param person the peer, with the key that it has now
   * @param limit how many at most
   */
  waitingFor(person: Person, limit: ReadLimit = READ_LIMIT): Entry[] {
    const { name } = person;
    const fingerprint = person.fingerprint ?? null;
    const sql = `SELECT ${COLUMNS} FROM message WHERE place IN
        (SELECT place FROM delivery WHERE recipient = ? AND fingerprint IS ? AND state = 'waiting'
         ORDER BY place LIMIT ?)
      ORDER BY place`;
    return this.#read(limit, sql, name, fingerprint, limit.messages);
  }

  /**
   * Records how deliveries to a peer ended. Those that had ended before stay as they are.
   *
   * @param name the name of the peer
   * @param places the messages, by place
   * @param outcome how they ended
   */
  endDelivery(name: string, places: readonly number[], outcome: DeliveryOutcome): void {
    this.#database.run(
      `UPDATE delivery SET state = ? WHERE recipient = ? AND state = 'waiting'
       AND place IN (SELECT value FROM json_each(?))`,
      outcome,
      name,
      JSON.stringify(places),
    );
    if (!this.durable) this.#forget();
  }

  /** Cancels the deliveries of a message that still wait. */
  cancel(place: number): void {
    this.#database.run(
      "UPDATE delivery SET state = 'cancelled' WHERE place = ? AND state = 'waiting'",
      place,
    );
  }

  /**
   * Whether a message waits for one of these peers.
   *
   * @param participants the peers
   * @param keys the keys that they may have; messages for another key do not count
   */
  isWaitingFor({ names, targets }: Participants, keys: readonly string[] = []): boolean {
    return this.#database.all(
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
   * All messages that wait, in the order in which they were sent.
   *
   * @param limit how many at most
   */
  queue(limit = 1_000): Waiting[] {
    return this.#database.all(
      `SELECT ${COLUMNS} FROM message
       WHERE place IN (SELECT place FROM delivery WHERE state = 'waiting') ORDER BY place LIMIT ?`,
      limit,
    ).map((row) => ({ ...toEntry(row), addressees: this.addressees(Number(row.place)) }));
  }

  /** The peers that a message has not been delivered to yet. */
  addressees(place: number): readonly Addressee[] {
    return this.addresseesOf([place]).get(place) ?? [];
  }

  /**
   * The peers that messages have not been delivered to yet.
   *
   * @param places the messages, by place
   * @returns the peers by place; messages that wait for none are missing
   */
  addresseesOf(places: readonly number[]): Map<number, readonly Addressee[]> {
    const rows = this.#database.all(
      `SELECT place, target, recipient, fingerprint FROM delivery
       WHERE place IN (SELECT value FROM json_each(?)) AND state = 'waiting'`,
      JSON.stringify(places),
    );
    const addressees = new Map<number, Addressee[]>();
    for (const { place, target, recipient, fingerprint } of rows) {
      const addressee = {
        target: String(target),
        name: recipient === null ? undefined : String(recipient),
        fingerprint: fingerprint === null ? undefined : String(fingerprint),
      };
      addressees.getOrInsert(Number(place), []).push(addressee);
    }
    return addressees;
  }

  /** The names of the peers that a message has been delivered to. */
  deliveredTo(place: number): string[] {
    return this.#database.all(
      "SELECT recipient FROM delivery WHERE place = ? AND state = 'delivered'",
      place,
    ).map(({ recipient }) => String(recipient));
  }

  // ---------------------------------------------------------------- history

  /**
   * The last messages of a conversation: from these peers, and delivered to them.
   *
   * @param participants the peers
   * @param limit how many at most
   */
  history(participants: Participants, limit: number): Entry[] {
    return this.#history.last(participants, limit);
  }

  /**
   * The last messages of a conversation that contain a text, whatever the case of its letters.
   *
   * @param participants the peers
   * @param text the text
   * @param limit how many at most
   */
  find(participants: Participants, text: string, limit: number): Promise<Entry[]> {
    return this.#history.find(participants, text, limit);
  }

  /**
   * The last messages that we sent to these peers, delivered or not.
   *
   * @param participants the peers
   * @param limit how many messages at most; fewer if they are long, about 4 million characters in all
   */
  said(participants: Participants, limit: number): Entry[] {
    return this.#history.said(participants, limit);
  }

  // ---------------------------------------------------------------- housekeeping

  /** Writes what is pending and closes the journal. */
  [Symbol.dispose](): void {
    this.#database[Symbol.dispose]();
  }

  /** Makes room in memory: forgets old messages that were shown and need no more deliveries. */
  #forget(): void {
    this.#database.run(
      `DELETE FROM message WHERE place <= (SELECT max(place) FROM message) - ? AND shown = 1
       AND NOT EXISTS
         (SELECT 1 FROM delivery WHERE delivery.place = message.place AND state = 'waiting')`,
      MEMORY_LIMIT,
    );
  }

  #read({ characters }: ReadLimit, sql: string, ...values: Parameters): Entry[] {
    const entries: Entry[] = [];
    let length = 0;
    for (const row of this.#database.each(sql, ...values)) {
      const entry = toEntry(row);
      length += entry.message.body.length;
      if (length > characters && entries.length > 0) break;
      entries.push(entry);
    }
    return entries;
  }
}
