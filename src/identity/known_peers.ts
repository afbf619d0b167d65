/**
 * Who has which key, as it was seen when they were first met.
 *
 * It is a plain file that people can read and edit: a fingerprint and a name a line. It is read
 * again when it has changed, so what is edited counts at once. A line that makes no sense is an
 * error and not skipped, because it may be the one that matters; so is a file that other users can
 * write to.
 *
 * @module
 */
import { dirname, join } from "node:path";
import { GreetError } from "../base/errors.ts";
import {
  makePrivate,
  readSmallFile,
  requirePrivateFolder,
  statFile,
  UnusableFile,
} from "../base/private_files.ts";
import { isFingerprint, storedNameProblem } from "../base/text.ts";

/** A key, and whose it is. */
export interface KnownPeer {
  readonly fingerprint: string;
  readonly name: string;
}

const HEADER = `# Who has which key, remembered when they were first met.
# Whoever comes with another key under one of these names is refused. To let somebody
# in who has a new key, remove their line; to let them use both, add one.
`;

/** How long another process may keep us from adding a peer, in milliseconds; it needs about one. */
const LOCK_TIMEOUT_MS = 200;

/** How coarse the times of files may be, in milliseconds: on FAT as coarse as that. */
const TICK_MS = 2_000;

/** What differs whenever a file may have changed; nothing where there is none. */
type Version = string | symbol | undefined;

/** The peers that we know. */
export class KnownPeers {
  /** Where they are kept; nowhere, where they are forgotten in the end. */
  readonly file: string | undefined;
  #kept: readonly KnownPeer[] = [];
  readonly #unkept: KnownPeer[] = [];
  #read: Version;

  private constructor(file: string | undefined) {
    this.file = file;
  }

  /**
   * Those in the file `known_peers` of a home directory.
   *
   * @throws {GreetError} `FAILED` where it cannot be read, or a line makes no sense; so do all
   *   methods, if that happens later
   */
  static in(home: string): KnownPeers {
    const known = new KnownPeers(join(home, "known_peers"));
    known.#refresh();
    return known;
  }

  /** Nobody yet, and nothing is kept on disk. */
  static inMemory(): KnownPeers {
    return new KnownPeers(undefined);
  }

  /** All of them, in the order in which they were met. */
  get peers(): readonly KnownPeer[] {
    this.#refresh();
    return [...this.#kept, ...this.#unkept];
  }

  /** The keys that somebody of that name may have. */
  keysOf(name: string): string[] {
    return this.peers.filter((peer) => peer.name === name).map(({ fingerprint }) => fingerprint);
  }

  /** The names under which a key is known. */
  namesOf(fingerprint: string): string[] {
    return this.peers.filter((peer) => peer.fingerprint === fingerprint).map(({ name }) => name);
  }

  /**
   * Binds a name to a key, unless the name is already bound. Of several processes that share the
   * file, one wins.
   *
   * @returns whether the name was free
   * @throws {GreetError} `FAILED` where it cannot be written; then it is bound all the same, until
   *   the end of the process. `UNAVAILABLE` where another process has locked the file; then it is not
   */
  remember(peer: KnownPeer): boolean {
    if (this.keysOf(peer.name).length > 0) return false;
    if (this.file === undefined) this.#unkept.push(peer);
    else return this.#append(this.file, peer);
    return true;
  }

  #append(file: string, peer: KnownPeer): boolean {
    try {
      begin(file);
      using _lock = lock(file);
      if (this.keysOf(peer.name).length > 0) return false;
      const gap = Deno.readTextFileSync(file).endsWith("\n") ? "" : "\n";
      Deno.writeTextFileSync(file, `${gap}${peer.fingerprint} ${peer.name}\n`, { append: true });
      return true;
    } catch (cause) {
      if (cause instanceof GreetError) throw cause;
      this.#unkept.push(peer);
      throw unusable(file, "written", cause);
    }
  }

  #refresh(): void {
    if (this.file === undefined) return;
    const version = versionOf(this.file);
    if (version === this.#read) return;
    this.#kept = version === undefined ? [] : parse(this.file);
    this.#read = version;
  }
}

function versionOf(file: string): Version {
  try {
    requirePrivateFolder(dirname(file));
    makePrivate(file);
    const info = statFile(file);
    if (info === undefined) return undefined;
    const { mtime, size, ino } = info;
    const at = mtime?.getTime();
    // What was written just now may be written again, and look the same.
    const isSettled = at !== undefined && Date.now() - at > TICK_MS;
    return isSettled ? `${at} ${size} ${ino}` : Symbol();
  } catch (cause) {
    throw unusable(file, "read", cause);
  }
}

function begin(file: string): void {
  try {
    Deno.mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // Another process may be faster, and append before this is written.
    Deno.writeTextFileSync(file, HEADER, { createNew: true, append: true, mode: 0o600 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}

/**
 * Keeps other processes from adding peers. The lock is on a file of its own, because editors put a
 * new file in the place of the one that they have read.
 *
 * @returns what releases the lock when it is disposed of
 */
function lock(file: string): Disposable {
  const handle = Deno.openSync(`${file}.lock`, { create: true, write: true, mode: 0o600 });
  const deadline = performance.now() + LOCK_TIMEOUT_MS;
  const clock = new Int32Array(new SharedArrayBuffer(4));
  while (!handle.tryLockSync(true)) {
    if (performance.now() > deadline) {
      handle.close();
      throw new GreetError("UNAVAILABLE", `another process has locked ${file}`);
    }
    Atomics.wait(clock, 0, 0, 1);
  }
  return handle;
}

function parse(file: string): KnownPeer[] {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(readSmallFile(file));
  } catch (cause) {
    throw unusable(file, "read", cause);
  }
  // Some editors begin a file with a mark.
  return text.replace(/^\uFEFF/, "").split(/\r?\n/).flatMap((line, i) => {
    if (line.trim() === "" || line.startsWith("#")) return [];
    const [, fingerprint, name] = /^(\S+)\s+(.*?)\s*$/.exec(line) ?? [];
    if (isFingerprint(fingerprint ?? "") && storedNameProblem(name) === undefined) {
      return [{ fingerprint, name }];
    }
    throw new GreetError("FAILED", `line ${i + 1} of ${file} is not SHA256:… and a name`, {
      hint: "mend the line, or remove it if you do not need it",
    });
  });
}

function unusable(file: string, done: "read" | "written", cause: unknown): GreetError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const reason = message.replace(/ \(os error.*/s, "");
  const hint = cause instanceof UnusableFile ? cause.hint : undefined;
  return new GreetError("FAILED", `${file} cannot be ${done}: ${reason}`, { hint, cause });
}
