/**
 * Makes `src/rpc/protos.ts` from the files in `proto/`.
 *
 * @module
 */

const PROTO = new URL("../proto/", import.meta.url);

/** Where the module belongs. */
export const PROTOS_MODULE = new URL("../src/rpc/protos.ts", import.meta.url);

/** The source of the module: an object with the text of each `.proto` file, by its path. */
export async function protosModule(): Promise<string> {
  const entries: string[] = [];
  for (const path of protoFiles(PROTO).toSorted()) {
    const text = await Deno.readTextFile(new URL(path, PROTO));
    entries.push(`  "${path}": \`${text.replace(/[\\`]|\$(?=\{)/g, "\\$&")}\`,\n`);
  }
  return `${HEADER}export const PROTOS = {\n${entries.join("")}};\n`;
}

/** The paths of the `.proto` files in a folder and those below it, from that folder. */
function protoFiles(folder: URL): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    if (!isDirectory) return name.endsWith(".proto") ? [name] : [];
    return protoFiles(new URL(`${name}/`, folder)).map((path) => `${name}/${path}`);
  });
}

const HEADER = `// deno-fmt-ignore-file
/**
 * The files in \`proto/\`, as strings: JSR refuses packages that import text, and nothing is read
 * from disk at run time. Made by \`deno task generate\`; do not edit.
 *
 * @module
 */

/** The text of each file in \`proto/\`, by its path there. */
`;
