/**
 * Remembers the names and keys of peers.
 *
 * They are stored in a text file that people can edit, with a fingerprint and a name in each line,
 * which is read again when it has changed. An invalid line is an error, because it may be the one
 * that matters; so is a file that other users can write to.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { replaceDurably } from "../base/durable_files.ts";
import { GreetError, systemReason } from "../base/errors.ts";
import { lockFile } from "../base/file_lock.ts";
import { type FileStamp, fileStamp } from "../base/file_stamp.ts";
import {
  makePrivate,
  readSmallFile,
  requirePrivateFolder,
  statFile,
  UnusableFile,
} from "../base/private_files.ts";
import { isFingerprint, storedNameProblem } from "../base/text.ts";

/** A peer's name and key. */
export interface KnownPeer {
  /** The fingerprint of the key: `SHA256:…`. */
  readonly fingerprint: string;
  /** The name under which the peer was met. */
  readonly name: string;
}

const HEADER = `# Peers and their keys, remembered at first contact.
# Anyone who uses one of these names with another key is refused. To accept a new key,
# remove the line with the old one; to accept both, add a line.
`;

/** Another process holds the lock while it forces a file to the disk, which may be a slow one. */
const LOCK_TIMEOUT_MS = 2_000;

/**
 * The known peers, in a file or in memory.
 *
 * @example
 * ```ts
 * import { KnownPeers } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * const known = KnownPeers.inMemory();
 * const fingerprint = "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU";
 * assert(known.remember({ name: "Bob", fingerprint }));
 * assert.deepEqual(known.keysOf("Bob"), [fingerprint]);
 * assert.deepEqual(known.namesOf(fingerprint), ["Bob"]);
 * ```
 */
export class KnownPeers {
  /** The path of the file; `undefined` if peers are only kept in memory. */
  readonly file: string | undefined;
  /** The peers in the file, when it was last read. */
  #stored: readonly KnownPeer[] = [];
  /** Peers that are not in the file. */
  readonly #unstored: KnownPeer[] = [];
  /** The state of the file when it was last read; `undefined` if there was none. */
  #stamp: FileStamp | undefined;

  private constructor(file: string | undefined) {
    this.file = file;
  }

  /**
   * Opens the file `known_peers` in a home directory, which may not exist yet.
   *
   * @param home the home directory; see {@link homeFolder}
   * @throws {GreetError} `FAILED` if it cannot be read or a line is invalid; all methods do the
   *   same if that happens later
   */
  static in(home: string): KnownPeers {
    const known = new KnownPeers(join(home, "known_peers"));
    known.#refresh();
    return known;
  }

  /** Starts with no known peers, and stores nothing on disk. */
  static inMemory(): KnownPeers {
    return new KnownPeers(undefined);
  }

  /** All known peers, in the order in which they were met. */
  get peers(): readonly KnownPeer[] {
    this.#refresh();
    return [...this.#stored, ...this.#unstored];
  }

  /**
   * The keys that are accepted for a name.
   *
   * @param name the exact name
   * @returns their fingerprints; none if the name is unknown
   */
  keysOf(name: string): string[] {
    return this.peers.filter((peer) => peer.name === name).map(({ fingerprint }) => fingerprint);
  }

  /**
   * The names under which a key is known.
   *
   * @param fingerprint the fingerprint of the key: `SHA256:…`
   * @returns none if the key is unknown
   */
  namesOf(fingerprint: string): string[] {
    return this.peers.filter((peer) => peer.fingerprint === fingerprint).map(({ name }) => name);
  }

  /**
   * Binds a name to a key, unless the name is already bound. If several processes bind the same
   * name at once, one of them wins.
   *
   * @param peer the name and the fingerprint of its key
   * @returns whether the name was free
   * @throws {GreetError} `FAILED` if the file cannot be written; the name is then bound until the
   *   end of the process. `UNAVAILABLE` if another process has locked the file; the name is then
   *   not bound
   */
  remember(peer: KnownPeer): boolean {
    if (this.keysOf(peer.name).length > 0) return false;
    if (this.file === undefined) this.#unstored.push(peer);
    else return this.#store(this.file, peer);
    return true;
  }

  /** Replaces the file, because a line that was appended in part would be invalid. */
  #store(file: string, peer: KnownPeer): boolean {
    try {
      Deno.mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
      using _lock = lock(file);
      if (this.keysOf(peer.name).length > 0) return false;
      const { path, text } = contentOf(file);
      const gap = text.endsWith("\n") ? "" : "\n";
      replaceDurably(path, `${text}${gap}${peer.fingerprint} ${peer.name}\n`);
      return true;
    } catch (cause) {
      if (cause instanceof GreetError) throw cause;
      this.#unstored.push(peer);
      throw unusable(file, "written", cause);
    }
  }

  #refresh(): void {
    if (this.file === undefined) return;
    const stamp = stampOf(this.file);
    if (stamp === this.#stamp) return;
    this.#stored = stamp === undefined ? [] : parse(this.file);
    this.#stamp = stamp;
  }
}

function stampOf(file: string): FileStamp | undefined {
  try {
    requirePrivateFolder(dirname(file));
    makePrivate(file);
    const info = statFile(file);
    return info && fileStamp(info);
  } catch (cause) {
    throw unusable(file, "read", cause);
  }
}

/** The text of a file or, if there is none, of a new one, and its path without symbolic links. */
function contentOf(file: string): { path: string; text: string } {
  try {
    Deno.lstatSync(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { path: file, text: HEADER };
    throw error;
  }
  return { path: Deno.realPathSync(file), text: readText(file) };
}

function readText(file: string): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(readSmallFile(file));
}

/**
 * Keeps other processes from adding peers. The lock is a separate file, because editors replace the
 * file that they have read.
 *
 * @returns a lock that is released when it is disposed
 */
function lock(file: string): Disposable {
  const handle = lockFile(`${file}.lock`, LOCK_TIMEOUT_MS);
  if (handle !== undefined) return handle;
  throw new GreetError("UNAVAILABLE", `another process has locked ${file}`);
}

function parse(file: string): KnownPeer[] {
  let text: string;
  try {
    text = readText(file);
  } catch (cause) {
    throw unusable(file, "read", cause);
  }
  // Some editors write a byte order mark.
  return text.replace(/^\uFEFF/, "").split(/\r?\n/).flatMap((line, i) => {
    if (line.trim() === "" || line.startsWith("#")) return [];
    const [, fingerprint, name] = /^(\S+)\s+(.*?)\s*$/.exec(line) ?? [];
    if (isFingerprint(fingerprint ?? "") && storedNameProblem(name) === undefined) {
      return [{ fingerprint, name }];
    }
    throw new GreetError(
      "FAILED",
      `line ${i + 1} of ${file} is not a fingerprint (SHA256:…) and a name`,
      {
        hint: "correct the line, or remove it if you do not need it",
      },
    );
  });
}

function unusable(file: string, done: "read" | "written", cause: unknown): GreetError {
  const reason = systemReason(cause);
  const hint = cause instanceof UnusableFile ? cause.hint : undefined;
  return new GreetError("FAILED", `${file} cannot be ${done}: ${reason}`, { hint, cause });
}
