/**
 * Writes the modules that are made from other files: `deno task generate`.
 *
 * The table of confusable characters stays as it is where ICU's current data is not installed.
 *
 * @module
 */
import { CONFUSABLES_MODULE, confusablesModule, ICU_DATA, readConfusables } from "./confusables.ts";
import { PROTOS_MODULE, protosModule } from "./protos.ts";

await Deno.writeTextFile(PROTOS_MODULE, await protosModule());

const icuData = await Deno.readFile(ICU_DATA).catch(() => undefined);
const confusables = icuData && readConfusables(icuData);
if (confusables) await Deno.writeTextFile(CONFUSABLES_MODULE, confusablesModule(confusables));
else console.log(`src/identity/confusables.ts is unchanged: there is no ICU data in ${ICU_DATA}`);
