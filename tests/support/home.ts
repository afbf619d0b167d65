/** Home directories of the program, removed when a test ends. */
import { join } from "node:path";
import "./environment.ts";

/** A home that outlives the programs in it. */
export function temporaryHome(): { env: { GREET_HOME: string } } & AsyncDisposable {
  const home = Deno.makeTempDirSync({ prefix: "greet-home-" });
  return {
    env: { GREET_HOME: home },
    [Symbol.asyncDispose]: () => Deno.remove(home, { recursive: true }),
  };
}

/** A test with a home of its own, which does not exist yet when it begins. */
export function homeTest(
  name: string,
  fn: (home: string) => void | Promise<void>,
  needs: { what: string; isThere: boolean } = { what: "", isThere: true },
): void {
  Deno.test({
    name: needs.what === "" ? name : `${name} (needs ${needs.what})`,
    ignore: !needs.isThere,
    fn: async () => {
      const folder = await Deno.makeTempDir({ prefix: "greet-test-" });
      try {
        await fn(join(folder, "home"));
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}
