/**
 * Detects whether a file may have changed since it was last read.
 *
 * @module
 */

/** The coarsest resolution of modification times, in milliseconds: FAT has two seconds. */
const COARSE_MS = 2_000;

/** Equals an earlier stamp of the same path only if the file is unchanged since then. */
export type FileStamp = string | symbol;

/**
 * Stamps a file in its current state.
 *
 * A file that was just written can be written again without a visible change of its modification
 * time, so it gets a new stamp each time until its modification time is old enough.
 */
export function fileStamp({ mtime, size, ino }: Deno.FileInfo): FileStamp {
  const at = mtime?.getTime();
  const isSettled = at !== undefined && Date.now() - at > COARSE_MS;
  return isSettled ? `${at} ${size} ${ino}` : Symbol();
}
