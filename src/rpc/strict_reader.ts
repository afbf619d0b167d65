/**
 * Decodes protobuf messages from untrusted peers: text must be UTF-8, and the number of fields is
 * limited.
 *
 * A field of two bytes on the wire may become an object of two hundred, so a limit on the size of a
 * message does not limit the memory it takes.
 *
 * @module
 */
import protobuf from "protobufjs";
import { GreetError } from "../base/errors.ts";

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A protobuf reader that rejects invalid text and messages with too many fields. */
export class StrictReader extends protobuf.Reader {
  #integersLeft: number;

  /**
   * @param bytes the encoded message
   * @param maxFields how many fields it may have, including those of nested messages
   */
  constructor(bytes: Uint8Array, maxFields: number) {
    super(bytes);
    // Most fields are a tag and a length or a small integer; those with 64-bit integers count half.
    this.#integersLeft = 2 * maxFields;
  }

  /**
   * Reads an integer, such as the tag at the beginning of every field.
   *
   * @throws {GreetError} `RESOURCE_EXHAUSTED` if the message has too many fields
   */
  override uint32(): number {
    if (this.#integersLeft-- <= 0) {
      throw new GreetError("RESOURCE_EXHAUSTED", "the message has too many fields");
    }
    return super.uint32();
  }

  /**
   * Reads text. Source: protobuf.dev, "Language Guide (proto 3)", scalar value types.
   *
   * @throws {GreetError} `INVALID_ARGUMENT` if it is not valid UTF-8
   */
  override string(): string {
    const bytes = this.bytes();
    try {
      return asciiText(bytes) ?? UTF8.decode(bytes);
    } catch {
      throw new GreetError("INVALID_ARGUMENT", "the message has text that is not valid UTF-8");
    }
  }
}

/** The text, if it is short and ASCII, as most is: to call a decoder for it takes several times as long. */
function asciiText(bytes: Uint8Array): string | undefined {
  if (bytes.length > 32) return undefined;
  let text = "";
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] >= 0x80) return undefined;
    text += String.fromCharCode(bytes[i]);
  }
  return text;
}
