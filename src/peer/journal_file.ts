/**
 * The file of a journal: its permissions, its lock, its version, and explanations of failures.
 *
 * One process at a time may open it. A missing file is created, a damaged one moved aside, and one of
 * a newer version left untouched.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { GreetError, systemReason } from "../base/errors.ts";
import { lockFile } from "../base/file_lock.ts";
import { fileNameOf } from "../base/home.ts";
import {
  makePrivate,
  requirePrivateFolder,
  statFile,
  UnusableFile,
} from "../base/private_files.ts";

/** The tables in the file. */
export interface Layout {
  /** Identifies the file as ours, in its header. */
  readonly applicationId: number;
  /** A file with a higher number was written by a newer version of this program. */
  readonly version: number;
  /** Creates the tables. */
  readonly sql: string;
  /** Upgrades a file from each version to the next, beginning with version 1. */
  readonly upgrades: readonly string[];
}

/** Where a journal is, and whose it is. */
export interface JournalPaths {
  /** The database. */
  readonly path: string;
  /** The file whose lock keeps other processes out; in another folder, to survive `rm -r journals`. */
  readonly lockPath: string;
  /** The name of its user. */
  readonly name: string;
}

/** An open journal file. */
export interface OpenFile {
  readonly database: DatabaseSync;
  /** A sentence for the user about how it was opened, if necessary. */
  readonly notice?: string;
  /** Whether other users could read it until it was opened. */
  readonly wasShared: boolean;
  /**
   * Makes sure that writes still end up where the next process will look for them.
   *
   * @throws {GreetError} `FAILED` if the files that were opened are no longer at their paths, or
   *   were truncated
   */
  check(): void;
  /** Closes the database and releases the lock. */
  close(): void;
}

/** The path of the journal of one name. */
export function journalFile(home: string, name: string): string {
  return join(home, "journals", `${fileNameOf(name)}.sqlite`);
}

/** Where the journal of one name is, and its lock. */
export function journalPaths(home: string, name: string): JournalPaths {
  const lockPath = join(home, "locks", `${fileNameOf(name)}.lock`);
  return { path: journalFile(home, name), lockPath, name };
}

/**
 * Opens the file; creates it if there is none.
 *
 * Folders are created with mode 0700, files with 0600. Writing does not wait for the disk
 * (`synchronous = NORMAL`) unless a transaction asks for it.
 *
 * @throws {GreetError} `FAILED` if another process uses it, it cannot be written, other users can
 *   change it, or a newer version wrote it
 */
export function openFile({ path, lockPath, name }: JournalPaths, layout: Layout): OpenFile {
  try {
    for (const folder of [dirname(path), dirname(lockPath)]) makeFolder(folder);
    const lock = takeLock(lockPath, name);
    try {
      return openLocked({ path, lockPath, name }, lock, layout);
    } catch (error) {
      lock.close();
      throw error;
    }
  } catch (error) {
    throw cannotKeep(path, error);
  }
}

function makeFolder(folder: string): void {
  Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
  requirePrivateFolder(dirname(folder));
  requirePrivateFolder(folder);
}

/** Resolves symbolic links, because SQLite puts its other files next to their target. */
function resolved(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return path;
    throw error;
  }
}

/** What SQLite appends to the path of a database for its other files. */
const SUFFIXES = ["", "-wal", "-shm", "-journal"];

function openLocked({ path, lockPath }: JournalPaths, lock: Deno.FsFile, layout: Layout): OpenFile {
  const real = resolved(path);
  if (isLink(path)) requireJournal(real, layout);
  const wasShared = SUFFIXES.map((suffix) => makePrivate(real + suffix)).includes(true);
  checkVersion(path, versionInHeader(real, layout), layout);
  const { database, notice } = openOrReplace(real, layout);
  const areUnchanged = trackFiles([path, real, `${real}-wal`, `${real}-shm`, lockPath]);
  return {
    database,
    notice,
    wasShared,
    check() {
      if (!areUnchanged()) throw replaced(path);
    },
    close() {
      database.close();
      lock.close();
    },
  };
}

