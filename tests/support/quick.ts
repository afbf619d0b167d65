/**
 * Prints the test files that start no processes, for `deno task test:quick`: those that neither
 * do so themselves nor import one of the helpers that do. The task denies the permission to run anything, which proves it.
 */
import { globSync } from "node:fs";
import { ROOT } from "./program.ts";

const STARTS_PROCESSES =
  /"[./]*(support\/(program|bot|terminal|etcd|certificates)\.ts|(bench|release)\/.*)"|new Deno\.Command/;

for (const file of globSync("tests/*/*_test.ts", { cwd: ROOT }).toSorted()) {
  const source = await Deno.readTextFile(ROOT + file);
  if (!STARTS_PROCESSES.test(source)) console.log(file);
}
