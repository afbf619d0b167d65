/**
 * Files that must belong to the user alone, and bounded reads of small ones.
 *
 * Symbolic links are followed, so a home directory may lie elsewhere; what counts is the file at
 * the end. Callers turn an {@link UnusableFile} into a sentence of their own.
 *
 * @module
 */
import { dirname } from "node:path";

/** The largest file that {@link readSmallFile} reads, in bytes. */
export const SMALL_FILE_BYTES = 1_000_000;

/** Permission bits: what the group and other users may do. */
const OTHERS_WRITE = 0o022;
const OTHERS_ANYTHING = 0o077;
const STICKY = 0o1000;

const NOT_REGULAR = "it is not a regular file";

/** A file that must not be used. The message continues a sentence that names the file. */
export class UnusableFile extends Error {
  constructor(readonly path: string, message: string, readonly hint?: string) {
    super(message);
  }
}

/**
 * Looks at a file without opening it: opening a named pipe would block.
 *
 * @returns nothing where the path leads nowhere
 * @throws {UnusableFile} where it leads to anything but a regular file
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

/** The runtime guards devices such as `/dev/full` by a permission that is never asked for. */
function isDeviceError(error: unknown): boolean {
  return error instanceof Deno.errors.NotCapable && error.message.startsWith("Requires all access");
}

/**
 * Reads a regular file of at most {@link SMALL_FILE_BYTES}.
 *
 * @throws {UnusableFile} where it is larger, or not a regular file
 */
export function readSmallFile(path: string): Uint8Array<ArrayBuffer> {
  const size = statFile(path)?.size ?? 0;
  if (size > SMALL_FILE_BYTES) throw new UnusableFile(path, "it is larger than 1 MB");
  return Deno.readFileSync(path);
}

/** Whether the group or other users may do anything with a file. */
export function isShared({ mode }: Deno.FileInfo): boolean {
  return hasModes(mode) && (mode & OTHERS_ANYTHING) !== 0;
}

/**
 * Makes sure that nobody else could have changed a file.
 *
 * @throws {UnusableFile} where it belongs to another user (root excepted), or others can write to it
 */
export function requireOurs(path: string, { mode, uid }: Deno.FileInfo): void {
  if (!hasModes(mode)) return;
  if (uid !== null && uid !== 0 && uid !== (ownUid(path) ?? uid)) {
    const hint = "take over ownership if you trust what is in it, or choose another --home";
    throw new UnusableFile(path, "it belongs to another user", hint);
  }
  if ((mode & OTHERS_WRITE) === 0) return;
  const hint = `check what is in it, then: chmod 600 ${path}`;
  throw new UnusableFile(path, "other users can write to it", hint);
}

/**
 * Makes sure that nobody else could have changed a file, and that nobody else can read it from now on.
 *
 * @returns whether others could read it; `false` where there is no such file
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
 * Makes sure that nobody else can replace the files in a folder, if it exists. Folders like `/tmp`,
 * where everyone may add files but touch only their own, will do.
 *
 * @throws {UnusableFile} where others can
 */
export function requirePrivateFolder(path: string): void {
  const mode = stat(path)?.mode ?? null;
  if (!hasModes(mode) || (mode & OTHERS_WRITE) === 0 || (mode & STICKY) !== 0) return;
  throw new UnusableFile(path, `other users can write to the folder ${path}`, `chmod go-w ${path}`);
}

function hasModes(mode: number | null): mode is number {
  return mode !== null && Deno.build.os !== "windows";
}

/** Our user id, once it is known. */
let known: number | undefined;

/** Learns our user id from a new file, because asking the system would need one more permission. */
function ownUid(path: string): number | undefined {
  if (known !== undefined) return known;
  try {
    const probe = Deno.makeTempFileSync({ dir: dirname(path), prefix: ".owner-" });
    try {
      known = Deno.statSync(probe).uid ?? undefined;
    } finally {
      Deno.removeSync(probe);
    }
  } catch {
    // In a folder that we cannot write to, the permission bits have to do.
  }
  return known;
}
