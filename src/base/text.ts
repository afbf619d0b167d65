/**
 * Handles text from untrusted sources, such as names, messages and error details.
 *
 * {@link showable} and {@link toJson} make text safe to print; callers apply them when they print,
 * and store text unchanged. {@link nameProblem} and {@link isFingerprint} define valid names and
 * fingerprints.
 *
 * @module
 */
import { GreetError } from "./errors.ts";

/** The indentation of continuation lines, so that they cannot pose as another message. */
export const CONTINUATION = " ".repeat(8);

/** The longest name, in Unicode code points. */
export const MAX_NAME_LENGTH = 64;

/**
 * Characters that could move the cursor, be invisible or reorder other text: controls (C0, DEL,
 * C1), line and paragraph separators, default-ignorable characters (bidi controls, zero-width
 * characters, tags, variation selectors), annotation marks, lone surrogates, noncharacters, and
 * some characters that Unicode classifies as letters or symbols although they are blank: the Khitan
 * filler, the null notehead, the controls and blanks of Egyptian hieroglyphs.
 */
const SUSPECT = String
  .raw`[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Noncharacter_Code_Point}\uFFF9-\uFFFB\u{16FE4}\u{1D159}\u{13430}-\u{1343F}\u{13441}\u{13442}]`;

/** Scripts whose spelling needs the zero-width joiner and non-joiner (UAX #31, section 2.3). */
const JOINING_SCRIPTS = [
  ..."Arabic Syriac Mongolian Devanagari Bengali Gurmukhi Gujarati Oriya Tamil".split(" "),
  ..."Telugu Kannada Malayalam Sinhala Khmer Myanmar".split(" "),
].map((script) => String.raw`\p{Script_Extensions=${script}}`).join("");

/** Contexts in which an invisible character is part of a visible one. */
const HARMLESS = [
  // A flag that is spelled with tags, such as Scotland's.
  String.raw`(?<=\u{1F3F4})[\u{E0030}-\u{E0039}\u{E0061}-\u{E007A}]{2,6}\u{E007F}`,
  // Emoji or text style of a pictogram, and keycaps.
  String.raw`(?<=\p{Extended_Pictographic})[\uFE0E\uFE0F]`,
  String.raw`(?<=[0-9#*])\uFE0F(?=\u20E3)`,
  // A joiner between two pictograms.
  String
    .raw`(?<=\p{Extended_Pictographic}[\uFE0F\p{Emoji_Modifier}]?)\u200D(?=\p{Extended_Pictographic})`,
  // Joiners and variation selectors in scripts that are spelled with them.
  String.raw`(?<=[${JOINING_SCRIPTS}])[\u200C\u200D](?=[${JOINING_SCRIPTS}])`,
  String.raw`(?<=\p{Script=Mongolian})[\u180B-\u180F]`,
  String.raw`(?<=\p{Script=Han})[\uFE00-\uFE02\u{E0100}-\u{E01EF}]`,
].join("|");

const SUSPECT_TEXT = new RegExp(SUSPECT, "u");

/** Compiled at its first use, which is rare: it takes as long as loading the rest of this file. */
let harmlessOrSuspect: RegExp | undefined;

