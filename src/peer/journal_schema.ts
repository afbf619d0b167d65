/**
 * The tables of a journal, and how older versions of them are upgraded.
 *
 * @module
 */
import type { Layout } from "./journal_file.ts";
import { HAS_NUL } from "./text_search.ts";

/** Bodies with U+0000, after which SQLite's own functions see nothing. */
const NUL_INDEX = `CREATE INDEX message_with_nul ON message (place) WHERE ${HAS_NUL}`;

/** The tables of a journal. */
export const LAYOUT: Layout = {
  applicationId: 0x67726574, // "gret"
  version: 4,
  upgrades: [
    `ALTER TABLE delivery ADD COLUMN fingerprint TEXT; ALTER TABLE met ADD COLUMN fingerprint TEXT;`,
    `ALTER TABLE message ADD COLUMN action INTEGER NOT NULL DEFAULT 0;
     ALTER TABLE message ADD COLUMN direct_to TEXT;
     ${NUL_INDEX};`,
    `ALTER TABLE message ADD COLUMN checksum INTEGER;`,
  ],
  sql: `
  CREATE TABLE message (
    place INTEGER PRIMARY KEY,
    id TEXT NOT NULL,               -- the sender's; '' if it assigns none
    sender TEXT NOT NULL,
    body TEXT NOT NULL,
    at INTEGER NOT NULL,            -- ms since 1970, by the sender's clock
    taken INTEGER NOT NULL,         -- ms since 1970, by our clock
    shown INTEGER NOT NULL,         -- 0 until our reader has it
    action INTEGER NOT NULL DEFAULT 0, -- 1 if the body says what the sender does
    direct_to TEXT,                 -- the only peer that it is for; NULL if it is for everyone
    checksum INTEGER                -- of the above; NULL if an older version stored it
  ) STRICT;
  CREATE UNIQUE INDEX message_once ON message (sender, id) WHERE id <> '';
  CREATE INDEX message_unshown ON message (place) WHERE shown = 0;
  ${NUL_INDEX};

  CREATE TABLE delivery (
    place INTEGER NOT NULL REFERENCES message (place) ON DELETE CASCADE,
    target TEXT NOT NULL,           -- where the message is to be delivered
    recipient TEXT,                 -- the peer it is for; NULL until one was met there
    state TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed', 'cancelled')),
    fingerprint TEXT,               -- the recipient's key; NULL if any key will do
    PRIMARY KEY (place, target)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX delivery_waiting ON delivery (recipient, place) WHERE state = 'waiting';

  CREATE TABLE met (                -- the peer that was last met at a target
    target TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    fingerprint TEXT
  ) STRICT, WITHOUT ROWID;
`,
};
