/**
 * Makes the archives of a release in `dist/`: for each target, the binary with its licenses,
 * documents and manual page, in a folder of its own. Compiling for another system works on any; Linux has tar and zip.
 *
 *     deno run --allow-all release/pack.ts TARGET...
 *
 * @module
 */
import { join } from "node:path";
import config from "../deno.json" with { type: "json" };
import { compile, ROOT } from "./compile.ts";
import { thirdPartyLicenses } from "./licenses.ts";
import { dateOfBuild, manualPage } from "./manual.ts";

const DOCUMENTS = ["LICENSE", "README.md", "CHANGELOG.md"];

/** Makes the archive for one target. Returns its file name. */
async function pack(target: string, licenses: string): Promise<string> {
  const name = `greet-v${config.version}-${target}`;
  const folder = join(ROOT, "dist", name);
  await Deno.mkdir(folder, { recursive: true });
  await compile(join(folder, "greet"), { target });
  for (const document of DOCUMENTS) {
    await Deno.copyFile(join(ROOT, document), join(folder, document));
  }
  await Deno.writeTextFile(join(folder, "THIRD_PARTY_LICENSES"), licenses);
  const isWindows = target.includes("windows");
  if (!isWindows) await Deno.writeTextFile(join(folder, "greet.1"), manualPage(dateOfBuild()));
  const archive = await archiveFolder(name, isWindows);
  await Deno.remove(folder, { recursive: true });
  return archive;
}

/** Archives a folder in `dist/`: as zip for Windows, elsewhere as tar.gz. */
async function archiveFolder(name: string, isWindows: boolean): Promise<string> {
  const archive = `${name}.${isWindows ? "zip" : "tar.gz"}`;
  const [command, ...args] = isWindows ? ["zip", "--quiet", "--recurse-paths", archive, name] : [
    "tar",
    "--create",
    "--gzip",
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "--file",
    archive,
    name,
  ];
  const { success } = await new Deno.Command(command, {
    args,
    cwd: join(ROOT, "dist"),
    stdout: "inherit",
    stderr: "inherit",
  }).spawn().status;
  if (!success) throw new Error(`${command} fails`);
  return archive;
}

if (import.meta.main) {
  const licenses = await thirdPartyLicenses();
  for (const target of Deno.args) console.log(await pack(target, licenses));
}
