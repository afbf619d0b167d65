/**
 * The file that a journal is in.
 *
 * {@link openFile} lets one process in at a time, makes what is missing, moves aside
 * what is damaged and does not touch what a newer version wrote. What goes
 * wrong with a disk becomes a sentence here.
 *
 * @module
 */
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { GreetError } from "../base/errors.ts";
import { makePrivate, requirePrivateFolder, UnusableFile } from "../base/private_files.ts";

/** What is in the file. */
export interface Layout {
  /** Marks the file as ours, in its header. */
  readonly applicationId: number;
  /** A higher number in a file is a newer program's. */
  readonly version: number;
  /** Makes the tables. */
  readonly sql: string;
  /** Brings a file from each version, beginning with 1, to the next one. */
  readonly upgrades: readonly string[];
}

/** Where a journal is, and whose. */
export interface JournalPaths {
  /** The database. */
  readonly path: string;
  /** The file whose lock keeps other processes out. In another folder it outlives `rm -r journals`. */
  readonly lockPath: string;
  /** Whose journal it is. */
  readonly name: string;
}

/** An open file. */
export interface OpenFile {
  readonly database: DatabaseSync;
  /** What the user should know about how it was opened, if anything. */
  readonly notice?: string;
  /** Whether other users could read it until now. */
  readonly wasShared: boolean;
  /**
   * Makes sure that what is written still ends up where the next process will look for it.
   *
   * @throws {GreetError} `FAILED` where the files that were opened are no longer at their paths,
   *   or were truncated
   */
  check(): void;
  /** Closes the database and lets other processes in. */
  close(): void;
}

/**
 * Opens the file, or begins it.
 *
 * Folders are made with mode 0700, files with 0600. Writing does not wait for the disk
 * (`synchronous = NORMAL`) unless a transaction asks for it.
 *
 * @throws {GreetError} `FAILED` where another process has it, where it cannot be written, where
 *   other users can change it, or where a newer version wrote it
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

/** Where symbolic links lead: SQLite keeps its further files there. */
function followed(path: string): string {
  try {
    return Deno.realPathSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return path;
    throw error;
  }
}

/** What SQLite adds to the path of a database. */
const SUFFIXES = ["", "-wal", "-shm", "-journal"];

function openLocked({ path, lockPath }: JournalPaths, lock: Deno.FsFile, layout: Layout): OpenFile {
  const real = followed(path);
  const wasShared = SUFFIXES.map((suffix) => makePrivate(real + suffix)).includes(true);
  checkVersion(path, versionInHeader(real, layout), layout);
  const { database, notice } = openOrReplace(real, layout);
  const areUnchanged = trackFiles([path, real, `${real}-wal`, `${real}-shm`, lockPath]);
  return {
    database,
    notice,
    wasShared,
    check() {
      if (!areUnchanged()) throw gone(path);
    },
    close() {
      database.close();
      lock.close();
    },
  };
}

/** @returns what tells whether each path still leads to the same file, and none of them shrank */
function trackFiles(paths: readonly string[]): () => boolean {
  let before = paths.map(fileAt);
  return () => {
    const now = paths.map(fileAt);
    const areSame = now.every(({ id, size }, i) => id === before[i].id && size >= before[i].size);
    if (areSame) before = now;
    return areSame;
  };
}

/** What tells a file from every other, and its size; no `id` where the path leads to none. */
function fileAt(path: string): { id?: string; size: number } {
  try {
    const { dev, ino, size } = Deno.statSync(path);
    return { id: `${dev} ${ino}`, size };
  } catch {
    return { size: 0 };
  }
}

function gone(path: string): GreetError {
  return new GreetError(
    "FAILED",
    `the journal cannot be used: ${path} was deleted, moved, or overwritten; put it back or restart`,
  );
}