/**
 * Renders untrusted text for a terminal.
 *
 * The result has no escape sequences, does not move the cursor and has no invisible characters:
 * controls appear as control pictures (`␛`), other suspicious characters as `<U+202E>`, a tab as
 * four spaces. Emoji, combining marks and the joiners that some scripts are spelled with are
 * preserved.
 *
 * @param text untrusted text of any length
 * @param continuation the indentation of continuation lines; if omitted, the result is a single
 *   line and line breaks are shown as `␊`
 * @returns the text to print; the input itself if it is printable
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

/** Replaces each suspicious character that is not part of a visible one. */
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
 * Serializes a value as JSON that is safe to print.
 *
 * Characters that {@link showable} would replace, some of which `JSON.stringify` leaves unescaped,
 * are written as `\\uXXXX`. Parsing the result restores the exact value.
 *
 * @example
 * ```ts
 * import { toJson } from "./text.ts";
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
 * Checks whether a name is valid.
 *
 * A valid name has 1 to 64 characters (code points) and is in Unicode normalization form C. It has
 * no `/`, no characters that {@link showable} would replace, no other format, private-use or
 * unassigned characters, no white space except single spaces between other characters, and at most
 * four nonspacing marks in a row (Unicode Technical Standard #39, section 5.4). It also has none of
 * the characters that mark a speaker in a transcript: `>`, brackets, a colon before a space, an
 * asterisk and a space at its start, and characters that look like them. Invalid names are refused, never repaired.
 *
 * @param name the name to check
 * @returns what is wrong, as a phrase that continues "the name", or `undefined` if it is valid
 *
 * @example
 * ```ts
 * import { nameProblem } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * assert.equal(nameProblem("Anna Lena"), undefined);
 * assert.equal(nameProblem("a/b"), "has a '/'");
 * ```
 */
export function nameProblem(name: string): string | undefined {
  if (PLAIN_NAME.test(name)) return undefined;
  return storedNameProblem(name) ?? blankProblem(name) ?? markProblem(name);
}

/** Most names: one word, in which no rule could find a problem. */
const PLAIN_NAME = new RegExp(`^\\w{1,${MAX_NAME_LENGTH}}$`);

function blankProblem(name: string): string | undefined {
  if (/(?! )\p{White_Space}|\u2800/u.test(name)) return "has white space other than plain spaces";
  if (name.includes("  ")) return "has two spaces in a row";
  // Joiners and tags that are part of a visible character are allowed.
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
 * Characters that mark the speaker in a line of a transcript, as in `[17:24] Bob (sent 17:20)> …` and
 * `[17:24] * Bob waves`, and characters that look like `>` and `*` (Unicode Technical Standard #39).
 * Compatibility variants are normalized before matching.
 */
const SPEAKER_MARK =
  /^[*\u066D\u204E\u2217\u{1031F}](?= )|[>\u02C3\u1433\u203A\u00BB\u276F\u{16F3F}]|(?![\u201A\u201E])[\p{Ps}\p{Pe}]|[:\u2236\uA789](?: |$)/u;

/**
 * Renders a name for a transcript. Journals of earlier versions can have names with characters that
 * mark a speaker; these are shown in the form `<U+003E>`.
 */
export function showableName(name: string): string {
  const shown = showable(name);
  return markProblem(shown) === undefined ? shown : shown.replace(
    new RegExp(SPEAKER_MARK, "gu"),
    (mark) => codePointText(mark.codePointAt(0)!),
  );
}

/**
 * Checks a name that was stored by this or an earlier version, which allowed more than
 * {@link nameProblem}.
 *
 * @returns what is wrong, as a phrase that continues "the name", or `undefined` if it was valid
 */
export function storedNameProblem(name: string): string | undefined {
  if (name === "") return "is empty";
  if (isTooLong(name)) return `is longer than ${MAX_NAME_LENGTH} characters`;
  // Decoders replace invalid bytes with this character, which would make different names equal.
  if (name.includes("\uFFFD")) return "is not valid Unicode";
  if (showable(name) !== name) return "has control or invisible characters";
  if (name.trim() !== name) return "begins or ends with white space";
  if (name.includes("/")) return "has a '/'";
  if (name.normalize("NFC") !== name) return "is not in Unicode normalization form C";
  // U+2800 is a symbol by category but looks blank.
  if (!/[\p{L}\p{N}\p{P}\p{S}]/u.test(name.replaceAll("\u2800", ""))) {
    return "has no visible characters";
  }
  return undefined;
}

/**
 * Whether a text is a fingerprint as ssh writes it: `SHA256:` and the SHA-256 of a public key
 * (SubjectPublicKeyInfo in DER) in base64 without padding.
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

/** A code point has at most two code units, so the code points of a megabyte are not counted. */
function isTooLong(name: string): boolean {
  return name.length > 2 * MAX_NAME_LENGTH || [...name].length > MAX_NAME_LENGTH;
}

/**
 * Parses a name that our own user typed: trims and normalizes it.
 *
 * @throws {GreetError} `USAGE` if the result is not valid by {@link nameProblem}
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

/** Shortens a text for an error message. */
export function clipped(text: string): string {
  const characters = [...text];
  return characters.length <= 24 ? text : characters.slice(0, 24).join("") + "…";
}
