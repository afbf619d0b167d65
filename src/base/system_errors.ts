/**
 * Explains errors of the operating system.
 *
 * The wording is ours, because Windows explains its errors in the language of the user, and other
 * systems each in their own words.
 *
 * @module
 */

/** The errors that files, folders and sockets can cause. */
const BY_CODE: Readonly<Record<string, string>> = {
  EACCES: "Permission denied",
  EBUSY: "Another program is using it",
  EDQUOT: "Disk quota exceeded",
  EEXIST: "File exists",
  EINVAL: "Invalid argument",
  EIO: "Input/output error",
  EISDIR: "Is a directory",
  ELOOP: "Too many levels of symbolic links",
  EMFILE: "Too many open files",
  ENAMETOOLONG: "File name too long",
  ENFILE: "Too many open files in system",
  ENOENT: "No such file or directory",
  ENOMEM: "Cannot allocate memory",
  ENOSPC: "No space left on device",
  ENOTDIR: "Not a directory",
  ENXIO: "No such device or address",
  EPERM: "Operation not permitted",
  EPIPE: "Broken pipe",
  EROFS: "Read-only file system",
};

/**
 * Explains an error of the operating system.
 *
 * @returns a phrase without a full stop; nothing if it is another error, or a rare one
 */
export function systemMessage(error: unknown): string | undefined {
  const { code } = error instanceof Error ? error as NodeJS.ErrnoException : {};
  return code !== undefined && Object.hasOwn(BY_CODE, code) ? BY_CODE[code] : undefined;
}
