/**
 * Simulates power failures: replays what a program wrote to the files of a folder, as strace recorded
 * it, and makes folders as a disk may hold them if the power fails at some point.
 *
 * What was forced to the disk is there. Of the rest, any writes may be missing or torn, and names
 * that were given, changed or removed take effect in order, up to some point. Memory-mapped files
 * are ignored: SQLite builds its `-shm` file again.
 *
 * @module
 */
import { dirname, join } from "node:path";

/** The strace options that record what is needed. */
export const RECORDING = [
  ...["-f", "-qq", "-y", "-xx", "-s", "1000000", "-e"],
  "trace=openat,mkdir,write,pwrite64,ftruncate,fsync,fdatasync,rename,linkat,unlink,close",
];

/** One recorded system call that succeeded. */
interface Call {
  readonly name: string;
  /** Its strings and the files of its descriptors, decoded as far as they are paths. */
  readonly texts: readonly string[];
  /** Its last string, for calls that write. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly args: string;
  readonly result: number;
}

/** Disks write this many bytes completely or not at all. */
const SECTOR_BYTES = 512;

type Change = (content: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>;

/** A file, whatever its names. */
class Inode {
  durable: Uint8Array<ArrayBuffer> = new Uint8Array();
  pending: ((random: () => number) => Change)[] = [];

  sync(): void {
    const all = () => 1;
    for (const change of this.pending) this.durable = change(all)(this.durable);
    this.pending = [];
  }

  /** What is left of it after a power failure. */
  remains(random: () => number): Uint8Array<ArrayBuffer> {
    const survivors = this.pending.filter(() => random() < 0.5);
    return survivors.reduce((content, change) => change(random)(content), this.durable);
  }
}

type Naming = (names: Map<string, Inode>) => void;

/** A folder that a program writes to. */
export class RecordedDisk {
  /** How often its files, or their names, were changed or forced to the disk. */
  changes = 0;
  readonly #folder: string;
  readonly #names = new Map<string, Inode>();
  readonly #durableNames = new Map<string, Inode>();
  #pendingNames: { folder: string; apply: Naming }[] = [];
  readonly #open = new Map<number, { inode: Inode | undefined; at: number }>();
  /** The beginnings of calls during which another thread made one, by thread. */
  readonly #unfinished = new Map<string, string>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Applies one line of the record. Returns what it wrote to standard output, if anything. */
  apply(line: string): string | undefined {
    const call = parse(this.#completed(line));
    if (call === undefined) return undefined;
    const descriptor = Number(/^\d+/.exec(call.args)?.[0]);
    if (call.name === "write" && descriptor === 1) return new TextDecoder().decode(call.bytes);
    this.#file(call, descriptor);
    this.#name(call);
  }

  /** Writes to a folder what a disk may hold if the power fails now. */
  fail(to: string, random: () => number): void {
    const names = new Map(this.#durableNames);
    const count = Math.floor(random() * (this.#pendingNames.length + 1));
    for (const { apply } of this.#pendingNames.slice(0, count)) apply(names);
    for (const [path, inode] of names) {
      const copy = join(to, path.slice(this.#folder.length));
      Deno.mkdirSync(dirname(copy), { recursive: true, mode: 0o700 });
      Deno.writeFileSync(copy, inode.remains(random), { mode: 0o600 });
    }
  }

  /** A call that strace has split is complete at its second line. */
  #completed(line: string): string {
    const [, thread, rest] = /^(\d+) +(.*)$/.exec(line) ?? [];
    if (thread === undefined) return "";
    if (rest.endsWith(" <unfinished ...>")) {
      this.#unfinished.set(thread, rest.slice(0, -" <unfinished ...>".length));
      return "";
    }
    const end = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)?.[1];
    return end === undefined ? line : `${thread} ${this.#unfinished.get(thread)}${end}`;
  }

  /** Calls on open files. */
  #file({ name, texts, bytes, args, result }: Call, descriptor: number): void {
    const file = this.#open.get(descriptor);
    const inode = file?.inode;
    if (name === "openat") this.#opened(texts[1] ?? texts[0], args, result);
    if (name === "close") this.#open.delete(descriptor);
    if (inode !== undefined && name !== "close") this.changes++;
    if (name === "write" && inode !== undefined) {
      inode.pending.push(writing(bytes, file!.at));
      file!.at += bytes.length;
    }
    if (name === "pwrite64") inode?.pending.push(writing(bytes, lastNumber(args)));
    if (name === "ftruncate") {
      inode?.pending.push(() => (content) => resized(content, lastNumber(args)));
    }
    if (name !== "fsync" && name !== "fdatasync") return;
    if (inode !== undefined) inode.sync();
    else this.#syncFolder(texts[0]);
  }

  #opened(path: string, args: string, descriptor: number): void {
    if (!path.startsWith(this.#folder) || path.endsWith("-shm")) return;
    if (!this.#names.has(path) && args.includes("O_CREAT")) {
      const inode = new Inode();
      this.#rename(path, (names) => names.set(path, inode));
    }
    this.#open.set(descriptor, { inode: this.#names.get(path), at: 0 });
  }

  /** Calls that change names. */
  #name({ name, texts }: Call): void {
    const paths = texts.filter((text) => text.startsWith(this.#folder));
    if (paths.length === 0) return;
    const [from, to] = paths;
    if (name === "unlink") this.#rename(from, (names) => names.delete(from));
    if (name !== "rename" && name !== "linkat") return;
    const inode = this.#names.get(from)!;
    this.#rename(to, (names) => names.set(to, inode));
    if (name === "rename") this.#rename(from, (names) => names.delete(from));
  }

  #rename(path: string, apply: Naming): void {
    this.changes++;
    apply(this.#names);
    this.#pendingNames.push({ folder: dirname(path), apply });
  }

  #syncFolder(path: string): void {
    this.changes++;
    for (const { folder, apply } of this.#pendingNames) {
      if (folder === path) apply(this.#durableNames);
    }
    this.#pendingNames = this.#pendingNames.filter(({ folder }) => folder !== path);
  }
}

/** A write, of which only the first sectors may reach the disk. */
function writing(bytes: Uint8Array<ArrayBuffer>, at: number): (random: () => number) => Change {
  return (random) => (content) => {
    const isTorn = random() < 0.3;
    const sectors = Math.floor(random() * bytes.length / SECTOR_BYTES);
    const written = isTorn ? bytes.subarray(0, sectors * SECTOR_BYTES) : bytes;
    const result = resized(content, Math.max(content.length, at + written.length));
    result.set(written, at);
    return result;
  };
}

function resized(content: Uint8Array<ArrayBuffer>, length: number): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(length);
  result.set(content.subarray(0, length));
  return result;
}

function lastNumber(args: string): number {
  return Number(/(\d+)$/.exec(args)![1]);
}

/** Parses a line; nothing if it is something else, or the call failed. */
function parse(line: string): Call | undefined {
  const [, name, args, result] = /^\d+ +(\w+)\((.*)\) += (\d+)/.exec(line) ?? [];
  if (name === undefined) return undefined;
  const strings = [...args.matchAll(/["<]((?:\\x[0-9a-f]{2})*)[">]/g)].map(([, hex]) => hex);
  const isWrite = name.includes("write");
  return {
    name,
    args,
    result: Number(result),
    texts: strings.slice(0, isWrite ? 1 : undefined).map((hex) =>
      new TextDecoder().decode(decode(hex))
    ),
    bytes: isWrite ? decode(strings.at(-1)!) : new Uint8Array(),
  };
}

function decode(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(hex.replaceAll("\\x", ""));
}
