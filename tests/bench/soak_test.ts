/** A short run of the soak test. */
import assert from "node:assert/strict";
import { Report } from "../../bench/measure.ts";
import { soak } from "../../bench/soak/soak.ts";

Deno.test({
  name:
    "while clients vanish for half a minute, no call fails, no message is lost, and nothing leaks " +
    "(needs Linux)",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const file = await Deno.makeTempFile({ prefix: "greet-soak-" });
    try {
      const report = await Report.open();
      // Other tests share the machine: they need a part of it, and calls may take longer.
      await soak(report, { seconds: 30, maxTime: 30, atOnce: 4 });
      assert.equal(await report.close(file), 0, "see what FAILED above");
    } finally {
      await Deno.remove(file);
    }
  },
});
