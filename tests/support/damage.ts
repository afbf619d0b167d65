/** Changes files as a failing disk would. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";

/**
 * Replaces a text in a file by another one of the same length.
 *
 * @param path a file that has the text exactly once
 */
export async function changeInFile(path: string, text: string, other: string): Promise<void> {
  const bytes = Buffer.from(await Deno.readFile(path));
  const at = bytes.indexOf(text);
  assert(at >= 0 && bytes.lastIndexOf(text) === at, `${text} is not in ${path} once`);
  bytes.write(other, at);
  await Deno.writeFile(path, bytes);
}
