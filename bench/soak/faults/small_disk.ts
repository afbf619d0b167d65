/** A small disk in memory, mounted on a folder, so that a test can fill it. Needs root and Linux. */
import { outputOf } from "../../../tests/support/tools.ts";

/** Room for the journal of a long soak. */
const SIZE = "64m";

/** Mounts a disk on a folder. Disposing of it unmounts it. Returns nothing where that is forbidden. */
export async function mountSmallDisk(folder: string): Promise<AsyncDisposable | undefined> {
  const mounted = await outputOf(
    ...["mount", "-t", "tmpfs", "-o", `size=${SIZE},mode=700`, "tmpfs", folder],
  );
  if (mounted === undefined) return undefined;
  return {
    async [Symbol.asyncDispose]() {
      await outputOf("umount", folder);
    },
  };
}
