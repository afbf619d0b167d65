/**
 * Text that somebody else wrote.
 *
 * Names, message bodies, error details: {@link showable} makes any of it safe
 * for a terminal, and is called when it is shown, never before; what is stored
 * stays exact, and {@link toJson} escapes it without changing what it parses to. {@link nameProblem}
 * and {@link isFingerprint} are the rules that names and fingerprints must keep, whoever they come from.
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
 * variation selectors), annotation marks, lone surrogates, noncharacters, and what Unicode calls
 * a letter or symbol although it is blank: the Khitan filler, the null notehead, the controls and
 * blanks of Egyptian hieroglyphs.
 */
const SUSPECT = String
  .raw`[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\uFFF9-\uFFFB\u{16FE4}\u{1D159}\u{13430}-\u{1343F}\u{13441}\u{13442}]`;

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
 * import { showable } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * assert.equal(showable("\x1b[31mred"), "␛[31mred");
 * assert.equal(showable("one\ntwo", "    "), "one\n    two");
 * assert.equal(showable("👩‍🚀"), "👩‍🚀");
 * ```
 */
export function showable(text: string, continuation?: string): string {
  if (continuation === undefined) return replaceSuspects(text, visible);
  if (!SUSPECT_TEXT.test(text)) return text;
  return text.split(/\r?\n/).map((line) => replaceSuspects(line, visible))
    .join("\n" + continuation);
}

/** A part of a text: shown unchanged, or one character that is shown as something else. */
export interface ShowablePart {
  readonly text: string;
  readonly shown: string;
}

/**
 * Divides a line at each character that {@link showable} replaces.
 *
 * @param line untrusted text without line breaks
 * @returns the parts in order; joined, `text` gives the line and `shown` what {@link showable} returns
 */
export function showableParts(line: string): ShowablePart[] {
  if (!SUSPECT_TEXT.test(line)) return [{ text: line, shown: line }];
  const parts: ShowablePart[] = [];
  let from = 0;
  for (const { 0: text, 1: harmless, index } of line.matchAll(suspects())) {
    if (harmless !== undefined) continue;
    const unchanged = line.slice(from, index);
    if (unchanged !== "") parts.push({ text: unchanged, shown: unchanged });
    parts.push({ text, shown: visible(text.codePointAt(0)!) });
    from = index + text.length;
  }
  const rest = line.slice(from);
  return rest === "" ? parts : [...parts, { text: rest, shown: rest }];
}

/** Replaces each suspect that is not part of something visible. */
function replaceSuspects(text: string, replace: (codePoint: number) => string): string {
  if (!SUSPECT_TEXT.test(text)) return text;
  return text.replace(
    suspects(),
    (match, harmless?: string) => harmless ?? replace(match.codePointAt(0)!),
  );
}

function suspects(): RegExp {
  return harmlessOrSuspect ??= new RegExp(`(${HARMLESS})|${SUSPECT}`, "gu");
}

function visible(codePoint: number): string {
  if (codePoint === 0x09) return "    ";
  if (codePoint < 0x20) return String.fromCodePoint(0x2400 + codePoint);
  if (codePoint === 0x7F) return "␡";
  return codePointText(codePoint);
}

function codePointText(codePoint: number): string {
  return `<U+${codePoint.toString(16).toUpperCase().padStart(4, "0")}>`;
}

/**
 * A value as JSON that is safe to print.
 *
 * What {@link showable} would make visible is written as `\\uXXXX`: DEL, the C1 controls, bidi
 * controls and the like, which `JSON.stringify` leaves as they are. Parsing gives the exact value.
 *
 * @example
 * ```ts
 * import { toJson } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * assert.equal(toJson("\u{202E}\x9B2J é 👩‍🚀"), '"\\u202e\\u009b2J é 👩‍🚀"');
 * ```
 */
export function toJson(value: unknown): string {
  return replaceSuspects(JSON.stringify(value), escaped);
}

/** JSON escapes UTF-16 code units (RFC 8259, section 7). */
function escaped(codePoint: number): string {
  return String.fromCodePoint(codePoint).split("")
    .map((unit) => "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0")).join("");
}

/**
 * What is wrong with a name, if anything.
 *
 * A name has 1 to {@link MAX_NAME_LENGTH} characters (code points) and is in Unicode
 * normalization form C. It has no `/`, nothing that {@link showable} would have to change, no other
 * format, private-use or unassigned characters, no white space but single spaces between other
 * characters, and at most four nonspacing marks in a row (Unicode Technical Standard #39,
 * section 5.4). Nor does it have what marks a speaker in a transcript: `>`, brackets, a colon before
 * a space, or a character that looks like one of them. A name that breaks the rule is refused, never
 * repaired.
 *
 * @returns a phrase that goes on from "the name", or `undefined` for a good name
 */
export function nameProblem(name: string): string | undefined {
  return storedNameProblem(name) ?? blankProblem(name) ?? markProblem(name);
}

function blankProblem(name: string): string | undefined {
  if (/(?! )\p{White_Space}|\u2800/u.test(name)) return "has a blank that is not a plain space";
  if (name.includes("  ")) return "has two spaces in a row";
  // Joiners and tags that are part of something visible may stay.
  if (/(?![\u200C\u200D\u{E0020}-\u{E007F}])\p{C}/u.test(name)) {
    return "has format, private-use or unassigned characters";
  }
  if (/\p{Mn}{5}/u.test(name.normalize("NFD"))) return "has more than four accents on one letter";
  return undefined;
}

function markProblem(name: string): string | undefined {
  const mark = SPEAKER_MARK.exec(name.normalize("NFKC"))?.[0];
  return mark && `has a '${mark.trim()}', which marks a speaker in a transcript`;
}

/**
 * What a line of a transcript tells a speaker by, as in `[17:24] Bob (sent 17:20)> …`, and what
 * looks like `>` (Unicode Technical Standard #39). Compatibility variants are normalized before.
 */
const SPEAKER_MARK =
  /[>\u02C3\u1433\u203A\u00BB\u276F\u{16F3F}]|(?![\u201A\u201E])[\p{Ps}\p{Pe}]|[:\u2236\uA789](?: |$)/u;

/**
 * A name for a line of a transcript. Journals of earlier versions have names with what marks a speaker;
 * in these it is shown as `<U+003E>`.
 */
export function showableName(name: string): string {
  const shown = showable(name);
  return markProblem(shown) === undefined ? shown : shown.replace(
    new RegExp(SPEAKER_MARK, "gu"),
    (mark) => codePointText(mark.codePointAt(0)!),
  );
}

/**
 * What is wrong with a name that was stored: earlier versions allowed more than {@link nameProblem} does.
 *
 * @returns a phrase that goes on from "the name", or `undefined` for a name that was good once
 */
export function storedNameProblem(name: string): string | undefined {
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
 * import { isFingerprint } from "@greet/greet";
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
      hint: `a name has 1 to ${MAX_NAME_LENGTH} visible characters and single spaces, ` +
        "no brackets, no '/' and no '>'",
    });
  }
  return name;
}

/** Enough of a text to recognize it by. */
function clipped(text: string): string {
  const characters = [...text];
  return characters.length <= 24 ? text : characters.slice(0, 24).join("") + "…";
}
