/**
 * Measures HTTP/2 header blocks without decoding them.
 *
 * HPACK lets a few bytes stand for many: a field that was sent once can be repeated by its index. A
 * {@link HpackGauge} walks blocks just far enough to know how large each field is, as the bytes
 * arrive, so that a block can be refused before anything decodes it.
 *
 * @module
 */

/** How many fields a block may have. */
export const MAX_FIELDS = 100;

/** How large a block may be, by the measure of RFC 9113, section 6.5.2 (SETTINGS_MAX_HEADER_LIST_SIZE). */
export const MAX_BLOCK_BYTES = 32_768;

/**
 * How much a block may repeat from the dynamic table. A well-meaning sender repeats no entry in a block, so
 * it cannot repeat more than the table's 4,096 bytes; Huffman-coded text may count more than it is.
 */
export const MAX_REPEATED_BYTES = 8_192;

/** What each field counts beyond its name and value. Source: RFC 9113, section 6.5.2. */
const FIELD_OVERHEAD = 32;

/** The shortest Huffman code has 5 bits, so 5 encoded bytes decode to at most 8. Source: RFC 7541, appendix B. */
const HUFFMAN_RATIO = 8 / 5;

/** The lengths of names and values in the static table, from index 1. Source: RFC 7541, appendix A. */
const STATIC_NAMES = Uint8Array.of(
  ...[10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16],
  ...[16, 14, 16, 13, 12, 6, 4, 4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7],
  ...[11, 6, 10, 25, 17, 10, 4, 3, 16],
);
const STATIC_VALUES = new Uint8Array(STATIC_NAMES.length);
STATIC_VALUES.set([0, 3, 4, 1, 11, 4, 5, 3, 3, 3, 3, 3, 3, 3, 0, 13], 0);

/** The largest dynamic table: HTTP/2's default, which neither side changes. Source: RFC 9113, section 6.5.2. */
const TABLE_BYTES = 4_096;

/** How many entries fit into it; each counts at least its overhead. Source: RFC 7541, section 4.1. */
const MAX_ENTRIES = TABLE_BYTES / FIELD_OVERHEAD;

/** No length, index or table size that is acceptable takes more bytes than this after its prefix. */
const MAX_CONTINUATIONS = 3;

/** What the next byte is. */
type Expected = "field" | "integer" | "name" | "value" | "text";

/** What an integer stands for. */
type Meaning = "field index" | "name index" | "table size" | "name length" | "value length";

/**
 * Measures the blocks that arrive on one connection, which share a dynamic table.
 *
 * Sizes are exact for plain text. Huffman-coded text counts as the longest text that its encoded
 * length allows, so a size is never too small. The newest entry of the dynamic table always has index 62:
 * it is enough to remember the most recent entries, whether or not they were evicted meanwhile.
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

  /** How large the block is so far, by the measure of {@link MAX_BLOCK_BYTES}. */
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
   * Reads more of the block: a chunk's bytes from `start` to `end`.
   *
   * @returns whether the block is well-formed and within both limits so far; if not, the connection is
   *   of no more use
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
        return this.#nameLength <= MAX_BLOCK_BYTES;
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
    return this.#fields <= MAX_FIELDS && this.#bytes <= MAX_BLOCK_BYTES &&
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

  /** The length of a name or value that is sent by its index. */
  #repeat(index: number, fixed: Uint8Array, recent: Uint16Array): number {
    const age = index - fixed.length - 1;
    if (age < 0) return fixed[index - 1];
    const length = recent[(this.#insertions - 1 - age) % MAX_ENTRIES];
    this.#repeatedBytes += length;
    return length;
  }
}
