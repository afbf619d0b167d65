/**
 * What a journal holds, as others see it, and how its rows are read.
 *
 * @module
 */
import type { SQLOutputValue } from "node:sqlite";
import { crc32 } from "node:zlib";
import type { Row } from "./journal_database.ts";
import { LAYOUT } from "./journal_schema.ts";
import { kindOf, type Message } from "./messages.ts";

/** A message in a journal. */
export interface Entry {
  /** Its position: later messages have higher places. */
  readonly place: number;
  /** The message. */
  readonly message: Message;
  /** When it was sent or arrived, by our own clock. */
  readonly taken: Date;
}

/** A peer that was met. */
export interface Person {
  /** Its name. */
  readonly name: string;
  /** The fingerprint of its key, if the chat was encrypted. */
  readonly fingerprint?: string;
}

/** A peer, and the target where it was met. */
export interface Meeting extends Person {
  /** Where it was met. */
  readonly target: string;
}

/** A peer that a message is for: its target and, if known, its name and key. */
export interface Addressee extends Partial<Person> {
  /** Where it should be. */
  readonly target: string;
}

/** A message that has not been delivered to all of its addressees. */
export interface Waiting extends Entry {
  /** The addressees that it has not been delivered to. */
  readonly addressees: readonly Addressee[];
}

/** The peers in a conversation: those with these names, and those at these targets. */
export interface Participants {
  /** Peers with these names, wherever they are. */
  readonly names: readonly string[];
  /** The peers at these targets, whatever their names. */
  readonly targets: readonly string[];
}

/**
 * The columns that {@link toEntry} reads, for a file of a version. Text from others may contain
 * U+0000, where the runtime would cut it off if it were not read as bytes.
 */
export function columnsOf(version: number): string {
  return [
    "place, CAST(id AS BLOB) AS id, sender, CAST(body AS BLOB) AS body, at, taken",
    version < 3 ? "0 AS action, NULL AS direct_to" : "action, direct_to",
    version < 4 ? "NULL AS checksum" : "checksum",
  ].join(", ");
}

/** The columns that {@link toEntry} reads. */
export const COLUMNS = columnsOf(LAYOUT.version);

/** Reads a row with {@link COLUMNS}. */
export function toEntry(row: Row): Entry {
  const { place, id, sender, body, at, action, direct_to } = row;
  const to = direct_to === null ? undefined : String(direct_to);
  const message = {
    ...{ id: textOf(id), from: String(sender), body: textOf(body), at: new Date(Number(at)) },
    ...kindOf({ isAction: action === 1, to }),
  };
  const taken = new Date(Number(row.taken));
  const isIntact = row.checksum === null || row.checksum === checksumOf(message, taken);
  return { place: Number(place), ...isIntact ? { message, taken } : damaged(message, taken) };
}

/**
 * The checksum that is stored with a message. SQLite has none, so that it would return a text in
 * which the disk has changed a letter.
 */
export function checksumOf({ id, from, body, at, isAction, to }: Message, taken: Date): number {
  const values = [id, from, body, at.getTime(), taken.getTime(), isAction === true, to];
  return crc32(JSON.stringify(values));
}

/** What is shown of a message that the disk has changed: not its text. Its times may be invalid. */
function damaged({ id, from, at }: Message, taken: Date): Omit<Entry, "place"> {
  const [validAt = new Date(0), validTaken = validAt] = [at, taken].filter(isValid);
  return { message: { id, from, body: "", at: validAt, isDamaged: true }, taken: validTaken };
}

function isValid(date: Date): boolean {
  return !Number.isNaN(date.getTime());
}

const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

function textOf(blob: SQLOutputValue): string {
  return UTF8.decode(blob as Uint8Array<ArrayBuffer>);
}
