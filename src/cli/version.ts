/**
 * What `--version` prints: the program's version, and for reports of bugs what it runs on.
 *
 * @module
 */
import { toJson } from "../base/text.ts";

/** The versions, on two lines for people or in one JSON object. The first line is easy to parse. */
export function versionText(version: string, isJson: boolean): string {
  const { deno, v8 } = Deno.version;
  const { os, arch } = Deno.build;
  if (isJson) return toJson({ type: "version", version, deno, v8, os, arch });
  return `greet ${version}\ndeno ${deno}, v8 ${v8}, ${os} ${arch}`;
}
