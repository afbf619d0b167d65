/**
 * Reads what `deno compile` embeds in an executable: the `d3n0l4nd` section, as the base runtime
 * reads it at start-up. The format is Deno 2.9's own and undocumented; anything unexpected throws.
 *
 * @module
 */
import assert from "node:assert/strict";

/** Where a file's bytes are: an offset in the files' data, and a length. */
type Place = readonly [offset: number, length: number];

/** A folder, a file or a link in the embedded tree. */
type Entry =
  | { Dir: { n: string; e: readonly Entry[] } }
  | { File: { n: string; o: Place; m?: Place } };

/** What an executable tells the base runtime, as far as it is used here. */
export interface Metadata {
  readonly argv: readonly string[];
  /** `allow_net`, `deny_net` and so on: null for nothing, an empty list for everything. */
  readonly permissions: Readonly<Record<string, readonly string[] | boolean | null>>;
  readonly v8_flags: readonly string[];
  readonly workspace_resolver: { readonly import_map: unknown };
  readonly entrypoint_key: string;
  readonly [name: string]: unknown;
}

/** What an executable carries. */
export interface Executable {
  readonly metadata: Metadata;
  /** Contents by path. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

const MAGIC = "d3n0l4nd";

/** Takes numbers, texts and bytes from the front of a section. */
class Section {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  take(length: number): Uint8Array {
    assert(this.#at + length <= this.#bytes.length, "the section ends early");
    return this.#bytes.subarray(this.#at, this.#at += length);
  }

  number(): number {
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, true);
  }

  text(): string {
    return new TextDecoder().decode(this.take(this.number()));
  }

  /** Bytes with their length, in 64 bits, before them. */
  block(): Uint8Array {
    this.#at += 8;
    return this.take(Number(this.#view.getBigUint64(this.#at - 8, true)));
  }
}

/** Reads the section of an executable that `deno compile` wrote, for any system. */
export async function readExecutable(path: string): Promise<Executable> {
  const bytes = await Deno.readFile(path);
  const section = new Section(bytes.subarray(findSection(bytes)));
  section.take(MAGIC.length);
  const metadata = parse<Metadata>(section.block());
  assert.equal(section.block().length, 0, "there are packages from npm");
  for (const what of ["specifiers", "redirects", "remote modules"]) {
    assert.equal(section.number(), 0, `there are ${what}`);
  }
  const tree = parse<Entry[]>(section.block());
  const files = new Map(listFiles(tree, section.block()));
  assert.equal(new TextDecoder().decode(section.take(MAGIC.length)), MAGIC);
  return { metadata, files };
}

function parse<T>(json: Uint8Array): T {
  return JSON.parse(new TextDecoder().decode(json));
}

/** Where the section begins: at the magic word that the metadata follows. */
function findSection(bytes: Uint8Array): number {
  const text = new TextDecoder("latin1").decode(bytes);
  const found = /d3n0l4nd.{8}\{"argv":/s.exec(text);
  assert(found, "nothing is embedded");
  return found.index;
}

/** Lists the files below some entries, with their paths and contents. */
function* listFiles(
  entries: readonly Entry[],
  data: Uint8Array,
  folder = "",
): Generator<[path: string, contents: Uint8Array]> {
  for (const entry of entries) {
    if ("Dir" in entry) {
      yield* listFiles(entry.Dir.e, data, `${folder}${entry.Dir.n}/`);
    } else {
      assert("File" in entry, "there is a link");
      const { n, o, m } = entry.File;
      const [offset, length] = m ?? o;
      yield [folder + n, data.subarray(offset, offset + length)];
    }
  }
}