/** Keeps other processes away; the system lets go when this one ends, however it ends. */
function takeLock(path: string, name: string): Deno.FsFile {
  makePrivate(path);
  const file = Deno.openSync(path, { create: true, write: true, mode: 0o600 });
  if (file.tryLockSync(true)) return file;
  file.close();
  throw new GreetError("FAILED", `${name} is chatting already: another process has the journal`, {
    hint: "leave there first, take another name, or use another --home",
  });
}

/** The version that SQLite's file header gives; reading it so does not touch the file. */
function versionInHeader(path: string, { applicationId }: Layout): number {
  using file = openExisting(path);
  if (file === undefined) return 0;
  const header = new Uint8Array(100);
  if (file.readSync(header) !== header.length) return 0;
  const view = new DataView(header.buffer);
  // https://www.sqlite.org/fileformat.html#the_database_header
  return view.getUint32(68) === applicationId ? view.getUint32(60) : 0;
}

function openExisting(path: string): Deno.FsFile | undefined {
  try {
    return Deno.openSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function checkVersion(path: string, found: number, { version }: Layout): void {
  if (found <= version) return;
  throw new GreetError("FAILED", `the journal ${path} was written by a newer version of greet`, {
    hint: "use that version, another --home, or keep nothing: --no-journal",
  });
}

function openOrReplace(
  path: string,
  layout: Layout,
): { database: DatabaseSync; notice?: string } {
  try {
    return { database: openDatabase(path, layout) };
  } catch (error) {
    if (!isDamaged(error)) throw error;
    const aside = moveAside(path);
    const notice = `The journal was damaged. It is kept as ${aside}; a new one was begun.`;
    return { database: openDatabase(path, layout), notice };
  }
}

function openDatabase(path: string, layout: Layout): DatabaseSync {
  // SQLite would make it readable for everybody; its further files take after it.
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
    if (version === 0) begin(database, layout);
    else upgrade(database, version, layout);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Lays out a new database: all of it or nothing. */
export function begin(database: DatabaseSync, { applicationId, version, sql }: Layout): void {
  database.exec(
    `BEGIN; ${sql} PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${version}; COMMIT`,
  );
}

/** Brings a database of an older version to the present one: all the way or not at all. */
function upgrade(database: DatabaseSync, from: number, { version, upgrades }: Layout): void {
  if (from === version) return;
  const sql = upgrades.slice(from - 1).join("\n");
  database.exec(`BEGIN; ${sql} PRAGMA user_version = ${version}; COMMIT`);
}

/** A database that can be opened but not trusted. */
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
 * What SQLite says, and what that means. The texts are those of `sqlite3_errstr`;
 * result codes (https://www.sqlite.org/rescode.html) would be better, but `exec` gives none.
 */
const SQLITE_REASONS: readonly [RegExp, string][] = [
  [/disk is full/, "the disk is full"],
  [/readonly/, "it is read-only"],
  [/locked/, "another program is using it"],
  [/not a database|malformed/, "it is damaged"],
  [/disk I\/O error/, "reading or writing the disk failed"],
  [/unable to open/, "it cannot be opened"],
];

function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const known = SQLITE_REASONS.find(([pattern]) => pattern.test(message));
  // Deno's own errors end in: (os error 30): mkdir '/home/bob'
  return known?.[1] ?? message.replace(/ \(os error.*/s, "");
}

/** What a failure of the disk, or of SQLite, is to a user. */
export function diskError(cause: unknown): GreetError {
  if (cause instanceof GreetError) return cause;
  return new GreetError("FAILED", `the journal cannot be used: ${reasonOf(cause)}`, { cause });
}

function cannotKeep(path: string, cause: unknown): GreetError {
  if (cause instanceof GreetError) return cause;
  const hint = cause instanceof UnusableFile ? cause.hint : undefined;
  return new GreetError("FAILED", `cannot keep a journal in ${path}: ${reasonOf(cause)}`, {
    hint: hint ??
      "name another folder with --home DIR or GREET_HOME, or keep nothing: --no-journal",
    cause,
  });
}
