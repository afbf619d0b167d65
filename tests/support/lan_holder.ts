/**
 * Holds a name on the local network until it is killed: `NAME ADDRESS SECONDS`, its time to live. Says
 * `held`, or why not.
 */
import { Lan } from "../../src/naming/lan.ts";

const [name, address, seconds] = Deno.args;
const lan = new Lan({ hostTtl: Number(seconds) });
try {
  await lan.hold({ name, address }, () => console.log("held"), new AbortController().signal);
} catch (error) {
  console.log((error as Error).message);
  Deno.exit(1);
}
