/** Whether the texts in the program are those of `proto/`. */
import assert from "node:assert/strict";
import { PROTOS_MODULE, protosModule } from "../../tools/protos.ts";

Deno.test("src/rpc/protos.ts is what `deno task generate` makes of proto/", async () => {
  assert.equal(await Deno.readTextFile(PROTOS_MODULE), await protosModule());
});
