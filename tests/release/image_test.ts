/** The container image, as far as it can be checked without building it. */
import assert from "node:assert/strict";
import { ROOT } from "../../release/compile.ts";

Deno.test("the image is built with the Deno version that everything else uses", async () => {
  const [, version] = /^FROM denoland\/deno:(\S+) AS build$/m.exec(
    await Deno.readTextFile(`${ROOT}Dockerfile`),
  ) ?? [];
  assert.equal(version, (await Deno.readTextFile(`${ROOT}.dvmrc`)).trim());
});
