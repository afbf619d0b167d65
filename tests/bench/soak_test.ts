/** Clients that vanish in every way: nobody else notices, and nothing is left of them. */
import assert from "node:assert/strict";
import { Report } from "../../bench/measure.ts";
import { soak } from "../../bench/soak/soak.ts";

Deno.test({
  name:
    "half a minute of clients that vanish: no call fails, no message is lost, nothing is left " +
    "(needs Linux)",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const file = await Deno.makeTempFile({ prefix: "greet-soak-" });
    try {
      const report = await Report.open();
      await soak(report, { seconds: 30, maxTime: 10 });
      assert.equal(await report.close(file), 0, "see what FAILED above");
    } finally {
      await Deno.remove(file);
    }
  },
});