function isLink(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSymlink;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * Makes sure that a link leads to a journal, or to nothing yet. Any other file would lose its
 * permissions to this program, and then its name.
 *
 * @throws {UnusableFile} if it leads to another file, or to something that is not a file
 */
function requireJournal(path: string, layout: Layout): void {
  statFile(path);
  if (contentOf(path, layout) !== "other") return;
  throw new UnusableFile(path, `it is a link to ${path}, which is not a journal`);
}

/** @returns a function that checks that each path leads to the same file, and none has shrunk */
function trackFiles(paths: readonly string[]): () => boolean {
  let before = paths.map(fileAt);
  return () => {
    const now = paths.map(fileAt);
    const areSame = now.every(({ id, size }, i) => id === before[i].id && size >= before[i].size);
    if (areSame) before = now;
    return areSame;
  };
}

/** The identity and size of a file; no `id` if there is none. */
function fileAt(path: string): { id?: string; size: number } {
  try {
    const { dev, ino, size } = Deno.statSync(path);
    return { id: `${dev} ${ino}`, size };
  } catch {
    return { size: 0 };
  }
}

function replaced(path: string): GreetError {
  return new GreetError(
    "FAILED",
    `the journal cannot be used: ${path} was deleted, moved, or overwritten; put it back or restart`,
  );
}

/** Keeps other processes out. The system releases the lock when this process ends, however it ends. */
function takeLock(path: string, name: string): Deno.FsFile {
  makePrivate(path);
  const file = lockFile(path);
  if (file !== undefined) return file;
  throw new GreetError("FAILED", `${name} is chatting already: another process has the journal`, {
    hint: "leave there first, take another name, or use another --home",
  });
}

/** The content of a file: a journal, nothing yet, or something else. */
type Content = { readonly version: number } | "nothing" | "other";

/** Reads SQLite's file header, without opening, and thereby changing, the database. */
function contentOf(path: string, { applicationId }: Layout): Content {
  using file = openExisting(path);
  const header = new Uint8Array(100);
  const length = file?.readSync(header) ?? 0;
  if (length === 0) return "nothing";
  // https://www.sqlite.org/fileformat.html#the_database_header
  const view = new DataView(header.buffer);
  return view.getUint32(68) === applicationId ? { version: view.getUint32(60) } : "other";
}

function versionInHeader(path: string, layout: Layout): number {
  const content = contentOf(path, layout);
  return typeof content === "object" ? content.version : 0;
}

function openExisting(path: string): Deno.FsFile | undefined {
  try {
    return Deno.openSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** @throws {GreetError} `FAILED` if a newer version of this program wrote the file */
export function checkVersion(path: string, found: number, { version }: Layout): void {
  if (found <= version) return;
  throw new GreetError("FAILED", `the journal ${path} was written by a newer version of greet`, {
    hint: "use that version, another --home, or keep nothing: --no-journal",
  });
}

function openOrReplace(
  path: string,
  layout: Layout,
): { database: DatabaseSync; notice?: string } {
  const database = openUnlessDamaged(path, layout) ?? openReadable(path, layout);
  if (database !== undefined) return { database };
  const aside = moveAside(path);
  const notice = `The journal was damaged. It is kept as ${aside}; a new one was begun.`;
  return { database: openDatabase(path, layout), notice };
}

function openUnlessDamaged(path: string, layout: Layout): DatabaseSync | undefined {
  try {
    return openDatabase(path, layout);
  } catch (error) {
    if (isDamaged(error)) return undefined;
    throw error;
  }
}

/**
 * Opens a journal that seems to be damaged, if it is not. SQLite also reports damage when the disk
 * fails to read a page; then the journal stays where it is.
 *
 * @throws the system's error if the file, or its log, cannot be read
 */
function openReadable(path: string, layout: Layout): DatabaseSync | undefined {
  for (const suffix of ["", "-wal"]) readThrough(path + suffix);
  return openUnlessDamaged(path, layout);
}

function readThrough(path: string): void {
  using file = openExisting(path);
  const chunk = new Uint8Array(65_536);
  while (file !== undefined && file.readSync(chunk) !== null);
}

function openDatabase(path: string, layout: Layout): DatabaseSync {
  // SQLite would make it readable for everyone; its other files get the same mode.
  Deno.openSync(path, { create: true, write: true, mode: 0o600 }).close();
  const database = new DatabaseSync(path);
  try {
    database.exec(
      "PRAGMA busy_timeout = 2000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL",
    );
    const [{ quick_check: finding }] = database.prepare("PRAGMA quick_check(1)").all();
    if (finding !== "ok") throw new Damage(String(finding));
    const version = Number(database.prepare("PRAGMA user_version").get()!.user_version);
    checkVersion(path, version, layout);
    if (version === 0) begin(requireEmpty(database), layout);
    else upgrade(database, version, layout);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Creates the tables of a new database: all or none. */
export function begin(database: DatabaseSync, { applicationId, version, sql }: Layout): void {
  database.exec(
    `BEGIN; ${sql} PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${version}; COMMIT`,
  );
}

/** Upgrades a database of an older version: completely or not at all. */
function upgrade(database: DatabaseSync, from: number, { version, upgrades }: Layout): void {
  if (from === version) return;
  const sql = upgrades.slice(from - 1).join("\n");
  database.exec(`BEGIN; ${sql} PRAGMA user_version = ${version}; COMMIT`);
}

/** A database without our version must not belong to another program. */
function requireEmpty(database: DatabaseSync): DatabaseSync {
  const [{ count }] = database.prepare("SELECT count(*) AS count FROM sqlite_schema").all();
  if (count !== 0) throw new Damage("it is not a journal");
  return database;
}

/** A database that can be opened but fails its integrity check. */
class Damage extends Error {}

function isDamaged(error: unknown): boolean {
  return error instanceof Damage ||
    /not a database|malformed/.test(error instanceof Error ? error.message : "");
}

function moveAside(path: string): string {
  const aside = `${path}.damaged-${new Date().toISOString().replaceAll(/[-:]/g, "").slice(0, 15)}`;
  for (const suffix of ["", "-wal", "-shm"]) {
    try {
      Deno.renameSync(path + suffix, aside + suffix);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return aside;
}

// ---------------------------------------------------------------- errors

/**
 * Explanations of SQLite's messages, which are those of `sqlite3_errstr`. Result codes
 * (https://www.sqlite.org/rescode.html) would be better, but `exec` provides none.
 */
const SQLITE_REASONS: readonly [RegExp, string][] = [
  [/disk is full/, "the disk is full"],
  [/readonly/, "it is read-only"],
  [/locked/, "another program is using it"],
  [/not a database/, "it is damaged"],
  [/malformed/, "it is damaged, or reading the disk failed"],
  [/disk I\/O error/, "reading or writing the disk failed"],
  [/unable to open/, "it cannot be opened"],
];

function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const known = SQLITE_REASONS.find(([pattern]) => pattern.test(message));
  return known?.[1] ?? systemReason(error);
}

/** Explains a failure of the disk, or of SQLite, to the user. */
export function diskError(cause: unknown): GreetError {
  if (cause instanceof GreetError) return cause;
  return new GreetError("FAILED", `the journal cannot be used: ${reasonOf(cause)}`, { cause });
}

/** Explains why a journal cannot be opened. */
export function cannotKeep(path: string, cause: unknown): GreetError {
  if (cause instanceof GreetError) return cause;
  const hint = cause instanceof UnusableFile ? cause.hint : undefined;
  return new GreetError("FAILED", `cannot keep a journal in ${path}: ${reasonOf(cause)}`, {
    hint: hint ??
      "choose another folder with --home DIR or GREET_HOME, or keep nothing: --no-journal",
    cause,
  });
}
