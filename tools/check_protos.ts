/**
 * Checks `proto/` with buf: the rules of `buf.yaml`, and that nothing has changed that programs
 * built from the last release rely on (`proto/released.txtpb`). Skipped where buf cannot run.
 *
 * @module
 */

/** Without our configuration, so that buf is neither in the lock file nor in the binary. */
const BUF = ["run", "--quiet", "--no-config", "--allow-all", "npm:@bufbuild/buf@1.75.0"];

async function buf(...args: string[]): Promise<{ success: boolean; text: string }> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...BUF, ...args],
    cwd: new URL("..", import.meta.url),
  }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { success, text: out + err };
}

if (!(await buf("--version")).success) {
  console.log("Skipped: buf lint and buf breaking (need the npm package @bufbuild/buf)");
  Deno.exit();
}
for (const check of [["lint"], ["breaking", "--against", "proto/released.txtpb"]]) {
  const { success, text } = await buf(...check);
  if (success) continue;
  console.error(`buf ${check[0]}:\n${text}`);
  Deno.exitCode = 1;
}
