/**
 * Makes `src/identity/confusables.ts` from Unicode's `confusables.txt`, as ICU carries it.
 *
 * No package of npm or Debian has a current copy of that file, but every program with ICU has its
 * contents in a section of ICU's data. Debian's `chromium-common` has the newest.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** Where the module belongs. */
export const CONFUSABLES_MODULE = new URL("../src/identity/confusables.ts", import.meta.url);

/** Where Debian's package `chromium-common` has ICU's data. */
export const ICU_DATA = "/usr/lib/chromium/icudtl.dat";

/** Unicode's confusables: what each character looks like. */
export interface Confusables {
  /** The string that stands for all that look the same, by character. */
  readonly prototypes: ReadonlyMap<string, string>;
  /** The SHA-256 of the section, to recognize data by. */
  readonly digest: string;
}

/** How the section begins, after two bytes: ICU's `UDataInfo` of the format `Cfu `, little endian. */
const UDATA_INFO = [0xda, 0x27, 20, 0, 0, 0, 0, 0, 2, 0, ...new TextEncoder().encode("Cfu ")];

/**
 * Finds the confusables in a file with ICU's data, or in a program that contains it.
 *
 * @returns nothing if the file has none
 */
export function readConfusables(file: Uint8Array<ArrayBuffer>): Confusables | undefined {
  const isInfo = (at: number) => UDATA_INFO.every((byte, i) => file[at + i] === byte);
  let at = file.indexOf(UDATA_INFO[0]);
  while (at !== -1 && !isInfo(at)) at = file.indexOf(UDATA_INFO[0], at + 1);
  return at === -1 ? undefined : readSection(new DataView(file.buffer, file.byteOffset + at - 2));
}

/** Reads a section. Its layout is that of `SpoofDataHeader` in ICU's `uspoof_impl.h`. */
function readSection(data: DataView): Confusables {
  const start = data.getUint16(0, true);
  const header = (index: number) => data.getInt32(start + 4 * index, true);
  const [keys, count, values, , strings, length] = [3, 4, 5, 6, 7, 8].map(header);
  const unit = (table: number, index: number) => data.getUint16(start + table + 2 * index, true);
  const prototypes = new Map<string, string>();
  for (let i = 0; i < count; i++) {
    // A code point in 24 bits, and the length of its prototype, less one, in 8.
    const key = data.getUint32(start + keys + 4 * i, true);
    const value = unit(values, i);
    const units = key < 1 << 24
      ? [value]
      : Array.from({ length: (key >>> 24) + 1 }, (_, j) => unit(strings, value + j));
    prototypes.set(String.fromCodePoint(key & 0xffffff), String.fromCharCode(...units));
  }
  const section = new Uint8Array(data.buffer, data.byteOffset, start + strings + 2 * length);
  return { prototypes, digest: createHash("sha256").update(section).digest("hex") };
}

/** The source of the module: for each prototype, the characters that look like it. */
export function confusablesModule({ prototypes, digest }: Confusables): string {
  const hex = (text: string) =>
    Array.from(text, (character) => character.codePointAt(0)!.toString(16)).join("+");
  const groups = Map.groupBy(prototypes, ([, prototype]) => prototype);
  const lines = [...groups].map(([prototype, members]) =>
    `${hex(prototype)}:${members.map(([character]) => hex(character))}\n`
  );
  return `${HEADER}
/** The SHA-256 of the data in ICU that the table was made from. */
export const DIGEST = "${digest}";

/**
 * ${prototypes.size} characters: in each line a string, and the characters that look like it. Code
 * points in hexadecimal.
 */
export const CONFUSABLES = \`${lines.join("")}\`;
`;
}

const HEADER = `// deno-fmt-ignore-file
/**
 * Unicode's table of confusable characters, as ICU carries it. Made by \`deno task generate\`; do not
 * edit.
 *
 * UNICODE LICENSE V3
 *
 * COPYRIGHT AND PERMISSION NOTICE
 *
 * Copyright © 2016-2024 Unicode, Inc.
 *
 * NOTICE TO USER: Carefully read the following legal agreement. BY DOWNLOADING, INSTALLING, COPYING
 * OR OTHERWISE USING DATA FILES, AND/OR SOFTWARE, YOU UNEQUIVOCALLY ACCEPT, AND AGREE TO BE BOUND
 * BY, ALL OF THE TERMS AND CONDITIONS OF THIS AGREEMENT. IF YOU DO NOT AGREE, DO NOT DOWNLOAD,
 * INSTALL, COPY, DISTRIBUTE OR USE THE DATA FILES OR SOFTWARE.
 *
 * Permission is hereby granted, free of charge, to any person obtaining a copy of data files and any
 * associated documentation (the "Data Files") or software and any associated documentation (the
 * "Software") to deal in the Data Files or Software without restriction, including without
 * limitation the rights to use, copy, modify, merge, publish, distribute, and/or sell copies of the
 * Data Files or Software, and to permit persons to whom the Data Files or Software are furnished to
 * do so, provided that either (a) this copyright and permission notice appear with all copies of the
 * Data Files or Software, or (b) this copyright and permission notice appear in associated
 * Documentation.
 *
 * THE DATA FILES AND SOFTWARE ARE PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
 * IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR
 * PURPOSE AND NONINFRINGEMENT OF THIRD PARTY RIGHTS.
 *
 * IN NO EVENT SHALL THE COPYRIGHT HOLDER OR HOLDERS INCLUDED IN THIS NOTICE BE LIABLE FOR ANY CLAIM,
 * OR ANY SPECIAL INDIRECT OR CONSEQUENTIAL DAMAGES, OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF
 * USE, DATA OR PROFITS, WHETHER IN AN ACTION OF CONTRACT, NEGLIGENCE OR OTHER TORTIOUS ACTION,
 * ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THE DATA FILES OR SOFTWARE.
 *
 * Except as contained in this notice, the name of a copyright holder shall not be used in advertising
 * or otherwise to promote the sale, use or other dealings in these Data Files or Software without
 * prior written authorization of the copyright holder.
 *
 * SPDX-License-Identifier: Unicode-3.0
 *
 * @module
 */
`;
