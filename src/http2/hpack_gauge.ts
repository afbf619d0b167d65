/**
 * Measures HTTP/2 header blocks without decoding them.
 *
 * HPACK lets a few bytes represent many: a field that was sent once can be repeated by its index. A
 * {@link HpackGauge} parses blocks just far enough to know the size of each field, so that a block
 * can be refused before it is decoded.
 *
 * @module
 */

import { COMPRESSION_ERROR, ENHANCE_YOUR_CALM } from "./frames.ts";

/** The most fields that a block may have. */
export const MAX_FIELDS = 100;

/** The largest block, measured as in RFC 9113, section 6.5.2 (SETTINGS_MAX_HEADER_LIST_SIZE). */
export const MAX_BLOCK_BYTES = 32_768;

/**
 * How many bytes a block may repeat from the dynamic table. An ordinary sender repeats each entry
 * at most once in a block, so it stays within the table's 4,096 bytes; the rest is for
 * Huffman-coded text, which can be overestimated.
 */
export const MAX_REPEATED_BYTES = 8_192;

/**
 * The bytes that each field counts in addition to its name and value. Source: RFC 9113, section
 * 6.5.2.
 */
const FIELD_OVERHEAD = 32;

/**
 * The shortest Huffman code has 5 bits, so 5 encoded bytes decode to at most 8. Source: RFC 7541,
 * appendix B.
 */
const HUFFMAN_RATIO = 8 / 5;

/**
 * The lengths of names and values in the static table, from index 1. Source: RFC 7541, appendix A.
 */
const STATIC_NAMES = Uint8Array.of(
  ...[10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16],
  ...[16, 14, 16, 13, 12, 6, 4, 4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7],
  ...[11, 6, 10, 25, 17, 10, 4, 3, 16],
);
const STATIC_VALUES = new Uint8Array(STATIC_NAMES.length);
STATIC_VALUES.set([0, 3, 4, 1, 11, 4, 5, 3, 3, 3, 3, 3, 3, 3, 0, 13], 0);

/**
 * The largest dynamic table: HTTP/2's default, which neither side changes. Source: RFC 9113,
 * section 6.5.2.
 */
const TABLE_BYTES = 4_096;

/**
 * The most entries in the table; each counts at least its overhead. Source: RFC 7541, section 4.1.
 */
const MAX_ENTRIES = TABLE_BYTES / FIELD_OVERHEAD;

/**
 * Lengths, indexes and table sizes within the limits take at most this many bytes after their
 * prefix.
 */
const MAX_CONTINUATIONS = 3;

/** The meaning of the next byte. */
type Expected = "field" | "integer" | "name" | "value" | "text";

/** The meaning of an integer. */
type Meaning = "field index" | "name index" | "table size" | "name length" | "value length";

/**
 * Measures the header blocks that arrive on one connection, which share a dynamic table.
 *
 * Sizes are exact for plain text. Huffman-coded text counts as the longest text that its encoded
 * length allows, so sizes are never underestimated. The newest entry of the dynamic table always
 * has index 62, so remembering the most recent entries suffices, even if some have been evicted.
 */
export class HpackGauge {
  #fields = 0;
  #bytes = 0;
  #repeatedBytes = 0;
  #expected: Expected = "field";
  #meaning: Meaning = "field index";
  #integer = 0;
  #continuations = 0;
  #isHuffman = false;
  #isInserted = false;
  #nameLength = 0;
  #textLeft = 0;
  #afterText: Expected = "field";
  readonly #names = new Uint16Array(MAX_ENTRIES);
  readonly #values = new Uint16Array(MAX_ENTRIES);
  #insertions = 0;
  #isWithinLimits = true;

  /** The error of a block that {@link read} has refused, as an error code of HTTP/2. */
  get error(): number {
    return this.#isWithinLimits ? COMPRESSION_ERROR : ENHANCE_YOUR_CALM;
  }

  /** The size of the block so far, measured as {@link MAX_BLOCK_BYTES}. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether the block may end here. */
  get isBetweenFields(): boolean {
    return this.#expected === "field";
  }

  /** Begins a block. */
  begin(): void {
    this.#fields = 0;
    this.#bytes = 0;
    this.#repeatedBytes = 0;
  }

