/**
 * Writes small files that survive a power failure: completely or not at all.
 *
 * Each is written as a draft next to its path, forced to the disk, and only then given its name.
 * Without the middle step, some file systems keep the name and lose the content.
 *
 * @module
 */
import { dirname } from "node:path";

/**
 * Creates a file with mode 0600. If another process was faster, its file is kept.
 *
 * @param path where, in a folder that exists
 * @param text the content
 * @throws the system's error if it cannot be stored; nothing is left at the path then
 */
export function createDurably(path: string, text: string): void {
  withDraft(path, text, (draft) => {
    try {
      // FAT and some network drives have no hard links.
      if (!link(draft, path)) writeToDisk(path, text);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
  });
}

/**
 * Replaces a file, or creates it, with mode 0600.
 *
 * @param path where, in a folder that exists; not a symbolic link
 * @param text the new content
 * @throws the system's error if it cannot be stored; the old content is kept then
 */
export function replaceDurably(path: string, text: string): void {
  withDraft(path, text, (draft) => Deno.renameSync(draft, path));
}

function withDraft(path: string, text: string, publish: (draft: string) => void): void {
  const draft = `${path}.${crypto.randomUUID()}`;
  writeToDisk(draft, text);
  try {
    publish(draft);
  } finally {
    removeIfExists(draft);
  }
  syncFolder(dirname(path));
}

/** Writes a file that must not exist yet; removes it if that fails. */
function writeToDisk(path: string, text: string): void {
  using file = Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
  try {
    const bytes = new TextEncoder().encode(text);
    for (let written = 0; written < bytes.length;) {
      written += file.writeSync(bytes.subarray(written));
    }
    file.syncSync();
  } catch (error) {
    removeIfExists(path);
    throw error;
  }
}

/** Returns whether the file system has hard links. */
function link(from: string, to: string): boolean {
  try {
    Deno.linkSync(from, to);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) throw error;
    return false;
  }
}

function removeIfExists(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Forces a folder's list of files to the disk, where the system allows that. Windows does not. */
function syncFolder(path: string): void {
  try {
    using folder = Deno.openSync(path);
    folder.syncSync();
  } catch {
    // The content is on disk. SQLite ignores this failure as well.
  }
}
