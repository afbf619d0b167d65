/**
 * A greeting server like `greet serve` without a log, to show what the log costs.
 *
 * @module
 */
import { serveGreeter } from "../../mod.ts";

await serveGreeter({ port: Number(Deno.args.at(-1)) });
