/**
 * Checks that files are private to the user, and reads small files.
 *
 * Symbolic links are followed: the checks apply to the file at the end. Callers turn an
 * {@link UnusableFile} into an error message of their own.
 *
 * @module
 */
import { dirname } from "node:path";
import { shellWord } from "./shell_word.ts";

/** The largest file that {@link readSmallFile} reads, in bytes. */
export const SMALL_FILE_BYTES = 1_000_000;

/** Permission bits of the group and of other users. */
const OTHERS_WRITE = 0o022;
const OTHERS_ANYTHING = 0o077;
const STICKY = 0o1000;

const NOT_REGULAR = "it is not a regular file";

/** A file that must not be used. The message completes a sentence that names the file. */
export class UnusableFile extends Error {
  constructor(readonly path: string, message: string, readonly hint?: string) {
    super(message);
  }
}

/**
 * Inspects a file without opening it, because opening a named pipe would block.
 *
 * @returns `undefined` if there is no file at this path
 * @throws {UnusableFile} if it is not a regular file
 */
export function statFile(path: string): Deno.FileInfo | undefined {
  const info = stat(path);
  if (info === undefined || info.isFile) return info;
  throw new UnusableFile(path, info.isDirectory ? "Is a directory" : NOT_REGULAR);
}

function stat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (isDeviceError(error)) throw new UnusableFile(path, NOT_REGULAR);
    throw error;
  }
}

/** The runtime requires all permissions for devices such as `/dev/full`, without a prompt. */
function isDeviceError(error: unknown): boolean {
  return error instanceof Deno.errors.NotCapable && error.message.startsWith("Requires all access");
}

/**
 * Reads a regular file of at most {@link SMALL_FILE_BYTES}.
 *
 * @throws {UnusableFile} if it is larger, or not a regular file
 */
export function readSmallFile(path: string): Uint8Array<ArrayBuffer> {
  const size = statFile(path)?.size ?? 0;
  if (size > SMALL_FILE_BYTES) throw new UnusableFile(path, "it is larger than 1 MB");
  return Deno.readFileSync(path);
}

/** Whether the group or other users have any access to a file. */
export function isShared({ mode }: Deno.FileInfo): boolean {
  return hasModes(mode) && (mode & OTHERS_ANYTHING) !== 0;
}

/** Whether the group or other users can write to a file. */
export function isWritableByOthers({ mode }: Deno.FileInfo): boolean {
  return hasModes(mode) && (mode & OTHERS_WRITE) !== 0;
}

/**
 * Checks that no other user could have changed a file.
 *
 * @throws {UnusableFile} if it belongs to another user (except root) or is writable by others
 */
export function requireOurs(path: string, { mode, uid }: Deno.FileInfo): void {
  if (!hasModes(mode)) return;
  if (uid !== null && uid !== 0 && uid !== (ownUid(path) ?? uid)) {
    const hint = "take ownership of it if you trust its contents, or choose another --home";
    throw new UnusableFile(path, "it belongs to another user", hint);
  }
  if ((mode & OTHERS_WRITE) === 0) return;
  const hint = `check its contents, then run: chmod 600 ${shellWord(path)}`;
  throw new UnusableFile(path, "other users can write to it", hint);
}

/**
 * Checks that no other user could have changed a file, and makes it unreadable for them.
 *
 * @returns whether other users had access to it until now; `false` if there is no such file
 * @throws {UnusableFile} as {@link requireOurs} and {@link statFile} do
 */
export function makePrivate(path: string): boolean {
  const info = statFile(path);
  if (info === undefined) return false;
  requireOurs(path, info);
  if (!isShared(info)) return false;
  Deno.chmodSync(path, info.mode! & 0o700);
  return true;
}

/**
 * Checks that no other user can replace the files in a folder, if it exists. Folders such as
 * `/tmp`, where users can only remove their own files, are accepted.
 *
 * @throws {UnusableFile} if other users can replace files
 */
export function requirePrivateFolder(path: string): void {
  const mode = stat(path)?.mode ?? null;
  if (!hasModes(mode) || (mode & OTHERS_WRITE) === 0 || (mode & STICKY) !== 0) return;
  const hint = `chmod go-w ${shellWord(path)}`;
  throw new UnusableFile(path, `other users can write to the folder ${path}`, hint);
}

function hasModes(mode: number | null): mode is number {
  return mode !== null && Deno.build.os !== "windows";
}

/** The cached result of {@link ownUid}. */
let cachedUid: number | undefined;

/** Finds our user id by creating a file, because asking the system requires another permission. */
function ownUid(path: string): number | undefined {
  if (cachedUid !== undefined) return cachedUid;
  try {
    const probe = Deno.makeTempFileSync({ dir: dirname(path), prefix: ".owner-" });
    try {
      cachedUid = Deno.statSync(probe).uid ?? undefined;
    } finally {
      Deno.removeSync(probe);
    }
  } catch {
    // The folder is not writable: only the permission bits can be checked.
  }
  return cachedUid;
}
