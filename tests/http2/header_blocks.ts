/**
 * Encodes header blocks of known decoded size, independently of the code that measures them.
 *
 * @module
 */

/** Returns a random number below a bound. */
export type Below = (bound: number) => number;

const STATIC_TABLE = `:authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|
:scheme https|:status 200|:status 204|:status 206|:status 304|:status 400|:status 404|:status 500|
accept-charset|accept-encoding gzip, deflate|accept-language|accept-ranges|accept|
access-control-allow-origin|age|allow|authorization|cache-control|content-disposition|content-encoding|
content-language|content-length|content-location|content-range|content-type|cookie|date|etag|expect|
expires|from|host|if-match|if-modified-since|if-none-match|if-range|if-unmodified-since|last-modified|
link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|
server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate`
  .replaceAll("\n", "").split("|").map((line) => {
    const [, name, value] = /^(\S+) ?(.*)$/.exec(line)!;
    return { name: name.length, value: value.length };
  });

/** The lengths of a field's name and value. */
interface Field {
  readonly name: number;
  readonly value: number;
}

function sizeOf({ name, value }: Field): number {
  return name + value + 32;
}

/** Encodes an HPACK integer. Source: RFC 7541, section 5.1. */
export function integer(value: number, bits: number, first: number): number[] {
  const max = 2 ** bits - 1;
  if (value < max) return [first | value];
  const bytes = [first | max];
  for (value -= max; value >= 128; value = Math.floor(value / 128)) bytes.push(value % 128 | 128);
  return [...bytes, value];
}

/** Encodes a text of a given length, without Huffman coding. */
export function text(length: number): number[] {
  return [...integer(length, 7, 0), ...Array(length).fill(120)];
}

/** Encodes a frame. Source: RFC 9113, section 4.1. */
export function frame(type: number, flags: number, stream: number, payload: readonly number[]) {
  const { length } = payload;
  const header = [length >> 16, length >> 8 & 255, length & 255, type, flags];
  return Uint8Array.of(...header, 0, 0, stream >> 8, stream & 255, ...payload);
}

/** Encodes random blocks as an ordinary sender does, with a dynamic table that evicts entries. */
export class RandomBlocks {
  readonly #below: Below;
  #table: Field[] = [];
  #tableLimit = 4_096;

  constructor(below: Below) {
    this.#below = below;
  }

  /** Encodes a block, and returns it with its decoded size. */
  next(): { bytes: number[]; size: number } {
    const bytes = this.#below(5) === 0 ? this.#resize() : [];
    let size = 0;
    const unrepeated = [...this.#table];
    for (let fields = 1 + this.#below(20); fields > 0; fields--) {
      const [field, encoded] = this.#field(unrepeated);
      size += sizeOf(field);
      bytes.push(...encoded);
    }
    return { bytes, size };
  }

  #resize(): number[] {
    this.#tableLimit = this.#below(4_097);
    this.#evict();
    return integer(this.#tableLimit, 5, 0x20);
  }

  #field(unrepeated: Field[]): [Field, number[]] {
    const repeated = unrepeated.pop();
    const index = repeated === undefined ? -1 : this.#table.indexOf(repeated);
    if (this.#below(4) === 0) {
      const place = this.#below(STATIC_TABLE.length);
      return [STATIC_TABLE[place], integer(place + 1, 7, 0x80)];
    }
    if (index !== -1 && this.#below(2) === 0) return [repeated!, integer(index + 62, 7, 0x80)];
    return this.#literal();
  }

  #literal(): [Field, number[]] {
    const isKept = this.#below(2) === 0;
    const [bits, first] = isKept ? [6, 0x40] : [4, this.#below(2) * 0x10];
    const known = [...STATIC_TABLE, ...this.#table];
    const index = this.#below(known.length + 1);
    const name = index === 0 ? this.#below(30) : known[index - 1].name;
    const field = { name, value: this.#below(10) === 0 ? this.#below(1_000) : this.#below(60) };
    const encodedName = index === 0 ? [first, ...text(name)] : integer(index, bits, first);
    if (isKept) {
      this.#table.unshift(field);
      this.#evict();
    }
    return [field, [...encodedName, ...text(field.value)]];
  }

  #evict(): void {
    let room = this.#tableLimit;
    const first = this.#table.findIndex((field) => (room -= sizeOf(field)) < 0);
    if (first !== -1) this.#table.length = first;
  }
}
