/**
 * What a journal holds, as others see it, and how its rows are read.
 *
 * @module
 */
import type { SQLOutputValue } from "node:sqlite";
import type { Row } from "./journal_database.ts";
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
 * The columns that {@link toEntry} reads. Text from others may contain U+0000, where the runtime
 * would cut it off if it were not read as bytes.
 */
export const COLUMNS =
  "place, CAST(id AS BLOB) AS id, sender, CAST(body AS BLOB) AS body, at, taken, action, direct_to";

/** The same for a file of version 1 or 2. */
export const COLUMNS_BEFORE_3 = COLUMNS.replace(
  "action, direct_to",
  "0 AS action, NULL AS direct_to",
);

/** Reads a row with {@link COLUMNS}. */
export function toEntry({ place, id, sender, body, at, taken, action, direct_to }: Row): Entry {
  const to = direct_to === null ? undefined : String(direct_to);
  return {
    place: Number(place),
    message: {
      ...{ id: textOf(id), from: String(sender), body: textOf(body), at: new Date(Number(at)) },
      ...kindOf({ isAction: action === 1, to }),
    },
    taken: new Date(Number(taken)),
  };
}

function textOf(blob: SQLOutputValue): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(blob as Uint8Array<ArrayBuffer>);
}
