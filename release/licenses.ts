/**
 * Collects the licenses of everything in a compiled binary: of Deno, of Unicode's data, and of the
 * packages that the lock file lists for the program, from Deno's npm cache. Needs no network where
 * that is filled.
 *
 *     deno run --allow-read --allow-run release/licenses.ts > THIRD_PARTY_LICENSES
 *
 * @module
 */
import { join } from "node:path";
import { ROOT } from "./compile.ts";
import denoLicense from "./deno_license.txt" with { type: "text" };

/** What is used of the lock file. */
interface Lock {
  /** Versions by what is imported, such as `npm:long@5`. */
  readonly specifiers: Readonly<Record<string, string>>;
  /** Packages by name and version. */
  readonly npm: Readonly<Record<string, { readonly dependencies?: readonly string[] }>>;
  readonly workspace: { readonly dependencies: readonly string[] };
}

const lock: Lock = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.lock")));

const RULE = "-".repeat(80);

/** The ids of all packages that the program needs, such as `long@5.3.2`, sorted. */
export function lockedPackages(): string[] {
  const found = new Set<string>();
  const visit = (id: string) => {
    if (found.has(id)) return;
    found.add(id);
    for (const dependency of lock.npm[id].dependencies ?? []) visit(idOf(dependency));
  };
  for (const specifier of lock.workspace.dependencies) {
    const name = specifier.slice("npm:".length);
    visit(`${name.slice(0, name.indexOf("@", 1))}@${lock.specifiers[specifier]}`);
  }
  return [...found].sort();
}

/** The id of a dependency: the lock file leaves the version out where there is only one. */
function idOf(dependency: string): string {
  if (dependency in lock.npm) return dependency;
  const [id, ...others] = Object.keys(lock.npm).filter((id) => id.startsWith(`${dependency}@`));
  if (id === undefined || others.length > 0) {
    throw new Error(`${dependency} is not in the lock file`);
  }
  return id;
}

/** The folders of Deno's npm cache, one for each registry, with all packages in them. */
async function cacheFolders(): Promise<string[]> {
  await deno("install", "--frozen", "--quiet");
  const { npmCache } = JSON.parse(await deno("info", "--json"));
  const registries = await Array.fromAsync(Deno.readDir(npmCache));
  return registries.map(({ name }) => join(npmCache, name));
}

async function deno(...args: string[]): Promise<string> {
  const { stdout, stderr, success } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** The texts of a package's license files. */
async function licenseOf(id: string, caches: readonly string[]): Promise<string> {
  // Behind the version, after an underscore, an id names the peers that a package was resolved with.
  const [, name, version] = /^(.[^@]*)@([^_]*)/.exec(id)!;
  const texts: string[] = [];
  for (const cache of caches) {
    const folder = join(cache, name, version);
    for await (const file of readFolder(folder)) {
      if (!/^(licen[cs]e|notice|copying)/i.test(file)) continue;
      texts.push((await Deno.readTextFile(join(folder, file))).replaceAll("\r\n", "\n").trim());
    }
    if (texts.length > 0) return `${name} ${version}\n\n${texts.join("\n\n")}`;
  }
  throw new Error(`${name} ${version} has no license in Deno's cache`);
}

async function* readFolder(path: string): AsyncGenerator<string> {
  try {
    for await (const { name, isFile } of Deno.readDir(path)) if (isFile) yield name;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** The license of Unicode's table of confusable characters, which stands above the table. */
async function unicodeLicense(): Promise<string> {
  const source = await Deno.readTextFile(join(ROOT, "src/identity/confusables.ts"));
  const [notice] = /UNICODE LICENSE V3[^]*?(?=\n \* SPDX)/.exec(source) ?? [];
  if (notice === undefined) throw new Error("src/identity/confusables.ts has no license");
  const text = notice.replaceAll(/^ \* ?/gm, "").trim();
  return `Unicode's table of confusable characters\n\n${text}`;
}

/** The text of THIRD_PARTY_LICENSES. */
export async function thirdPartyLicenses(): Promise<string> {
  const caches = await cacheFolders();
  const licenses = await Promise.all(lockedPackages().map((id) => licenseOf(id, caches)));
  const deno =
    `Deno ${Deno.version.deno}, which contains V8 and other software whose licenses are at
https://github.com/denoland/deno/tree/v${Deno.version.deno}\n\n${denoLicense.trim()}`;
  const introduction = "The binary of greet contains the following software.";
  return [introduction, deno, await unicodeLicense(), ...licenses].join(`\n\n${RULE}\n\n`) + "\n";
}

if (import.meta.main) console.log((await thirdPartyLicenses()).trimEnd());
