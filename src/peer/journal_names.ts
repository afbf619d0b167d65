/**
 * Finds out whose journals there are. File names only show parts of names, so it looks inside.
 *
 * @module
 */
import { basename, join } from "node:path";
import { fileNameOf } from "../base/home.ts";
import { openToRead } from "./journal_reader.ts";

const ENDING = ".sqlite";

/**
 * The names that have a journal and have said something there. A journal that cannot be read is left
 * out.
 *
 * @param home the home directory; see {@link homeFolder}
 */
export function journalNames(home: string): string[] {
  const folder = join(home, "journals");
  try {
    const files = [...Deno.readDirSync(folder)].filter(({ name }) => name.endsWith(ENDING));
    return files.flatMap(({ name: file }) => ownerOf(join(folder, file)) ?? []);
  } catch {
    return [];
  }
}

/** The name that a journal belongs to: of all that spoke, the one that the file is named after. */
function ownerOf(path: string): string | undefined {
  try {
    using database = openToRead(path);
    // Senders are looked up one by one in their index: a journal may have millions of messages.
    const next = database.prepare(
      "SELECT min(sender) AS sender FROM message WHERE id <> '' AND sender > ?",
    );
    let name = next.get("")?.sender;
    while (typeof name === "string" && `${fileNameOf(name)}${ENDING}` !== basename(path)) {
      name = next.get(name)?.sender;
    }
    return typeof name === "string" ? name : undefined;
  } catch {
    return undefined;
  }
}
