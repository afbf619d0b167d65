/**
 * A copy of the repository in which files are mutated, so that the original is never touched.
 *
 * @module
 */
import { dirname, join, relative } from "node:path";
import { ROOT } from "../support/program.ts";
import { type Mutant, mutantsOf } from "./operators.ts";
import { SWITCH_MODULE, switchedSource, switchSource } from "./switched.ts";

/** A mutant with its id, by which the switch knows it. */
export interface NumberedMutant extends Mutant {
  readonly id: number;
}

/** Finds the mutants of files, with ids from 1 on. */
export function numberedMutants(files: readonly string[]): NumberedMutant[] {
  return files.flatMap((file) => mutantsOf(file, Deno.readTextFileSync(join(ROOT, file))))
    .map((mutant, i) => ({ ...mutant, id: i + 1 }));
}

/** The files of the repository, including those that are not committed yet. */
async function repositoryFiles(): Promise<string[]> {
  const { success, stdout } = await new Deno.Command("git", {
    args: ["ls-files", "--cached", "--others", "--exclude-standard", "-z"],
    cwd: ROOT,
    stderr: "inherit",
  }).output();
  if (!success) throw new Error("git cannot list the files of the repository");
  return new TextDecoder().decode(stdout).split("\0").filter((file) => file !== "");
}

/** A copy of the repository. Disposing of it removes it. */
export class Tree implements AsyncDisposable {
  readonly root: string;
  readonly #count: number;

  private constructor(root: string, count: number) {
    this.root = root;
    this.#count = count;
  }

  /** Copies the repository and puts mutants behind the switch. */
  static async with(mutants: readonly NumberedMutant[]): Promise<Tree> {
    const tree = new Tree(await Deno.makeTempDir({ prefix: "greet-mutation-" }), mutants.length);
    for (const file of await repositoryFiles()) {
      const copy = join(tree.root, file);
      Deno.mkdirSync(dirname(copy), { recursive: true });
      Deno.copyFileSync(join(ROOT, file), copy);
    }
    for (const [file, own] of Map.groupBy(mutants, ({ file }) => file)) {
      const path = join(tree.root, file);
      const source = Deno.readTextFileSync(path);
      const toSwitch = relative(dirname(file), SWITCH_MODULE);
      Deno.writeTextFileSync(path, switchedSource(source, own, own[0].id, toSwitch));
    }
    tree.activate(0);
    return tree;
  }

  /** Makes a mutant, or the original (0), active in processes that start from now on. */
  activate(id: number): void {
    Deno.writeTextFileSync(join(this.root, SWITCH_MODULE), switchSource(this.#count, id));
  }

  /** A folder for the temporary files of tests, which are left behind if their process is killed. */
  temporaryFolder(): string {
    const folder = join(this.root, "tmp");
    Deno.mkdirSync(folder, { recursive: true });
    return folder;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.root, { recursive: true });
  }
}
