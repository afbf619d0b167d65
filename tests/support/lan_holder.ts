/**
 * Holds a name on the local network until it is killed: `NAME ADDRESS SECONDS`, its time to live, and
 * optionally how often to claim it. Says `held`, or why not.
 */
import { Lan } from "../../src/naming/lan.ts";

const [name, address, seconds, times = "1"] = Deno.args;
const lan = new Lan({ hostTtl: Number(seconds) });
const claim = { name, address };
for (let i = 0; i < Number(times); i++) {
  try {
    await lan.hold(claim, () => console.log("held"), new AbortController().signal);
  } catch (error) {
    console.log((error as Error).message);
  }
}
Deno.exit(1);
