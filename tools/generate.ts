/**
 * Writes the modules that are made from other files: `deno task generate`.
 *
 * @module
 */
import { PROTOS_MODULE, protosModule } from "./protos.ts";

await Deno.writeTextFile(PROTOS_MODULE, await protosModule());
