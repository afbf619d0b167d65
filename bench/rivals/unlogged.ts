/**
 * A greeting server like `greet serve`, but without a log, which shows what the log costs.
 *
 * @module
 */
import { serveGreeter } from "../../mod.ts";

await serveGreeter({ port: Number(Deno.args.at(-1)) });
