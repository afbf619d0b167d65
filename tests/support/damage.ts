/** Changes files as a failing disk would. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";

/**
 * Replaces a text everywhere in a file by another one of the same length. A database may have copies
 * of it in space that it no longer uses.
 */
export async function changeInFile(path: string, text: string, other: string): Promise<void> {
  const bytes = Buffer.from(await Deno.readFile(path));
  assert(bytes.includes(text), `${text} is not in ${path}`);
  for (let at; (at = bytes.indexOf(text)) !== -1;) bytes.write(other, at);
  await Deno.writeFile(path, bytes);
}
