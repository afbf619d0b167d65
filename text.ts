/**
 * Text that somebody else wrote.
 *
 * Names, message bodies, error details: {@link showable} makes any of it safe
 * for a terminal, and is called when it is shown, never before; what is stored
 * or written as JSON stays exact. {@link nameProblem} and {@link isFingerprint}
 * are the rules that names and fingerprints must keep, whoever they come from.
 *
 * @module
 */
import { GreetError } from "./errors.ts";

/** What a further line of a message begins with, so that it cannot pose as another message. */
export const CONTINUATION = " ".repeat(8);

/** How long a name may be, in Unicode code points. */
export const MAX_NAME_LENGTH = 64;

/**
 * What could move the cursor, hide itself or reorder its surroundings:
 * controls (C0, DEL, C1), line and paragraph separators, everything Unicode
 * calls ignorable when displayed (bidi controls, zero-width characters, tags,
 * variation selectors), annotation marks, lone surrogates, noncharacters.
 */
const SUSPECT = String
  .raw`[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\uFFF9-\uFFFB]`;

/** Scripts whose spelling needs the zero-width joiner and non-joiner (UAX #31, section 2.3). */
const JOINING_SCRIPTS = [
  ..."Arabic Syriac Mongolian Devanagari Bengali Gurmukhi Gujarati Oriya Tamil".split(" "),
  ..."Telugu Kannada Malayalam Sinhala Khmer Myanmar".split(" "),
].map((script) => String.raw`\p{Script_Extensions=${script}}`).join("");

/** Where an otherwise invisible character is part of something visible. */
const HARMLESS = [
  // A flag spelled in tags, such as Scotland's.
  String.raw`(?<=\u{1F3F4})[\u{E0030}-\u{E0039}\u{E0061}-\u{E007A}]{2,6}\u{E007F}`,
  // Emoji or text style of a pictogram, and keycaps.
  String.raw`(?<=\p{Extended_Pictographic})[\uFE0E\uFE0F]`,
  String.raw`(?<=[0-9#*])\uFE0F(?=\u20E3)`,
  // A joiner between two pictograms.
  String
    .raw`(?<=\p{Extended_Pictographic}[\uFE0F\p{Emoji_Modifier}]?)\u200D(?=\p{Extended_Pictographic})`,
  // Joiners and variants in the scripts that are spelled with them.
  String.raw`(?<=[${JOINING_SCRIPTS}])[\u200C\u200D](?=[${JOINING_SCRIPTS}])`,
  String.raw`(?<=\p{Script=Mongolian})[\u180B-\u180F]`,
  String.raw`(?<=\p{Script=Han})[\uFE00-\uFE02\u{E0100}-\u{E01EF}]`,
].join("|");

const SUSPECT_TEXT = new RegExp(SUSPECT, "u");

/** Made when it is needed first, which is seldom: it takes as long as all the rest of this file. */
let harmlessOrSuspect: RegExp | undefined;

/**
 * Renders text from somebody else for a terminal.
 *
 * No escape sequence of any kind survives, nothing moves the cursor and
 * nothing is invisible: controls appear as control pictures (`␛`), other
 * suspects as `<U+202E>`, a tab as four spaces. Emoji, combining marks and the
 * joiners that some scripts are spelled with stay as they are.
 *
 * @param text what came from outside, of any length
 * @param continuation what to begin each further line with; where it is left
 *   out, the result is one line and a line break is shown as `␊`
 * @returns the text to show; with printable input, the input itself
 *
 * @example
 * ```ts
 * import { showable } from "./text.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(showable("\x1b[31mred"), "␛[31mred");
 * assert.equal(showable("one\ntwo", "    "), "one\n    two");
 * assert.equal(showable("👩‍🚀"), "👩‍🚀");
 * ```
 */
export function showable(text: string, continuation?: string): string {
  if (!SUSPECT_TEXT.test(text)) return text;
  if (continuation === undefined) return showableLine(text);
  return text.split(/\r?\n/).map(showableLine).join("\n" + continuation);
}

function showableLine(line: string): string {
  harmlessOrSuspect ??= new RegExp(`(${HARMLESS})|${SUSPECT}`, "gu");
  return line.replace(
    harmlessOrSuspect,
    (match, harmless?: string) => harmless ?? visible(match.codePointAt(0)!),
  );
}

function visible(codePoint: number): string {
  if (codePoint === 0x09) return "    ";
  if (codePoint < 0x20) return String.fromCodePoint(0x2400 + codePoint);
  if (codePoint === 0x7F) return "␡";
  return `<U+${codePoint.toString(16).toUpperCase().padStart(4, "0")}>`;
}

/**
 * What is wrong with a name, if anything.
 *
 * A name has 1 to {@link MAX_NAME_LENGTH} characters (code points), is in
 * Unicode normalization form C, neither begins nor ends with white space, has
 * no `/`, no U+FFFD and nothing that {@link showable} would have to change. A name that
 * breaks the rule is refused, never repaired.
 *
 * @returns a phrase that goes on from "the name", or `undefined` for a good name
 */
export function nameProblem(name: string): string | undefined {
  if (name === "") return "is empty";
  if (isTooLong(name)) return `is longer than ${MAX_NAME_LENGTH} characters`;
  // What takes the place of bytes that are no text: many names would become one.
  if (name.includes("\uFFFD")) return "is not Unicode text";
  if (showable(name) !== name) return "has control or invisible characters";
  if (name.trim() !== name) return "begins or ends with white space";
  if (name.includes("/")) return "has a '/'";
  if (name.normalize("NFC") !== name) return "is not in Unicode normalization form C";
  // U+2800 is a symbol by its category and a blank by its looks.
  if (!/[\p{L}\p{N}\p{P}\p{S}]/u.test(name.replaceAll("\u2800", ""))) return "shows nothing";
  return undefined;
}

/**
 * Whether a text is a fingerprint: `SHA256:` and, in base64 without padding, the SHA-256 of a
 * public key (its SubjectPublicKeyInfo in DER), as ssh writes it.
 *
 * @example
 * ```ts
 * import { isFingerprint } from "./text.ts";
 * import assert from "node:assert/strict";
 *
 * assert(isFingerprint("SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"));
 * assert(!isFingerprint("SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU="));
 * assert(!isFingerprint("MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48"));
 * assert(!isFingerprint(""));
 * ```
 */
export function isFingerprint(text: string): boolean {
  return /^SHA256:[A-Za-z0-9+/]{43}$/.test(text);
}

/** A code point takes up to two places in a string; a megabyte need not be counted to its end. */
function isTooLong(name: string): boolean {
  return name.length > 2 * MAX_NAME_LENGTH || [...name].length > MAX_NAME_LENGTH;
}

/**
 * A name as our own user typed it, made fit: trimmed and normalized.
 *
 * @returns the name to use
 * @throws {GreetError} `USAGE` where it still breaks the rule of {@link nameProblem}
 */
export function parseName(typed: string): string {
  const name = typed.trim().normalize("NFC");
  const problem = nameProblem(name);
  if (problem !== undefined) {
    throw new GreetError("USAGE", `the name ${JSON.stringify(clipped(typed))} ${problem}`, {
      hint: `a name has 1 to ${MAX_NAME_LENGTH} characters, no control characters and no '/'`,
    });
  }
  return name;
}

/** Enough of a text to recognize it by. */
function clipped(text: string): string {
  const characters = [...text];
  return characters.length <= 24 ? text : characters.slice(0, 24).join("") + "…";
}