  /**
   * Reads more of the block: the bytes of `chunk` from `start` to `end`.
   *
   * @returns whether the block is well-formed and within the limits so far; if not, the connection
   *   must be closed
   */
  read(chunk: Uint8Array, start: number, end: number): boolean {
    for (let at = start; at < end;) {
      if (this.#expected !== "text") {
        if (!this.#step(chunk[at++])) return false;
        continue;
      }
      const skipped = Math.min(this.#textLeft, end - at);
      at += skipped;
      this.#textLeft -= skipped;
      if (this.#textLeft === 0) this.#expected = this.#afterText;
    }
    return true;
  }

  #step(byte: number): boolean {
    switch (this.#expected) {
      case "field":
        return this.#beginField(byte);
      case "integer":
        return this.#continueInteger(byte);
      case "name":
        return this.#beginText("name length", byte);
      default:
        return this.#beginText("value length", byte);
    }
  }

  /** The representations of RFC 7541, section 6. */
  #beginField(byte: number): boolean {
    if (byte >= 0x80) return this.#beginInteger("field index", byte, 0x7f);
    this.#isInserted = byte >= 0x40;
    if (this.#isInserted) return this.#beginInteger("name index", byte, 0x3f);
    if (byte >= 0x20) return this.#beginInteger("table size", byte, 0x1f);
    return this.#beginInteger("name index", byte, 0x0f);
  }

  #beginText(length: "name length" | "value length", byte: number): boolean {
    this.#isHuffman = byte >= 0x80;
    return this.#beginInteger(length, byte, 0x7f);
  }

  /** Source: RFC 7541, section 5.1. */
  #beginInteger(meaning: Meaning, byte: number, mask: number): boolean {
    const value = byte & mask;
    this.#meaning = meaning;
    if (value < mask) return this.#endInteger(value);
    this.#expected = "integer";
    this.#integer = value;
    this.#continuations = 0;
    return true;
  }

  #continueInteger(byte: number): boolean {
    if (this.#continuations === MAX_CONTINUATIONS) return false;
    this.#integer += (byte & 0x7f) << (7 * this.#continuations++);
    return byte >= 0x80 || this.#endInteger(this.#integer);
  }

  #endInteger(value: number): boolean {
    switch (this.#meaning) {
      case "field index":
        return this.#endFieldIndex(value);
      case "name index":
        return this.#endNameIndex(value);
      case "table size":
        this.#expected = "field";
        return value <= TABLE_BYTES;
      case "name length":
        this.#nameLength = this.#decodedLength(value);
        this.#skipText(value, "value");
        return this.#isWithinLimits = this.#nameLength <= MAX_BLOCK_BYTES;
      case "value length":
        this.#skipText(value, "field");
        return this.#endLiteral(this.#decodedLength(value));
    }
  }

  #endFieldIndex(index: number): boolean {
    this.#expected = "field";
    return this.#isEntry(index) && this.#addField(
      this.#repeat(index, STATIC_NAMES, this.#names),
      this.#repeat(index, STATIC_VALUES, this.#values),
    );
  }

  #endNameIndex(index: number): boolean {
    this.#expected = index === 0 ? "name" : "value";
    if (index === 0) return true;
    if (!this.#isEntry(index)) return false;
    this.#nameLength = this.#repeat(index, STATIC_NAMES, this.#names);
    return true;
  }

  #endLiteral(valueLength: number): boolean {
    if (!this.#addField(this.#nameLength, valueLength)) return false;
    if (this.#isInserted) {
      const slot = this.#insertions++ % MAX_ENTRIES;
      this.#names[slot] = this.#nameLength;
      this.#values[slot] = valueLength;
    }
    return true;
  }

  #addField(nameLength: number, valueLength: number): boolean {
    this.#fields++;
    this.#bytes += nameLength + valueLength + FIELD_OVERHEAD;
    return this.#isWithinLimits = this.#fields <= MAX_FIELDS && this.#bytes <= MAX_BLOCK_BYTES &&
      this.#repeatedBytes <= MAX_REPEATED_BYTES;
  }

  #skipText(length: number, after: Expected): void {
    this.#textLeft = length;
    this.#afterText = after;
    this.#expected = length === 0 ? after : "text";
  }

  #decodedLength(length: number): number {
    return this.#isHuffman ? Math.floor(length * HUFFMAN_RATIO) : length;
  }

  #isEntry(index: number): boolean {
    const age = index - STATIC_NAMES.length - 1;
    return index > 0 && age < Math.min(this.#insertions, MAX_ENTRIES);
  }

  /** The length of a name or value that is referenced by its index. */
  #repeat(index: number, fixed: Uint8Array, recent: Uint16Array): number {
    const age = index - fixed.length - 1;
    if (age < 0) return fixed[index - 1];
    const length = recent[(this.#insertions - 1 - age) % MAX_ENTRIES];
    this.#repeatedBytes += length;
    return length;
  }
}
