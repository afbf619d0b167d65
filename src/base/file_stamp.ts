/**
 * Tells whether a file may have changed since it was last read.
 *
 * @module
 */

/** How coarse the times of files can be, in milliseconds: two seconds on FAT. */
const COARSE_MS = 2_000;

/** Differs from an earlier stamp of the same path whenever the file may have changed. */
export type FileStamp = string | symbol;

/**
 * A stamp of a file as it is now.
 *
 * A file that was written a moment ago could be written again without a visible change of its
 * time, so until that can no longer happen every stamp is new.
 */
export function fileStamp({ mtime, size, ino }: Deno.FileInfo): FileStamp {
  const at = mtime?.getTime();
  const isSettled = at !== undefined && Date.now() - at > COARSE_MS;
  return isSettled ? `${at} ${size} ${ino}` : Symbol();
}
